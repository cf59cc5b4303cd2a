"""How long to wait before a further attempt: pure formulas of a uniform draw; knows neither why nor for whom.

Every formula draws *inside* its cap. Drawing first and clamping afterwards puts all clients on exactly the cap once
they have failed often enough, and the herd forms again.
"""

import math
from dataclasses import dataclass
from enum import Enum
from typing import assert_never

from schemawire.resilience.ranges import require_kind, require_number, require_order

_SPREAD = 0.25
"""Jitter of the constant and linear kinds: ±25 %. *Source:* Polly 8, `RetryHelper.ApplyJitter`."""

_MOST_GROWTH_STEPS = 64
"""Retries after which growth stops, so that no power overflows; every cap has been reached long before."""

_SMOOTHING, _SCALE = 4.0, 1 / 1.4
"""*Source:* Polly 8, `RetryHelper.DecorrelatedJitterBackoffV2`: `PFactor` and `RpScalingFactor`."""


class BackoffKind(Enum):
    """The shape in which delays grow from one retry to the next."""

    CONSTANT = "constant"
    LINEAR = "linear"
    FULL_JITTER = "full_jitter"
    DECORRELATED = "decorrelated"
    DECORRELATED_V2 = "decorrelated_v2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """One backoff formula with its parameters.

    Args:
        kind: the formula, see `delay`.
        base: the delay to start from, seconds, from 0 up; 0 makes every delay 0.
        cap: no delay is longer, seconds; not below `base`.
        factor: growth per retry of the exponential kinds, 0 to 10; below 1 the delays shrink.

    Raises:
        ConfigurationInvalid: a parameter is out of range.
    """

    kind: BackoffKind = BackoffKind.FULL_JITTER
    base: float = 0.05
    cap: float = 5.0
    factor: float = 2.0

    def __post_init__(self) -> None:
        require_kind(self, "kind", BackoffKind)
        require_number(self, "base", low=0, high=86_400)
        require_number(self, "cap", low=0, high=86_400)
        require_number(self, "factor", low=0, high=10)
        require_order(self, "base", "cap")

    def delay(self, retry: int, draw: float, memory: float = 0.0) -> tuple[float, float]:
        """Return the delay before a retry, and what the formula wants to be told at the next one.

        - constant: `base` ± 25 %; linear: `base × retry` ± 25 %
        - full jitter: from 0 to `base × factor^(retry−1)`
        - decorrelated: from `base` to three times the delay before
        - decorrelated v2: steps along `factor^t · tanh(√(4t)) / 1.4` with `t` drawn from [retry−1, retry)

        Args:
            retry: which retry it is, from 1.
            draw: a uniform draw from [0, 1).
            memory: what the previous call returned; 0 at the first.

        *Source:* AWS Architecture Blog, "Exponential Backoff and Jitter" (full and decorrelated jitter); Polly 8.
        """
        match self.kind:
            # The default first: looking up a member of an enumeration takes longer than the formula.
            case BackoffKind.FULL_JITTER:
                return draw * self._ceiling(retry), 0.0
            case BackoffKind.CONSTANT:
                return self._around(self.base, draw), 0.0
            case BackoffKind.LINEAR:
                return self._around(self.base * retry, draw), 0.0
            case BackoffKind.DECORRELATED:
                delay = self.base + draw * (min(self.cap, 3 * max(memory, self.base)) - self.base)
                return delay, delay
            case BackoffKind.DECORRELATED_V2:
                return self._smooth(retry, draw, memory)
            case _:
                assert_never(self.kind)

    def longest(self, retry: int) -> float:
        """Return the longest delay possible before retry number `retry`, seconds."""
        match self.kind:
            case BackoffKind.CONSTANT:
                return min(self.cap, self.base * (1 + _SPREAD))
            case BackoffKind.LINEAR:
                return min(self.cap, self.base * retry * (1 + _SPREAD))
            case BackoffKind.FULL_JITTER:
                return self._ceiling(retry)
            case BackoffKind.DECORRELATED:
                return min(self.cap, self.base * 3.0 ** min(retry, _MOST_GROWTH_STEPS))
            case BackoffKind.DECORRELATED_V2:
                steps = min(retry, _MOST_GROWTH_STEPS)
                return min(self.cap, self.base * _SCALE * self._curve(steps))
            case _:
                assert_never(self.kind)

    def _ceiling(self, retry: int) -> float:
        return float(min(self.cap, self.base * self.factor ** (min(retry, _MOST_GROWTH_STEPS) - 1)))

    def _around(self, centre: float, draw: float) -> float:
        centre = min(centre, self.cap / (1 + _SPREAD))
        return centre * (1 - _SPREAD + 2 * _SPREAD * draw)

    def _smooth(self, retry: int, draw: float, memory: float) -> tuple[float, float]:
        reached = self._curve(min(retry, _MOST_GROWTH_STEPS) - 1 + draw)
        delay = max(0.0, reached - memory) * _SCALE * self.base
        if delay > self.cap:
            # Polly clamps here; a fresh spread over the upper half keeps clients apart.
            delay = self.cap * (0.5 + 0.5 * draw)
        return delay, reached

    def _curve(self, t: float) -> float:
        return float(self.factor**t * math.tanh(math.sqrt(_SMOOTHING * t)))
