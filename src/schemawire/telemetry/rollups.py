"""Roll-ups: how measurements become points of a second, ten seconds, a minute and an hour; pure, no file, no clock."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from schemawire.errors import ConfigurationInvalid

MAX_POINTS = 11_000
"""Of one answer. Source: Prometheus refuses range queries above 11,000 points per series."""


@dataclass(frozen=True, slots=True)
class Tier:
    """Points of `step` seconds, kept for `keep` seconds."""

    step: int
    keep: int


TIERS = (Tier(1, 3600), Tier(10, 6 * 3600), Tier(60, 7 * 86_400), Tier(3600, 400 * 86_400))
"""An hour of seconds, six hours of tens, a week of minutes, and more than a year of hours."""


@dataclass(slots=True)
class Point:
    """What was measured from `at` (seconds since 1970) for one step; `last` is the value that arrived last."""

    at: int
    count: int
    total: float
    low: float
    high: float
    last: float

    @property
    def mean(self) -> float:
        """The average of the values."""
        return self.total / self.count

    def add(self, value: float) -> None:
        """Take in one value."""
        self.count += 1
        self.total += value
        self.low = min(self.low, value)
        self.high = max(self.high, value)
        self.last = value

    def merge(self, later: "Point") -> None:
        """Take in the values of another point, which arrived after those here."""
        self.count += later.count
        self.total += later.total
        self.low = min(self.low, later.low)
        self.high = max(self.high, later.high)
        self.last = later.last

    def moved(self, at: int) -> "Point":
        """Return a copy that begins at another time."""
        return Point(at, self.count, self.total, self.low, self.high, self.last)


def rolled(points: Iterable[Point], step: int) -> list[Point]:
    """Return points of a longer step, each beginning at a multiple of it, oldest first."""
    found: dict[int, Point] = {}
    for point in points:
        at = point.at - point.at % step
        known = found.get(at)
        if known is None:
            found[at] = point.moved(at)
        else:
            known.merge(point)
    return [found[at] for at in sorted(found)]


def require_range(window: float, step: float) -> tuple[int, int]:
    """Return a window and a step in whole seconds.

    Raises:
        ValueError: one is below a second or no number, or the answer would have more than `MAX_POINTS` points.
    """
    for name, value in (("window", window), ("step", step)):
        if not (math.isfinite(value) and 1 <= value <= 10 * 366 * 86_400):
            raise ValueError(f"{name}={value!r} must be a number of seconds from 1 to ten years")
    if window / step > MAX_POINTS:
        fix = f"use a step of at least {math.ceil(window / MAX_POINTS)}"
        raise ValueError(f"window={window!r} with step={step!r} has more than {MAX_POINTS} points; {fix}")
    return round(window), round(step)


def tier_for(tiers: Sequence[Tier], window: int, step: int) -> Tier:
    """Return the tier to read: the coarsest that still shows the step, but one that reaches back far enough.

    Only tiers that divide the step count as showing it, so that no point is split between two.
    """
    reaching = [tier for tier in tiers if tier.keep >= window] or [tiers[-1]]
    fitting = [tier for tier in reaching if step % tier.step == 0]
    return fitting[-1] if fitting else reaching[0]


def require_tiers(tiers: Sequence[Tier]) -> tuple[Tier, ...]:
    """Return the tiers if each divides and outlives the next finer one.

    Raises:
        ConfigurationInvalid: they do not.
    """
    for tier in tiers:
        if tier.step < 1 or tier.keep < tier.step:
            raise ConfigurationInvalid(f"{tier} must have a step from 1 and keep at least one of them")
    for finer, coarser in pairwise(tiers):
        if coarser.step % finer.step or coarser.step == finer.step or coarser.keep <= finer.keep:
            raise ConfigurationInvalid(f"{coarser} must be a multiple of {finer} and be kept longer")
    if not tiers:
        raise ConfigurationInvalid("tiers=() must hold at least one tier")
    return tuple(tiers)


def increases(points: Sequence[Point]) -> list[tuple[int, float]]:
    """Return how much a counter grew up to each point since the one before; a restart from 0 loses nothing.

    *Source:* Prometheus, `increase`: a value below the one before it means that the counter began again.
    """
    grown = []
    for before, after in pairwise(points):
        grown.append((after.at, after.last - before.last if after.last >= before.last else after.last))
    return grown
