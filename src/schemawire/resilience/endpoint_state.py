"""What is known of one endpoint: its load, its health and when it may be used; plain state, changed by its owners."""

import math
from collections.abc import Callable, Hashable
from typing import Any

_UNPROVEN = 65_536.0
"""Load of an endpoint that is being tried and has not answered yet: it gets no second call before the first ends."""


class PeakEwma:
    """A moving average of round-trip times that jumps up at once and comes down slowly.

    Invariant: `cost` is 0 until the first answer; it has decayed up to `_stamp`.

    *Source:* Finagle `PeakEwma`: a longer time replaces the average, a shorter one is blended in by elapsed time.
    """

    __slots__ = ("_decay", "_stamp", "cost")

    def __init__(self, decay: float) -> None:
        self._decay = decay
        self._stamp = 0.0
        self.cost = 0.0

    def observe(self, rtt: float, now: float) -> None:
        """Take note of one round-trip time, seconds."""
        if rtt > self.cost:
            self.cost = rtt
        else:
            kept = math.exp(-max(0.0, now - self._stamp) / self._decay)
            self.cost = self.cost * kept + rtt * (1.0 - kept)
        self._stamp = now

    def load(self, in_flight: int, now: float) -> float:
        """Return the expected cost of one more call beside `in_flight` others."""
        if self.cost == 0.0:
            return _UNPROVEN + in_flight if in_flight else 0.0
        if now > self._stamp:
            self.cost *= math.exp(-(now - self._stamp) / self._decay)
            self._stamp = now
        return self.cost * (in_flight + 1)


def _never(now: float) -> bool:
    return False


class EndpointState:
    """One endpoint as the balancer and the outlier detector share it, so that they cannot disagree.

    Invariants: `in_flight` ≥ 0; an endpoint is ejected while `ejected_until` lies ahead and paused while
    `paused_until` does; `warm_at` is the time at which its slow start is over. While its breaker refuses it is not
    ejected besides: whoever took it out decides when it returns.
    """

    __slots__ = (
        "__weakref__",
        "calls",
        "consecutive_failures",
        "ejected_until",
        "ejections",
        "endpoint",
        "ewma",
        "failures",
        "group",
        "in_flight",
        "is_ill",
        "paused_until",
        "refuses",
        "slow_start",
        "tripped",
        "warm_at",
        "weight",
    )

    def __init__(self, endpoint: Hashable, *, weight: float, group: int, decay: float) -> None:
        self.endpoint = endpoint
        self.weight = weight
        self.group = group
        self.ewma = PeakEwma(decay)
        self.in_flight = 0
        self.calls = 0
        self.failures = 0
        self.consecutive_failures = 0
        self.ejections = 0
        self.ejected_until = -math.inf
        self.paused_until = -math.inf
        self.slow_start: tuple[float, float] = (0.0, 1.0)
        """Length of the slow start (seconds) and the share of load at its beginning."""
        self.warm_at = -math.inf
        self.is_ill = False
        """Whether active health checks fail."""
        self.refuses: Callable[[float], bool] = _never
        """now → whether it cannot take a call, such as its breaker being open."""
        self.tripped = False
        """Whether `refuses` has taken it out and it has not proven itself since."""

    def is_in_rotation(self, now: float) -> bool:
        """Whether it is neither ejected nor found ill by health checks."""
        return now >= self.ejected_until and not self.is_ill

    def is_usable(self, now: float) -> bool:
        """Whether it is in rotation, not paused, and able to take a call."""
        return self.is_in_rotation(now) and now >= self.paused_until and not self.refuses(now)

    def begin_slow_start(self, start: float, length: float, floor: float) -> None:
        """Let its share of load grow from `floor` to 1 during `length` seconds from `start`."""
        self.slow_start = (length, floor)
        self.warm_at = start + length

    def strength(self, now: float) -> float:
        """Return its weight, reduced while it starts slowly.

        *Source:* Envoy slow start mode with aggression 1: share = max(floor, elapsed / length).
        """
        if now >= self.warm_at:
            return self.weight
        length, floor = self.slow_start
        return self.weight * max(floor, 1.0 - (self.warm_at - now) / length)


Available = Callable[[Any, float], bool]
"""(endpoint, now) → whether it can take a call, such as its breaker not being open."""
