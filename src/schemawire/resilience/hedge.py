"""Starts a second attempt when the first is slow and takes the first good answer; the retry budget pays for it."""

import asyncio
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic

from schemawire.events import HedgeStarted, Listener
from schemawire.resilience.alone import Standalone
from schemawire.resilience.budget import RetryBudget
from schemawire.resilience.call import Context, Handler, Judge, Judgement, R, judge_exceptions
from schemawire.resilience.latency import MovingPercentile
from schemawire.resilience.ranges import require_count, require_number, show
from schemawire.resilience.retry import Discard

_CLEAN_UP = 5.0
"""Seconds that cancelled losers may take to end before the call goes on without them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HedgeConfig:
    """When to start a further attempt.

    Args:
        delay: seconds without an answer after which a further attempt starts, or `None` to measure it; 0 is at once.
        percentile: where to measure the delay: the share of calls that are faster, from 0.5 to 0.999.
        lowest_delay: the least measured delay, seconds from 0 up.
        max_hedges: the most attempts beside the first, from 0 to 10.
        window: how many recent calls the percentile looks at, from 20 to 10 000.
        minimum_calls: calls seen before a measured delay is trusted; until then nothing is hedged.

    Raises:
        ConfigurationInvalid: a value is out of range.

    *Source:* Dean and Barroso, "The Tail at Scale" (95th percentile); Finagle `BackupRequestFilter` (at least 1 ms).
    """

    delay: float | None = None
    percentile: float = 0.95
    lowest_delay: float = 0.001
    max_hedges: int = 1
    window: int = 128
    minimum_calls: int = 20

    def __post_init__(self) -> None:
        require_number(self, "delay", low=0.0, high=3600.0, optional=True)
        require_number(self, "percentile", low=0.5, high=0.999)
        require_number(self, "lowest_delay", low=0.0, high=3600.0)
        require_count(self, "max_hedges", high=10)
        require_count(self, "window", low=20, high=10_000)
        require_count(self, "minimum_calls", low=1, high=self.window)


@dataclass(frozen=True, slots=True, kw_only=True)
class HedgeStatistics:
    """What hedging has done; `in_flight` is zero when nobody uses it."""

    calls: int
    hedges: int
    won: int
    """Calls that a hedge answered before the first attempt."""
    unpaid: int
    """Hedges that the budget did not allow."""
    in_flight: int
    delay: float | None
    """The present delay; `None` while too few calls have been measured."""


class Hedge(Standalone):
    """Races a slow call against a further attempt.

    The first attempt runs in the caller's own task, so a call that is fast enough costs one timer and no task. A good
    answer wins: a result, or an error that the judge calls neither failed, neutral nor worth repeating (the other side
    said no). If all attempts end badly, the outcome of the first one stands. A hedge avoids the endpoints of the
    attempts before it, and is started only if the budget's share for hedges pays for it.

    Args:
        options: delay or percentile, and how many.
        budget: shared with everything that adds attempts to the same backend; by default a budget of its own.
        judge: decides what an outcome means.
        can_hedge: says whether a call may be sent twice at once; without it every call may.
        discard: closes the result of a loser.
        name: what events call it.
        listener: hears `HedgeStarted`.

    *Cancelled:* every attempt is cancelled and awaited; what was paid stays paid.
    """

    def __init__(
        self,
        options: HedgeConfig | None = None,
        *,
        budget: RetryBudget | None = None,
        judge: Judge = judge_exceptions,
        can_hedge: Callable[[Context], bool] | None = None,
        discard: Discard | None = None,
        name: str = "hedge",
        listener: Listener | None = None,
    ) -> None:
        self.name = name
        self.options = options or HedgeConfig()
        self.budget = budget or RetryBudget()
        self._judge = judge
        self._can_hedge = can_hedge
        self._discard = discard
        self._listener = listener
        self._latency = self._fresh_latency()
        self._running: set[asyncio.Task[Any]] = set()
        self._calls = self._hedges = self._won = self._unpaid = 0

    def bind(self, inner: Handler[R]) -> Handler[R]:
        """Return `inner` hedged; each attempt owns all the layers of `inner`."""

        async def hedged(context: Context) -> R:
            loop = asyncio.get_running_loop()
            began = loop.time()
            self._calls += 1
            if not context.deposited:
                self.budget.enter(context, began)
            delay = self.delay
            allowed = self.options.max_hedges and (self._can_hedge is None or self._can_hedge(context))
            if delay is None or not allowed or began + delay >= context.deadline:
                result = await inner(context)
            else:
                result = await _Race(self, inner, context, delay).run(loop)
            self._latency.add(loop.time() - began)
            return result

        return hedged

    @property
    def delay(self) -> float | None:
        """Seconds after which a further attempt starts now, or `None` while too few calls have been measured."""
        options = self.options
        if options.delay is not None:
            return options.delay
        measured = self._latency.value
        return None if measured is None else max(options.lowest_delay, measured)

    def replace_options(self, options: HedgeConfig) -> None:
        """Go on with other options at once; a changed window or percentile is measured afresh."""
        before, self.options = self.options, options
        if (before.window, before.percentile) != (options.window, options.percentile):
            self._latency = self._fresh_latency()

    def describe(self) -> str:
        """Return one line that names the policy and its options."""
        return f"{self.name}: hedge {show(self.options)}"

    def statistics(self) -> HedgeStatistics:
        """Return how often a hedge was started, won, or was not paid for."""
        return HedgeStatistics(
            calls=self._calls,
            hedges=self._hedges,
            won=self._won,
            unpaid=self._unpaid,
            in_flight=len(self._running),
            delay=self.delay,
        )

    def _fresh_latency(self) -> MovingPercentile:
        options = self.options
        return MovingPercentile(options.percentile, window=options.window, minimum=options.minimum_calls)

    def is_good(self, context: Context, result: Any, error: BaseException | None) -> bool:
        """Whether an outcome ends the race."""
        judgement: Judgement = self._judge(context, result, error)
        return not judgement.failed and not judgement.neutral and judgement.retry is None

    def pay(self, now: float, delay: float) -> bool:
        """Pay for one hedge from the budget, and tell the listener."""
        if not self.budget.withdraw_hedge(now):
            self._unpaid += 1
            return False
        self._hedges += 1
        if self._listener is not None:
            self._listener.on_event(HedgeStarted(name=self.name, delay=delay))
        return True

    def own(self, task: "asyncio.Task[Any]") -> None:
        """Keep a hedge's task until it has ended."""
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    def note_win(self) -> None:
        """Count a call that a hedge answered."""
        self._won += 1

    async def discard(self, result: Any) -> None:
        """Close the result of a loser."""
        if self._discard is not None:
            closing = self._discard(result)
            if inspect.isawaitable(closing):
                await closing


class _Race(Generic[R]):
    """One hedged call: the first attempt in the caller's task, the hedges in tasks of their own.

    Invariants: while `_in_first` is true the caller's task is inside the first attempt, and a good hedge interrupts it
    exactly once (`_interrupted`) by cancelling the task, as `asyncio.timeout` does; the cancellation is taken back
    before the call goes on. `_timer` is set until the last hedge has been started or the race is over.
    """

    __slots__ = (
        "_caller",
        "_context",
        "_delay",
        "_first",
        "_hedges",
        "_in_first",
        "_inner",
        "_interrupted",
        "_owner",
        "_timer",
    )

    def __init__(self, owner: Hedge, inner: Handler[R], context: Context, delay: float) -> None:
        self._owner = owner
        self._inner = inner
        self._context = context
        self._delay = delay
        # A body that outlives the call needs a scope per attempt; otherwise the caller's own context serves the first.
        self._first = context if context.scope is None else self._fork(context)
        self._hedges: dict[asyncio.Task[R], Context] = {}
        self._caller: asyncio.Task[Any] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._in_first = False
        self._interrupted = False

    async def run(self, loop: asyncio.AbstractEventLoop) -> R:
        """Run the race and return the winner's result, or raise the winner's or the first attempt's error."""
        caller = self._caller = asyncio.current_task()
        cancels = 0 if caller is None else caller.cancelling()
        self._timer = loop.call_later(self._delay, self._start_hedge, loop)
        winner: asyncio.Task[R] | None = None
        error: BaseException | None = None
        result: Any = None
        try:
            self._in_first = True
            try:
                result = await self._inner(self._first)
            except (Exception, asyncio.CancelledError) as raised:
                error = raised
            self._in_first = False
            self._take_back(error, cancels)
            self._timer.cancel()
            if self._hedges and not self._first_is_good(result, error):
                winner = await self._first_good_hedge()
        finally:
            self._in_first = False
            self._timer.cancel()
            await self._end_losers(winner)
        if winner is not None:
            return await self._adopt_hedge(winner, result, error)
        self._adopt(self._first)
        if error is not None:
            raise error
        return result  # type: ignore[no-any-return]  # set where `error` is not

    def _fork(self, context: Context) -> Context:
        """Return a context for one attempt, whose scope ends with the caller's at the latest."""
        twin = context.fork()
        if self._context.scope is not None and twin.scope is not None:
            self._context.scope.keep(twin.scope.close)
        return twin

    def _start_hedge(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._in_first or not self._owner.pay(loop.time(), self._delay):
            return
        twin = self._fork(self._first)
        for attempt in (self._first, *self._hedges.values()):
            if attempt.endpoint is not None:
                twin.excluded.add(attempt.endpoint)
        task = loop.create_task(_attempt(self._inner, twin), name=f"{self._owner.name}-hedge")
        self._hedges[task] = twin
        self._owner.own(task)
        task.add_done_callback(self._hedge_ended)
        if len(self._hedges) < self._owner.options.max_hedges:
            self._timer = loop.call_later(self._delay, self._start_hedge, loop)

    def _hedge_ended(self, task: "asyncio.Task[R]") -> None:
        if self._in_first and not self._interrupted and self._is_good_task(task) and self._caller is not None:
            self._interrupted = True
            self._caller.cancel()

    def _take_back(self, error: BaseException | None, cancels: int) -> None:
        """Undo our own interruption; let a cancellation from outside go on its way."""
        if self._interrupted and self._caller is not None:
            if self._caller.uncancel() > cancels:
                raise asyncio.CancelledError
        elif isinstance(error, asyncio.CancelledError):
            raise error

    async def _first_good_hedge(self) -> "asyncio.Task[R] | None":
        pending = set(self._hedges)
        while pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if self._is_good_task(task):
                    return task
        return None

    async def _end_losers(self, winner: "asyncio.Task[R] | None") -> None:
        losers = {task: twin for task, twin in self._hedges.items() if task is not winner}
        if not losers:
            return
        for task, twin in losers.items():
            # Closes the scope even if this very wait is cancelled or runs out of time.
            task.add_done_callback(partial(_close_loser, twin))
            task.cancel()
        await asyncio.wait(losers, timeout=_CLEAN_UP)
        for task in losers:
            if task.done() and not task.cancelled() and task.exception() is None:
                await self._owner.discard(task.result())

    async def _adopt_hedge(self, winner: "asyncio.Task[R]", result: Any, error: BaseException | None) -> R:
        self._owner.note_win()
        self._adopt(self._hedges[winner])
        if self._first.scope is not None:
            self._first.scope.close(asyncio.CancelledError())
        if error is None:
            await self._owner.discard(result)
        return winner.result()

    def _adopt(self, attempt: Context) -> None:
        """Hand the winner's notes to the caller's context; its scope hangs on the caller's since it was forked."""
        context = self._context
        if attempt is context:
            return
        context.attempt, context.endpoint = attempt.attempt, attempt.endpoint
        context.errors, context.excluded = attempt.errors, attempt.excluded
        context.state.update(attempt.state)

    def _is_good_task(self, task: "asyncio.Task[R]") -> bool:
        if task.cancelled():
            return False
        error = task.exception()
        return self._owner.is_good(self._hedges[task], None if error else task.result(), error)

    def _first_is_good(self, result: Any, error: BaseException | None) -> bool:
        return not isinstance(error, asyncio.CancelledError) and self._owner.is_good(self._first, result, error)


async def _attempt(inner: Handler[R], context: Context) -> R:
    return await inner(context)


def _close_loser(twin: Context, task: "asyncio.Task[Any]") -> None:
    if not task.cancelled():
        task.exception()  # looked at, so that the event loop does not report it as lost
    if twin.scope is not None:
        twin.scope.close(asyncio.CancelledError())
