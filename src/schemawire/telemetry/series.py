"""Which figures are asked for, and how those that are found are put together; pure, knows no store.

A series is one metric with one set of labels. Its key reads `name{label="value"}`, as Prometheus writes it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache

from schemawire.telemetry.exposition import quantile

Labels = tuple[tuple[str, str], ...]

LONGEST_KEY = 2000
_METRIC = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]{0,199}")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)",?')
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})
_PLAIN = {"n": "\n"}
_GROWING = ("_total", "_bucket", "_sum", "_count")


class Taken(Enum):
    """Which value stands for all those within one step."""

    LAST = "last"
    MEAN = "mean"
    HIGHEST = "max"
    GROWTH = "growth"
    """By how much a counter grew within the step, restarts included; a step without growth may have no value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Which series are wanted.

    Args:
        metric: the name of the metric.
        matching: what labels must be, by name: regular expressions that match the whole value.
        taken: which value stands for a step; of a counter always its growth.
    """

    metric: str
    matching: Mapping[str, str] = field(default_factory=dict)
    taken: Taken = Taken.LAST

    def __post_init__(self) -> None:
        if not _METRIC.fullmatch(self.metric):
            raise ValueError(f"metric={self.metric[:80]!r} must be letters, digits, underscores and colons")

    @property
    def kind(self) -> Taken:
        """Which value stands for a step, counters considered."""
        return Taken.GROWTH if is_growing(self.metric) else self.taken

    def fits(self, name: str, labels: Mapping[str, str]) -> bool:
        """Tell whether a series is wanted; a label that is not there counts as empty."""
        return name == self.metric and all(
            _compiled(pattern).fullmatch(labels.get(label, "")) for label, pattern in self.matching.items()
        )


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


@dataclass(frozen=True, slots=True)
class Track:
    """What one series was: a value for the end of each step in which there was one, oldest first."""

    name: str
    labels: Labels
    points: tuple[tuple[int, float], ...]


def is_growing(name: str) -> bool:
    """Tell whether a metric only ever grows, by its name."""
    return name.endswith(_GROWING)


def series_key(name: str, labels: Labels) -> str:
    """Return the one text for a metric with its labels."""
    if not labels:
        return name
    inside = ",".join(f'{label}="{value.translate(_ESCAPES)}"' for label, value in labels)
    return f"{name}{{{inside}}}"


@lru_cache(maxsize=8192)
def parsed_key(key: str) -> tuple[str, Labels]:
    """Return the metric and the labels of a key; a text that is no key is a metric without labels."""
    name, brace, inside = key.partition("{")
    if not brace or not inside.endswith("}"):
        return key, ()
    found = _LABEL.findall(inside[:-1])
    return name, tuple((label, re.sub(r"\\(.)", _unescaped, value)) for label, value in found)


def _unescaped(found: re.Match[str]) -> str:
    return _PLAIN.get(found[1], found[1])


def summed(tracks: Iterable[Track], by: Sequence[str] = ()) -> dict[tuple[str, ...], dict[int, float]]:
    """Return the sum of all values at each time, apart for each combination of the labels `by`."""
    found: dict[tuple[str, ...], dict[int, float]] = {}
    for track in tracks:
        labels = dict(track.labels)
        sums = found.setdefault(tuple(labels.get(label, "") for label in by), {})
        for at, value in track.points:
            sums[at] = sums.get(at, 0.0) + value
    return found


def percentiles(tracks: Iterable[Track], part: float) -> dict[int, float]:
    """Return what that part of all measurements stayed below, in each step that has some.

    Args:
        tracks: the growth of a histogram's buckets.
        part: above 0, at most 1.
    """
    by_time: dict[int, list[tuple[float, float]]] = {}
    for (edge,), sums in summed(tracks, ("le",)).items():
        for at, count in sums.items():
            by_time.setdefault(at, []).append((float(edge), count))
    return {at: quantile(sorted(buckets), part) for at, buckets in sorted(by_time.items()) if max(buckets)[1] > 0}
