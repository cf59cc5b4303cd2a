"""What the client decides, on virtual time and without a socket: repeat or not, where, how long, what is counted."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager

import pytest
from tests.transport.scripted_client import Notes, client_for

from schemawire.errors import (
    AttemptTimeout,
    CircuitOpen,
    Closed,
    ConfigurationInvalid,
    ConnectFailed,
    ConnectionLost,
    DeadlineExceeded,
    QueueFull,
)
from schemawire.events import AttemptFinished, CallFinished
from schemawire.resilience import BreakerStateName, CircuitBreakerConfig, RetryConfig, within
from schemawire.testing import virtual_time
from schemawire.testing.scripted_wire import Answer, Reply, ScriptedWire
from schemawire.transport import Client, PoolConfig, Request, TimeoutConfig

OK = Reply(chunks=(b"fine",))
BUSY = Reply(status=503)


async def one_shot() -> AsyncIterator[bytes]:
    yield b"once"


async def broken_body() -> AsyncIterator[bytes]:
    yield b"half"
    raise LookupError("the caller's own mistake")


@pytest.mark.parametrize("first", [BUSY, Reply(status=500), ConnectionLost(), ConnectFailed(), AttemptTimeout()])
@virtual_time
async def test_read_is_repeated(first: Answer) -> None:
    """A read that fails in passing is tried again, and the reply says how often."""
    client, wire = client_for(first, OK)
    response = await client.request("GET", "/x")
    assert (response.body, response.attempts) == (b"fine", 2)
    assert [sent.request.headers["X-Request-Attempt"] for sent in wire.sent] == ["1", "2"]


@pytest.mark.parametrize("first", [ConnectionLost(), AttemptTimeout()])
@virtual_time
async def test_write_without_a_key_is_not_repeated_once_it_may_have_arrived(first: Exception) -> None:
    """Nobody knows whether it was done, so the caller decides."""
    client, wire = client_for(first, OK)
    with pytest.raises(type(first)):
        await client.request("POST", "/x", json={})
    assert len(wire.sent) == 1


@virtual_time
async def test_write_without_a_key_is_repeated_when_nothing_left() -> None:
    """Without a connection nothing can have been done."""
    client, wire = client_for(ConnectFailed(), OK)
    assert (await client.request("POST", "/x", json={"a": 1})).attempts == 2
    assert [sent.body for sent in wire.sent] == [b'{"a":1}'] * 2


@virtual_time
async def test_write_without_a_key_returns_its_503() -> None:
    """A response that may not be asked for again is still a response."""
    client, wire = client_for(BUSY, OK)
    assert (await client.request("POST", "/x")).status == 503
    assert len(wire.sent) == 1


@virtual_time
async def test_keyed_write_is_repeated_with_the_same_key() -> None:
    """The key stays the same over all attempts."""
    client, wire = client_for(ConnectionLost(), BUSY, OK)
    assert (await client.request("POST", "/x", json={}, idempotency_key="k-1")).attempts == 3
    assert [sent.request.headers["Idempotency-Key"] for sent in wire.sent] == ["k-1"] * 3


@virtual_time
async def test_last_response_is_returned_when_retries_run_out() -> None:
    """Every complete response is returned; after retries the last one."""
    client, wire = client_for(then=BUSY, retry=RetryConfig(max_retries=2))
    response = await client.request("GET", "/x")
    assert (response.status, response.attempts, len(wire.sent)) == (503, 3, 3)


@virtual_time
async def test_last_error_carries_the_earlier_ones() -> None:
    """What went wrong before is not lost, oldest first."""
    first = ConnectFailed("first")
    client, _ = client_for(first, then=ConnectionLost("later"), retry=RetryConfig(max_retries=2))
    with pytest.raises(ConnectionLost) as caught:
        await client.request("GET", "/x")
    assert caught.value.attempts[0] is first
    assert len(caught.value.attempts) >= 2


@virtual_time
async def test_one_shot_body_has_one_attempt() -> None:
    """A body that is used up is never sent empty; the first outcome stands."""
    client, wire = client_for(BUSY, OK)
    assert (await client.request("PUT", "/x", body=one_shot())).status == 503
    assert [sent.body for sent in wire.sent] == [b"once"]


@virtual_time
async def test_factory_body_is_asked_for_each_attempt() -> None:
    """Every attempt sends the whole body."""
    client, wire = client_for(BUSY, OK)
    assert (await client.request("PUT", "/x", body=one_shot)).status == 200
    assert [sent.body for sent in wire.sent] == [b"once"] * 2


@pytest.mark.parametrize("body", [broken_body, broken_body()], ids=["factory", "iterable"])
async def test_error_of_the_callers_own_body_surfaces(body: object) -> None:
    """It is neither hidden, nor repeated, nor counted against the endpoint."""
    client, wire = client_for(OK)
    with pytest.raises(LookupError, match="own mistake"):
        await client.request("PUT", "/x", body=body)  # type: ignore[arg-type]  # parametrized
    [endpoint] = client.statistics().endpoints
    assert (endpoint.failures, endpoint.in_flight, wire.statistics().in_flight) == (0, 0, 0)


@virtual_time
async def test_hint_of_the_other_side_is_waited_for() -> None:
    """`Retry-After` is a lower bound for the pause."""
    client, wire = client_for(Reply(status=429, headers={"Retry-After": "7"}), OK)
    await client.request("GET", "/x")
    assert 7.0 <= wire.sent[1].at - wire.sent[0].at <= 7.0 * 1.2 + 0.001


@virtual_time
async def test_hint_beyond_the_deadline_ends_the_call_at_once() -> None:
    """Waiting for what cannot come in time helps nobody; the reply with the uncapped hint is returned."""
    client, wire = client_for(Reply(status=429, headers={"Retry-After": "90"}), OK)
    started = asyncio.get_running_loop().time()
    response = await client.request("GET", "/x", deadline=10.0)
    assert (response.status, response.headers["retry-after"]) == (429, "90")
    assert asyncio.get_running_loop().time() == started
    assert len(wire.sent) == 1


@virtual_time
async def test_call_ends_by_its_deadline() -> None:
    """One deadline covers every attempt and every pause."""
    client, _ = client_for(ConnectionLost(), then=Reply(delay=30.0))
    started = asyncio.get_running_loop().time()
    with pytest.raises(DeadlineExceeded) as caught:
        await client.request("GET", "/x", deadline=7.0)
    assert asyncio.get_running_loop().time() - started == pytest.approx(7.0)
    assert caught.value.attempts

    client, _ = client_for(then=Reply(delay=3.0, status=503))
    started = asyncio.get_running_loop().time()
    assert (await client.request("GET", "/x", deadline=7.0)).status == 503
    assert asyncio.get_running_loop().time() - started == pytest.approx(7.0)


@virtual_time
async def test_slow_drip_is_caught_by_the_deadline() -> None:
    """A byte now and then keeps the read timeout quiet, but not the deadline."""
    client, wire = client_for(Reply(chunks=(b"x",) * 1000, chunk_delay=1.0))
    with pytest.raises(DeadlineExceeded):
        await client.request("GET", "/x", deadline=20.0)
    assert wire.statistics().in_flight == 0


@virtual_time
async def test_deadline_of_a_call_may_be_longer_than_the_default() -> None:
    """The caller knows best."""
    client, _ = client_for(Reply(delay=100.0), timeout=TimeoutConfig(read=math.inf, total=10.0))
    assert (await client.request("GET", "/x", deadline=200.0)).status == 200


@virtual_time
async def test_outer_deadline_is_inherited_and_sent() -> None:
    """A call inside a deadline cannot outlive it, and tells the other side what is left."""
    client, wire = client_for(OK, Reply(delay=30.0))

    async def ask_twice() -> None:
        async with within(5.0):
            await client.request("GET", "/x")
            await asyncio.sleep(1.0)
            await client.request("GET", "/x")

    with pytest.raises(DeadlineExceeded):
        await ask_twice()
    assert [sent.request.headers["X-Request-Deadline"] for sent in wire.sent] == ["5000", "4000"]


@virtual_time
async def test_attempt_timeout_leaves_time_for_another() -> None:
    """One slow attempt is given up while the call goes on."""
    client, wire = client_for(Reply(delay=25.0), OK, timeout=TimeoutConfig(attempt=2.0))
    assert (await client.request("GET", "/x")).attempts == 2
    assert 2.0 <= wire.sent[1].at - wire.sent[0].at < 3.0


@virtual_time
async def test_breaker_opens_refuses_and_recovers() -> None:
    """After enough failures a sole endpoint fails at once; a good probe closes the breaker again."""
    options = CircuitBreakerConfig(failure_threshold=3, recovery_timeout=5.0)
    client, wire = client_for(BUSY, BUSY, BUSY, then=OK, breaker=options, retry=None)
    for _ in range(3):
        assert (await client.request("GET", "/x")).status == 503
    with pytest.raises(CircuitOpen) as caught:
        await client.request("GET", "/x")
    assert caught.value.retry_after == pytest.approx(5.0)
    assert len(wire.sent) == 3
    await asyncio.sleep(5.0)
    assert (await client.request("GET", "/x")).status == 200
    [endpoint] = client.statistics().endpoints
    assert endpoint.breaker is not None
    assert endpoint.breaker.state is BreakerStateName.CLOSED


@pytest.mark.parametrize("status", [400, 401, 404, 409, 422, 429, 501])
@virtual_time
async def test_refusals_of_the_other_side_never_open_a_breaker(status: int) -> None:
    """Bad requests say nothing about the health of an endpoint."""
    client, _ = client_for(then=Reply(status=status), retry=None, breaker=CircuitBreakerConfig(failure_threshold=1))
    for _ in range(50):
        assert (await client.request("GET", "/x")).status == status


@virtual_time
async def test_patient_write_outlasts_an_open_breaker() -> None:
    """A keyed write goes on until its deadline, through failures beyond any count and an open breaker."""
    options = CircuitBreakerConfig(failure_threshold=2, recovery_timeout=5.0)
    client, wire = client_for(
        *[ConnectFailed()] * 6, then=OK, breaker=options, retry=RetryConfig(max_retries=1, transparent_retries=0)
    )
    response = await client.request("POST", "/x", json={}, idempotency_key="k", retry_until_deadline=True, deadline=300)
    assert response.status == 200
    assert response.attempts == len(wire.sent) == 7
    assert [sent.request.headers["X-Request-Attempt"] for sent in wire.sent] == list("1234567")


@virtual_time
async def test_patient_write_ends_by_its_deadline() -> None:
    """Patience has an end, and the error says what was tried."""
    client, _ = client_for(then=ConnectFailed())
    started = asyncio.get_running_loop().time()
    with pytest.raises((ConnectFailed, CircuitOpen, DeadlineExceeded)) as caught:
        await client.request("POST", "/x", idempotency_key="k", retry_until_deadline=True, deadline=20.0)
    assert asyncio.get_running_loop().time() - started <= 20.0
    assert len(caught.value.attempts) > 3


@virtual_time
async def test_full_queue_refuses_and_blames_nobody() -> None:
    """Local exhaustion is not the endpoint's fault."""
    client, wire = client_for(then=Reply(delay=10.0), pool=PoolConfig(max_connections=1, max_queue=1))
    running = [asyncio.create_task(client.request("GET", "/x")) for _ in range(2)]
    await asyncio.sleep(1.0)
    with pytest.raises(QueueFull):
        await client.request("GET", "/x")
    await asyncio.gather(*running)
    [endpoint] = client.statistics().endpoints
    assert (endpoint.failures, endpoint.in_flight) == (0, 0)
    assert [sent.at - wire.sent[0].at for sent in wire.sent] == [0.0, 10.0]


@virtual_time
async def test_attempts_are_told_to_the_listener() -> None:
    """Each attempt and the call as a whole are events with outcomes; a scope may add headers."""

    class Tracing(Notes):
        def attempt_scope(self, endpoint: str, attempt: int, headers: dict[str, str]) -> AbstractContextManager[object]:
            headers["traceparent"] = f"00-{attempt:032x}-{attempt:016x}-01"
            return super().attempt_scope(endpoint, attempt, headers)

    notes = Tracing()
    client, wire = client_for(ConnectionLost(), OK, listener=notes)
    await client.request("GET", "/items/7", route="/items/{id}")
    attempts = [event for event in notes.events if isinstance(event, AttemptFinished)]
    [call] = [event for event in notes.events if isinstance(event, CallFinished)]
    assert [(event.attempt, event.outcome) for event in attempts] == [(1, "failed"), (2, "success")]
    assert (call.route, call.outcome, call.attempts, call.status) == ("/items/{id}", "success", 2, 200)
    assert "backoff" in call.waits
    assert wire.sent[1].request.headers["traceparent"].endswith("-0000000000000002-01")


@virtual_time
async def test_statistics_add_up() -> None:
    """Every call has one outcome, and nothing is in flight when nobody calls."""
    script = (OK, Reply(status=404), Reply(status=500), ConnectionLost())
    client, _ = client_for(*script, then=Reply(delay=50.0), retry=None)
    for _ in range(3):
        await client.request("GET", "/x")
    with pytest.raises(ConnectionLost):
        await client.request("GET", "/x")
    task = asyncio.create_task(client.request("GET", "/x"))
    await asyncio.sleep(1.0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await client.aclose()
    with pytest.raises(Closed):
        await client.request("GET", "/x")
    calls = client.statistics().calls
    assert (calls.started, calls.in_flight) == (6, 0)
    assert (calls.success, calls.rejected, calls.failed, calls.refused, calls.cancelled) == (1, 1, 2, 1, 1)


@pytest.mark.parametrize(
    "arguments",
    [
        {"method": "get"},
        {"method": "GET /"},
        {"path": "x"},
        {"path": "http://elsewhere/"},
        {"json": {}, "body": b""},
        {"json": float("nan")},
        {"idempotency_key": ""},
        {"idempotency_key": "a b"},
        {"idempotency_key": "x" * 256},
        {"deadline": 0},
        {"deadline": -1},
        {"deadline": float("nan")},
        {"headers": {"X": "a\r\nb"}},
    ],
)
async def test_request_that_cannot_be_sent_is_the_callers_mistake(arguments: dict[str, object]) -> None:
    """It is refused before anything is sent or counted."""
    client, wire = client_for(OK)
    with pytest.raises(ValueError, match=r"."):
        await client.request(**{"method": "GET", "path": "/x", **arguments})  # type: ignore[arg-type]  # the mistakes
    assert not wire.sent
    assert client.statistics().calls.started == 0


@pytest.mark.parametrize("body", ["text", 3, [b"x"], {"a": 1}])
async def test_body_of_a_wrong_type_is_the_callers_mistake(body: object) -> None:
    """What cannot be sent is refused with a hint to what can."""
    client, wire = client_for(OK)
    with pytest.raises(TypeError, match="body is a"):
        await client.request("POST", "/x", body=body)  # type: ignore[arg-type]  # the mistake
    assert not wire.sent


@pytest.mark.parametrize(
    "options",
    [
        {"wire": "carrier-pigeon"},
        {"max_body_bytes": 0},
        {"timeout": None, "endpoints": "nowhere"},
    ],
)
def test_client_that_cannot_work_is_refused(options: dict[str, object]) -> None:
    """A mistake in the options is found where the client is made."""
    with pytest.raises(ConfigurationInvalid):
        Client(**{"endpoints": "http://a", **options})  # type: ignore[arg-type]  # the mistakes


@virtual_time
async def test_reply_above_the_limit_is_refused() -> None:
    """A reply cannot fill the memory; streaming it is still possible."""
    client, _ = client_for(then=Reply(chunks=(b"x" * 60, b"x" * 60)), max_body_bytes=100)
    with pytest.raises(Exception, match="larger than 100 bytes"):
        await client.request("GET", "/x", deadline=1.0)
    async with client.stream("GET", "/x") as response:
        assert sum([len(chunk) async for chunk in response]) == 120


@virtual_time
async def test_retry_goes_elsewhere() -> None:
    """With several endpoints a failed attempt is repeated at another one."""

    def answer(request: Request) -> Reply:
        return OK if request.url.startswith("http://good") else BUSY

    wire = ScriptedWire(then=answer)
    client = Client("http://bad:1,http://good:1", wire=wire, breaker=None)
    for _ in range(20):
        response = await client.request("GET", "/x")
        assert response.status == 200
        assert response.attempts <= 2


@virtual_time
async def test_open_breaker_is_passed_over_without_an_attempt() -> None:
    """Once one endpoint's breaker is open, calls go to the other at the first attempt; each breaker is its own."""

    def answer(request: Request) -> Reply:
        return OK if request.url.startswith("http://good") else BUSY

    wire = ScriptedWire(then=answer)
    client = Client(["http://bad:1", "http://good:1"], wire=wire, breaker=CircuitBreakerConfig(failure_threshold=1))
    for _ in range(20):
        await client.request("GET", "/x")
    states = {each.url: each.breaker and each.breaker.state for each in client.statistics().endpoints}
    assert states == {"http://bad:1": BreakerStateName.OPEN, "http://good:1": BreakerStateName.CLOSED}
    assert (await client.request("GET", "/x")).attempts == 1


@virtual_time
async def test_paused_endpoint_is_left_alone_while_there_is_another() -> None:
    """One endpoint's wish for a pause costs the call nothing when another can serve it."""

    def answer(request: Request) -> Reply:
        return OK if request.url.startswith("http://good") else Reply(status=429, headers={"Retry-After": "30"})

    wire = ScriptedWire(then=answer)
    client = Client("http://tired:1,http://good:1", wire=wire)
    started = asyncio.get_running_loop().time()
    for _ in range(20):
        assert (await client.request("GET", "/x")).status == 200
    assert asyncio.get_running_loop().time() - started < 1.0
    assert sum(sent.request.url.startswith("http://tired") for sent in wire.sent) == 1


@virtual_time
async def test_less_loaded_endpoint_is_preferred() -> None:
    """Of two, the one with fewer requests in flight gets the next."""

    def answer(request: Request) -> Reply:
        return Reply(delay=5.0 if request.url.startswith("http://slow") else 0.05)

    wire = ScriptedWire(then=answer)
    client = Client("http://slow:1,http://fast:1", wire=wire)

    async def keep_asking() -> None:
        for _ in range(50):
            await client.request("GET", "/x")

    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(keep_asking())
    assert sum(sent.request.url.startswith("http://slow") for sent in wire.sent) < 50


def test_explanation_names_every_place() -> None:
    """The text shows the options in force, and which places are empty."""
    client, _ = client_for(OK, breaker=None)
    text = client.explain()
    assert "max_retries=3" in text
    assert "max_concurrent=100" in text
    assert "breaker   –" in text
    assert "total=60" in text
