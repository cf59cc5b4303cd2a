"""Sliding windows over recent calls, sliced by time or counted; pure values of `now`, which know no policy."""

from collections import deque
from typing import Protocol


class SlidingSum:
    """The sum of what was added during the last `span` seconds, kept in equal slices.

    Invariants: `_sums` is a ring whose entry `_slot % len(_sums)` is the present slice; `_total` is its sum. A time
    shortly before the present slice counts as present; one before the whole window is another event loop's clock, and
    empties it.
    """

    __slots__ = ("_slot", "_sums", "_total", "_width")

    def __init__(self, *, span: float, slices: int) -> None:
        self._width = span / slices
        self._sums = [0.0] * slices
        self._total = 0.0
        self._slot = 0

    def add(self, now: float, amount: float) -> None:
        """Add `amount`, which may be negative, at the time `now`."""
        slot = int(now // self._width)
        if slot != self._slot:
            self._advance(slot)
        self._sums[self._slot % len(self._sums)] += amount
        self._total += amount

    def total(self, now: float) -> float:
        """Return the sum over the window that ends at `now`."""
        slot = int(now // self._width)
        if slot != self._slot:
            self._advance(slot)
        return self._total

    def _advance(self, slot: int) -> None:
        sums, size = self._sums, len(self._sums)
        passed = slot - self._slot
        if -size < passed < 0:
            return
        if 0 < passed < size:
            for index in range(self._slot + 1, slot + 1):
                sums[index % size] = 0.0
        else:
            sums[:] = [0.0] * size
        self._slot = slot
        # Summed afresh, so that rounding errors cannot pile up over the window's life.
        self._total = sum(sums)


class Window(Protocol):
    """Counts over the calls in a sliding window; the counts hold as of the last `record` or `roll`."""

    calls: int
    failures: int
    slow: int

    def record(self, now: float, *, failed: bool, slow: bool) -> None:
        """Add one finished call."""

    def roll(self, now: float) -> None:
        """Drop what has left the window by `now`."""

    def clear(self) -> None:
        """Forget everything."""


class TimeWindow:
    """The calls that finished during the last `span` seconds, in equal time buckets.

    Invariants: each ring entry at `_slot % size` is the present bucket; `calls`, `failures` and `slow` are the sums of
    the rings. Time that runs backwards is treated as in `SlidingSum`.

    *Source:* resilience4j `SlidingTimeWindowMetrics`: partial aggregates per bucket beside one total aggregate.
    """

    __slots__ = ("_calls", "_failures", "_slot", "_slow", "_width", "calls", "failures", "slow")

    def __init__(self, *, span: float, buckets: int) -> None:
        self._width = span / buckets
        self._calls = [0] * buckets
        self._failures = [0] * buckets
        self._slow = [0] * buckets
        self._slot = 0
        self.calls = self.failures = self.slow = 0

    def record(self, now: float, *, failed: bool, slow: bool) -> None:
        """Add one finished call."""
        slot = int(now // self._width)
        if slot != self._slot:
            self._advance(slot)
        index = self._slot % len(self._calls)
        self._calls[index] += 1
        self.calls += 1
        if failed:
            self._failures[index] += 1
            self.failures += 1
        if slow:
            self._slow[index] += 1
            self.slow += 1

    def roll(self, now: float) -> None:
        """Drop the buckets that have left the window by `now`."""
        slot = int(now // self._width)
        if slot != self._slot:
            self._advance(slot)

    def clear(self) -> None:
        """Forget every call."""
        size = len(self._calls)
        self._calls[:] = self._failures[:] = self._slow[:] = [0] * size
        self.calls = self.failures = self.slow = 0

    def _advance(self, slot: int) -> None:
        size = len(self._calls)
        passed = slot - self._slot
        if -size < passed < 0:
            return
        if 0 < passed < size:
            for step in range(self._slot + 1, slot + 1):
                self._drop(step % size)
        else:
            # Longer ago than the window, or another event loop's clock.
            self.clear()
        self._slot = slot

    def _drop(self, index: int) -> None:
        self.calls -= self._calls[index]
        self.failures -= self._failures[index]
        self.slow -= self._slow[index]
        self._calls[index] = self._failures[index] = self._slow[index] = 0


class CountWindow:
    """The last `size` calls, however long ago.

    *Source:* resilience4j `FixedSizeSlidingWindowMetrics`.
    """

    __slots__ = ("_outcomes", "calls", "failures", "slow")

    def __init__(self, *, size: int) -> None:
        self._outcomes: deque[tuple[bool, bool]] = deque(maxlen=size)
        self.calls = self.failures = self.slow = 0

    def record(self, now: float, *, failed: bool, slow: bool) -> None:
        """Add one finished call; the oldest one leaves when the window is full."""
        if self.calls == self._outcomes.maxlen:
            old_failed, old_slow = self._outcomes[0]
            self.failures -= old_failed
            self.slow -= old_slow
        else:
            self.calls += 1
        self._outcomes.append((failed, slow))
        self.failures += failed
        self.slow += slow

    def roll(self, now: float) -> None:
        """Do nothing: time does not age this window."""

    def clear(self) -> None:
        """Forget every call."""
        self._outcomes.clear()
        self.calls = self.failures = self.slow = 0
