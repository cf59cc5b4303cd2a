"""A complete response is returned even if what came after it was refused or failed; on virtual time, no sockets."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.transport.scripted_client import Notes, client_for

from schemawire.errors import AttemptTimeout, CircuitOpen, ConnectFailed, ConnectionLost, DeadlineExceeded
from schemawire.events import AttemptFinished, CallFinished, RetryGivenUp
from schemawire.resilience import AdaptiveLimitConfig, CircuitBreakerConfig, HedgeConfig, RetryConfig
from schemawire.resilience.budget import RetryBudgetConfig
from schemawire.testing import virtual_time
from schemawire.testing.scripted_wire import Answer, Reply, ScriptedWire
from schemawire.transport import Client, PoolConfig, TimeoutConfig

BUSY = Reply(status=503, chunks=(b"busy",))
RETRY = RetryConfig(max_retries=3, transient_base=0.5, throttled_base=0.5)
TOUCHY = CircuitBreakerConfig(failure_threshold=1)


def retrying(*script: Answer, then: Answer | None = None, **options: object) -> tuple[Client, ScriptedWire]:
    return client_for(*script, then=then, **{"retry": RETRY, **options})


@pytest.fixture(params=["request", "stream"])
def way(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


async def ask(client: Client, way: str, **options: object) -> tuple[int, bytes, int]:
    """Return status, body and attempts of a read."""
    if way == "request":
        response = await client.request("GET", "/x", **options)  # type: ignore[arg-type]  # of any kind
        return response.status, response.body, response.attempts
    async with client.stream("GET", "/x", **options) as stream:  # type: ignore[arg-type]  # of any kind
        return stream.status, await stream.read(), stream.attempts


def held(client: Client) -> tuple[int, int]:
    """Return the attempts at endpoints and the places in pools that are taken."""
    endpoints = client.statistics().endpoints
    return sum(each.in_flight for each in endpoints), sum(each.pool.in_flight for each in endpoints if each.pool)


@virtual_time
async def test_opened_breaker_does_not_hide_the_response_that_opened_it(way: str) -> None:
    """The retry that a breaker refuses leaves the response; what happened is told in events, and nothing is held."""
    notes = Notes()
    client, wire = retrying(BUSY, breaker=TOUCHY, listener=notes)
    assert await ask(client, way) == (503, b"busy", 1)
    assert len(wire.sent) == 1
    assert held(client) == (0, 0)
    with pytest.raises(CircuitOpen):
        await ask(client, way)
    counts = client.statistics().calls
    assert (counts.failed, counts.refused, counts.in_flight) == (1, 1, 0)
    assert [event.status for event in notes.events if isinstance(event, AttemptFinished)] == [503]
    assert [event.reason for event in notes.events if isinstance(event, RetryGivenUp)] == ["refused"]
    first, second = [event for event in notes.events if isinstance(event, CallFinished)]
    assert (first.status, first.attempts, first.error) == (503, 1, None)
    assert isinstance(second.error, CircuitOpen)


@pytest.mark.parametrize("status", [429, 500, 502, 503])
@pytest.mark.parametrize("after", [ConnectFailed(), ConnectionLost(), AttemptTimeout()])
@virtual_time
async def test_failed_retries_do_not_hide_the_last_response(status: int, after: Exception) -> None:
    """An error is raised only without any response, even when the budget ends the retries."""
    for budget in (None, RetryBudgetConfig(ratio=0.0, floor_per_second=0.2)):
        for way in ("request", "stream"):
            client, wire = retrying(Reply(status=status, chunks=(b"a",)), then=after, budget=budget, breaker=None)
            assert await ask(client, way) == (status, b"a", 1)
            assert len(wire.sent) > 1
            assert held(client) == (0, 0)


@virtual_time
async def test_refusals_of_queue_and_limit_do_not_hide_the_last_response() -> None:
    """Places that were taken during the pause leave the response too."""
    full: list[dict[str, object]] = [
        {"pool": PoolConfig(max_connections=1, max_queue=0)},
        {"limit": AdaptiveLimitConfig(initial=1, lowest=1, highest=1, max_waiting=0)},
    ]
    for options in full:
        for way in ("request", "stream"):
            client, wire = retrying(BUSY, Reply(delay=30.0), breaker=None, **options)  # type: ignore[arg-type]  # of any kind
            first = asyncio.create_task(ask(client, way))
            for _ in range(50):
                await asyncio.sleep(0)  # until the first attempt is over and its pause has begun
            assert (len(wire.sent), held(client)[0]) == (1, 0)
            slow = asyncio.create_task(client.request("GET", "/slow"))
            assert (await first)[:2] == (503, b"busy")
            assert len(wire.sent) == 2
            assert (await slow).status == 200


@virtual_time
async def test_deadline_does_not_hide_the_last_response() -> None:
    """A further attempt that the deadline ends leaves the response, hedged or not."""
    variants: list[dict[str, object]] = [{}, {"hedge": HedgeConfig(delay=0.1)}]
    for options in variants:
        for way in ("request", "stream"):
            client, _ = retrying(BUSY, then=Reply(delay=60.0), **options)
            assert await ask(client, way, deadline=5.0) == (503, b"busy", 1)
            assert held(client) == (0, 0)


@virtual_time
async def test_last_response_and_not_the_first_is_returned() -> None:
    """Of two complete responses the later one stands."""
    for way in ("request", "stream"):
        client, _ = retrying(BUSY, Reply(status=502, chunks=(b"b", b"c")), then=ConnectionLost())
        assert await ask(client, way) == (502, b"bc", 2)


@virtual_time
async def test_errors_without_a_response_are_raised_as_before() -> None:
    """A stream that broke, is too long, or does not arrive soon is no complete response."""
    long = Reply(status=503, chunks=(b"x" * 70_000,))
    for first in (ConnectionLost(), long):
        client, _ = retrying(first, then=ConnectFailed())
        with pytest.raises(ConnectFailed):
            await ask(client, "stream")
        assert held(client) == (0, 0)
    client, _ = retrying(then=Reply(delay=60.0))
    with pytest.raises(DeadlineExceeded):
        await ask(client, "request", deadline=5.0)


@virtual_time
async def test_error_of_the_callers_body_is_raised_after_a_response() -> None:
    """It is the caller's own, and no word of the other side's can stand for it."""
    bodies = iter([b"good", None])

    async def body() -> AsyncIterator[bytes]:
        piece = next(bodies)
        if piece is None:
            raise LookupError("the caller's own mistake")
        yield piece

    client, _ = retrying(BUSY, Reply())
    with pytest.raises(LookupError):
        await client.request("PUT", "/x", body=lambda: body())


@virtual_time
async def test_cancellation_is_not_answered_by_the_last_response() -> None:
    """Whoever cancels is waiting for nothing."""
    client, _ = retrying(BUSY, then=Reply(delay=60.0), timeout=TimeoutConfig(total=100.0))
    task = asyncio.create_task(client.request("GET", "/x"))
    await asyncio.sleep(5.0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert held(client) == (0, 0)


@virtual_time
async def test_response_of_a_hedge_stands_where_the_first_attempt_failed() -> None:
    """Both arms ended badly, but one of them with a response."""
    lost = Reply(delay=2.0, error=ConnectionLost())
    for way in ("request", "stream"):
        client, _ = retrying(lost, BUSY, retry=None, hedge=HedgeConfig(delay=0.5))
        assert (await ask(client, way))[:2] == (503, b"busy")
        assert held(client) == (0, 0)
