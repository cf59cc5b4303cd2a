"""One reading of all figures after another, made fit for a store; knows no store and no clock."""

from collections.abc import Iterable

from schemawire.telemetry.instruments import Sample
from schemawire.telemetry.series import Labels, is_growing

_MOST = 100_000
"""Series that are remembered; instruments bound theirs far below."""


class Deltas:
    """Turns counters into their growth since the reading before, which can be added up over any time and any restart.

    What counters show at the first reading is where they begin; one that appears later began at 0.
    """

    def __init__(self) -> None:
        self._last: dict[tuple[str, Labels], float] = {}
        self._is_first = True

    def of(self, samples: Iterable[Sample]) -> list[Sample]:
        """Return a reading with counters as their growth, those that did not grow left out; the rest as it is."""
        found: list[Sample] = []
        for sample in samples:
            if not is_growing(sample.name):
                found.append(sample)
                continue
            series = sample.name, sample.labels
            before = self._last.get(series, sample.value if self._is_first else 0.0)
            if series in self._last or len(self._last) < _MOST:
                self._last[series] = sample.value
            # Below the value before it, the counter has begun again.
            grown = sample.value - before if sample.value >= before else sample.value
            if grown:
                found.append(Sample(sample.name, sample.labels, grown))
        self._is_first = False
        return found


class Births:
    """Remembers which counters there have been, for a store that keeps their values as they are.

    A counter that is new begins at 0 at the time of the reading before: so whoever looks at differences sees its first
    growth too, and after a restart of the program counts nothing twice.
    """

    def __init__(self) -> None:
        self._seen: set[tuple[str, Labels]] = set()
        self._before: float | None = None

    def new(self, samples: Iterable[Sample], at: float) -> tuple[list[Sample], float]:
        """Return a zero for each counter that the reading before did not have, and the time of that reading.

        Args:
            samples: a reading.
            at: when it was taken, seconds since 1970.
        """
        before, self._before = self._before, at
        found: list[Sample] = []
        for sample in samples:
            series = sample.name, sample.labels
            if series in self._seen or not is_growing(sample.name) or len(self._seen) >= _MOST:
                continue
            self._seen.add(series)
            found.append(Sample(sample.name, sample.labels, 0.0))
        # A clock that was set back must not put the zero behind the first value.
        return ([], at) if before is None or before >= at else (found, before)


def condensed(samples: Iterable[Sample]) -> list[Sample]:
    """Return a reading with each histogram's buckets summed over all labels but `le`; the rest stays as it is.

    Percentiles of the whole can be read from them for any window, and they take a twentieth of the room.
    """
    kept: list[Sample] = []
    buckets: dict[tuple[str, str], float] = {}
    for sample in samples:
        if not sample.name.endswith("_bucket"):
            kept.append(sample)
            continue
        key = sample.name, sample.labels[-1][1]
        buckets[key] = buckets.get(key, 0.0) + sample.value
    return kept + [Sample(name, (("le", edge),), value) for (name, edge), value in buckets.items()]
