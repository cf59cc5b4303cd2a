"""Slows attempts down while the other side throttles, and finds its way back up along a cubic curve; knows no HTTP."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

from schemawire.resilience.call import SUCCESS, Context, Handler, Judge, Judgement, R, RetryClass
from schemawire.resilience.ranges import require_number, show
from schemawire.resilience.rate_limit import RateLimit, RateLimitConfig

_BUCKET = 0.5
"""Seconds over which the own rate is measured."""
_SMOOTH = 0.8
"""The share of the newest bucket in the measured rate."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowDownConfig:
    """How attempts are slowed down after the other side has throttled one (429, or 503 with a hint).

    Args:
        beta: what one throttled attempt leaves of the rate, above 0 and below 1.
        scale: how steeply the rate grows again, attempts per second and second³, above 0.
        lowest: the rate never goes below this, attempts per second, above 0.
        forget_after: seconds without a throttled attempt after which nothing is slowed down any more, above 0.
        max_wait: the longest wait of one attempt, seconds; who would wait longer is refused.

    Raises:
        ConfigurationInvalid: a value is out of range.

    *Source:* botocore's adaptive retry mode (`retries/throttling.py`: beta 0.7, scale 0.4, at least 0.5 per second);
    CUBIC, RFC 9438. Unlike there, a client that is throttled no more becomes free again.
    """

    beta: float = 0.7
    scale: float = 0.4
    lowest: float = 0.5
    forget_after: float = 60.0
    max_wait: float = 30.0

    def __post_init__(self) -> None:
        require_number(self, "beta", low=0.0, high=0.999, above=True)
        require_number(self, "scale", low=0.0, high=1e6, above=True)
        require_number(self, "lowest", low=0.0, high=1e6, above=True)
        require_number(self, "forget_after", low=0.0, high=86_400.0, above=True)
        require_number(self, "max_wait", low=0.0, high=86_400.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowDownStatistics:
    """How fast attempts go, and may go."""

    measured: float
    """Attempts per second of late."""
    allowed: float | None
    """Attempts per second that may start, or `None` while nothing is slowed down."""
    throttled: int
    waiting: int


class SlowDown:
    """Learns from every attempt how many the other side takes.

    Free of any limit until an attempt is throttled. From then on attempts wait for their turn: the rate falls at once
    to a share of what was sent, grows back quickly, lingers near the rate that was too much, and then probes beyond it.

    Invariant: `_limit` is set exactly while attempts are being slowed down.

    Args:
        options: the curve.
        judge: says which outcome is a throttled one.
        name: what errors and `describe()` call it.

    *Cancelled:* a waiting attempt leaves the queue; nothing is learned from it.
    """

    def __init__(self, options: SlowDownConfig, *, judge: Judge, name: str = "pace") -> None:
        self.name = name
        self.options = options
        self._judge = judge
        self._limit: RateLimit | None = None
        self._rate = self._most = self._measured = 0.0
        self._throttled_at = 0.0
        self._bucket_began = 0.0
        self._in_bucket = self._throttled = 0

    def bind(self, inner: Handler[R]) -> Handler[R]:
        """Return `inner` slowed down where need be.

        Raises:
            RateLimited: the wait would be longer than it may be.
            DeadlineExceeded: the deadline of the call would come first.
        """
        clock: Callable[[], float] | None = None

        async def paced(context: Context) -> R:
            nonlocal clock
            if self._limit is not None:
                await self._limit.acquire(deadline=context.deadline)
            clock = asyncio.get_running_loop().time
            self._measure(clock())
            try:
                result = await inner(context)
            except Exception as error:
                self._learn(self._judge(context, None, error), clock())
                raise
            judgement = self._judge(context, result, None)
            if judgement is not SUCCESS or self._limit is not None:
                self._learn(judgement, clock())
            return result

        return paced

    def replace_options(self, options: SlowDownConfig) -> None:
        """Put other options in force, for outcomes from now on."""
        self.options = options

    def describe(self) -> str:
        """Return one line that names the policy and its options."""
        return f"{self.name}: {show(self.options)}"

    def statistics(self) -> SlowDownStatistics:
        """Return the present rates."""
        limit = self._limit
        return SlowDownStatistics(
            measured=self._measured,
            allowed=None if limit is None else self._rate,
            throttled=self._throttled,
            waiting=0 if limit is None else limit.statistics().waiting,
        )

    def _measure(self, now: float) -> None:
        self._in_bucket += 1
        took = now - self._bucket_began
        if took >= _BUCKET:
            newest = self._in_bucket / took
            self._measured = newest if not self._measured else newest * _SMOOTH + self._measured * (1 - _SMOOTH)
            self._bucket_began, self._in_bucket = now, 0

    def _learn(self, judgement: Judgement, now: float) -> None:
        if judgement.retry is RetryClass.THROTTLED:
            self._throttled += 1
            measured = self._measured or self.options.lowest
            self._most = measured if self._limit is None else min(measured, self._rate)
            self._throttled_at = now
            self._go_on_at(self._most * self.options.beta)
        elif self._limit is not None and not judgement.neutral:
            if now - self._throttled_at >= self.options.forget_after:
                # Those that wait are let go by a rate at which there is nothing to wait for.
                self._go_on_at(1e9)
                self._limit = None
                return
            grown = cubic_rate(now - self._throttled_at, self._most, self.options)
            self._go_on_at(min(grown, 2 * self._measured))

    def _go_on_at(self, rate: float) -> None:
        self._rate = max(self.options.lowest, rate)
        options = RateLimitConfig(rate=self._rate, max_wait=self.options.max_wait)
        if self._limit is None:
            self._limit = RateLimit(options, name=self.name)
        else:
            self._limit.replace_options(replace(self._limit.options, rate=self._rate))


def cubic_rate(since: float, most: float, options: SlowDownConfig) -> float:
    """Return the rate `since` seconds after the rate `most` was throttled.

    It starts at `beta × most`, is flat around `most`, and grows beyond it.

    *Source:* RFC 9438 §4.2, with rates in place of windows.
    """
    flat_at: float = (most * (1 - options.beta) / options.scale) ** (1 / 3)
    return options.scale * (since - flat_at) ** 3 + most
