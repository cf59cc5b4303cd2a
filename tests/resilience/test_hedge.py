"""Hedging: when a second attempt starts, who wins, and what becomes of the losers."""

import asyncio
from contextvars import ContextVar

import pytest

from schemawire.errors import ConfigurationInvalid
from schemawire.events import Event, HedgeStarted, SilentListener
from schemawire.resilience.budget import RetryBudget, RetryBudgetConfig
from schemawire.resilience.call import SUCCESS, Context, Judgement, RetryClass, Scope, judge_exceptions
from schemawire.resilience.hedge import Hedge, HedgeConfig
from schemawire.resilience.latency import MovingPercentile
from schemawire.testing.cancellation import cancel_at_every_await
from schemawire.testing.scripted import ScriptedDependency, answer, fail, hang
from schemawire.testing.virtual_time import virtual_time


def now() -> float:
    return asyncio.get_running_loop().time()


@virtual_time
async def test_a_fast_call_is_not_hedged() -> None:
    """An answer before the delay costs no second attempt and no task."""
    dependency = ScriptedDependency[str](answer("first", after=0.5))
    hedge = Hedge(HedgeConfig(delay=1.0))
    assert await hedge(dependency) == "first"
    assert hedge.statistics().hedges == 0
    assert dependency.statistics().calls == 1


@virtual_time
async def test_a_slow_call_is_answered_by_its_hedge() -> None:
    """The hedge starts after the delay, wins, and the first attempt is cancelled and awaited."""
    dependency = ScriptedDependency[str](hang(), answer("second", after=0.25))
    hedge = Hedge(HedgeConfig(delay=1.0))
    assert await hedge(dependency) == "second"
    assert now() == 1.25
    statistics = dependency.statistics()
    assert (statistics.calls, statistics.cancelled, statistics.in_flight) == (2, 1, 0)
    assert (hedge.statistics().won, hedge.statistics().in_flight) == (1, 0)


@virtual_time
async def test_the_first_attempt_may_still_win() -> None:
    """If the first attempt answers before its hedge, the hedge is cancelled and awaited."""
    dependency = ScriptedDependency[str](answer("first", after=2.0), hang())
    hedge = Hedge(HedgeConfig(delay=1.0))
    assert await hedge(dependency) == "first"
    assert dependency.statistics().cancelled == 1
    assert hedge.statistics().in_flight == 0


@virtual_time
async def test_hedges_follow_each_other_up_to_the_maximum() -> None:
    """With three hedges and a delay of a second, attempts start at 0, 1, 2 and 3 s and no more."""
    dependency = ScriptedDependency[str](hang(), hang(), hang(), answer("fourth", after=9.0))
    hedge = Hedge(HedgeConfig(delay=1.0, max_hedges=3))
    assert await hedge(dependency) == "fourth"
    assert [call.at for call in dependency.calls] == [0.0, 1.0, 2.0, 3.0]


@virtual_time
async def test_one_timer_serves_every_call_at_its_own_time() -> None:
    """However calls begin and end, and even when the delay shrinks, each slow one is hedged exactly on time."""
    hedge = Hedge(HedgeConfig(delay=4.0))
    begins: dict[str, list[float]] = {}

    async def call(name: str, start: float, takes: float) -> None:
        await asyncio.sleep(start)
        times = begins.setdefault(name, [])

        async def work() -> None:
            times.append(now() - start)
            await asyncio.sleep(takes)

        await hedge(work)

    async with asyncio.TaskGroup() as group:
        group.create_task(call("first", 0.0, 9.0))
        group.create_task(call("quick", 1.0, 0.5))
        group.create_task(call("second", 1.5, 9.0))
        await asyncio.sleep(2.0)
        hedge.replace_options(HedgeConfig(delay=1.0))
        group.create_task(call("hasty", 0.0, 9.0))
        await asyncio.sleep(0)
    assert {name: times[1:] for name, times in begins.items()} == {
        "first": [4.0],
        "quick": [],
        "second": [4.0],
        "hasty": [3.0],
    }


@virtual_time
async def test_a_hedge_sees_the_callers_context_variables() -> None:
    """A hedge runs with the variables of its own call, although another call may have set the timer."""
    who: ContextVar[str] = ContextVar("who")
    hedge = Hedge(HedgeConfig(delay=1.0))
    seen: list[str] = []

    async def work() -> None:
        seen.append(who.get())
        await asyncio.sleep(5.0)

    async def call(name: str) -> None:
        who.set(name)
        await hedge(work)

    await asyncio.gather(call("one"), call("two"))
    assert seen == ["one", "two", "one", "two"]


@virtual_time
async def test_a_failing_hedge_does_not_end_the_call() -> None:
    """A hedge that fails is forgotten while the first attempt is still under way."""
    dependency = ScriptedDependency[str](answer("first", after=3.0), ConnectionError("hedge"))
    assert await Hedge(HedgeConfig(delay=1.0))(dependency) == "first"


@virtual_time
async def test_a_failing_first_attempt_waits_for_its_hedge() -> None:
    """If the first attempt fails while a hedge is under way, the hedge may still answer."""
    dependency = ScriptedDependency[str](fail(ConnectionError("first"), after=2.0), answer("second", after=3.0))
    hedge = Hedge(HedgeConfig(delay=1.0))
    assert await hedge(dependency) == "second"
    assert now() == 4.0
    assert hedge.statistics().won == 1


@virtual_time
async def test_if_all_fail_the_first_error_stands() -> None:
    """When every attempt fails, the caller sees the error of the first."""
    dependency = ScriptedDependency[str](fail(KeyError("first"), after=2.0), fail(ValueError("second"), after=3.0))
    with pytest.raises(KeyError, match="first"):
        await Hedge(HedgeConfig(delay=1.0))(dependency)
    assert now() == 4.0


@virtual_time
async def test_a_failure_before_the_delay_is_not_hedged() -> None:
    """A quick failure is the retry's business: it comes out at once, without a hedge."""
    dependency = ScriptedDependency[str](fail(ConnectionError("quick"), after=0.5))
    with pytest.raises(ConnectionError):
        await Hedge(HedgeConfig(delay=1.0))(dependency)
    assert now() == 0.5


@virtual_time
async def test_a_final_refusal_by_the_other_side_wins() -> None:
    """An error that is neither failed nor worth repeating ends the race like an answer."""

    def judge(context: Context, result: object, error: BaseException | None) -> Judgement:
        return SUCCESS if isinstance(error, LookupError) else judge_exceptions(context, result, error)

    dependency = ScriptedDependency[str](hang(), LookupError("no such thing"))
    hedge = Hedge(HedgeConfig(delay=1.0), judge=judge)
    with pytest.raises(LookupError, match="no such thing"):
        await hedge(dependency)
    assert now() == 1.0


@virtual_time
async def test_a_result_worth_repeating_is_no_win() -> None:
    """A hedge's throttled result does not beat a first attempt that is still under way; it is discarded."""

    def judge(context: Context, result: object, error: BaseException | None) -> Judgement:
        return Judgement(failed=True, retry=RetryClass.THROTTLED) if result == 429 else SUCCESS

    discarded: list[int] = []
    dependency = ScriptedDependency[int](answer(200, after=5.0), 429)
    hedge = Hedge(HedgeConfig(delay=1.0), judge=judge, discard=discarded.append)
    assert await hedge(dependency) == 200
    assert discarded == [429]


@virtual_time
async def test_the_budget_caps_hedges_and_leaves_running_ones_alone() -> None:
    """With a share of 5 % and no floor, twenty calls pay for one hedge; calls without a hedge go on normally."""
    budget = RetryBudget(RetryBudgetConfig(ratio=0.2, floor_per_second=0.0, hedge_floor_per_second=0.0))
    dependency = ScriptedDependency[int](then=answer(1, after=2.0))
    hedge = Hedge(HedgeConfig(delay=1.0), budget=budget)
    await asyncio.gather(*(hedge(dependency) for _ in range(60)))
    statistics = hedge.statistics()
    assert (statistics.hedges, statistics.unpaid) == (3, 57)
    assert dependency.statistics().calls == 63


@virtual_time
async def test_unsafe_calls_are_not_hedged() -> None:
    """A call that may not be sent twice runs alone however slow it is."""
    dependency = ScriptedDependency[str](answer("once", after=50.0))
    hedge = Hedge(HedgeConfig(delay=1.0), can_hedge=lambda context: False)
    assert await hedge(dependency) == "once"
    assert dependency.statistics().calls == 1


@virtual_time
async def test_the_measured_delay_follows_the_percentile() -> None:
    """Without a fixed delay nothing is hedged until enough calls were seen; then the slow tail is."""
    heard: list[Event] = []

    class Listening(SilentListener):
        def on_event(self, event: Event) -> None:
            heard.append(event)

    hedge = Hedge(HedgeConfig(percentile=0.9, minimum_calls=20), listener=Listening())
    for index in range(20):
        await hedge(ScriptedDependency[int](answer(1, after=0.1 + index / 1000)))
    assert hedge.delay == pytest.approx(0.118)
    assert heard == []
    slow = ScriptedDependency[int](hang(), 2)
    assert await hedge(slow) == 2
    assert [type(event) for event in heard] == [HedgeStarted]


@virtual_time
async def test_hedges_that_never_win_come_later() -> None:
    """A measured delay grows up to fourfold while the first attempts win, and comes back as soon as hedges do."""
    generous = RetryBudget(RetryBudgetConfig(ratio=10.0, hedge_ratio=1.0))
    hedge = Hedge(HedgeConfig(percentile=0.5, window=20, minimum_calls=20), budget=generous)
    for _ in range(8):
        for _ in range(20):
            await hedge(ScriptedDependency[int](answer(1, after=0.1)))
        # A little slower than the delay: the hedge starts, and the first attempt answers long before it.
        assert hedge.delay is not None
        assert await hedge(ScriptedDependency[int](answer(1, after=hedge.delay * 1.01), answer(2, after=5.0))) == 1
    assert hedge.delay == pytest.approx(0.4)
    for _ in range(2):
        assert await hedge(ScriptedDependency[int](hang(), 2)) == 2
    assert hedge.delay == pytest.approx(0.1)


def test_the_moving_percentile_is_that_of_the_last_window() -> None:
    """The value is a sample of the sorted window at the given share, renewed every 16 samples."""
    percentile = MovingPercentile(0.95, window=100, minimum=100)
    for value in range(99):
        percentile.add(float(value))
    assert percentile.value is None
    percentile.add(99.0)
    assert percentile.value == 95.0
    for _ in range(16):
        percentile.add(500.0)
    assert percentile.value == 500.0


@virtual_time
async def test_a_hedge_avoids_the_endpoint_of_the_first_attempt() -> None:
    """The second attempt finds the first one's endpoint among the excluded, and the winner's notes reach the caller."""
    seen: list[set[str]] = []

    async def inner(context: Context) -> str:
        seen.append(set(context.excluded))
        context.endpoint = "ab"[len(seen) - 1]
        await asyncio.sleep(10.0 if len(seen) == 1 else 0.1)
        return str(context.endpoint)

    context = Context()
    assert await Hedge(HedgeConfig(delay=1.0)).bind(inner)(context) == "b"
    assert seen == [set(), {"a"}]
    assert context.endpoint == "b"


@pytest.mark.parametrize("winner", ["first", "hedge"])
def test_the_winners_scope_stays_open_and_the_losers_is_closed(winner: str) -> None:
    """The winner's permits are told of the end only when the caller's scope closes; the loser's are told at once."""
    told: list[tuple[int, str]] = []

    @virtual_time
    async def play() -> None:
        attempts = iter(range(2))

        async def inner(context: Context) -> int:
            attempt = next(attempts)
            assert context.scope is not None
            context.scope.keep(lambda error: told.append((attempt, type(error).__name__)))
            await asyncio.sleep(2.0 if (attempt == 0) == (winner == "first") else 50.0)
            return attempt

        context = Context(scope=Scope())
        won = await Hedge(HedgeConfig(delay=1.0)).bind(inner)(context)
        assert won == (0 if winner == "first" else 1)
        assert told == [(1 - won, "CancelledError")]
        assert context.scope is not None
        context.scope.close(None)
        assert told == [(1 - won, "CancelledError"), (won, "NoneType")]

    play()


def test_a_call_that_is_closed_after_its_event_loop_needs_no_loop() -> None:
    """Closing the coroutine of a hedged call raises nothing, although its loop has gone and a hedge was under way."""
    loop = asyncio.new_event_loop()
    hedge = Hedge(HedgeConfig(delay=0.0))
    dependency = ScriptedDependency[int](then=hang())
    call = hedge(dependency)
    task = loop.create_task(call)
    while dependency.statistics().in_flight < 2:
        loop.run_until_complete(asyncio.sleep(0))
    for pending in (task, *hedge._running):
        pending._log_destroy_pending = False  # type: ignore[attr-defined]  # that they are left pending is the point
    loop.close()
    call.close()
    assert dependency.statistics().in_flight == 1  # the hedge's own coroutine goes with its task


class Subject:
    def __init__(self) -> None:
        self.hedge = Hedge(HedgeConfig(delay=1.0, max_hedges=2))
        self.held = 0

    async def slow(self, context: Context) -> int:
        self.held += 1
        if context.scope is not None:
            context.scope.keep(self.release)
        await asyncio.sleep(2.5)
        await asyncio.sleep(0)
        return 1

    def release(self, error: BaseException | None) -> None:
        self.held -= 1


def test_a_cancelled_call_leaves_no_attempt_and_no_permit() -> None:
    """Cancelled at any point, no attempt runs on, and every kept permit is told once the caller closes its scope."""

    async def scenario(subject: Subject) -> None:
        context = Context(scope=Scope())
        assert context.scope is not None
        try:
            await subject.hedge.bind(subject.slow)(context)
        finally:
            context.scope.close(None)

    def check(subject: Subject) -> None:
        assert subject.hedge.statistics().in_flight == 0
        assert subject.held == 0

    report = cancel_at_every_await(Subject, scenario, check=check)
    assert report.cancelled >= 8


def test_cancellation_and_win_in_the_same_tick_end_cancelled() -> None:
    """If the caller is cancelled in the tick in which a hedge wins, the cancellation is not lost."""

    async def scenario(hedge: Hedge) -> None:
        dependency = ScriptedDependency[int](hang(), answer(2, after=1.0))
        await hedge(dependency)
        await asyncio.sleep(1.0)

    def check(hedge: Hedge) -> None:
        assert hedge.statistics().in_flight == 0

    report = cancel_at_every_await(lambda: Hedge(HedgeConfig(delay=1.0)), scenario, check=check)
    assert report.cancelled >= 4


class Opening:
    """Calls that open something in the very tick in which others do, and take a moment to close it."""

    def __init__(self) -> None:
        self.open: set[object] = set()
        self.calls = 0
        self.hedge = Hedge(HedgeConfig(delay=1.0, max_hedges=2), discard=self.close)

    async def __call__(self) -> object:
        self.calls += 1
        await asyncio.sleep(4.0 - self.calls)
        opened = object()
        self.open.add(opened)
        return opened

    async def close(self, opened: object) -> None:
        self.open.remove(opened)
        await asyncio.sleep(0.1)


def test_what_a_loser_has_opened_is_closed_whenever_the_caller_leaves() -> None:
    """Even if the caller is cancelled while it waits for the losers' end, none of their results stays open."""

    async def scenario(subject: Opening) -> None:
        opened = await subject.hedge(subject)
        await subject.close(opened)

    def check(subject: Opening) -> None:
        assert subject.open == set()
        assert subject.hedge.statistics().in_flight == 0

    assert cancel_at_every_await(Opening, scenario, check=check).cancelled >= 5


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"delay": -1.0}, "delay"),
        ({"percentile": 1.0}, "percentile"),
        ({"max_hedges": 11}, "max_hedges"),
        ({"window": 10}, "window"),
        ({"minimum_calls": 500}, "minimum_calls"),
    ],
)
def test_values_out_of_range_are_refused(wrong: dict[str, float], field: str) -> None:
    """The error names the field and the range."""
    with pytest.raises(ConfigurationInvalid, match=field):
        HedgeConfig(**wrong)  # type: ignore[arg-type]  # wrong on purpose
