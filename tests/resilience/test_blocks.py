"""Policies around a block: `async with` instead of a call."""

import asyncio

import pytest

from schemawire.errors import AttemptTimeout, DeadlineExceeded, LoadShed
from schemawire.resilience import (
    Deadline,
    DeadlineConfig,
    Throttle,
    TimeLimiter,
    TimeLimiterConfig,
    current_deadline,
    remaining,
    within,
)
from schemawire.testing import cancel_at_every_await, virtual_time


@virtual_time
async def test_a_deadline_ends_its_block_and_is_inherited_inside() -> None:
    """The block ends on time in an error of its own; a block within a block never has longer."""
    policy = Deadline(DeadlineConfig(total=2.0))

    async def use() -> None:
        async with policy:
            assert remaining() == 2.0
            await asyncio.sleep(0.5)
            async with policy:
                assert remaining() == 1.5
            await asyncio.sleep(3600)

    with pytest.raises(DeadlineExceeded, match="within 2 s"):
        await use()
    assert asyncio.get_running_loop().time() == 2.0
    assert current_deadline() == float("inf")
    assert (policy.statistics().calls, policy.statistics().timeouts) == (2, 1)


@virtual_time
async def test_a_deadline_that_has_passed_lets_no_block_begin() -> None:
    """Nothing is begun that cannot end in time, and what was inherited still holds afterwards."""
    policy = Deadline(DeadlineConfig(total=None))
    with pytest.raises(DeadlineExceeded, match="before the block began"):
        async with within(0.0), policy:
            raise AssertionError("the block began")
    async with policy:
        await asyncio.sleep(3600)


@virtual_time
async def test_a_time_limit_ends_its_block() -> None:
    """Its own limit gives an attempt timeout, the deadline around it another error; blocks in other tasks go on."""
    policy = TimeLimiter(TimeLimiterConfig(attempt=2.0))

    async def another() -> None:
        async with policy:
            await asyncio.sleep(1.9)

    async with asyncio.TaskGroup() as group:
        await asyncio.sleep(1.0)
        group.create_task(another())
        with pytest.raises(AttemptTimeout):
            async with policy:
                await asyncio.sleep(3600)
    with pytest.raises(DeadlineExceeded):
        async with within(1.0), policy:
            await asyncio.sleep(3600)
    async with TimeLimiter(TimeLimiterConfig(attempt=None)):
        await asyncio.sleep(3600)
    assert policy.statistics().calls == 3


@pytest.mark.parametrize("policy", [Deadline(), TimeLimiter()], ids=["deadline", "time limit"])
def test_cancelled_blocks_hold_nothing(policy: Deadline | TimeLimiter) -> None:
    """Wherever it is cancelled, the cancellation passes through and the inherited deadline is as before."""

    async def use(policy: Deadline | TimeLimiter) -> None:
        async with policy:
            await asyncio.sleep(1.0)
            async with policy:
                await asyncio.sleep(1.0)

    async def check(policy: Deadline | TimeLimiter) -> None:
        with pytest.raises(RuntimeError, match="another task"):
            await policy.__aexit__(None, None, None)

    assert cancel_at_every_await(lambda: policy, use, check=check).cancelled >= 2


@virtual_time
async def test_a_throttle_learns_from_the_end_of_its_blocks() -> None:
    """Blocks that fail are sheds of tomorrow; those that are cancelled say nothing."""
    throttle = Throttle(draw=lambda: 0.0)
    for _ in range(20):
        with pytest.raises(ConnectionError):
            async with throttle:
                raise ConnectionError
        if throttle.statistics().probability:
            break
    with pytest.raises(LoadShed):
        async with throttle:
            raise AssertionError("the block began")
    before = throttle.statistics().requests
    fresh = Throttle()
    with pytest.raises(asyncio.CancelledError):
        async with fresh:
            raise asyncio.CancelledError
    assert (before > 0, fresh.statistics().requests) == (True, 0)
