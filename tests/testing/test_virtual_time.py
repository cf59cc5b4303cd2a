"""The virtual clock jumps, never sleeps, and says who waits when nothing can happen any more."""

import asyncio
import time

import pytest

from schemawire.testing.virtual_time import VirtualDeadlock, VirtualTimeExceeded, run_virtual, settle, virtual_time


def test_an_hour_costs_no_real_time() -> None:
    """Sleeping moves the virtual clock exactly and the real one hardly."""

    async def main() -> float:
        await asyncio.sleep(3600.0)
        return asyncio.get_running_loop().time()

    began = time.monotonic()
    assert run_virtual(main()) == pytest.approx(3600.0)
    assert time.monotonic() - began < 1.0


@virtual_time
async def test_timers_fire_in_order_of_time() -> None:
    """Concurrent sleeps end in the order of their lengths, each at its own time."""
    ends: list[tuple[float, int]] = []

    async def nap(seconds: int) -> None:
        await asyncio.sleep(seconds)
        ends.append((asyncio.get_running_loop().time(), seconds))

    async with asyncio.TaskGroup() as group:
        for seconds in (3, 1, 2):
            group.create_task(nap(seconds))
    assert ends == [(1.0, 1), (2.0, 2), (3.0, 3)]


@virtual_time
async def test_asyncio_timeout_uses_the_virtual_clock() -> None:
    """A timeout around a hang ends at its virtual time."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(90.0):
            await asyncio.Event().wait()
    assert asyncio.get_running_loop().time() == 90.0


def test_a_deadlock_names_the_waiting_task_and_its_line() -> None:
    """When every task waits and no timer is set, the run ends with an error that says who waits where."""

    async def waits_for_ever() -> None:
        await asyncio.Event().wait()

    with pytest.raises(VirtualDeadlock, match=r"locks.py:\d+ in wait"):
        run_virtual(waits_for_ever())


def test_an_endless_ticker_meets_the_limit() -> None:
    """A loop that only ever sets further timers is stopped at the limit."""

    async def ticks() -> None:
        while True:  # noqa: ASYNC110  # the endless ticker is the subject
            await asyncio.sleep(1.0)

    with pytest.raises(VirtualTimeExceeded, match="limit of 60 s"):
        run_virtual(ticks(), limit=60.0)


@virtual_time
async def test_the_clock_stands_still_while_a_thread_runs() -> None:
    """A thread's real time is not turned into virtual time, even beside a timer."""
    timer = asyncio.create_task(asyncio.sleep(1000.0))
    await asyncio.to_thread(time.sleep, 0.02)
    assert asyncio.get_running_loop().time() == 0.0
    timer.cancel()


@virtual_time(limit=1.0)
async def test_settle_runs_everything_that_is_ready() -> None:
    """After `settle` a chain of ready tasks has run to its end, and the clock has not moved."""
    steps: list[int] = []

    async def chain() -> None:
        for step in range(50):
            await asyncio.sleep(0)
            steps.append(step)

    task = asyncio.create_task(chain())
    await settle()
    assert task.done()
    assert steps == list(range(50))
    assert asyncio.get_running_loop().time() == 0.0


def test_leftover_tasks_are_cancelled_at_the_end() -> None:
    """A task that outlives the main coroutine is cancelled and awaited."""
    ended: list[str] = []

    async def background() -> None:
        try:
            await asyncio.sleep(10.0)
        finally:
            ended.append("cancelled")

    async def main() -> None:
        task = asyncio.create_task(background())
        await asyncio.sleep(0)
        assert not task.done()

    run_virtual(main())
    assert ended == ["cancelled"]
