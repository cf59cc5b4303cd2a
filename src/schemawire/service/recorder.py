"""How many requests there were and how long they took; knows nothing of where the figures are shown.

Times fall into logarithmic buckets, so a percentile costs no memory per request and is right to within 10 %.
"""

import math
import time
from dataclasses import dataclass, field

_LOWEST = 1e-5
_GROWTH = 1.1
_LOG_GROWTH = math.log(_GROWTH)
_BUCKETS = 176
"""From 10 µs to about 190 s, each bucket 10 % wider than the one before."""

PERCENTILES = (0.5, 0.9, 0.95, 0.99)


class Latencies:
    """Times in seconds, counted by logarithmic bucket."""

    def __init__(self) -> None:
        # Invariant: count is the sum of the buckets, total the sum of everything recorded.
        self._buckets = [0] * _BUCKETS
        self.count = 0
        self.total = 0.0
        self.highest = 0.0

    def record(self, duration: float) -> None:
        """Count one time."""
        index = 0 if duration <= _LOWEST else math.ceil(math.log(duration / _LOWEST) / _LOG_GROWTH)
        self._buckets[min(index, _BUCKETS - 1)] += 1
        self.count += 1
        self.total += duration
        self.highest = max(self.highest, duration)

    def percentile(self, fraction: float) -> float:
        """Return the time that this fraction of all requests stayed below, 0 without any.

        Args:
            fraction: above 0, at most 1.
        """
        wanted, seen = math.ceil(self.count * fraction), 0
        for index, count in enumerate(self._buckets):
            seen += count
            if seen >= wanted > 0:
                return min(_LOWEST * _GROWTH**index, self.highest)
        return 0.0

    def at_most(self, bounds: tuple[float, ...]) -> list[int]:
        """Return how many times were at most each bound, to within a bucket."""
        return [sum(self._buckets[: _last_bucket_below(bound) + 1]) for bound in bounds]


def _last_bucket_below(bound: float) -> int:
    return math.floor(math.log(bound / _LOWEST) / _LOG_GROWTH + 1e-9)


@dataclass(slots=True)
class RouteRecord:
    """The requests of one method and route."""

    latencies: Latencies = field(default_factory=Latencies)
    by_status: dict[int, int] = field(default_factory=dict)

    def count_between(self, low: int, high: int) -> int:
        """Return how many replies had a status from `low` up to, not including, `high`."""
        return sum(count for status, count in self.by_status.items() if low <= status < high)


class Recorder:
    """Counts every finished request; belongs to one event loop."""

    def __init__(self) -> None:
        # Invariant: in_flight is the number of requests started and not yet recorded.
        self.routes: dict[str, RouteRecord] = {}
        self.in_flight = 0
        self.started = time.monotonic()

    @property
    def uptime(self) -> float:
        """Seconds since the service began."""
        return time.monotonic() - self.started

    def record(self, route: str, status: int, duration: float) -> None:
        """Count one finished request."""
        entry = self.routes.get(route)
        if entry is None:
            entry = self.routes[route] = RouteRecord()
        entry.latencies.record(duration)
        entry.by_status[status] = entry.by_status.get(status, 0) + 1

    def total(self, low: int = 0, high: int = 1000) -> int:
        """Return how many requests ended with a status from `low` up to, not including, `high`."""
        return sum(entry.count_between(low, high) for entry in self.routes.values())
