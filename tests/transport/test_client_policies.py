"""The client's optional policies, its routes and the change of options while it lives, on virtual time."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from tests.transport.scripted_client import client_for

from schemawire.errors import (
    CircuitOpen,
    ConfigurationInvalid,
    ConnectionLost,
    DeadlineExceeded,
    LoadShed,
    RateLimited,
)
from schemawire.resilience import (
    AdaptiveLimitConfig,
    ChaosConfig,
    CircuitBreakerConfig,
    HedgeConfig,
    RateLimitConfig,
    RetryConfig,
    ThrottleConfig,
)
from schemawire.testing import virtual_time
from schemawire.testing.scripted_wire import Reply
from schemawire.transport import Client, PoolConfig, RouteOptions, SlowDownConfig, TimeoutConfig
from schemawire.transport.routes import RouteTable
from schemawire.transport.slow_down import cubic_rate

OK = Reply(chunks=(b"fine",))
ONCE = RetryConfig(max_retries=0, transparent_retries=0)


def now() -> float:
    return asyncio.get_running_loop().time()


@virtual_time
async def test_rate_spaces_calls() -> None:
    """Calls wait for their turn and are refused where that would take too long."""
    client, wire = client_for(then=OK, rate=RateLimitConfig(rate=10.0, max_wait=0.25))
    results = await asyncio.gather(*(client.request("GET", "/x") for _ in range(4)), return_exceptions=True)
    assert [round(sent.at, 3) for sent in wire.sent] == [0.0, 0.1, 0.2]
    assert isinstance(results[3], RateLimited)


@virtual_time
async def test_rate_per_key_leaves_the_others_alone() -> None:
    """A busy key waits; another one does not."""
    client, wire = client_for(then=OK, rate=RateLimitConfig(rate=1.0), rate_per_key=True)
    await asyncio.gather(*(client.request("GET", f"/{key}", key=key) for key in ("a", "a", "b")))
    assert sorted((sent.request.url[-1], round(sent.at)) for sent in wire.sent) == [("a", 0), ("a", 1), ("b", 0)]


@pytest.mark.parametrize(("method", "sent"), [("GET", 2), ("HEAD", 2), ("PUT", 1), ("DELETE", 1), ("POST", 1)])
@virtual_time
async def test_only_reads_are_hedged(method: str, sent: int) -> None:
    """A slow read gets a second attempt beside the first; a write never does, even with a key."""
    client, wire = client_for(Reply(delay=5.0, chunks=(b"slow",)), OK, hedge=HedgeConfig(delay=0.1))
    response = await client.request(method, "/x", idempotency_key="k")
    assert (len(wire.sent), round(now(), 3)) == (sent, 0.1 if sent == 2 else 5.0)
    assert client.statistics().calls.attempts == sent
    assert [each.request.headers["X-Request-Attempt"] for each in wire.sent] == ["1", "2"][:sent]
    assert response.status == 200
    await asyncio.sleep(10)
    statistics = client.statistics()
    assert (statistics.wire.in_flight, sum(each.in_flight for each in statistics.endpoints)) == (0, 0)


@virtual_time
async def test_hedged_stream_gives_everything_back() -> None:
    """The loser of two streams is closed, the winner is read to its end."""
    client, wire = client_for(
        Reply(delay=5.0), Reply(chunks=(b"a", b"b"), chunk_delay=0.1), hedge=HedgeConfig(delay=0.1)
    )
    async with client.stream("GET", "/x") as response:
        assert [chunk async for chunk in response] == [b"a", b"b"]
    await asyncio.sleep(10)
    statistics = client.statistics()
    assert (len(wire.sent), statistics.wire.in_flight, statistics.endpoints[0].in_flight) == (2, 0, 0)


@virtual_time
async def test_throttle_sheds_when_the_service_stops_accepting() -> None:
    """A service that fails everything is soon asked only by a few."""
    client, wire = client_for(then=Reply(status=500), throttle=ThrottleConfig(), retry=ONCE, breaker=None)
    shed = 0
    for _ in range(200):
        try:
            await client.request("GET", "/x")
        except LoadShed:
            shed += 1
    assert shed > 50
    assert len(wire.sent) == 200 - shed


@virtual_time
async def test_learned_limit_belongs_to_each_endpoint() -> None:
    """The limit stands behind the choice of the endpoint and shows in its statistics."""
    options = AdaptiveLimitConfig(initial=2, lowest=1, highest=4)
    client, _ = client_for(then=Reply(delay=1.0), limit=options, retry=ONCE)
    results = await asyncio.gather(*(client.request("GET", "/x") for _ in range(5)), return_exceptions=True)
    assert sum(isinstance(result, LoadShed) for result in results) == 3
    limit = client.statistics().endpoints[0].limit
    assert limit is not None
    assert (limit.admitted, limit.in_flight) == (2, 0)


@virtual_time
async def test_throttled_attempts_slow_the_client_down_until_it_is_forgotten() -> None:
    """The rate falls to a share of what was sent, comes back along the curve, and at last nothing is slowed down."""
    options = SlowDownConfig(forget_after=20.0)
    taken: list[float] = []
    # The service takes ten attempts in a second.

    def answer(_: object) -> Reply:
        taken.append(now())
        return Reply(status=429) if sum(at > now() - 1.0 for at in taken) > 10 else OK

    client, wire = client_for(then=answer, slow_down=options, retry=ONCE)
    throttled = 0
    for _ in range(1500):
        throttled += (await client.request("GET", "/x")).status == 429
        await asyncio.sleep(0.01)
        if now() > 30.0:
            break
    # Unpaced, nine in ten of about 3 000 attempts would have been throttled.
    assert throttled < len(wire.sent) / 3
    assert client.statistics().layers["pace"].allowed is not None  # type: ignore[attr-defined]  # of the policy's own
    await asyncio.sleep(25.0)
    for _ in range(2):
        await client.request("GET", "/x")
    assert client.statistics().layers["pace"].allowed is None  # type: ignore[attr-defined]  # of the policy's own


def test_cubic_curve_starts_low_lingers_and_probes() -> None:
    """At once beta × most; flat around most; beyond it afterwards."""
    options = SlowDownConfig()
    most = 100.0
    flat = (most * 0.3 / 0.4) ** (1 / 3)
    assert cubic_rate(0.0, most, options) == pytest.approx(70.0)
    assert cubic_rate(flat, most, options) == pytest.approx(most)
    assert cubic_rate(flat + 1, most, options) - most < 1.0
    assert cubic_rate(flat + 10, most, options) > 4 * most


@virtual_time
async def test_route_has_its_own_options() -> None:
    """What a route names is its own, everything else is the client's."""
    routes = {
        "/slow/{id}": RouteOptions(total=100.0, retry=None),
        "POST /paced": RouteOptions(rate=RateLimitConfig(rate=1.0)),
    }
    client, wire = client_for(then=Reply(delay=70.0), routes=routes, timeout=TimeoutConfig(read=80.0, total=60.0))
    assert (await client.request("GET", "/slow/7")).status == 200
    with pytest.raises(DeadlineExceeded):
        await client.request("GET", "/other")
    wire._then = ConnectionLost()
    with pytest.raises(ConnectionLost):
        await client.request("GET", "/slow/8")
    assert len(wire.sent) == 3
    wire._then = OK
    begun = now()
    await asyncio.gather(*(client.request("POST", "/paced") for _ in range(3)))
    assert now() - begun == pytest.approx(2.0)
    await asyncio.gather(*(client.request("GET", "/paced") for _ in range(3)))
    assert now() - begun == pytest.approx(2.0)
    assert "POST /paced rate" in client.statistics().layers


def test_most_exact_route_wins() -> None:
    """A method goes before none, a plain path before names; what the caller names goes before everything."""
    table = RouteTable(dict.fromkeys(("/a/{id}", "/a/b", "GET /a/{id}", "/a/{id}/c"), None))
    assert table.find("GET", "/a/1") == "GET /a/{id}"
    assert table.find("GET", "/a/b") == "GET /a/{id}"
    assert table.find("POST", "/a/b") == "/a/b"
    assert table.find("POST", "/a/1") == "/a/{id}"
    assert table.find("POST", "/a/1/c") == "/a/{id}/c"
    assert table.find("POST", "/a/1/2") == ""
    assert table.find("POST", "/a/1/2", "/a/b") == "/a/b"


@pytest.mark.parametrize("pattern", ["", "a", "/a?b", "/a/{b", "/a}", "get /a", "GET  /a", "/a b", "/{a{b}}"])
def test_malformed_route_is_refused(pattern: str) -> None:
    """The message shows the pattern and how one looks."""
    with pytest.raises(ConfigurationInvalid, match="route"):
        client_for(OK, routes={pattern: RouteOptions()})


def test_routes_that_match_the_same_are_refused() -> None:
    """Two spellings of one pattern would make one of them meaningless."""
    with pytest.raises(ConfigurationInvalid, match="match the same"):
        client_for(OK, routes={"/a/{b}": RouteOptions(), "/a/{c}": RouteOptions()})


@virtual_time
async def test_reload_changes_values_and_keeps_state() -> None:
    """New options hold from the next call on; an open breaker stays open, a budget stays spent."""
    client, wire = client_for(then=Reply(status=500), breaker=CircuitBreakerConfig(failure_threshold=2), retry=ONCE)
    for _ in range(2):
        await client.request("GET", "/x")
    client.reload(
        retry=RetryConfig(max_retries=2), timeout=TimeoutConfig(total=5.0), pool=PoolConfig(max_connections=3)
    )
    with pytest.raises(CircuitOpen):
        await client.request("GET", "/x")
    assert "max_concurrent=3" in client.explain()
    client.reload(breaker=CircuitBreakerConfig(failure_threshold=50), routes={"/y": RouteOptions(retry=None)})
    await asyncio.sleep(40.0)
    wire._then = OK
    assert (await client.request("GET", "/x")).status == 200
    wire._then = Reply(status=500)
    sent = len(wire.sent)
    assert (await client.request("GET", "/y")).attempts == 1
    assert (await client.request("GET", "/x")).attempts == 3
    assert len(wire.sent) == sent + 4
    assert client.statistics().calls.started == 6


@virtual_time
async def test_reload_lets_waiting_calls_in() -> None:
    """More room admits those that wait at once."""
    client, wire = client_for(then=Reply(delay=1.0), pool=PoolConfig(max_connections=1))
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(client.request("GET", "/x"))
        await asyncio.sleep(0.5)
        client.reload(pool=PoolConfig(max_connections=3))
    assert [round(sent.at, 3) for sent in wire.sent] == [0.0, 0.5, 0.5]


@pytest.mark.parametrize(
    "options",
    [
        {"breaker": None},
        {"pool": None},
        {"limit": AdaptiveLimitConfig()},
        {"timeout": TimeoutConfig(attempt=1.0)},
        {"chaos": ChaosConfig()},
        {"max_body_bytes": 5},
        {"routes": {"nonsense": RouteOptions()}},
    ],
)
@virtual_time
async def test_reload_that_cannot_be_done_changes_nothing(options: dict[str, object]) -> None:
    """A refused change leaves every option as it was, the allowed ones beside it too."""
    client, _ = client_for(then=OK)
    before = client.explain()
    with pytest.raises(ConfigurationInvalid):
        client.reload(**{"retry": RetryConfig(max_retries=9), **options})
    assert client.explain() == before
    assert (await client.request("GET", "/x")).status == 200


def test_reload_of_an_unknown_option_is_a_mistake_of_the_caller() -> None:
    """A misspelt option is not ignored."""
    client, _ = client_for(OK)
    with pytest.raises(TypeError):
        client.reload(retries=5)


def test_explanation_says_where_each_value_came_from() -> None:
    """Defaults, arguments, what the settings say, what was reloaded, and what routes have of their own."""
    client, _ = client_for(
        OK,
        retry=RetryConfig(max_retries=7),
        timeout=replace(TimeoutConfig(), read=3.0),
        origins={"timeout.read": "BACKEND_TIMEOUT_READ"},
        routes={"/a/{id}": RouteOptions(total=2.5, hedge=None)},
    )
    text = client.explain()
    assert "retry.max_retries = 7  (argument)" in text
    assert "timeout.read = 3  (BACKEND_TIMEOUT_READ)" in text
    assert "timeout.total = 60  (default)" in text
    assert "/a/{id}: total=2.5, hedge=off" in text
    client.reload(retry=RetryConfig(max_retries=1))
    assert "retry.max_retries = 1  (reload)" in client.explain()


@pytest.mark.parametrize(
    "options",
    [
        {"hedge": HedgeConfig(delay=2.0)},
        {"breaker": CircuitBreakerConfig(slow_call_duration=2.0)},
        {"routes": {"GET /items": RouteOptions(hedge=HedgeConfig(delay=2.0))}},
    ],
    ids=["hedge", "breaker", "route"],
)
def test_policies_of_client_and_endpoint_may_not_contradict_each_other(options: dict[str, Any]) -> None:
    """What an attempt of one second never reaches is refused, though another pipeline holds the attempt's limit."""
    with pytest.raises(ConfigurationInvalid, match="contradicts itself"):
        Client("http://a.test", timeout=TimeoutConfig(attempt=1.0), **options)
