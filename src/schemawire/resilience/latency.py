"""A moving percentile of recent durations, cheap enough to keep for every call; a plain value."""

from collections import deque

_REFRESH = 16
"""Samples between two looks at the order: sorting the window then costs each call a sixteenth of it."""


class MovingPercentile:
    """The percentile of the last `window` durations, brought up to date every few samples.

    Invariant: `value` is `None` until `minimum` samples have been seen, then a duration that was seen.
    """

    __slots__ = ("_fraction", "_minimum", "_recent", "_until_refresh", "value")

    def __init__(self, fraction: float, *, window: int, minimum: int) -> None:
        self._fraction = fraction
        self._minimum = minimum
        self._recent: deque[float] = deque(maxlen=window)
        self._until_refresh = minimum
        self.value: float | None = None

    def add(self, duration: float) -> None:
        """Take note of one duration, seconds."""
        self._recent.append(duration)
        self._until_refresh -= 1
        if self._until_refresh <= 0:
            self._until_refresh = _REFRESH
            ordered = sorted(self._recent)
            self.value = ordered[min(len(ordered) - 1, int(self._fraction * len(ordered)))]
