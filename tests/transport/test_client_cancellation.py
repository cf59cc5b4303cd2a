"""A client that is cancelled at every single point at which it waits leaves nothing behind."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from schemawire.errors import ConnectionLost
from schemawire.testing import cancel_at_every_await
from schemawire.testing.scripted_wire import Reply, ScriptedWire
from schemawire.transport import Client, PoolConfig, TimeoutConfig


def make() -> Client:
    """A client whose calls wait everywhere: in the queue, in the backoff, for the head, for the body."""
    wire = ScriptedWire(
        Reply(status=503, delay=0.1),
        ConnectionLost(),
        then=Reply(chunks=(b"a", b"b"), delay=0.1, chunk_delay=0.1),
    )
    pool = PoolConfig(max_connections=1)
    return Client("http://a:1,http://b:1", wire=wire, pool=pool, timeout=TimeoutConfig(attempt=5.0))


async def several_requests(client: Client) -> None:
    await asyncio.gather(*(client.request("GET", "/") for _ in range(3)))


async def one_stream(client: Client) -> None:
    async with client.stream("GET", "/") as response:
        assert await response.read() == b"ab"


def nothing_is_held(client: Client) -> None:
    statistics = client.statistics()
    assert (statistics.calls.in_flight, statistics.wire.in_flight) == (0, 0)
    for endpoint in statistics.endpoints:
        assert endpoint.in_flight == 0
        assert endpoint.pool is not None
        assert (endpoint.pool.in_flight, endpoint.pool.waiting) == (0, 0)
        assert endpoint.breaker is not None
        assert endpoint.breaker.probes_in_flight == 0


@pytest.mark.parametrize("scenario", [several_requests, one_stream])
def test_cancellation_at_every_await_leaves_nothing_behind(scenario: Callable[[Client], Awaitable[None]]) -> None:
    """Places, in-flight counts, probes and wire requests are all given back."""
    report = cancel_at_every_await(make, scenario, check=nothing_is_held)
    assert report.cancelled > 5
