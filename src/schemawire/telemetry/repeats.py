"""Sampling of repeated lines: the first few of a kind in each window, then only how many were left out; never waits."""

import math
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass

from schemawire.errors import ConfigurationInvalid


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingConfig:
    """How many equal lines are let through.

    Args:
        burst: lines of one kind in each window, from 1.
        window: seconds, above 0.
        max_kinds: how many kinds are remembered, from 1; the one longest unused is forgotten.
    """

    burst: int = 100
    window: float = 1.0
    max_kinds: int = 1000

    def __post_init__(self) -> None:
        for name in ("burst", "max_kinds"):
            if type(getattr(self, name)) is not int or getattr(self, name) < 1:
                raise ConfigurationInvalid(f"{name}={getattr(self, name)!r} must be a whole number from 1")
        if not (isinstance(self.window, int | float) and 0 < self.window < math.inf):
            raise ConfigurationInvalid(f"window={self.window!r} must be a number of seconds above 0")


@dataclass(slots=True)
class _Kind:
    # Invariants: passed ≤ burst within the window from `since`; left_out counts from the last line let through.
    since: float
    passed: int = 0
    left_out: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingStatistics:
    """What became of all lines so far."""

    passed: int
    left_out: int
    kinds: int


class Repeats:
    """Decides of each line whether it is one too many."""

    def __init__(self, options: SamplingConfig) -> None:
        self._options = options
        self._kinds: OrderedDict[Hashable, _Kind] = OrderedDict()
        self._passed = 0
        self._left_out = 0

    def admit(self, kind: Hashable, now: float) -> int | None:
        """Return how many lines of this kind were left out before this one, or `None` if it is left out itself."""
        state = self._state(kind, now)
        # A clock that went backwards begins a new window, lest a kind stay silent until the old time returns.
        if not 0 <= now - state.since < self._options.window:
            state.since, state.passed = now, 0
        if state.passed >= self._options.burst:
            state.left_out += 1
            self._left_out += 1
            return None
        left_out, state.left_out = state.left_out, 0
        state.passed += 1
        self._passed += 1
        return left_out

    def _state(self, kind: Hashable, now: float) -> _Kind:
        state = self._kinds.get(kind)
        if state is None:
            state = self._kinds[kind] = _Kind(now)
            if len(self._kinds) > self._options.max_kinds:
                self._kinds.popitem(last=False)
        else:
            self._kinds.move_to_end(kind)
        return state

    def statistics(self) -> SamplingStatistics:
        """Return the counts so far."""
        return SamplingStatistics(passed=self._passed, left_out=self._left_out, kinds=len(self._kinds))
