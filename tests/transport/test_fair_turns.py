"""How evenly many callers are served, counted on virtual time: nothing here depends on the speed of the machine."""

import asyncio
from itertools import count
from math import ceil
from typing import Any

import pytest

from schemawire.resilience import AdaptiveLimitConfig, HedgeConfig, RateLimitConfig, ThrottleConfig
from schemawire.testing import virtual_time
from schemawire.testing.scripted_wire import Reply, ScriptedWire
from schemawire.transport import Client, PoolConfig, SlowDownConfig

CALLERS = 512
EVERY_LAYER: dict[str, Any] = {
    "throttle": ThrottleConfig(),
    "rate": RateLimitConfig(rate=1e6, burst=1000),
    "hedge": HedgeConfig(),
    "slow_down": SlowDownConfig(),
    "limit": AdaptiveLimitConfig(initial=100, highest=1000, max_waiting=10_000, max_wait=30.0),
}


def in_order() -> ScriptedWire:
    """Return a wire that takes 10 ms for each reply and ends them in the order of their requests.

    Replies that end in the very same instant would end in no order, for the event loop keeps none among equal times.
    """
    begun = count()
    return ScriptedWire(then=lambda request: Reply(delay=0.01 + next(begun) * 1e-9))


async def serve(client: Client, callers: int, seconds: float) -> tuple[list[int], list[float]]:
    """Return how often each caller was served, and how long each call took."""
    clock = asyncio.get_running_loop().time
    end = clock() + seconds
    served, waits = [0] * callers, []

    async def keep_calling(number: int) -> None:
        while (started := clock()) < end:
            await client.request("GET", "/")
            waits.append(clock() - started)
            served[number] += 1

    async with asyncio.TaskGroup() as group:
        for number in range(callers):
            group.create_task(keep_calling(number))
    return served, waits


@pytest.mark.parametrize("room", [100, 37])
@pytest.mark.parametrize("options", [{}, EVERY_LAYER], ids=["default layers", "every layer"])
def test_each_caller_is_served_as_often_as_any_other(room: int, options: dict[str, Any]) -> None:
    """With fewer places than callers, none gets more than one turn ahead, and none waits for more than its round."""

    @virtual_time
    async def run() -> None:
        wire = in_order()
        async with Client("http://a:1", wire=wire, pool=PoolConfig(max_connections=room), **options) as client:
            served, waits = await serve(client, CALLERS, 1.0)
        assert max(served) - min(served) <= 1
        assert min(served) >= 5
        # A turn comes once each of those before has had one, in rounds of as many as there are places; hedges wait too.
        assert max(waits) <= (ceil(CALLERS / room) + bool(options)) * 0.01 + 1e-3

    run()


@virtual_time
async def test_a_caller_that_comes_late_waits_for_one_round_and_not_longer() -> None:
    """Who was served goes to the end of the line, so those who come again do not pass by one who came before."""
    wire = in_order()
    async with Client("http://a:1", wire=wire, pool=PoolConfig(max_connections=4)) as client:
        crowd = asyncio.create_task(serve(client, 64, 3.0))
        await asyncio.sleep(1.003)
        began = asyncio.get_running_loop().time()
        await client.request("GET", "/late")
        assert asyncio.get_running_loop().time() - began <= (64 / 4 + 1) * 0.01 + 1e-3
        await crowd
