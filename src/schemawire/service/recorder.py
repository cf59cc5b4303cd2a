"""How many requests there were and how long they took; knows nothing of where the figures are shown.

Times fall into logarithmic buckets, so a percentile costs no memory per request and is right to within 10 %.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import accumulate

_LOWEST = 1e-5
_GROWTH = 1.1
_LOG_GROWTH = math.log(_GROWTH)
_BUCKETS = 176
"""From 10 µs to about 190 s, each bucket 10 % wider than the one before."""

PERCENTILES = (0.5, 0.9, 0.95, 0.99)
_UNJUDGED = ("GET /health", "HEAD /health", "GET /metrics", "HEAD /metrics", "unmatched")
"""Beginnings of routes that no objective is about: checks and scrapes are frequent and would hide the rest."""
_LASTING = ("/stream", "/events", "/upload")
"""Ends of routes that take as long as there is something to send."""


class Latencies:
    """Times in seconds, counted by logarithmic bucket."""

    def __init__(self) -> None:
        # Invariant: count is the sum of the buckets, total the sum of everything recorded.
        self._buckets = [0] * _BUCKETS
        self.count = 0
        self.total = 0.0
        self.highest = 0.0
        self.traces: dict[int, tuple[str, float, float]] = {}
        """By bucket, the latest trace that was recorded in it: its id, the time it took, and when, since 1970."""

    def record(self, duration: float, trace_id: str | None = None) -> None:
        """Count one time, and remember whose it was."""
        index = 0 if duration <= _LOWEST else math.ceil(math.log(duration / _LOWEST) / _LOG_GROWTH)
        index = min(index, _BUCKETS - 1)
        self._buckets[index] += 1
        self.count += 1
        self.total += duration
        self.highest = max(self.highest, duration)
        if trace_id is not None:
            self.traces[index] = trace_id, duration, time.time()

    def add(self, other: "Latencies") -> None:
        """Take in everything that another record holds, its traces apart."""
        self._buckets = [mine + theirs for mine, theirs in zip(self._buckets, other._buckets, strict=True)]
        self.count += other.count
        self.total += other.total
        self.highest = max(self.highest, other.highest)

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
        below = list(accumulate(self._buckets))
        return [below[min(bucket_below(bound), _BUCKETS - 1)] for bound in bounds]


def bucket_below(bound: float) -> int:
    """Return the last bucket that holds only times up to `bound`."""
    return math.floor(math.log(bound / _LOWEST) / _LOG_GROWTH + 1e-9)


@dataclass(slots=True)
class RouteRecord:
    """The requests of one method and route."""

    is_judged: bool = True
    """Whether objectives are about it."""
    is_lasting: bool = False
    by_status: dict[int, Latencies] = field(default_factory=dict)

    @property
    def latencies(self) -> Latencies:
        """The times of all requests together."""
        together = Latencies()
        for latencies in self.by_status.values():
            together.add(latencies)
        return together

    def count_between(self, low: int, high: int) -> int:
        """Return how many replies had a status from `low` up to, not including, `high`."""
        return sum(latencies.count for status, latencies in self.by_status.items() if low <= status < high)


class Recorder:
    """Counts every finished request; belongs to one event loop.

    Args:
        slow: seconds above which a request is slow, where objectives are about it.
        trace_id: returns the id of the sampled trace that runs, if one does.
    """

    def __init__(self, *, slow: float = 0.5, trace_id: Callable[[], str | None] | None = None) -> None:
        # Invariants: in_flight is the number of requests started and not yet recorded; of the judged requests at most
        # all were errors, of the timed ones at most all were slow.
        self.routes: dict[str, RouteRecord] = {}
        self.in_flight = 0
        self.started = time.monotonic()
        self.slow = slow
        self.trace_id = trace_id
        self.judged = self.errors = 0
        """Requests that the objective of availability is about, and those that ended with a 5xx."""
        self.timed = self.late = 0
        """Requests that the objective of latency is about, and those that were slow."""

    @property
    def uptime(self) -> float:
        """Seconds since the service began."""
        return time.monotonic() - self.started

    def record(self, route: str, status: int, duration: float) -> None:
        """Count one finished request."""
        entry = self.routes.get(route)
        if entry is None:
            entry = self.routes[route] = RouteRecord(
                is_judged=not route.startswith(_UNJUDGED), is_lasting=route.endswith(_LASTING)
            )
        latencies = entry.by_status.get(status)
        if latencies is None:
            latencies = entry.by_status[status] = Latencies()
        latencies.record(duration, None if self.trace_id is None else self.trace_id())
        if entry.is_judged:
            self._judge(status, duration, is_lasting=entry.is_lasting)

    def _judge(self, status: int, duration: float, *, is_lasting: bool) -> None:
        self.judged += 1
        if status >= 500:
            self.errors += 1
        elif not is_lasting:
            self.timed += 1
            self.late += duration > self.slow

    def total(self, low: int = 0, high: int = 1000) -> int:
        """Return how many requests ended with a status from `low` up to, not including, `high`."""
        return sum(entry.count_between(low, high) for entry in self.routes.values())

    def together(self) -> Latencies:
        """Return the times of all requests."""
        found = Latencies()
        for entry in self.routes.values():
            found.add(entry.latencies)
        return found
