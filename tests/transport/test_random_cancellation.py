"""Callers cancelled at random, over every wire: afterwards every slot is free and the client as quick as new."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.transport.servers import ContractApp, served

from schemawire.resilience import AdaptiveLimitConfig, HedgeConfig, RateLimitConfig, ThrottleConfig
from schemawire.transport import Client, PoolConfig, SlowDownConfig
from schemawire.transport.wires.inprocess import InProcessWire

WIRES = ["aiohttp", "httpx2", "pyreqwest", "inprocess"]


@asynccontextmanager
async def client_over(wire: str) -> AsyncIterator[Client]:
    app = ContractApp()
    async with served(app) as url:
        sender = InProcessWire(app) if wire == "inprocess" else wire
        async with Client(
            url, wire=sender, pool=PoolConfig(max_connections=10), hedge=HedgeConfig(delay=0.002),
            throttle=ThrottleConfig(), rate=RateLimitConfig(rate=1e6, burst=1000), slow_down=SlowDownConfig(),
            limit=AdaptiveLimitConfig(initial=100, max_waiting=1000, max_wait=30.0),
        ) as client:  # fmt: skip
            yield client


async def cancel_at_random(client: Client, *, workers: int, seconds: float) -> int:
    """Let workers call and stream, each cancelled after a random moment; return how many were."""
    draw = random.Random(4)
    end = asyncio.get_running_loop().time() + seconds
    cancelled = 0

    async def call() -> None:
        if draw.random() < 0.7:
            await client.request(draw.choice(["GET", "POST"]), "/echo", body=b"x" * draw.choice([0, 10, 100_000]))
            return
        async with client.stream("GET", "/large") as response:
            async for _ in response:
                if draw.random() < 0.3:
                    break

    async def work() -> None:
        nonlocal cancelled
        while asyncio.get_running_loop().time() < end:
            task = asyncio.create_task(call())
            await asyncio.sleep(draw.random() * 0.01)
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                cancelled += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(workers):
            group.create_task(work())
    return cancelled


async def nothing_is_held(client: Client) -> None:
    """Check that every permit is back, at once or within the moment that a library takes to notice."""
    async with asyncio.timeout(5):
        while client.statistics().wire.in_flight:  # noqa: ASYNC110  # nothing there could set an event
            await asyncio.sleep(0.01)
    statistics = client.statistics()
    (endpoint,) = statistics.endpoints
    assert endpoint.pool is not None
    assert endpoint.limit is not None
    assert endpoint.breaker is not None
    held = (
        statistics.calls.in_flight, endpoint.in_flight, endpoint.pool.in_flight, endpoint.pool.waiting,
        endpoint.limit.in_flight, endpoint.limit.waiting, endpoint.breaker.probes_in_flight,
    )  # fmt: skip
    assert held == (0,) * 7
    started = asyncio.get_running_loop().time()
    async with asyncio.TaskGroup() as group:
        for _ in range(50):
            group.create_task(client.request("GET", "/echo"))
    assert asyncio.get_running_loop().time() - started < 3.0


@pytest.mark.parametrize("wire", WIRES)
async def test_every_slot_is_free_after_random_cancellation(wire: str) -> None:
    """A second of it, with every layer on: calls and streams, hedges among them."""
    async with client_over(wire) as client:
        assert await cancel_at_random(client, workers=20, seconds=1.0) > 20
        await nothing_is_held(client)


@pytest.mark.soak
@pytest.mark.timeout(180)
@pytest.mark.parametrize("wire", WIRES)
async def test_every_slot_is_free_after_a_minute_of_random_cancellation(wire: str) -> None:
    """Sixty seconds of it by forty workers."""
    async with client_over(wire) as client:
        assert await cancel_at_random(client, workers=40, seconds=60.0) > 1000
        await nothing_is_held(client)
