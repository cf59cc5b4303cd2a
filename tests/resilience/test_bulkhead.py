"""The bulkhead: order, bounds, and places that come back however a call ends."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemawire.errors import ConfigurationInvalid, DeadlineExceeded, QueueFull, ServerFailed
from schemawire.events import CallRefused, Event, SilentListener
from schemawire.resilience.bulkhead import Bulkhead, BulkheadConfig
from schemawire.resilience.call import Context, Scope
from schemawire.resilience.deadline import within
from schemawire.testing import ScriptedDependency, answer, cancel_at_every_await, settle, virtual_time

Work = ScriptedDependency[Any]


class Ear(SilentListener):
    def __init__(self) -> None:
        self.heard: list[Event] = []

    def on_event(self, event: Event) -> None:
        self.heard.append(event)


def bulkhead(room: int, queue: int = 1_000, wait: float = 1_000.0) -> Bulkhead:
    return Bulkhead(BulkheadConfig(max_concurrent=room, max_queue=queue, max_wait=wait))


async def call(context: Context) -> Any:
    return await context.call()


@virtual_time
async def test_calls_run_in_the_order_in_which_they_came() -> None:
    """With room for one, forty calls of a second each finish one by one, first come first."""
    subject, finished = bulkhead(1), []

    async def one(number: int) -> None:
        await subject(Work(answer(after=1.0)))
        finished.append((number, asyncio.get_running_loop().time()))

    await asyncio.gather(*(one(number) for number in range(40)))
    assert finished == [(number, number + 1.0) for number in range(40)]


@virtual_time
async def test_a_late_comer_does_not_overtake_the_queue() -> None:
    """A call that arrives in the tick in which a place becomes free waits behind those already in the queue."""
    subject, order = bulkhead(1), []

    async def block(name: str) -> None:
        async with subject:
            order.append(name)
            await asyncio.sleep(1)

    async def first() -> None:
        await block("first")
        # The place has just been handed to the queue; asking again here must not snatch it.
        await block("again")

    await asyncio.gather(first(), block("second"), block("third"))
    assert order == ["first", "second", "third", "again"]


@virtual_time
async def test_never_more_run_than_there_is_room() -> None:
    """Of a hundred calls at once, seven run at a time."""
    subject, work = bulkhead(7), Work(then=answer(after=1.0))
    await asyncio.gather(*(subject(work) for _ in range(100)))
    assert work.statistics().most_in_flight == 7
    assert subject.statistics().in_flight == 0


@virtual_time
async def test_a_full_queue_refuses_at_once() -> None:
    """The call beyond room and queue is refused without waiting, and says how full it was."""
    ear = Ear()
    subject = Bulkhead(BulkheadConfig(max_concurrent=1, max_queue=1), listener=ear, name="pool")
    work = Work(then=answer(after=1.0))
    running = [asyncio.ensure_future(subject(work)) for _ in range(2)]
    await settle()
    with pytest.raises(QueueFull, match=r"'pool' refused the call: the queue is full \(1 of 1 run, 1 of 1 wait\)"):
        await subject(work)
    await asyncio.gather(*running)
    assert ear.heard == [CallRefused(name="pool", policy="bulkhead", reason="the queue is full")]
    assert subject.statistics().refused == 1


@virtual_time
async def test_waiting_has_a_limit() -> None:
    """A call that waited too long is refused, and its place in the queue is gone."""
    subject = bulkhead(1, wait=2.0)
    running = asyncio.ensure_future(subject(Work(answer(after=10.0))))
    await settle()
    with pytest.raises(QueueFull, match="no place became free within 2 s"):
        await subject(Work("unused"))
    statistics = subject.statistics()
    assert (statistics.waiting, statistics.timed_out, statistics.in_flight) == (0, 1, 1)
    await running


@virtual_time
async def test_the_deadline_ends_the_wait() -> None:
    """A call whose deadline comes while it waits gets the deadline's error, in both forms of use."""
    subject = bulkhead(1)
    running = asyncio.ensure_future(subject(Work(answer(after=10.0))))
    await settle()
    with pytest.raises(DeadlineExceeded, match="waited in the queue"):
        await subject.bind(call)(Context(deadline=1.0, call=Work("unused")))
    with pytest.raises(DeadlineExceeded):
        async with within(1.0), subject:
            pytest.fail("the block ran")
    await running


@virtual_time
async def test_a_cancelled_waiter_leaves_the_queue() -> None:
    """It neither takes the place that becomes free nor stands in the way of those behind it."""
    subject = bulkhead(1)
    running = asyncio.ensure_future(subject(Work(answer(after=1.0))))
    await settle()
    leaving = asyncio.ensure_future(subject(Work("unused")))
    staying = asyncio.ensure_future(subject(Work("done")))
    await settle()
    leaving.cancel()
    await settle()
    assert subject.statistics().waiting == 1
    assert await staying == "done"
    assert running.done()


@virtual_time
async def test_a_waiter_cancelled_in_the_tick_of_its_admission_passes_the_place_on() -> None:
    """The place was already its own, so it gives it back and the next one runs."""
    subject = bulkhead(1)
    async with subject:
        leaving = asyncio.ensure_future(subject(Work("unused")))
        staying = asyncio.ensure_future(subject(Work("done")))
        await settle()
    leaving.cancel()
    assert await staying == "done"
    assert leaving.cancelled()
    assert subject.statistics().in_flight == 0


@pytest.mark.parametrize("ends", ["answer", "error", "cancelled"])
def test_a_place_comes_back_however_the_call_ends(ends: str) -> None:
    """Result, error or cancellation: the gauge returns to zero."""

    @virtual_time
    async def play() -> None:
        subject = bulkhead(1)
        step = ServerFailed() if ends == "error" else answer(after=1.0)
        task = asyncio.ensure_future(subject(Work(step)))
        await settle()
        if ends == "cancelled":
            task.cancel()
        await asyncio.wait({task})
        assert task.cancelled() == (ends == "cancelled")
        assert subject.statistics().in_flight == 0
        if ends == "error":
            assert isinstance(task.exception(), ServerFailed)

    play()


@virtual_time
async def test_under_streaming_the_place_is_held_until_the_body_ends() -> None:
    """The next call waits for the scope of the first to close."""
    subject, scope = bulkhead(1), Scope()
    assert await subject.bind(call)(Context(call=Work("headers"), scope=scope)) == "headers"
    waiting = asyncio.ensure_future(subject(Work("next")))
    await asyncio.sleep(5)
    assert not waiting.done()
    scope.close()
    scope.close()
    assert await waiting == "next"
    assert subject.statistics().in_flight == 0


@virtual_time
async def test_the_time_spent_in_the_queue_is_noted() -> None:
    """The context tells where the time went."""
    subject, context = bulkhead(1), Context(call=Work("done"))
    running = asyncio.ensure_future(subject(Work(answer(after=3.0))))
    await settle()
    await subject.bind(call)(context)
    assert context.state["pool"] == 3.0
    await running


@virtual_time
async def test_more_room_admits_waiters_at_once_and_less_lets_calls_end() -> None:
    """Options change while calls run and wait."""
    subject, work = bulkhead(1), Work(then=answer(after=1.0))
    calls = [asyncio.ensure_future(subject(work)) for _ in range(6)]
    await settle()
    subject.replace_options(BulkheadConfig(max_concurrent=4))
    await settle()
    assert subject.statistics().in_flight == 4
    subject.replace_options(BulkheadConfig(max_concurrent=1))
    await asyncio.sleep(1.5)
    assert subject.statistics().in_flight == 1
    await asyncio.gather(*calls)
    assert asyncio.get_running_loop().time() == 3


def test_waiters_of_a_closed_loop_are_skipped() -> None:
    """A loop that was stopped under its waiters does not keep the bulkhead from working on the next one."""
    subject = bulkhead(1)
    first = asyncio.new_event_loop()

    async def leave_a_waiter() -> list[Any]:
        held, waiting = subject(Work(answer(after=60.0))), subject(Work("unused"))
        held.send(None)
        task = asyncio.ensure_future(waiting)
        await asyncio.sleep(0)
        return [held, task]

    held, task = first.run_until_complete(leave_a_waiter())
    first.close()
    held.close()
    assert subject.statistics().in_flight == 0

    @virtual_time
    async def next_loop() -> None:
        assert await subject(Work("done")) == "done"

    next_loop()
    task._log_destroy_pending = False  # it was left behind on purpose


@given(
    room=st.integers(1, 3),
    queue=st.integers(0, 4),
    calls=st.lists(st.tuples(st.integers(0, 5), st.integers(1, 5), st.booleans()), max_size=25),
)
def test_bulkhead_equals_a_simulated_queue(room: int, queue: int, calls: list[tuple[int, int, bool]]) -> None:
    """Whatever arrives, and whoever leaves early: bounds hold at each tick, and all gauges end at zero."""

    @virtual_time
    async def play() -> None:
        subject, work = bulkhead(room, queue), Work(then=None)
        running = 0

        async def one(start: int, length: int, leaves: bool) -> None:
            nonlocal running
            await asyncio.sleep(start)

            async def body() -> None:
                nonlocal running
                running += 1
                assert running <= room
                try:
                    await asyncio.sleep(length)
                finally:
                    running -= 1

            task = asyncio.ensure_future(subject(body))
            if leaves:
                await asyncio.sleep(length / 2)
                task.cancel()
            await asyncio.wait({task})
            statistics = subject.statistics()
            assert statistics.waiting <= queue
            assert statistics.in_flight == room or statistics.waiting == 0

        await asyncio.gather(*(one(*parameters) for parameters in calls))
        statistics = subject.statistics()
        assert (statistics.in_flight, statistics.waiting) == (0, 0)
        assert work.calls == []

    play()


def test_cancellation_at_every_await_gives_every_place_back() -> None:
    """Running, waiting or just admitted: wherever callers leave, the gauges end at zero and the next call runs."""

    async def scenario(subject: Bulkhead) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(subject(Work(answer(after=1.0))))
        async with subject:
            await asyncio.sleep(1)

    async def check(subject: Bulkhead) -> None:
        statistics = subject.statistics()
        assert (statistics.in_flight, statistics.waiting) == (0, 0)
        assert await subject(Work("next")) == "next"

    report = cancel_at_every_await(lambda: bulkhead(1), scenario, check=check)
    assert report.cancelled == report.rounds == 18


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"max_concurrent": 0}, "max_concurrent=0 must be a whole number from 1"),
        ({"max_concurrent": 1.5}, "max_concurrent=1.5"),
        ({"max_queue": -1}, "max_queue=-1"),
        ({"max_wait": -0.1}, "max_wait=-0.1 must be a number from 0"),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], says: str) -> None:
    """A value out of range is refused with its name and range."""
    with pytest.raises(ConfigurationInvalid, match=says):
        BulkheadConfig(**options)
