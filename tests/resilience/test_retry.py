"""Retries: what is repeated, when, how often, and what the last error says."""

import asyncio
import itertools
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemawire.errors import (
    AttemptTimeout,
    CircuitOpen,
    ConfigurationInvalid,
    ConnectFailed,
    Failed,
    NotFound,
    RetryBudgetExhausted,
    ServerFailed,
    Throttled,
)
from schemawire.events import Event, RetryGivenUp, RetryScheduled, SilentListener
from schemawire.resilience.budget import RetryBudget, RetryBudgetConfig
from schemawire.resilience.call import SUCCESS, Context, Judgement, RetryClass, Scope, judge_exceptions
from schemawire.resilience.retry import Retry
from schemawire.resilience.retry_decision import Progress, RetryConfig, StopReason, decide
from schemawire.testing import ScriptedDependency, cancel_at_every_await, settle, virtual_time

TRANSIENT = Judgement(failed=True, retry=RetryClass.TRANSIENT)
THROTTLED = Judgement(failed=True, retry=RetryClass.THROTTLED)

Work = ScriptedDependency[Any]


class Ear(SilentListener):
    def __init__(self) -> None:
        self.heard: list[Event] = []

    def on_event(self, event: Event) -> None:
        self.heard.append(event)


def half() -> float:
    return 0.5


def plenty() -> RetryBudget:
    return RetryBudget(RetryBudgetConfig(floor_per_second=1_000))


def empty() -> RetryBudget:
    return RetryBudget(RetryBudgetConfig(ratio=0, floor_per_second=0))


def judge_status(context: Context, result: Any, error: BaseException | None) -> Judgement:
    """Judge plain numbers as if they were HTTP status codes."""
    if error is None and isinstance(result, int) and result >= 500:
        return Judgement(failed=True, retry=RetryClass.TRANSIENT, reason=f"status {result}")
    return judge_exceptions(context, result, error)


@virtual_time
async def test_a_failing_call_is_tried_until_it_succeeds() -> None:
    """Passing failures cost delays of half the ceilings 0.05, 0.1 when the draw is a half."""
    work = Work(ServerFailed(), OSError("reset"), "done")
    assert await Retry(budget=plenty(), draw=half)(work) == "done"
    assert [call.at for call in work.calls] == pytest.approx([0, 0.025, 0.075])


@virtual_time
async def test_the_last_error_carries_the_earlier_ones() -> None:
    """`max_retries` counts attempts after the first; the last error is raised with the others, oldest first."""
    errors = [ServerFailed(f"attempt {n}") for n in range(1, 5)]
    work = Work(*errors)
    retry = Retry(RetryConfig(max_retries=3), budget=plenty())
    with pytest.raises(ServerFailed) as caught:
        await retry(work)
    assert caught.value is errors[3]
    assert caught.value.attempts == tuple(errors[:3])
    assert retry.statistics().given_up["attempts"] == 1


@virtual_time
async def test_a_foreign_error_carries_the_earlier_ones_too() -> None:
    """Errors that are not ours get the same attribute."""
    first, second = OSError("one"), OSError("two")
    with pytest.raises(OSError, match="two") as caught:
        await Retry(RetryConfig(max_retries=1), budget=plenty())(Work(first, second))
    assert caught.value.attempts == (first,)  # type: ignore[attr-defined]  # set by the policy


@pytest.mark.parametrize("error", [NotFound(), CircuitOpen(), RetryBudgetExhausted()])
async def test_what_cannot_change_is_not_repeated(error: Exception) -> None:
    """A rejection, a refusal of our own, and a budget that an inner retry found empty are final."""
    work = Work(error)
    with pytest.raises(type(error)):
        await Retry()(work)
    assert work.statistics().calls == 1


async def test_a_cancelled_attempt_is_not_repeated() -> None:
    """Cancellation is never an outcome to retry on."""
    work = Work(asyncio.CancelledError())
    with pytest.raises(asyncio.CancelledError):
        await Retry()(work)
    assert work.statistics().calls == 1


@virtual_time
async def test_a_bad_result_is_returned_when_the_attempts_are_used_up() -> None:
    """Results are results: the last one is returned, those before it are discarded before the pause."""
    discarded: list[tuple[int, float]] = []

    async def discard(result: int) -> None:
        discarded.append((result, asyncio.get_running_loop().time()))

    work = Work(500, 502, 503)
    retry = Retry(RetryConfig(max_retries=2), budget=plenty(), judge=judge_status, discard=discard, draw=half)
    assert await retry(work) == 503
    assert discarded == [(500, 0.0), (502, pytest.approx(0.025))]


@virtual_time
async def test_an_error_after_bad_results_tells_about_them() -> None:
    """A discarded result stands among the attempts as an error that says what it was."""
    with pytest.raises(ServerFailed) as caught:
        await Retry(RetryConfig(max_retries=1), budget=plenty(), judge=judge_status)(Work(503, ServerFailed()))
    (earlier,) = caught.value.attempts
    assert isinstance(earlier, Failed)
    assert "attempt 1 gave status 503" in str(earlier)


@virtual_time
async def test_a_hint_is_a_lower_bound_with_a_little_jitter() -> None:
    """Retry-After of 2 s is waited for 2.0 to 2.4 s, so that clients told the same do not come back together."""
    work = Work(Throttled(retry_after=2.0), "done")
    await Retry(budget=plenty(), draw=half)(work)
    assert work.calls[1].at == pytest.approx(2.2)


@virtual_time
async def test_a_hint_beyond_the_deadline_fails_now_and_is_passed_on() -> None:
    """Waiting would only waste the time left; the error tells the uncapped hint."""
    work = Work(Throttled(retry_after=1_000.0))
    handler = Retry(budget=plenty()).bind(_call)
    with pytest.raises(Throttled) as caught:
        await handler(Context(deadline=10.0, call=work))
    assert caught.value.retry_after == 1_000.0
    assert asyncio.get_running_loop().time() == 0


@virtual_time
async def test_a_hint_longer_than_we_are_willing_to_wait_fails_now() -> None:
    """Without any deadline a server could hold a call for hours; `max_hint` is the bound."""
    ear = Ear()
    with pytest.raises(Throttled):
        await Retry(budget=plenty(), listener=ear)(Work(Throttled(retry_after=121.0)))
    assert ear.heard == [RetryGivenUp(name="retry", attempt=1, reason="hint")]


async def _call(context: Context) -> Any:
    return await context.call()


@virtual_time
async def test_throttling_waits_longer_and_costs_more() -> None:
    """The first throttled delay tops out at 1 s instead of 0.05 s, and is paid for twice."""
    budget = RetryBudget(RetryBudgetConfig(ratio=0, floor_per_second=0.3))
    work = Work(Throttled(), "done")
    await Retry(budget=budget, draw=half)(work)
    assert work.calls[1].at == pytest.approx(0.5)
    assert budget.balance(0.5) == pytest.approx(1.0)


@virtual_time
async def test_an_empty_budget_is_an_outcome_of_its_own() -> None:
    """The error says so, and its cause is the error of the last attempt."""
    original = ServerFailed("down")
    ear = Ear()
    retry = Retry(budget=empty(), listener=ear)
    with pytest.raises(RetryBudgetExhausted, match="down; the retry budget") as caught:
        await retry(Work(original))
    assert caught.value.__cause__ is original
    assert caught.value.attempts == (original,)
    assert ear.heard == [RetryGivenUp(name="retry", attempt=1, reason="budget")]
    assert retry.statistics().given_up["budget"] == 1


@virtual_time
async def test_an_empty_budget_lets_a_bad_result_through() -> None:
    """A result is never turned into an error."""
    ear = Ear()
    assert await Retry(budget=empty(), judge=judge_status, listener=ear)(Work(503)) == 503
    assert ear.heard == [RetryGivenUp(name="retry", attempt=1, reason="budget")]


@virtual_time
async def test_a_call_that_never_left_is_repeated_at_once_and_outside_the_count() -> None:
    """A transparent retry has no pause and no number, but it pays like any other."""
    budget = RetryBudget(RetryBudgetConfig(ratio=0, floor_per_second=0.2))
    retry = Retry(RetryConfig(max_retries=1), budget=budget)
    work = Work(ConnectFailed(), ServerFailed(), "done")
    assert await retry(work) == "done"
    assert work.calls[1].at == 0
    statistics = retry.statistics()
    assert (statistics.transparent, statistics.retries, budget.balance(0)) == (1, 2, 0)


async def test_no_retries_means_none_of_any_kind() -> None:
    """`max_retries=0` is one attempt, also for a call that never left."""
    work = Work(then=ConnectFailed())
    with pytest.raises(ConnectFailed):
        await Retry(RetryConfig(max_retries=0), budget=plenty())(work)
    assert work.statistics().calls == 1


@virtual_time
async def test_transparent_retries_have_a_limit_of_their_own() -> None:
    """A dead address costs one transparent retry and then the ordinary ones."""
    work = Work(then=ConnectFailed())
    with pytest.raises(ConnectFailed):
        await Retry(RetryConfig(max_retries=2, transparent_retries=1), budget=plenty())(work)
    assert work.statistics().calls == 4


@virtual_time
async def test_an_unsafe_call_is_not_repeated_unless_it_never_left() -> None:
    """Safety is judged from the request; what provably never left cannot be applied twice."""

    def unsafe(context: Context, result: object, error: BaseException | None) -> Judgement:
        if error is None:
            return SUCCESS
        return Judgement(failed=True, retry=RetryClass.TRANSIENT, safe=False, unsent=isinstance(error, ConnectFailed))

    ear = Ear()
    work = Work(ConnectFailed(), ServerFailed("may have been applied"))
    with pytest.raises(ServerFailed):
        await Retry(budget=plenty(), judge=unsafe, listener=ear)(work)
    assert [type(event).__name__ for event in ear.heard] == ["RetryScheduled", "RetryGivenUp"]
    assert ear.heard[-1] == RetryGivenUp(name="retry", attempt=2, reason="unsafe")


@virtual_time
async def test_a_patient_call_is_repeated_until_its_deadline() -> None:
    """Where the deadline alone ends the retries, their number does not."""
    work = Work(then=ServerFailed())
    retry = Retry(RetryConfig(max_retries=1), budget=plenty(), until_deadline=lambda context: True, draw=half)
    with pytest.raises(ServerFailed) as caught:
        await retry.bind(_call)(Context(deadline=60.0, call=work))
    assert len(caught.value.attempts) > 10
    assert 55 < asyncio.get_running_loop().time() < 60


@virtual_time
async def test_a_patient_call_waits_for_the_budget_instead_of_failing() -> None:
    """It adds no load while the budget is empty, and goes on when a deposit has come back."""
    budget = RetryBudget(RetryBudgetConfig(ratio=0, floor_per_second=0.1))
    assert budget.withdraw(0.0)
    work = Work(ServerFailed(), "done")
    retry = Retry(budget=budget, until_deadline=lambda context: True, draw=half)
    assert await retry.bind(_call)(Context(deadline=60.0, call=work)) == "done"
    assert 10 <= work.calls[1].at < 15


@virtual_time
async def test_a_refusal_of_our_own_that_is_worth_waiting_out_costs_no_budget() -> None:
    """Where a judge lets a call wait out an open breaker, nothing was sent: no charge, and no growing pauses."""

    def wait_out(context: Context, result: object, error: BaseException | None) -> Judgement:
        if isinstance(error, CircuitOpen):
            return Judgement(neutral=True, retry=RetryClass.TRANSIENT, retry_after=error.retry_after)
        return judge_exceptions(context, result, error)

    work = Work(*[CircuitOpen() for _ in range(20)], CircuitOpen(retry_after=2.0), "done")
    retry = Retry(budget=empty(), judge=wait_out, until_deadline=lambda context: True, draw=half)
    assert await retry.bind(_call)(Context(deadline=60.0, call=work)) == "done"
    gaps = [later.at - earlier.at for earlier, later in itertools.pairwise(work.calls)]
    assert gaps == pytest.approx([0.0375] * 20 + [2.2])


@virtual_time
async def test_a_patient_call_without_a_deadline_counts_its_attempts() -> None:
    """Nothing is repeated for ever."""
    work = Work(then=ServerFailed())
    with pytest.raises(ServerFailed):
        await Retry(RetryConfig(max_retries=2), budget=plenty(), until_deadline=lambda context: True)(work)
    assert work.statistics().calls == 3


@virtual_time
async def test_each_attempt_knows_its_number_and_what_went_before() -> None:
    """The context counts attempts from 1 and notes the time spent in backoff."""
    seen: list[tuple[int, int]] = []

    async def inner(context: Context) -> str:
        seen.append((context.attempt, len(context.errors)))
        if len(seen) < 3:
            raise AttemptTimeout()
        return "done"

    context = Context()
    await Retry(budget=plenty(), draw=half).bind(inner)(context)
    assert seen == [(1, 0), (2, 1), (3, 2)]
    assert context.state["backoff"] == pytest.approx(0.075)


@virtual_time
async def test_retries_are_announced_with_their_delay() -> None:
    """One event per retry: which attempt comes, after what delay, and why."""
    ear = Ear()
    await Retry(budget=plenty(), draw=half, listener=ear)(Work(ServerFailed(), 1))
    assert ear.heard == [RetryScheduled(name="retry", attempt=2, delay=0.025, reason="server_failed")]


@virtual_time
async def test_a_discarded_attempt_gives_back_its_permits_before_the_pause() -> None:
    """Under streaming, what the layers inside keep for the body of a discarded result ends with it."""
    scope = Scope()
    held: list[int] = []

    async def inner(context: Context) -> int:
        assert context.scope is scope
        assert not held, "the first attempt still holds its permit"
        held.append(1)
        scope.keep(lambda error: held.clear())
        return 503 if context.attempt == 1 else 200

    assert await Retry(budget=plenty(), judge=judge_status).bind(inner)(Context(scope=scope)) == 200
    assert held == [1]
    scope.close()
    assert held == []


@virtual_time
async def test_a_result_that_does_not_close_is_left_behind() -> None:
    """Closing what nobody will see has a time limit, and its errors are nobody's."""

    async def discard(result: int) -> None:
        await asyncio.get_running_loop().create_future()

    work = Work(503, 200)
    assert await Retry(budget=plenty(), judge=judge_status, discard=discard, draw=half)(work) == 200
    assert work.calls[1].at == pytest.approx(5.025)


def test_cancellation_at_every_await_discards_what_was_held() -> None:
    """Wherever the caller leaves, no attempt follows and no bad result stays open."""

    class Subject:
        def __init__(self) -> None:
            self.work = Work(503, 503, 200)
            self.open = 0
            budget = RetryBudget(RetryBudgetConfig(ratio=0, floor_per_second=0.1))
            self.retry = Retry(
                budget=budget, judge=judge_status, until_deadline=lambda _: True, discard=self.close, draw=half
            )

        async def call(self, context: Context) -> int:
            status: int = await self.work()
            self.open += status >= 500
            return status

        async def close(self, result: int) -> None:
            self.open -= 1
            await asyncio.sleep(0.001)

    async def scenario(subject: Subject) -> int:
        return await subject.retry.bind(subject.call)(Context(deadline=100.0))

    def check(subject: Subject) -> None:
        assert subject.open == 0
        assert subject.work.statistics().in_flight == 0

    report = cancel_at_every_await(Subject, scenario, check=check)
    assert report.cancelled > 5


@virtual_time
async def test_options_change_for_calls_under_way() -> None:
    """A call in its backoff is judged by the new limits when its next attempt fails."""
    retry = Retry(RetryConfig(max_retries=5), budget=plenty(), draw=half)
    work = Work(then=ServerFailed())
    call = asyncio.ensure_future(retry(work))
    await settle()
    retry.replace_options(RetryConfig(max_retries=1))
    with pytest.raises(ServerFailed):
        await call
    assert work.statistics().calls == 2


def test_the_seed_form_is_accepted() -> None:
    """`RetryConfig(max_retries=5, backoff_factor=2.0)` is how handlers configure it."""
    config = RetryConfig(max_retries=5, backoff_factor=2.0)
    assert config.longest_wait() == pytest.approx(1 + 2 + 4 + 8 + 16)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"max_retries": -1}, "max_retries=-1 must be a whole number from 0 to 100"),
        ({"max_retries": 2.5}, "max_retries=2.5"),
        ({"backoff_factor": -1}, "backoff_factor=-1"),
        ({"transient_base": -1}, "transient_base=-1"),
        ({"throttled_base": 30.0}, "throttled_base=30.0 is larger than throttled_cap=20.0"),
        ({"hint_jitter": 2}, "hint_jitter=2"),
        ({"backoff": "linear"}, "must be a BackoffKind"),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], says: str) -> None:
    """A value out of range is refused with its name and range."""
    with pytest.raises(ConfigurationInvalid, match=says):
        RetryConfig(**options)


def verdict(judgement: Judgement, *, retries: int = 0, deadline: float = math.inf, draw: float = 0.5) -> object:
    made = decide(RetryConfig(), judgement, Progress(deadline=deadline, retries=retries), now=100.0, draw=draw)
    return made.stop or made.delay


@pytest.mark.parametrize(
    ("judgement", "retries", "deadline", "expected"),
    [
        (SUCCESS, 0, math.inf, StopReason.FINAL),
        (TRANSIENT, 0, math.inf, 0.025),
        (TRANSIENT, 3, math.inf, StopReason.ATTEMPTS),
        (TRANSIENT, 0, 100.02, StopReason.DEADLINE),
        (THROTTLED, 0, math.inf, 0.5),
        (Judgement(failed=True, retry=RetryClass.TRANSIENT, retry_after=5), 0, 105.0, StopReason.DEADLINE),
        (Judgement(failed=True, retry=RetryClass.TRANSIENT, retry_after=5), 0, 105.5, 5.25),
        (Judgement(failed=True, retry=RetryClass.TRANSIENT, retry_after=0), 0, 105.5, 0.025),
        (Judgement(failed=True, retry=RetryClass.TRANSIENT, retry_after=500), 0, math.inf, StopReason.HINT),
        (Judgement(failed=True, retry=RetryClass.TRANSIENT, safe=False), 0, math.inf, StopReason.UNSAFE),
        (Judgement(failed=True, unsent=True, safe=False), 3, math.inf, 0.0),
    ],
)
def test_the_decision_is_a_table(
    judgement: Judgement, retries: int, deadline: float, expected: StopReason | float
) -> None:
    """At time 100 with the draw a half: stop for this reason, or go on after this delay."""
    found = verdict(judgement, retries=retries, deadline=deadline)
    assert found == (expected if isinstance(expected, StopReason) else pytest.approx(expected))


@given(hint=st.floats(0.001, 119), left=st.floats(0.001, 200), draw=st.floats(0, 1, exclude_max=True))
def test_a_hint_is_never_undercut_and_never_overruns_the_deadline(hint: float, left: float, draw: float) -> None:
    """Either the wait is at least the hint and ends before the deadline, or there is none."""
    judgement = Judgement(failed=True, retry=RetryClass.TRANSIENT, retry_after=hint)
    made = decide(RetryConfig(), judgement, Progress(deadline=left), now=0.0, draw=draw)
    if made.stop is None:
        assert hint <= made.delay < left
        assert made.delay <= max(hint * 1.2, 0.05) + 1e-9
    else:
        assert made.stop is StopReason.DEADLINE
