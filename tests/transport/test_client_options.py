"""Options that change what a client does altogether: fallback, chaos, one store, keys, and switches while it lives."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from schemawire.errors import ConfigurationInvalid, ConnectionLost, StoresDiffer
from schemawire.resilience import BalanceConfig, BalanceStrategy, ChaosConfig, Context, RateLimitConfig, RetryConfig
from schemawire.testing import virtual_time
from schemawire.testing.scripted_wire import Reply, ScriptedWire
from schemawire.transport import (
    CacheConfig,
    Client,
    DiscoveryConfig,
    Headers,
    OneStoreConfig,
    Place,
    Request,
    Response,
    WireStatistics,
)

OK = Reply(chunks=(b"fine",))
KEPT = Reply(chunks=(b"kept",), headers={"Cache-Control": "max-age=60"})


class Stores:
    """A wire to endpoints, each of which names the store behind it and notes what it is asked."""

    name = "stores"

    def __init__(self, **stores: str) -> None:
        self.stores = stores
        self.asked: list[tuple[str, str]] = []

    async def send(self, request: Request, *, connect_timeout: float, read_timeout: float) -> Any:
        host = request.url.split("/")[2].split(":")[0]
        self.asked.append((request.method, host))
        store = self.stores[host]
        if store == "down":
            raise ConnectionLost("down")
        script = ScriptedWire(then=Reply(headers={"X-Store-ID": store} if store else {}))
        return await script.send(request, connect_timeout=connect_timeout, read_timeout=read_timeout)

    def writes(self) -> list[str]:
        return [host for method, host in self.asked if method == "POST"]

    async def aclose(self) -> None:
        return None

    def statistics(self) -> WireStatistics:
        return WireStatistics(name=self.name, requests=len(self.asked), in_flight=0)


IN_TURN = BalanceConfig(strategy=BalanceStrategy.ROUND_ROBIN)
BOTH = "http://a:1,http://b:1"


@virtual_time
async def test_writes_are_never_spread_over_two_stores() -> None:
    """An endpoint is asked for its store before its first write; once two differ no write is sent, and reads are."""
    wire = Stores(a="1", b="2")
    client = Client(BOTH, wire=wire, one_store=OneStoreConfig(), balance=IN_TURN)
    await client.request("POST", "/x", body=b"")
    for _ in range(5):
        with pytest.raises(StoresDiffer, match="http://a:1: 1, http://b:1: 2"):
            await client.request("POST", "/x", body=b"")
    assert len(wire.writes()) == 1
    assert (await client.request("GET", "/x")).status == 200


@virtual_time
async def test_endpoints_of_one_store_take_writes_in_turn() -> None:
    """One store behind all of them costs one question each; an endpoint alone, or one that names none, is let be."""
    wire = Stores(a="1", b="1")
    client = Client(BOTH, wire=wire, one_store=OneStoreConfig(path="/who"), balance=IN_TURN)
    for _ in range(6):
        await client.request("POST", "/x", body=b"")
    assert Counter(wire.writes()) == {"a": 3, "b": 3}
    assert Counter(method for method, _ in wire.asked) == {"POST": 6, "GET": 2}
    alone = Stores(a="1")
    await Client("http://a:1", wire=alone, one_store=OneStoreConfig()).request("POST", "/x", body=b"")
    assert alone.asked == [("POST", "a")]
    nameless = Stores(a="", b="7")
    client = Client(BOTH, wire=nameless, one_store=OneStoreConfig(), balance=IN_TURN)
    for _ in range(4):
        await client.request("POST", "/x", body=b"")
    assert Counter(nameless.writes()) == {"a": 2, "b": 2}


@virtual_time
async def test_store_that_cannot_be_asked_is_a_failed_attempt() -> None:
    """The write goes to an endpoint that answers; one whose store changes is noticed by its own responses."""
    wire = Stores(a="down", b="1")
    client = Client(BOTH, wire=wire, one_store=OneStoreConfig(), balance=IN_TURN)
    for _ in range(3):
        await client.request("POST", "/x", body=b"", idempotency_key="k")
    assert set(wire.writes()) == {"b"}
    wire.stores.update(a="1")
    for _ in range(4):
        await client.request("GET", "/x")
    wire.stores.update(b="2")
    for _ in range(4):
        await client.request("GET", "/x")
    with pytest.raises(StoresDiffer):
        await client.request("POST", "/x", body=b"")


@pytest.mark.parametrize("wrong", [{"header": "X Store"}, {"header": ""}, {"path": "who"}])
def test_store_options_that_name_nothing_are_refused(wrong: dict[str, str]) -> None:
    """The message shows what was given."""
    with pytest.raises(ConfigurationInvalid, match="OneStoreConfig"):
        OneStoreConfig(**wrong)


@virtual_time
async def test_fallback_answers_what_ends_badly_and_nothing_else() -> None:
    """After the last attempt the fallback's response stands in; a 4xx of the service and a stream are left alone."""

    def instead(context: Context, error: BaseException | None) -> Response:
        return Response(status=203, headers=Headers(), body=b"instead", url=context.call.target)

    wire = ScriptedWire(Reply(status=503), ConnectionLost(), Reply(status=404), then=Reply(status=500))
    client = Client("http://a:1", wire=wire, fallback=instead, retry=RetryConfig(max_retries=1))
    assert (await client.request("GET", "/x")).body == b"instead"
    assert (await client.request("GET", "/x")).status == 404
    async with client.stream("GET", "/x") as response:
        assert response.status == 500
    assert "fallback" in client.explain()
    assert client.statistics().layers["fallback"].used == 1  # type: ignore[attr-defined]  # its own statistics


@virtual_time
async def test_chaos_stands_in_place_of_attempts_and_has_a_switch() -> None:
    """Faults are met by the retries like any other; `reload` switches them off and on."""
    wire = ScriptedWire(then=OK)
    client = Client("http://a:1", wire=wire, chaos=ChaosConfig(fault_rate=1.0), retry=None, breaker=None)
    with pytest.raises(ConnectionLost, match="chaos"):
        await client.request("GET", "/x")
    assert wire.sent == []
    client.reload(chaos=ChaosConfig(enabled=False))
    assert (await client.request("GET", "/x")).status == 200
    client.reload(chaos=ChaosConfig(outcome_rate=1.0))
    assert (await client.request("GET", "/x")).status == 503
    with pytest.raises(ConfigurationInvalid):
        client.reload(chaos=None)


@virtual_time
async def test_key_keeps_calls_at_one_endpoint() -> None:
    """Under HASH equal keys go to one endpoint; a call's own key wins over that which the client finds."""
    wire = ScriptedWire(then=OK)
    client = Client(
        [f"http://{name}:1" for name in "abcdef"],
        wire=wire,
        balance=BalanceConfig(strategy=BalanceStrategy.HASH),
        key_of=lambda call: call.target,
    )

    async def places(path: str, key: str = "") -> set[str]:
        before = len(wire.sent)
        for _ in range(12):
            await client.request("GET", path, key=key)
        return {sent.request.url.split("/")[2] for sent in wire.sent[before:]}

    found = [await places(f"/{number}") for number in range(12)]
    assert all(len(each) == 1 for each in found)
    assert len(set.union(*found)) > 2
    assert await places("/1", key="mine") == await places("/2", key="mine")


@virtual_time
async def test_cache_is_switched_on_changed_and_off_while_calls_run(tmp_path: Path) -> None:
    """From the next call on responses are kept, then elsewhere, then not at all."""
    wire = ScriptedWire(then=KEPT)
    async with Client("http://a:1", wire=wire) as client:

        async def sent_by(calls: int) -> int:
            before = len(wire.sent)
            for _ in range(calls):
                assert (await client.request("GET", "/x")).body == b"kept"
            return len(wire.sent) - before

        assert await sent_by(3) == 3
        client.reload(cache=CacheConfig())
        assert await sent_by(3) == 1
        client.reload(cache=CacheConfig(heuristic_max=5.0))
        assert await sent_by(3) == 0
        client.reload(cache=CacheConfig(max_bytes=1 << 20, max_entry_bytes=1 << 10))
        assert await sent_by(3) == 1
        client.reload(cache=None)
        assert await sent_by(2) == 2
        assert client.statistics().cache is None


@virtual_time
async def test_balance_and_zone_change_while_calls_run() -> None:
    """Another way to choose, and another zone, hold from the next attempt on."""
    wire = ScriptedWire(then=OK)
    places = [Place(url=f"http://{name}:1", zone=name) for name in "ab"]
    client = Client(places, wire=wire, discovery=DiscoveryConfig(zone="a"))

    async def used() -> set[str]:
        before = len(wire.sent)
        for _ in range(20):
            await client.request("GET", "/x")
        return {sent.request.url.split("/")[2] for sent in wire.sent[before:]}

    assert await used() == {"a:1"}
    client.reload(discovery=DiscoveryConfig(zone="b"))
    assert await used() == {"b:1"}
    client.reload(discovery=DiscoveryConfig(), balance=IN_TURN)
    assert await used() == {"a:1", "b:1"}
    assert "round_robin" in client.explain().lower()


@virtual_time
async def test_rate_becomes_one_of_each_key_and_back() -> None:
    """`rate_per_key` is switched like any other option."""
    rate = RateLimitConfig(rate=1.0, max_wait=100.0)
    client = Client("http://a:1", wire=ScriptedWire(then=OK), rate=rate)

    async def seconds() -> float:
        started = asyncio.get_running_loop().time()
        await asyncio.gather(*(client.request("GET", "/x", key=key) for key in "abc"))
        return round(asyncio.get_running_loop().time() - started)

    assert await seconds() == 2
    client.reload(rate_per_key=True)
    assert await seconds() == 0
    client.reload(rate_per_key=False)
    assert await seconds() == 2
