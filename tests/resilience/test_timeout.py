"""Deadlines and attempt timeouts: which error, whose cancellation, and what nested calls inherit."""

import asyncio
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemawire.errors import AttemptTimeout, ConfigurationInvalid, DeadlineExceeded, ServerFailed
from schemawire.resilience.call import Context
from schemawire.resilience.deadline import Inherited, current_deadline, remaining, within
from schemawire.resilience.timeout import Deadline, DeadlineConfig, TimeLimiter, TimeLimiterConfig
from schemawire.resilience.timer import Timer
from schemawire.testing import ScriptedDependency, answer, cancel_at_every_await, hang, virtual_time

Work = ScriptedDependency[Any]


def now() -> float:
    return asyncio.get_running_loop().time()


async def call(context: Context) -> Any:
    return await context.call()


def deadline(total: float | None) -> Deadline:
    return Deadline(DeadlineConfig(total=total))


def limiter(attempt: float | None) -> TimeLimiter:
    return TimeLimiter(TimeLimiterConfig(attempt=attempt))


@virtual_time
async def test_a_call_ends_at_its_deadline() -> None:
    """A hanging call ends after exactly its total time, with an error that carries its attempts' errors."""
    context = Context(call=Work(hang()))
    context.errors.append(earlier := ServerFailed())
    subject = deadline(5.0)
    with pytest.raises(DeadlineExceeded, match="did not finish within 5 s") as caught:
        await subject.bind(call)(context)
    assert now() == 5
    assert caught.value.attempts == (earlier,)
    assert (subject.statistics().calls, subject.statistics().timeouts) == (1, 1)


@virtual_time
async def test_an_attempt_ends_at_its_limit() -> None:
    """The error says that another attempt may fit."""
    subject = limiter(2.0)
    with pytest.raises(AttemptTimeout, match="Attempt 1 did not finish within 2 s"):
        await subject(Work(hang()))
    assert now() == 2
    assert subject.statistics().timeouts == 1


@virtual_time
async def test_an_attempt_that_reaches_the_deadline_says_so() -> None:
    """Where the deadline of the call comes before the limit of the attempt, no other attempt fits."""
    with pytest.raises(DeadlineExceeded):
        await limiter(10.0).bind(call)(Context(deadline=3.0, call=Work(hang())))
    assert now() == 3


@virtual_time
async def test_when_both_end_in_the_same_tick_the_call_ends() -> None:
    """Total and attempt limit at the same moment give one `DeadlineExceeded`, and no cancellation is left over."""
    handler = deadline(2.0).bind(limiter(2.0).bind(call))
    with pytest.raises(DeadlineExceeded):
        await handler(Context(call=Work(hang())))
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await asyncio.sleep(1)


@pytest.mark.parametrize("policy", [deadline(5.0), limiter(5.0)])
def test_the_callers_cancellation_passes_unchanged(policy: Deadline | TimeLimiter) -> None:
    """A cancelled call is cancelled, not timed out, also if its timer expires while it cleans up."""

    @virtual_time
    async def play() -> None:
        async def stubborn() -> None:
            try:
                await asyncio.sleep(100)
            finally:
                await asyncio.sleep(3)

        task = asyncio.ensure_future(policy(stubborn))
        await asyncio.sleep(4)
        task.cancel("the caller left")
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()

    play()


@pytest.mark.parametrize("policy", [deadline(5.0), limiter(5.0)])
async def test_a_timeout_of_the_work_itself_is_not_ours(policy: Deadline | TimeLimiter) -> None:
    """A `TimeoutError` raised by the work stays what it is."""
    with pytest.raises(TimeoutError, match="from a socket"):
        await policy(Work(TimeoutError("from a socket")))
    assert policy.statistics().timeouts == 0


@pytest.mark.parametrize("policy", [deadline(5.0), limiter(5.0)])
def test_an_answer_in_the_last_tick_is_not_thrown_away(policy: Deadline | TimeLimiter) -> None:
    """Work that catches the cancellation and still answers has answered."""

    @virtual_time
    async def play() -> None:
        async def last_moment() -> str:
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError:
                return "just in time"
            return "unreachable"

        assert await policy(last_moment) == "just in time"
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    play()


@virtual_time
async def test_nothing_is_sent_after_the_deadline() -> None:
    """A call whose time is over before it begins is refused without an attempt."""
    await asyncio.sleep(10)
    work = Work(then="unused")
    for policy in (deadline(5.0), limiter(5.0)):
        with pytest.raises(DeadlineExceeded, match="nothing was sent"):
            await policy.bind(call)(Context(deadline=9.0, call=work))
    assert work.statistics().calls == 0


@virtual_time
async def test_nested_calls_inherit_the_deadline() -> None:
    """A call made inside another sees the outer deadline, and a longer total of its own does not extend it."""
    seen: list[float] = []

    async def inner() -> None:
        seen.append(current_deadline())
        seen.append(remaining())
        await asyncio.sleep(100)

    with pytest.raises(DeadlineExceeded):
        await deadline(5.0)(lambda: deadline(50.0)(inner))
    assert seen == [5.0, 5.0]
    assert now() == 5
    assert current_deadline() == math.inf


@virtual_time
async def test_a_nested_call_may_have_less_time() -> None:
    """Its own deadline ends it, and the outer call can go on."""

    async def outer() -> str:
        with pytest.raises(DeadlineExceeded):
            await deadline(1.0)(Work(hang()))
        assert current_deadline() == 5.0
        return "went on"

    assert await deadline(5.0)(outer) == "went on"


@virtual_time
async def test_tasks_started_inside_inherit_too() -> None:
    """A task group inside the call sees the same deadline."""

    async def child() -> float:
        return current_deadline()

    async def parent() -> float:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(child())
        return task.result()

    assert await deadline(5.0)(parent) == 5.0


@virtual_time
async def test_a_block_has_a_deadline_within() -> None:
    """`within` enforces it and hands it down; the earlier of two wins."""
    seen: list[float] = []

    async def nested() -> None:
        async with within(2.0) as outer, within(60.0) as inner:
            seen.extend([outer, inner, current_deadline()])
            await asyncio.sleep(100)

    with pytest.raises(DeadlineExceeded, match="within"):
        await nested()
    assert seen == [2.0, 2.0, 2.0]
    assert now() == 2
    with pytest.raises(TimeoutError, match="from a socket"):
        async with within(2.0):
            raise TimeoutError("from a socket")


@pytest.mark.parametrize("seconds", [-1.0, math.nan])
async def test_a_block_needs_a_sensible_time(seconds: float) -> None:
    """Negative or no number: refused before anything runs."""
    with pytest.raises(ConfigurationInvalid, match="within"):
        async with within(seconds):
            pytest.fail("the block ran")


@given(ats=st.lists(st.floats(0, 1e6), min_size=1, max_size=8))
def test_the_inherited_deadline_never_grows(ats: list[float]) -> None:
    """However scopes nest, each sees the earliest deadline so far, and leaving one restores the one before."""
    scopes, expected = [Inherited(at) for at in ats], [math.inf]
    for scope, at in zip(scopes, ats, strict=True):
        expected.append(min(expected[-1], at))
        assert scope.__enter__() == current_deadline() == expected[-1]
    for scope in reversed(scopes):
        assert current_deadline() == expected.pop()
        scope.__exit__(None, None, None)
    assert current_deadline() == math.inf
    assert remaining() == math.inf


@virtual_time
async def test_without_limits_there_is_no_timer() -> None:
    """`None` leaves only what is inherited, here nothing."""
    assert await deadline(None)(Work(answer("late", after=1_000))) == "late"
    assert await limiter(None)(Work(answer("late", after=1_000))) == "late"


@virtual_time
async def test_options_change_for_calls_that_begin_later() -> None:
    """A running call keeps the limit it began with."""
    subject = limiter(5.0)
    running = asyncio.ensure_future(subject(Work(hang())))
    await asyncio.sleep(0)
    subject.replace_options(TimeLimiterConfig(attempt=1.0))
    with pytest.raises(AttemptTimeout):
        await subject(Work(hang()))
    assert now() == 1
    with pytest.raises(AttemptTimeout):
        await running
    assert now() == 5


async def test_a_timer_outside_a_task_is_refused() -> None:
    """There would be nothing to cancel."""
    loop = asyncio.get_running_loop()
    caught: list[BaseException] = []

    def start() -> None:
        try:
            Timer(loop, loop.time() + 1)
        except RuntimeError as error:
            caught.append(error)

    loop.call_soon(start)
    await asyncio.sleep(0)
    assert "needs a task" in str(caught[0])


def test_cancellation_at_every_await_leaves_no_deadline_behind() -> None:
    """Wherever the caller leaves, the next call inherits nothing."""

    async def scenario(handler: Any) -> None:
        await handler(Context(call=Work(answer(after=0.5))))
        with pytest.raises(AttemptTimeout):
            await handler(Context(call=Work(hang())))

    def check(handler: Any) -> None:
        assert current_deadline() == math.inf

    cancel_at_every_await(lambda: deadline(5.0).bind(limiter(1.0).bind(call)), scenario, check=check)


@pytest.mark.parametrize("value", [0, -1.0, math.nan, math.inf, "5", True])
def test_bad_options_are_named(value: Any) -> None:
    """A time that is no number above zero is refused."""
    with pytest.raises(ConfigurationInvalid, match="total="):
        DeadlineConfig(total=value)
    with pytest.raises(ConfigurationInvalid, match="attempt="):
        TimeLimiterConfig(attempt=value)
