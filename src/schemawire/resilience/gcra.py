"""The arithmetic of a rate limit: when the next permit is due, with burst and warm-up; knows no waiter and no clock."""

import math
from dataclasses import dataclass

_SLACK = 1e-9
"""A timer may fire this much early (seconds, the event loop's own resolution); a permit that close counts as due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast permits come.

    `rate` permits per second; `burst` of them may be taken at once after a pause. With `warm_up` > 0 seconds an idle
    limiter is cold: its first permits are `cold_factor` times as far apart and come closer until it is warm.

    *Source:* the warm-up is Guava's `SmoothWarmingUp` (also Sentinel's), where half of the warm-up's permits are
    handed out while the interval falls in a straight line from `cold_factor` × to 1 × the stable one.
    """

    rate: float
    burst: int
    warm_up: float
    cold_factor: float

    @property
    def interval(self) -> float:
        """Seconds between two permits when warm."""
        return 1.0 / self.rate

    @property
    def warm_permits(self) -> float:
        """How many stored permits there are at the end of the straight line, where the stable interval begins."""
        return 0.5 * self.warm_up * self.rate

    @property
    def most_permits(self) -> float:
        """How many stored permits an entirely cold limiter holds."""
        return self.warm_permits + 2.0 * self.warm_up / (self.interval * (1.0 + self.cold_factor))


class Gcra:
    """The generic cell rate algorithm: one number says when the next permit is due.

    Invariants: `_due` is the theoretical arrival time of the next permit at the stable pace; at most `burst` permits
    may be ahead of it; `_stored` is between 0 (warm) and `most_permits` (cold), and 0 for ever without warm-up.

    *Source:* ITU-T I.371, annex A (virtual scheduling).
    """

    __slots__ = ("_due", "_interval", "_pace", "_stored", "_tolerance")

    def __init__(self, pace: Pace) -> None:
        self._set_pace(pace)
        self._due = -math.inf
        self._stored = pace.most_permits if pace.warm_up else 0.0

    def due(self, now: float, ahead: int = 0) -> float:
        """Return when a permit comes for a caller with `ahead` callers before it; not before `now`."""
        first = self._due - self._tolerance
        if first <= now + _SLACK:
            first = now
        return first + self._cost(ahead) if ahead else first

    def try_take(self, now: float) -> bool:
        """Take a permit if one is due at `now`, and return whether it was."""
        if self._due - self._tolerance > now + _SLACK:
            return False
        if self._pace.warm_up:
            self.take(now)
        else:
            self._due = max(self._due, now) + self._interval
        return True

    def take(self, now: float) -> None:
        """Take the permit that is due at `now`."""
        if self._due < now:
            self._cool(now)
            self._due = now
        self._due += self._cost(1)
        self._stored = max(0.0, self._stored - 1.0)

    def give_back(self) -> None:
        """Return a permit that was taken and not used, so that the next caller gets it."""
        pace = self._pace
        if pace.warm_up:
            self._stored = min(pace.most_permits, self._stored + 1.0)
        self._due -= self._cost(1)

    def change(self, pace: Pace, now: float) -> None:
        """Go on at another pace; permits already owed are kept as a number of permits, not as time."""
        owed = max(0.0, self._due - now) * self._pace.rate
        self._stored = min(self._stored, pace.most_permits) if pace.warm_up else 0.0
        self._due = now + owed / pace.rate if owed else self._due
        self._set_pace(pace)

    def available(self, now: float) -> float:
        """Return how many permits could be taken at `now` without waiting, with fractions."""
        owed = max(0.0, self._due - now) * self._pace.rate
        return max(0.0, self._pace.burst - owed)

    def _set_pace(self, pace: Pace) -> None:
        self._pace = pace
        self._interval = pace.interval
        self._tolerance = (pace.burst - 1) * pace.interval

    def _cool(self, now: float) -> None:
        pace = self._pace
        if not pace.warm_up:
            return
        idle = math.inf if self._due == -math.inf else now - self._due
        self._stored = min(pace.most_permits, self._stored + idle * pace.most_permits / pace.warm_up)

    def _cost(self, permits: int) -> float:
        """Return the seconds that the next `permits` permits take together."""
        pace = self._pace
        above = max(0.0, self._stored - pace.warm_permits)
        if above <= 0.0:
            return permits * pace.interval
        slope = pace.interval * (pace.cold_factor - 1.0) / (pace.most_permits - pace.warm_permits)
        cold = min(float(permits), above)
        # The area under a straight line: the first of these permits is the dearest.
        return permits * pace.interval + cold * slope * (above - cold / 2.0)
