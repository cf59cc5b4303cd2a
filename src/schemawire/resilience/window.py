"""Sliding windows over recent calls, by time, by count or not kept; pure values of `now`, which know no policy."""

from collections import deque
from typing import Protocol


class SlidingSum:
    """The sum of what was added during the last `span` seconds, kept in equal slices.

    Invariants: `_slot` is the number of the present slice, counted from time 0; `_present` is its sum and `_past` that
    of all others; `_sums` is a ring in which the present slice's entry, `_slot % len(_sums)`, is 0 until it is left. A
    time shortly before the present slice counts as present; one before the whole window is another event loop's clock,
    and empties it.
    """

    __slots__ = ("_past", "_present", "_slot", "_sums", "_width")

    def __init__(self, *, span: float, slices: int) -> None:
        self._width = span / slices
        self._sums = [0.0] * slices
        self._past = self._present = 0.0
        self._slot = 0.0

    def add(self, now: float, amount: float) -> None:
        """Add `amount`, which may be negative, at the time `now`."""
        # Compared as floats: turning the number into an integer would cost as much as all the rest.
        slot = now // self._width
        if slot != self._slot:
            self._advance(slot)
        self._present += amount

    def total(self, now: float) -> float:
        """Return the sum over the window that ends at `now`."""
        slot = now // self._width
        if slot != self._slot:
            self._advance(slot)
        return self._past + self._present

    def _advance(self, slot: float) -> None:
        sums, size = self._sums, len(self._sums)
        before, after = int(self._slot), int(slot)
        if -size < after - before < 0:
            return
        if 0 < after - before < size:
            sums[before % size] = self._present
            for index in range(before + 1, after + 1):
                sums[index % size] = 0.0
        else:
            sums[:] = [0.0] * size
        self._slot = slot
        self._present = 0.0
        # Summed afresh, so that rounding errors cannot pile up over the window's life.
        self._past = sum(sums)


class Window(Protocol):
    """Counts over the calls in a sliding window; the counts hold as of the last `record` or `roll`."""

    calls: int
    failures: int
    slow: int

    def record(self, now: float, *, failed: bool, slow: bool) -> None:
        """Add one finished call."""

    def succeed(self, now: float) -> bool:
        """Add one finished call that neither failed nor was slow; return whether any other call in the window did."""

    def roll(self, now: float) -> None:
        """Drop what has left the window by `now`."""

    def clear(self) -> None:
        """Forget everything."""


class TimeWindow:
    """The calls that finished during the last `span` seconds, in equal time buckets.

    Invariants: `_slot` is the number of the present bucket, counted from time 0; each ring's entry `_slot % size` is
    the present bucket, except that its calls stand in `_present` until it is left; `calls`, `failures` and `slow` are
    the sums over all buckets. Time that runs backwards is treated as in `SlidingSum`.

    *Source:* resilience4j `SlidingTimeWindowMetrics`: partial aggregates per bucket beside one total aggregate.
    """

    __slots__ = ("_calls", "_failures", "_present", "_slot", "_slow", "_width", "calls", "failures", "slow")

    def __init__(self, *, span: float, buckets: int) -> None:
        self._width = span / buckets
        self._calls = [0] * buckets
        self._failures = [0] * buckets
        self._slow = [0] * buckets
        self._slot = 0.0
        self._present = 0
        self.calls = self.failures = self.slow = 0

    def record(self, now: float, *, failed: bool, slow: bool) -> None:
        """Add one finished call."""
        self.succeed(now)
        if failed or slow:
            index = int(self._slot) % len(self._calls)
            self._failures[index] += failed
            self.failures += failed
            self._slow[index] += slow
            self.slow += slow

    def succeed(self, now: float) -> bool:
        """Add one finished call that neither failed nor was slow; return whether any other call in the window did."""
        slot = now // self._width
        if slot != self._slot:
            self._advance(slot)
        self._present += 1
        self.calls += 1
        return self.failures > 0 or self.slow > 0

    def roll(self, now: float) -> None:
        """Drop the buckets that have left the window by `now`."""
        slot = now // self._width
        if slot != self._slot:
            self._advance(slot)

    def clear(self) -> None:
        """Forget every call."""
        size = len(self._calls)
        self._calls[:] = self._failures[:] = self._slow[:] = [0] * size
        self._present = self.calls = self.failures = self.slow = 0

    def _advance(self, slot: float) -> None:
        size = len(self._calls)
        before, after = int(self._slot), int(slot)
        if -size < after - before < 0:
            return
        if 0 < after - before < size:
            self._calls[before % size] = self._present
            self._present = 0
            for step in range(before + 1, after + 1):
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

    def succeed(self, now: float) -> bool:
        """Add one finished call that neither failed nor was slow; return whether any other call in the window did."""
        self.record(now, failed=False, slow=False)
        return self.failures > 0 or self.slow > 0

    def roll(self, now: float) -> None:
        """Do nothing: time does not age this window."""

    def clear(self) -> None:
        """Forget every call."""
        self._outcomes.clear()
        self.calls = self.failures = self.slow = 0


class NoWindow:
    """Keeps nothing, for a breaker that knows no rate: its rules need neither the calls nor the time."""

    __slots__ = ()

    calls = failures = slow = 0

    def record(self, now: float, *, failed: bool, slow: bool) -> None:
        """Keep nothing."""

    def succeed(self, now: float) -> bool:
        """Keep nothing, so that nothing is ever found."""
        return False

    def roll(self, now: float) -> None:
        """Do nothing."""

    def clear(self) -> None:
        """Do nothing."""
