"""Sheds calls in proportion to what the backend has stopped accepting, the least important first; never queues."""

import asyncio
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from schemawire.errors import LoadShed
from schemawire.events import CallRefused, Listener
from schemawire.resilience.alone import Standalone
from schemawire.resilience.call import Context, Handler, Judge, Judgement, R, RetryClass, is_neutral, judge_exceptions
from schemawire.resilience.deadline import current_deadline
from schemawire.resilience.ranges import require_count, require_number, show
from schemawire.resilience.window import SlidingSum

LEVELS = 4
"""Priorities that are told apart; 3 and beyond share the last level."""

_SLICES = 10

_ROUNDING = 1e-9
"""Less than this of a call is the rest of a subtraction, not a call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThrottleConfig:
    """When to shed.

    Args:
        accept_ratio: the share of calls that a healthy backend accepts, above 0 to 1; the throttle starts below it.
        pad: calls that it takes as given, from 0 up, so that a few failures of a quiet client shed nothing.
        highest: the most that is ever shed, share of calls from 0 to 1; the rest finds out when the backend is back.
        window: how long a call counts, seconds, from 1 to 600.

    Raises:
        ConfigurationInvalid: a value is out of range.

    *Source:* Google SRE book, "Handling Overload", with the factor written as a ratio (K = 1/0.9); maximum 0.9 as in
    failsafe-go; pad 8 as in gRPC's route look-up throttle. The window is a third of theirs, because half of it is about
    what the throttle takes to let go once the backend is back.
    """

    accept_ratio: float = 0.9
    pad: int = 8
    highest: float = 0.9
    window: float = 10.0

    def __post_init__(self) -> None:
        require_number(self, "accept_ratio", low=0.0, high=1.0, above=True)
        require_count(self, "pad")
        require_number(self, "highest", low=0.0, high=1.0)
        require_number(self, "window", low=1.0, high=600.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ThrottleStatistics:
    """What the throttle has seen within its window, and done since it was made."""

    requests: float
    """Calls that were sent."""
    accepted: float
    probability: float
    """The share of calls that is being shed."""
    passed: int
    shed: int


def shed_probability(requests: float, accepted: float, config: ThrottleConfig) -> float:
    """Return the share of calls to shed: `max(0, (n − accepted / ratio) / (n + pad))`, at most `highest`.

    `requests` (n) are calls that were sent, `accepted` those of them that the backend took.

    *Source:* Google SRE book, "Handling Overload", equation 21-1; failsafe-go for counting what was sent.
    """
    if requests <= 0.0:
        return 0.0
    excess = (requests - accepted / config.accept_ratio) / (requests + config.pad)
    return max(0.0, min(config.highest, excess))


def shed_probabilities(offered: list[float], probability: float, highest: float) -> list[float]:
    """Spread an overall share over the priorities so that the least important calls are shed first.

    Args:
        offered: calls in the window by priority level, shed ones included, most important first.
        probability: the share of all calls to shed.
        highest: the most that is shed of any level.

    Returns:
        The share to shed of each level. Their weighted sum is `probability`, unless `highest` cuts it short.
    """
    shares = [0.0] * len(offered)
    left = probability * sum(offered)
    for level in range(len(offered) - 1, -1, -1):
        if left <= _ROUNDING:
            break
        count = offered[level]
        # A level without calls so far sheds like a full one below the cut: its first call must not slip through.
        shares[level] = highest if count <= 0.0 else min(highest, left / count)
        left -= shares[level] * count
    return shares


class Throttle(Standalone):
    """An adaptive throttle: sheds ahead of the breaker's cliff, and lets go as soon as the backend accepts again.

    A call counts as accepted unless the backend failed or throttled it; a neutral one (cancelled, refused by
    ourselves further in) is not counted. Only calls that were sent count as requests: were those shed here counted
    too, a ratio of 0.9 would let through only 11 % more in each window, and take 22 windows to open up from a tenth.

    Args:
        options: ratio, pad, maximum and window.
        name: what events and errors call it.
        judge: decides what an outcome means.
        listener: hears each refusal.
        draw: returns a number from 0 up to 1; give a seeded one for a reproducible run.

    *Cancelled:* nothing was held; the call is not counted.
    """

    # Invariant: from `_calm_from` on the window holds no call that was not accepted, so nothing is to be shed.

    def __init__(
        self,
        options: ThrottleConfig | None = None,
        *,
        name: str = "throttle",
        judge: Judge = judge_exceptions,
        listener: Listener | None = None,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self.name = name
        self.options = options or ThrottleConfig()
        self._judge = judge
        self._listener = listener
        self._draw = draw
        self._passed = 0
        self._shed = 0
        self._make_windows()

    def bind(self, inner: Handler[R]) -> Handler[R]:
        """Return `inner` behind this throttle."""

        async def throttled(context: Context) -> R:
            level = min(max(context.priority, 0), LEVELS - 1)
            now = asyncio.get_running_loop().time()
            if now < self._calm_from:
                share = self.probability(now, level)
                if share > 0.0 and self._draw() < share:
                    raise self._refusal(now, level, share)
            self._passed += 1
            try:
                result = await inner(context)
            except Exception as error:
                if not is_neutral(context, error, asyncio.get_running_loop().time()):
                    self._count(self._judge(context, None, error), level)
                raise
            self._count(self._judge(context, result, None), level)
            return result

        return throttled

    async def __aenter__(self) -> None:
        """Let the block through or shed it, as a call of priority 0; how it ends tells whether it was accepted.

        Raises:
            LoadShed: the block is shed.
        """
        now = asyncio.get_running_loop().time()
        share = self.probability(now, 0)
        if share > 0.0 and self._draw() < share:
            raise self._refusal(now, 0, share)
        self._passed += 1

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        context = Context(deadline=current_deadline())
        if error is None or not is_neutral(context, error, asyncio.get_running_loop().time()):
            self._count(self._judge(context, None, error), 0)

    def probability(self, now: float, priority: int = 0) -> float:
        """Return the share of calls of this priority that is shed at `now`."""
        total = self._sent.total(now)
        overall = shed_probability(total, total - self._refused.total(now), self.options)
        if overall <= 0.0:
            return 0.0
        offered = [window.total(now) for window in self._offered]
        return shed_probabilities(offered, overall, self.options.highest)[min(max(priority, 0), LEVELS - 1)]

    def replace_options(self, options: ThrottleConfig) -> None:
        """Go on with other options at once; the window starts afresh if its length changes."""
        before, self.options = self.options, options
        if before.window != options.window:
            self._make_windows()

    def describe(self) -> str:
        """Return one line that names the policy and its options."""
        return f"{self.name}: throttle {show(self.options)}"

    def statistics(self) -> ThrottleStatistics:
        """Return what the window holds and what was done, as of the last call."""
        total = self._sent.total(self._last)
        accepted = total - self._refused.total(self._last)
        return ThrottleStatistics(
            requests=total,
            accepted=accepted,
            probability=shed_probability(total, accepted, self.options),
            passed=self._passed,
            shed=self._shed,
        )

    def _make_windows(self) -> None:
        span = self.options.window
        self._last = 0.0
        self._calm_from = -math.inf
        self._sent = SlidingSum(span=span, slices=_SLICES)
        self._refused = SlidingSum(span=span, slices=_SLICES)
        self._offered = [SlidingSum(span=span, slices=_SLICES) for _ in range(LEVELS)]

    def _count(self, judgement: Judgement, level: int) -> None:
        if judgement.neutral:
            return
        self._last = now = asyncio.get_running_loop().time()
        self._offered[level].add(now, 1.0)
        self._sent.add(now, 1.0)
        if judgement.failed or judgement.retry is RetryClass.THROTTLED:
            self._refused.add(now, 1.0)
            self._calm_from = now + self.options.window * (1.0 + 1.0 / _SLICES)

    def _refusal(self, now: float, level: int, share: float) -> LoadShed:
        self._offered[level].add(now, 1.0)
        self._shed += 1
        why = f"{share:.0%} of the calls of priority {level} are shed, as the backend accepts too few"
        if self._listener is not None:
            self._listener.on_event(CallRefused(name=self.name, policy="throttle", reason=why))
        return LoadShed(f"{self.name}: {why}")
