"""Endpoints of a client: choice, health on one record, groups and zones, coming and going; on virtual time."""

import asyncio
import gc
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable

import pytest
from tests.transport.scripted_client import Notes

from schemawire.errors import CircuitOpen, Closed, ConnectFailed, NoEndpoint
from schemawire.events import EndpointEjected, EndpointsChanged
from schemawire.resilience import (
    BalanceConfig,
    BalanceStrategy,
    BreakerStateName,
    CircuitBreakerConfig,
    OutlierConfig,
    RetryConfig,
)
from schemawire.testing import cancel_at_every_await, virtual_time
from schemawire.testing.scripted_wire import Reply, ScriptedWire
from schemawire.transport import Client, DiscoveryConfig, EndpointStatistics, Listing, Place, Request

OK = Reply(chunks=(b"fine",))
BUSY = Reply(status=500)
THREE = "http://a:1,http://b:1,http://c:1"


class FedDiscovery:
    """Tells what a test puts into it."""

    name = "fed"

    def __init__(self, *first: str | Place) -> None:
        self._listings: asyncio.Queue[Listing] = asyncio.Queue()
        self._last: Listing | None = None
        if first:
            self.feed(*first)

    def feed(self, *places: str | Place) -> None:
        made = tuple(place if isinstance(place, Place) else Place(url=place) for place in places)
        self._listings.put_nowait(Listing(places=made))

    async def watch(self) -> AsyncGenerator[Listing, None]:
        if self._last is not None:
            yield self._last
        while True:
            self._last = await self._listings.get()
            yield self._last


def host_of(request: Request) -> str:
    return request.url.split("/")[2].split(":")[0]


def answering_by_host(bad: Iterable[str], *, otherwise: Reply = OK) -> tuple[ScriptedWire, set[str]]:
    """Return a wire on which the hosts of the returned set fail."""
    down = set(bad)
    return ScriptedWire(then=lambda request: BUSY if host_of(request) in down else otherwise), down


def used(wire: ScriptedWire) -> Counter[str]:
    return Counter(host_of(sent.request) for sent in wire.sent)


def state(client: Client, url: str) -> EndpointStatistics:
    return next(each for each in client.statistics().endpoints if each.url == url)


async def ask(client: Client, times: int) -> None:
    for _ in range(times):
        await client.request("GET", "/x")


@virtual_time
async def test_breaker_that_takes_an_endpoint_out_decides_alone_when_it_returns() -> None:
    """Five failures open the breaker and would eject: the endpoint is tried again when the breaker says so."""
    wire, down = answering_by_host("a")
    notes = Notes()
    client = Client(THREE, wire=wire, breaker=CircuitBreakerConfig(recovery_timeout=5.0), listener=notes)
    await ask(client, 60)
    broken = state(client, "http://a:1")
    assert broken.breaker is not None
    assert broken.breaker.state is BreakerStateName.OPEN
    assert broken.ejected_until == 0.0
    assert not any(isinstance(event, EndpointEjected) for event in notes.events)
    down.clear()
    await asyncio.sleep(5.0)
    await ask(client, 60)
    mended = state(client, "http://a:1")
    assert mended.breaker is not None
    assert mended.breaker.state is BreakerStateName.CLOSED


@virtual_time
async def test_endpoint_starts_slowly_after_its_breaker_has_closed() -> None:
    """It comes back with a tenth of its share, not with all of it."""
    wire, down = answering_by_host("a", otherwise=Reply(delay=0.1, chunks=(b"fine",)))
    client = Client("http://a:1,http://b:1", wire=wire, breaker=CircuitBreakerConfig(recovery_timeout=5.0))
    await ask(client, 40)
    down.clear()
    await asyncio.sleep(5.0)
    await ask(client, 10)
    before = used(wire)

    async def keep_asking() -> None:
        await ask(client, 10)

    async with asyncio.TaskGroup() as group:
        for _ in range(20):
            group.create_task(keep_asking())
    share = (used(wire)["a"] - before["a"]) / 200
    assert 0.0 < share < 0.3


@virtual_time
async def test_ejection_before_the_breaker_opens_goes_by_its_own_time() -> None:
    """With a lower threshold ejection acts first; once the breaker opens too, it alone decides."""
    wire, _ = answering_by_host("a")
    notes = Notes()
    options = BalanceConfig(outliers=OutlierConfig(consecutive_failures=2, ejection=7.0))
    client = Client(THREE, wire=wire, balance=options, listener=notes)
    await ask(client, 60)
    assert [(event.endpoint, event.reason) for event in notes.events if isinstance(event, EndpointEjected)] == [
        ("http://a:1", "outlier")
    ]
    broken = state(client, "http://a:1")
    assert broken.ejected_until > asyncio.get_running_loop().time()
    assert broken.breaker is not None
    assert broken.breaker.state is BreakerStateName.CLOSED


@virtual_time
async def test_without_breakers_failures_in_a_row_eject() -> None:
    """Ejection stands on its own: at most one of three is out, whatever the others do."""
    wire, down = answering_by_host("a")
    client = Client(THREE, wire=wire, breaker=None, retry=RetryConfig(max_retries=2))
    await ask(client, 60)
    assert used(wire)["a"] == 5
    down.update("b")
    await ask(client, 60)
    assert state(client, "http://b:1").ejected_until == 0.0


@virtual_time
async def test_every_open_breaker_is_named_with_the_shortest_wait() -> None:
    """When nobody is left the error says so for all, and when the first may be tried."""
    wire, _ = answering_by_host("ab")
    client = Client("http://a:1,http://b:1", wire=wire, retry=None, breaker=CircuitBreakerConfig(failure_threshold=1))
    await ask(client, 1)
    await asyncio.sleep(3.0)
    await ask(client, 1)
    with pytest.raises(CircuitOpen, match=r"(?s)http://a:1.*http://b:1|http://b:1.*http://a:1") as caught:
        await client.request("GET", "/x")
    assert caught.value.retry_after == pytest.approx(27.0)


@virtual_time
async def test_lower_priorities_stay_idle_while_the_first_can_serve() -> None:
    """Group 1 gets nothing until less than 72 % of group 0 are usable, then its part, then everything."""
    wire, down = answering_by_host("")
    first = [f"http://p{n}:1" for n in range(4)]
    client = Client([*first, "http://s:1#priority=1"], wire=wire, breaker=CircuitBreakerConfig(failure_threshold=1))
    await ask(client, 100)
    assert used(wire)["s"] == 0
    down.update(["p0", "p1"])
    await ask(client, 300)
    # Half of the first group are usable: 0.5 × 1.4 = 0.7 of the load stays, 0.3 spills over.
    before = used(wire)["s"]
    await ask(client, 1000)
    assert 0.22 < (used(wire)["s"] - before) / 1000 < 0.38
    down.update(["p2", "p3"])
    await ask(client, 200)
    before = used(wire)["s"]
    await ask(client, 100)
    assert used(wire)["s"] - before == 100


@virtual_time
async def test_own_zone_serves_until_it_is_down() -> None:
    """Calls stay in the zone, and leave it when nothing of it is usable."""
    wire, down = answering_by_host("")
    places = [Place(url="http://near:1", zone="a"), Place(url="http://far:1", zone="b")]
    options = DiscoveryConfig(zone="a")
    client = Client(places, wire=wire, discovery=options, breaker=CircuitBreakerConfig(failure_threshold=1))
    await ask(client, 50)
    assert used(wire) == {"near": 50}
    down.add("near")
    await ask(client, 50)
    assert used(wire)["far"] == 50
    assert [(each.zone, each.priority) for each in client.statistics().endpoints] == [("a", 0), ("b", 1)]


@virtual_time
async def test_weights_of_a_static_list_share_the_load() -> None:
    """`#weight=3` gets three times as much; another strategy is one option away."""
    wire, _ = answering_by_host("")
    options = BalanceConfig(strategy=BalanceStrategy.WEIGHTED)
    client = Client("http://a:1#weight=3,http://b:1", wire=wire, balance=options)
    await ask(client, 80)
    assert used(wire) == {"a": 60, "b": 20}
    assert "weighted" in client.explain()


@virtual_time
async def test_removed_endpoint_finishes_its_calls_and_gets_no_new_ones() -> None:
    """Nothing under way is cut; the endpoint is shown as draining until it is idle, then it is gone."""
    source = FedDiscovery("http://old:1")
    notes = Notes()
    wire = ScriptedWire(then=lambda request: Reply(delay=10.0 if host_of(request) == "old" else 0.0, chunks=(b"ok",)))
    client = Client(source, wire=wire, listener=notes)
    running = [asyncio.create_task(client.request("POST", "/x")) for _ in range(5)]
    await asyncio.sleep(1.0)
    source.feed("http://new:1")
    await asyncio.sleep(1.0)
    await ask(client, 5)
    draining = state(client, "http://old:1")
    assert (draining.is_draining, draining.in_flight) == (True, 5)
    assert [(await each).status for each in running] == [200] * 5
    assert used(wire) == {"old": 5, "new": 5}
    assert [each.url for each in client.statistics().endpoints] == ["http://new:1"]
    changes = [event for event in notes.events if isinstance(event, EndpointsChanged)]
    assert (changes[-1].added, changes[-1].removed) == (("http://new:1",), ("http://old:1",))
    await client.aclose()


@virtual_time
async def test_stream_outlives_its_endpoints_removal() -> None:
    """A body that is being read is a call under way like any other."""
    source = FedDiscovery("http://old:1")
    wire = ScriptedWire(then=Reply(chunks=(b"x",) * 5, chunk_delay=1.0))
    client = Client(source, wire=wire)
    async with client.stream("GET", "/x") as response:
        source.feed("http://new:1")
        pieces = []
        async for chunk in response:
            pieces.append(chunk)
            if len(pieces) == 3:
                assert state(client, "http://old:1").is_draining
    assert pieces == [b"x"] * 5
    assert [each.url for each in client.statistics().endpoints] == ["http://new:1"]
    await client.aclose()


@virtual_time
async def test_endpoint_that_returns_while_draining_keeps_its_history() -> None:
    """A registry that flaps cannot make a broken endpoint look like new."""
    source = FedDiscovery("http://a:1", "http://b:1")
    wire, _ = answering_by_host("a", otherwise=Reply(delay=100.0))
    client = Client(source, wire=wire, breaker=CircuitBreakerConfig(failure_threshold=1), retry=None)
    await asyncio.gather(*(client.request("GET", "/x", deadline=0.5) for _ in range(4)), return_exceptions=True)
    calls = [asyncio.create_task(client.request("GET", "/x", deadline=50.0)) for _ in range(3)]
    await asyncio.sleep(1.0)
    source.feed("http://c:1")
    await asyncio.sleep(1.0)
    source.feed("http://a:1", "http://b:1")
    await asyncio.sleep(1.0)
    kept = state(client, "http://b:1")
    assert (kept.in_flight, kept.is_draining) == (3, False)
    await asyncio.gather(*calls, return_exceptions=True)
    assert state(client, "http://b:1").in_flight == 0
    await client.aclose()


@virtual_time
async def test_newcomer_joins_slowly_and_is_used() -> None:
    """An endpoint that joins others gets a tenth of its share at first."""
    source = FedDiscovery("http://a:1", "http://b:1")
    wire, _ = answering_by_host("", otherwise=Reply(delay=0.1))
    client = Client(source, wire=wire)
    await ask(client, 20)
    source.feed("http://a:1", "http://b:1", "http://c:1")
    await asyncio.sleep(0.1)
    before = used(wire)
    assert before["c"] == 0

    async with asyncio.TaskGroup() as group:
        for _ in range(30):
            group.create_task(ask(client, 10))
    assert 0 < used(wire)["c"] < 0.25 * 300
    await client.aclose()


@virtual_time
async def test_changed_weight_and_priority_take_effect() -> None:
    """An endpoint that stays takes over what its listing now says, and keeps its history."""
    source = FedDiscovery("http://a:1", "http://b:1")
    wire, _ = answering_by_host("")
    client = Client(source, wire=wire)
    await ask(client, 20)
    source.feed("http://a:1", Place(url="http://b:1", priority=1, weight=2.0))
    await asyncio.sleep(1.0)
    before = used(wire)["b"]
    await ask(client, 20)
    assert used(wire)["b"] == before
    assert (state(client, "http://b:1").weight, state(client, "http://b:1").attempts) == (2.0, before)
    await client.aclose()


@virtual_time
async def test_first_call_waits_for_discovery() -> None:
    """Calls before the first listing wait for it, all of them, and then go."""
    source = FedDiscovery()
    client = Client(source, wire=ScriptedWire(then=OK))
    calls = [asyncio.create_task(client.request("GET", "/x")) for _ in range(10)]
    await asyncio.sleep(5.0)
    source.feed("http://a:1")
    assert [(await each).status for each in calls] == [200] * 10
    statistics = client.statistics().discovery
    assert statistics is not None
    assert (statistics.name, statistics.places, statistics.updates) == ("fed", 1, 1)
    await client.aclose()


@virtual_time
async def test_call_without_any_endpoint_ends_with_the_reason() -> None:
    """It waits as long as it may, and is refused, not failed: nothing was sent."""
    client = Client(FedDiscovery(), wire=ScriptedWire(then=OK))
    started = asyncio.get_running_loop().time()
    with pytest.raises(NoEndpoint, match="fed has named no endpoint"):
        await client.request("GET", "/x")
    assert asyncio.get_running_loop().time() - started == pytest.approx(10.0)
    assert client.statistics().calls.refused == 1
    await client.aclose()


@virtual_time
async def test_patient_call_outlasts_a_discovery_that_is_down() -> None:
    """A keyed write that must arrive waits for the first endpoint until its deadline."""
    source = FedDiscovery()
    client = Client(source, wire=ScriptedWire(then=OK))
    call = asyncio.create_task(
        client.request("POST", "/x", idempotency_key="k", retry_until_deadline=True, deadline=100.0)
    )
    await asyncio.sleep(40.0)
    source.feed("http://a:1")
    assert (await call).status == 200
    await client.aclose()


@virtual_time
async def test_ten_thousand_endpoints_become_a_bounded_few() -> None:
    """A client uses its own subset, and a second client another one."""
    places = [Place(url=f"http://h{n}:1") for n in range(10_000)]
    wire = ScriptedWire(then=OK)
    one = Client(places, wire=wire, discovery=DiscoveryConfig(client=1))
    other = Client(places, wire=wire, discovery=DiscoveryConfig(client=2))
    mine = {each.url for each in one.statistics().endpoints}
    theirs = {each.url for each in other.statistics().endpoints}
    assert len(mine) == len(theirs) == 100
    assert len(mine & theirs) < 10
    await ask(one, 300)
    assert {f"http://{host}:1" for host in used(wire)} <= mine


@virtual_time
async def test_closed_client_follows_nothing() -> None:
    """Closing ends the watch, and later listings change nothing."""
    source = FedDiscovery("http://a:1")
    client = Client(source, wire=ScriptedWire(then=OK))
    await ask(client, 1)
    await client.aclose()
    await client.aclose()
    source.feed("http://b:1")
    await asyncio.sleep(10.0)
    assert [each.url for each in client.statistics().endpoints] == ["http://a:1"]
    assert len(asyncio.all_tasks()) == 1
    with pytest.raises(Closed):
        await client.request("GET", "/x")


@virtual_time
async def test_discovery_ends_with_the_client_that_nobody_uses_any_more() -> None:
    """A client that is dropped without being closed is not kept alive by what it follows."""
    source = FedDiscovery("http://a:1")
    client = Client(source, wire=ScriptedWire(then=OK))
    await ask(client, 1)
    assert len(asyncio.all_tasks()) == 2
    del client
    gc.collect()
    source.feed("http://b:1")
    await asyncio.sleep(1.0)
    assert len(asyncio.all_tasks()) == 1


def test_discovery_begins_anew_on_another_event_loop() -> None:
    """A client that outlives its first loop follows its source on the second, without a warning."""
    source_calls: list[int] = []

    class Counting:
        name = "counting"

        async def watch(self) -> AsyncGenerator[Listing, None]:
            source_calls.append(1)
            yield Listing(places=(Place(url="http://a:1"),))
            await asyncio.Event().wait()

    client = Client(Counting(), wire=ScriptedWire(then=OK))
    for _ in range(2):
        asyncio.run(ask(client, 2))
    assert len(source_calls) == 2


@virtual_time
async def test_name_that_was_looked_up_is_what_the_request_asks_for() -> None:
    """A server of several names must see the one that was meant, not the address it was found at."""
    source = FedDiscovery(Place(url="http://10.0.0.1:80", authority="back.example:80"))
    wire = ScriptedWire(then=OK)
    client = Client(source, wire=wire)
    await ask(client, 1)
    await client.request("GET", "/x", headers={"Host": "mine.example"})
    assert [sent.request.headers["Host"] for sent in wire.sent] == ["back.example:80", "mine.example"]
    await client.aclose()


class ChangingDiscovery:
    """Names one endpoint after a while, and another one instead while calls to the first are under way."""

    name = "changing"

    async def watch(self) -> AsyncGenerator[Listing, None]:
        await asyncio.sleep(0.05)
        yield Listing(places=(Place(url="http://old:1"),))
        await asyncio.sleep(0.05)
        yield Listing(places=(Place(url="http://new:1"),))
        await asyncio.Event().wait()


def changing_client() -> Client:
    wire = ScriptedWire(BUSY, then=Reply(delay=0.1, chunks=(b"ok",), chunk_delay=0.1))
    return Client(ChangingDiscovery(), wire=wire)


async def calls_across_a_change(client: Client) -> None:
    try:
        await asyncio.gather(*(client.request("GET", "/x") for _ in range(3)))
        await client.request("GET", "/x")
    finally:
        await client.aclose()


def nothing_is_held(client: Client) -> None:
    statistics = client.statistics()
    assert statistics.calls.in_flight == statistics.wire.in_flight == 0
    assert not any(each.in_flight or each.is_draining for each in statistics.endpoints)


def test_call_cancelled_anywhere_across_a_change_leaves_nothing_behind() -> None:
    """While it waits for the first listing, or while its endpoint drains: every count goes back to zero."""
    report = cancel_at_every_await(changing_client, calls_across_a_change, check=nothing_is_held)
    assert report.cancelled > 5


@pytest.mark.parametrize("drop", [lambda urls: urls[1:], lambda urls: urls[:1], lambda urls: urls])
@virtual_time
async def test_changes_under_load_fail_no_call(drop: Callable[[list[str]], list[str]]) -> None:
    """While listings change every few moments, every call is answered by an endpoint that was listed."""
    urls = [f"http://h{n}:1" for n in range(6)]
    source = FedDiscovery(*urls)
    wire = ScriptedWire(then=Reply(delay=0.05, chunks=(b"ok",)))
    client = Client(source, wire=wire)

    async def change() -> None:
        for turn in range(50):
            source.feed(*(drop(urls) if turn % 2 else urls))
            await asyncio.sleep(0.07)

    async with asyncio.TaskGroup() as group:
        group.create_task(change())
        for _ in range(20):
            group.create_task(ask(client, 50))
    counts = client.statistics().calls
    assert (counts.success, counts.in_flight, counts.attempts) == (1000, 0, 1000)
    assert sum(each.in_flight for each in client.statistics().endpoints) == 0
    await client.aclose()


@virtual_time
async def test_endpoints_that_refuse_connections_fail_no_keyed_call() -> None:
    """Two of three are down from the start: every keyed call is answered by the third."""

    def answer(request: Request) -> Reply:
        if host_of(request) != "c":
            raise ConnectFailed
        return OK

    client = Client(THREE, wire=ScriptedWire(then=answer))
    for number in range(100):
        assert (await client.request("POST", "/x", idempotency_key=str(number))).status == 200
