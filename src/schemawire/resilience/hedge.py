"""Starts a second attempt when the first is slow and takes the first good answer; the retry budget pays for it."""

import asyncio
import inspect
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from schemawire.events import HedgeStarted, Listener
from schemawire.resilience.alone import Standalone
from schemawire.resilience.budget import RetryBudget
from schemawire.resilience.call import Context, Handler, Judge, Judgement, R, judge_exceptions
from schemawire.resilience.hedge_race import Race, Watch
from schemawire.resilience.latency import MovingPercentile
from schemawire.resilience.ranges import require_count, require_number, show
from schemawire.resilience.retry import Discard

_MOST_DOUBT = 4.0
"""How many times the measured delay is waited for where hedges never win: what is slow then is not the other side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HedgeConfig:
    """When to start a further attempt.

    Args:
        delay: seconds without an answer after which a further attempt starts, or `None` to measure it; 0 is at once.
            A measured one grows up to fourfold while hedges do not win, and comes back as soon as they do.
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

    The first attempt runs in the caller's own task, and one timer watches over all calls, so a call that is fast
    enough costs neither a task nor a timer. A good
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
        self._watch = Watch()
        self._running: set[asyncio.Task[Any]] = set()
        self._doubt = 1.0
        self._calls = self._hedges = self._won = self._unpaid = 0

    def bind(self, inner: Handler[R]) -> Handler[R]:
        """Return `inner` hedged; each attempt owns all the layers of `inner`."""

        async def hedged(context: Context) -> R:
            loop = asyncio.get_running_loop()
            began = loop.time()
            self._calls += 1
            if not context.deposited:
                self.budget.enter(context, began)
            delay = self.options.delay
            if delay is None:
                delay = self.delay
            if delay is None or began + delay >= context.deadline or not self._may_hedge(context):
                result = await inner(context)
                self._latency.add(loop.time() - began)
                return result
            race = Race(self, inner, context, delay)
            self._watch.add(race, began + delay, loop)
            try:
                result = await inner(race.first)
            except GeneratorExit:
                race.abandon()
                raise
            except BaseException as error:
                self._watch.remove(race)
                result = await race.finish(None, error)
            else:
                self._watch.remove(race)
                if race.hedges or race.first is not context:
                    result = await race.finish(result, None)
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
        return None if measured is None else max(options.lowest_delay, measured) * self._doubt

    def replace_options(self, options: HedgeConfig) -> None:
        """Go on with other options at once; a changed window or percentile is measured afresh."""
        before, self.options = self.options, options
        self._watch = Watch()  # calls under way stay with the watch that they began under
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

    def _may_hedge(self, context: Context) -> bool:
        return self.options.max_hedges > 0 and (self._can_hedge is None or self._can_hedge(context))

    def is_good(self, context: Context, result: Any, error: BaseException | None) -> bool:
        """Whether an outcome ends the race."""
        judgement: Judgement = self._judge(context, result, error)
        return not judgement.failed and not judgement.neutral and judgement.retry is None

    def pay(self, delay: float) -> bool:
        """Pay for one hedge from the budget, and tell the listener."""
        now = asyncio.get_running_loop().time()
        if not self.budget.withdraw_hedge(now):
            self._unpaid += 1
            return False
        self._hedges += 1
        if self._listener is not None:
            self._listener.on_event(HedgeStarted(name=self.name, delay=delay))
        return True

    def own(self, race: Race[Any], task: "asyncio.Task[Any]") -> None:
        """Keep a hedge's task until it has ended, and watch for the time of the next one."""
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        if len(race.hedges) < self.options.max_hedges:
            loop = asyncio.get_running_loop()
            self._watch.add(race, loop.time() + race.delay, loop)

    def note_win(self) -> None:
        """Count a call that a hedge answered."""
        self._won += 1
        self._doubt = max(1.0, self._doubt / 2.0)

    def note_loss(self) -> None:
        """Take note of a call that its first attempt answered although it was hedged."""
        self._doubt = min(_MOST_DOUBT, self._doubt * 1.25)

    async def discard(self, result: Any) -> None:
        """Close the result of a loser."""
        if self._discard is not None:
            closing = self._discard(result)
            if inspect.isawaitable(closing):
                await closing

    def discard_later(self, result: Any) -> None:
        """Close the result of a loser for which nobody can wait any more."""
        if self._discard is not None:
            task = asyncio.get_running_loop().create_task(self._discard_quietly(result), name=f"{self.name}-discard")
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _discard_quietly(self, result: Any) -> None:
        # How well it closes is of no interest to anybody.
        with suppress(Exception):
            await self.discard(result)
