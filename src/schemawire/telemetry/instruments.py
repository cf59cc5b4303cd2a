"""Counters, gauges and histograms whose number of series is bounded whatever their labels hold; knows no event.

They belong to one event loop; other threads may read them at any time.
"""

import time
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from schemawire.errors import ConfigurationInvalid
from schemawire.telemetry.shown import shown

OVERFLOW = "overflow"
"""The value of every label of the one series that takes what has no room of its own."""

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 30.0)
"""Upper bounds for times. Source: OpenTelemetry's advice for HTTP durations, with two finer and one longer added."""

Labels = tuple[str, ...]
S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Exemplar:
    """One measurement with the trace that it belongs to; `at` is seconds since 1970."""

    trace_id: str
    value: float
    at: float


@dataclass(frozen=True, slots=True)
class Sample:
    """One number of one series at the moment of reading."""

    name: str
    labels: tuple[tuple[str, str], ...]
    value: float
    exemplar: Exemplar | None = None


class Family(Generic[S]):
    """All series of one metric.

    Invariant: there are at most `max_series` series and one more for what overflows, so a label with hostile or endless
    values costs detail, never memory.

    Args:
        name: letters, digits and underscores, with its unit.
        help_text: one sentence.
        labels: the names of the labels.
        max_series: from 1.
    """

    kind = ""

    def __init__(self, name: str, help_text: str, labels: Sequence[str] = (), *, max_series: int = 200) -> None:
        if max_series < 1:
            raise ConfigurationInvalid(f"max_series={max_series!r} must be a whole number from 1")
        self.name = name
        self.help_text = help_text
        self.labels = tuple(labels)
        self._max_series = max_series
        self._series: dict[Labels, S] = {}

    def _empty(self) -> S:
        raise NotImplementedError

    def _at(self, values: Labels) -> S:
        series = self._series.get(values)
        return self._admit(values) if series is None else series

    def _admit(self, values: Labels) -> S:
        if len(values) != len(self.labels):
            raise ValueError(f"{self.name} has the labels {self.labels}, not {len(values)} values")
        values = tuple(map(shown, values))
        if values not in self._series and len(self._series) >= self._max_series:
            values = (OVERFLOW,) * len(self.labels)
        series = self._series.get(values)
        if series is None:
            series = self._series[values] = self._empty()
        return series

    def _labelled(self) -> Iterator[tuple[tuple[tuple[str, str], ...], S]]:
        # `sorted` copies first, so another thread may read while the loop adds a series.
        for values, series in sorted(self._series.items(), key=lambda entry: entry[0]):
            yield tuple(zip(self.labels, values, strict=True)), series

    def samples(self) -> Iterator[Sample]:
        """Yield every number of every series, sorted by labels."""
        raise NotImplementedError


class Gauge(Family[list[float]]):
    """Numbers that go up and down."""

    kind = "gauge"

    def _empty(self) -> list[float]:
        return [0.0]

    def add(self, values: Labels = (), amount: float = 1.0) -> None:
        """Change a series by `amount`."""
        self._at(values)[0] += amount

    def set(self, values: Labels, value: float) -> None:
        """Give a series a new value."""
        self._at(values)[0] = value

    def samples(self) -> Iterator[Sample]:
        """Yield one number per series."""
        for labels, series in self._labelled():
            yield Sample(self.name, labels, series[0])


class Counter(Family[list[float]]):
    """Numbers that only grow; each is called `name_total`."""

    kind = "counter"

    def _empty(self) -> list[float]:
        return [0.0]

    def add(self, values: Labels = (), amount: float = 1.0) -> None:
        """Let a series grow by `amount`, from 0."""
        self._at(values)[0] += amount

    def put(self, values: Labels, value: float) -> None:
        """Give a series the value that somebody else has counted."""
        self._at(values)[0] = value

    def samples(self) -> Iterator[Sample]:
        """Yield one number per series."""
        for labels, series in self._labelled():
            yield Sample(f"{self.name}_total", labels, series[0])


@dataclass(slots=True)
class _Distribution:
    # Invariant: `counts` has one entry per bound and one for what is above all; their sum is the number of values.
    counts: list[int]
    total: float = 0.0
    exemplars: dict[int, Exemplar] = field(default_factory=dict)


class Histogram(Family[_Distribution]):
    """Values counted by how large they are; each bucket keeps the trace of its latest value."""

    kind = "histogram"

    def __init__(
        self,
        name: str,
        help_text: str,
        labels: Sequence[str] = (),
        *,
        bounds: Sequence[float] = SECONDS,
        max_series: int = 200,
    ) -> None:
        super().__init__(name, help_text, labels, max_series=max_series)
        if not bounds or list(bounds) != sorted(set(bounds)):
            raise ConfigurationInvalid(f"bounds={bounds!r} must be growing numbers, at least one")
        self.bounds = tuple(bounds)
        self._edges = [*(f"{bound:g}" for bound in self.bounds), "+Inf"]

    def _empty(self) -> _Distribution:
        return _Distribution([0] * (len(self.bounds) + 1))

    def observe(self, values: Labels, value: float, trace_id: str | None = None) -> None:
        """Count one value, and remember whose it was."""
        series = self._at(values)
        bucket = bisect_left(self.bounds, value)
        series.counts[bucket] += 1
        series.total += value
        if trace_id is not None:
            series.exemplars[bucket] = Exemplar(trace_id, value, time.time())

    def put(self, values: Labels, counts: Sequence[int], total: float, exemplars: Mapping[int, Exemplar]) -> None:
        """Give a series the state that somebody else has counted: values per bucket, the one above all bounds last."""
        series = self._at(values)
        series.counts, series.total, series.exemplars = list(counts), total, dict(exemplars)

    def samples(self) -> Iterator[Sample]:
        """Yield the cumulative buckets, the sum and the count of each series."""
        for labels, series in self._labelled():
            below = 0
            for index, (edge, count) in enumerate(zip(self._edges, series.counts, strict=True)):
                below += count
                yield Sample(f"{self.name}_bucket", (*labels, ("le", edge)), below, series.exemplars.get(index))
            yield Sample(f"{self.name}_sum", labels, series.total)
            yield Sample(f"{self.name}_count", labels, below)


AnyFamily = Gauge | Counter | Histogram
