"""The short way of a decorated call does what the long way through a context does, whatever happens to the call."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemawire.errors import CircuitOpen, DeadlineExceeded, QueueFull, Rejected, ServerFailed, Throttled
from schemawire.events import Event, SilentListener
from schemawire.resilience import (
    CircuitBreaker,
    CircuitBreakerConfig,
    Context,
    Judgement,
    Retry,
    RetryBudget,
    RetryBudgetConfig,
    RetryClass,
    RetryConfig,
    Standalone,
    WindowKind,
    within,
)
from schemawire.testing import run_virtual, virtual_time

Style = Callable[[Standalone, Callable[[], Awaitable[str]]], Awaitable[str]]
ENDINGS: dict[str, Callable[[], BaseException] | None] = {
    "good": None,
    "broken": ConnectionError,
    "failed": ServerFailed,
    "throttled": lambda: Throttled(retry_after=0.5),
    "refused": QueueFull,
    "rejected": Rejected,
    "late": DeadlineExceeded,
    "cancelled": asyncio.CancelledError,
    "stopped": GeneratorExit,
}


class Ear(SilentListener):
    def __init__(self) -> None:
        self.heard: list[Event] = []

    def on_event(self, event: Event) -> None:
        self.heard.append(event)


def called(policy: Standalone, call: Callable[[], Awaitable[str]]) -> Awaitable[str]:
    return policy(call)


def decorated(policy: Standalone, call: Callable[[], Awaitable[str]]) -> Awaitable[str]:
    return policy.wrap(call)()


async def play(style: Style, policy: Standalone, calls: list[tuple[list[str], float]]) -> list[str]:
    """Make each call, whose attempts take so long and end so, and return what came of them."""
    seen: list[str] = []
    for endings, lasts in calls:
        left = list(endings)

        async def call(left: list[str] = left, lasts: float = lasts) -> str:
            await asyncio.sleep(lasts)
            error = ENDINGS[left.pop(0) if left else "good"]
            if error is not None:
                raise error()
            return "good"

        try:
            seen.append(await style(policy, call))
        except (Exception, asyncio.CancelledError, GeneratorExit) as error:
            attempts = [type(each).__name__ for each in getattr(error, "attempts", ())]
            seen.append(f"{type(error).__name__} {getattr(error, 'retry_after', None)} {attempts}")
    return seen


CALLS = st.lists(
    st.tuples(st.lists(st.sampled_from(sorted(ENDINGS)), max_size=5), st.sampled_from([0.0, 0.4, 3.0])), max_size=30
)
BREAKERS = [
    CircuitBreakerConfig(failure_threshold=2, minimum_calls=4, recovery_timeout=2.0),
    CircuitBreakerConfig(failure_threshold=3, failure_rate=None, recovery_timeout=2.0),
    CircuitBreakerConfig(window=WindowKind.COUNT, window_size=5, minimum_calls=3, recovery_timeout=2.0),
    CircuitBreakerConfig(slow_call_duration=1.0, slow_call_rate=0.5, minimum_calls=3, recovery_timeout=2.0),
]


@pytest.mark.parametrize("options", BREAKERS, ids=["both rules", "in a row", "count window", "slow calls"])
@given(calls=CALLS)
def test_a_decorated_call_counts_for_a_breaker_as_any_other(
    options: CircuitBreakerConfig, calls: list[tuple[list[str], float]]
) -> None:
    """Same outcomes, same statistics, same events: for every rule, ending and duration."""

    async def run(style: Style) -> tuple[Any, ...]:
        ear = Ear()
        breaker = CircuitBreaker(options, draw=lambda: 0.5, listener=ear)
        return await play(style, breaker, calls), breaker.statistics(), ear.heard

    assert run_virtual(run(decorated)) == run_virtual(run(called))


@pytest.mark.parametrize("budget", [RetryBudgetConfig(), RetryBudgetConfig(ratio=0.0, floor_per_second=0.2)])
@given(calls=CALLS)
def test_a_decorated_call_is_retried_as_any_other(
    budget: RetryBudgetConfig, calls: list[tuple[list[str], float]]
) -> None:
    """Same outcomes with the same attempts and hints, same statistics, same events; with budget and without."""

    async def run(style: Style) -> tuple[Any, ...]:
        ear = Ear()
        retry = Retry(RetryConfig(max_retries=2), budget=RetryBudget(budget), draw=lambda: 0.5, listener=ear)
        seen = await play(style, retry, calls)
        return seen, retry.statistics(), retry.budget.statistics(), ear.heard, asyncio.get_running_loop().time()

    assert run_virtual(run(decorated)) == run_virtual(run(called))


@pytest.mark.parametrize("style", [called, decorated])
@virtual_time
async def test_the_callers_own_deadline_is_neutral_either_way(style: Style) -> None:
    """A call that runs into the deadline around it says nothing about the other side."""
    breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=1))

    async def call() -> str:
        await asyncio.sleep(1.0)
        raise DeadlineExceeded

    with pytest.raises(DeadlineExceeded):
        async with within(1.0):
            await style(breaker, call)
    assert breaker.statistics().neutral == 1


@pytest.mark.parametrize("style", [called, decorated])
@virtual_time
async def test_options_replaced_during_a_call_hold_for_its_end(style: Style) -> None:
    """A breaker that learns to watch a rate while a call is under way counts that call in its new window."""
    breaker = CircuitBreaker(CircuitBreakerConfig(failure_rate=None))

    async def call() -> str:
        breaker.replace_options(CircuitBreakerConfig(failure_threshold=None, minimum_calls=1))
        return "good"

    assert await style(breaker, call) == "good"
    assert breaker.statistics().calls == 1


@virtual_time
async def test_without_a_pause_a_call_is_retried_at_once() -> None:
    """A base of 0 makes no pause at all."""
    attempts: list[float] = []

    async def call() -> None:
        attempts.append(asyncio.get_running_loop().time())
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await Retry(RetryConfig(max_retries=3, transient_base=0.0)).wrap(call)()
    assert attempts == [0.0] * 4


@virtual_time
async def test_a_shut_gate_is_not_looked_at_without_end() -> None:
    """With a base of 0, a patient call that is refused here looks again every few milliseconds, until its deadline."""
    looks = 0

    async def refused() -> None:
        nonlocal looks
        looks += 1
        raise CircuitOpen(retry_after=0.0)

    def wait_it_out(context: Context, result: object, error: BaseException | None) -> Judgement:
        return Judgement(neutral=True, retry=RetryClass.TRANSIENT)

    options = RetryConfig(transient_base=0.0)
    patient = Retry(options, until_deadline=lambda context: True, judge=wait_it_out, draw=lambda: 0.0)
    with pytest.raises((CircuitOpen, DeadlineExceeded)):
        async with within(1.0):
            await patient(refused)
    assert 100 < looks <= 1_000


@pytest.mark.parametrize("style", [called, decorated])
@virtual_time
async def test_each_outcome_is_judged_once(style: Style) -> None:
    """A judge may be costly, or count: it hears of every attempt exactly once, good or bad."""
    judged: list[object] = []

    def judge(context: Context, result: object, error: BaseException | None) -> Judgement:
        judged.append(result or type(error))
        return Judgement(retry=None if result == "good" else RetryClass.TRANSIENT)

    outcomes: Iterator[str | Exception] = iter(["bad", ConnectionError(), "good"])

    async def call() -> str:
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    assert await style(Retry(judge=judge), call) == "good"
    assert judged == ["bad", ConnectionError, "good"]
