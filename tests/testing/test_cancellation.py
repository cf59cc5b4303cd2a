"""The checker finds each classic way of losing something to a cancellation, and passes what is right."""

import asyncio

import pytest

from schemawire.testing.cancellation import CancellationLeak, cancel_at_every_await


class Gauge:
    def __init__(self) -> None:
        self.held = 0
        self.lock = asyncio.Semaphore(1)


def nothing_held(gauge: Gauge) -> None:
    assert gauge.held == 0, f"{gauge.held} still held"
    assert not gauge.lock.locked(), "the semaphore is still locked"


def test_correct_code_passes_and_every_suspension_is_tried_twice() -> None:
    """A scenario that releases in `finally` passes; each suspension is tried while waiting and while waking."""

    async def scenario(gauge: Gauge) -> None:
        async with gauge.lock:
            gauge.held += 1
            try:
                await asyncio.sleep(1.0)
                await asyncio.sleep(0)
            finally:
                gauge.held -= 1

    report = cancel_at_every_await(Gauge, scenario, check=nothing_held)
    assert report.suspensions == 2
    assert report.rounds == 4
    assert report.cancelled == 4


def test_a_release_outside_finally_is_found() -> None:
    """Code that gives back only on success is reported with the place at which it was cancelled."""

    async def scenario(gauge: Gauge) -> None:
        gauge.held += 1
        await asyncio.sleep(1.0)
        gauge.held -= 1

    with pytest.raises(CancellationLeak, match=r"suspension 1 \(suspended\).*tasks.py:\d+ in sleep.*1 still held"):
        cancel_at_every_await(Gauge, scenario, check=nothing_held)


def test_a_permit_lost_in_the_tick_of_its_handover_is_found() -> None:
    """A waiter that is cancelled in the tick in which it was given the permit must pass it on."""

    async def scenario(gauge: Gauge) -> None:
        handover: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def hand_over() -> None:
            if not handover.done():
                gauge.held += 1
                handover.set_result(None)

        asyncio.get_running_loop().call_later(1.0, hand_over)
        await handover  # cancelled after the hand-over: nobody gives the permit back
        gauge.held -= 1

    with pytest.raises(CancellationLeak, match=r"\(woken\).*1 still held"):
        cancel_at_every_await(Gauge, scenario, check=nothing_held)


def test_a_swallowed_cancellation_is_found() -> None:
    """Code that catches its own cancellation and goes on is reported."""

    async def scenario(gauge: Gauge) -> str:
        try:
            await asyncio.sleep(1.0)
        except asyncio.CancelledError:
            return "as if nothing had happened"
        return "done"

    with pytest.raises(CancellationLeak, match="swallowed"):
        cancel_at_every_await(Gauge, scenario, check=nothing_held)


def test_a_child_left_running_is_found() -> None:
    """A task that outlives its cancelled caller beyond the grace period is reported by name."""

    async def scenario(gauge: Gauge) -> None:
        child = asyncio.create_task(asyncio.sleep(1000.0), name="orphan")
        await asyncio.sleep(1.0)
        child.cancel()

    with pytest.raises(CancellationLeak, match="orphan"):
        cancel_at_every_await(Gauge, scenario, check=nothing_held)


def test_suspensions_of_children_count_too() -> None:
    """The caller is cancelled also at points where only its child is suspended."""

    async def child() -> None:
        for _ in range(5):
            await asyncio.sleep(0)

    async def scenario(gauge: Gauge) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(child())

    report = cancel_at_every_await(Gauge, scenario, check=nothing_held)
    assert report.suspensions == 6


def test_an_async_check_may_use_the_subject_again() -> None:
    """The check may itself await, so that it can prove the subject still works."""
    checked: list[int] = []

    async def scenario(gauge: Gauge) -> None:
        async with gauge.lock:
            await asyncio.sleep(1.0)

    async def check(gauge: Gauge) -> None:
        async with gauge.lock:
            await asyncio.sleep(1.0)
        checked.append(1)

    cancel_at_every_await(Gauge, scenario, check=check)
    assert len(checked) == 3


def test_a_scenario_that_fails_undisturbed_is_not_a_leak() -> None:
    """The first, undisturbed round raises the scenario's own error."""

    async def scenario(gauge: Gauge) -> None:
        raise KeyError("broken")

    with pytest.raises(KeyError):
        cancel_at_every_await(Gauge, scenario, check=nothing_held)


def test_too_long_a_scenario_is_refused() -> None:
    """A scenario beyond the limit is refused, not tested in part."""

    async def scenario(gauge: Gauge) -> None:
        for _ in range(11):
            await asyncio.sleep(0)

    with pytest.raises(ValueError, match="11 times"):
        cancel_at_every_await(Gauge, scenario, check=nothing_held, limit=10)
