"""Judgement by many small trees: each asks about a few pieces of evidence, and their answers are added up.

Knows numbers only. The trees are learnt from the project's own texts (`benchmarks/analysis_forests.py`) and lie
beside the language's words; numpy, which the parser brings along, walks all of them at once.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.resources import files
from typing import Any

Features = dict[str, float]
"""What speaks for and against something; what is not there counts as 0."""

_MAX_DEPTH = 64
_AT_ONCE = 500
"""Rows that walk together: more are hardly faster and take memory in line with their number."""
_DOUBT, _ENOUGH = 4, 10
"""Texts that a word's usual rate counts for; more texts than this tell nothing new."""


@dataclass(frozen=True, slots=True)
class Forest:
    """Gradient-boosted decision trees as flat arrays.

    A node asks whether `features[asked]` is at most `limits`, and goes on at `left` if so, else at `right`; a leaf
    goes on at itself and has a `value`. `roots` are the trees' first nodes. `rates` tells of words in how many of the
    texts learnt from they were candidates, and in how many of these they were right.
    """

    features: Mapping[str, int]
    rates: Mapping[str, tuple[int, int]]
    asked: Any
    limits: Any
    left: Any
    right: Any
    values: Any
    roots: Any

    def rate(self, word: str) -> tuple[int, int]:
        """Return in how many texts a word was a candidate, and in how many it was right."""
        return self.rates.get(word, (0, 0))

    def judge(self, rows: Sequence[Mapping[str, float]]) -> list[float]:
        """Return how likely each row is right, 0 to 1: the logistic function of the sum over all trees."""
        sums = [
            total for start in range(0, len(rows), _AT_ONCE) for total in self._sums(rows[start : start + _AT_ONCE])
        ]
        return [1 / (1 + math.exp(-max(-30.0, min(30.0, total)))) for total in sums]

    def _sums(self, rows: Sequence[Mapping[str, float]]) -> list[float]:
        numpy = import_module("numpy")
        table = numpy.zeros((len(rows), len(self.features)), dtype=numpy.float64)
        for index, row in enumerate(rows):
            for name, value in row.items():
                column = self.features.get(name)
                if column is not None:
                    table[index, column] = value
        places = numpy.tile(self.roots, (len(rows), 1))
        lines = numpy.arange(len(rows))[:, None]
        for _ in range(_MAX_DEPTH):
            goes_left = table[lines, self.asked[places]] <= self.limits[places]
            following = numpy.where(goes_left, self.left[places], self.right[places])
            if (following == places).all():
                break
            places = following
        totals: list[float] = self.values[places].sum(axis=1).tolist()
        return totals


Rates = Callable[[str], tuple[int, int]]
"""Of a word: in how many of the texts learnt from it was a candidate, and in how many of these it was right."""


def rate_features(prefix: str, word: str, rates: Rates, usual: float) -> Features:
    """Return how often a word was right, drawn towards what is usual where few texts have it."""
    texts, right = rates(word)
    return {f"{prefix}rate": (right + _DOUBT * usual) / (texts + _DOUBT), f"{prefix}rated": float(min(texts, _ENOUGH))}


@cache
def load_forest(language: str, name: str) -> Forest:
    """Return the trees of a language for one question; they are read once per process.

    Args:
        language: the name of the language's folder.
        name: what is judged: `names`, `fields`, `pairs` or `ends`.
    """
    numpy = import_module("numpy")
    text = files("schemawire.analysis").joinpath(language, "forests", f"{name}.json").read_text("utf-8")
    document = json.loads(text)
    return Forest(
        features={feature: index for index, feature in enumerate(document["features"])},
        rates={word: (texts, right) for word, (texts, right) in document["rates"].items()},
        asked=numpy.array(document["asked"], dtype=numpy.int32),
        limits=numpy.array(document["limits"], dtype=numpy.float64),
        left=numpy.array(document["left"], dtype=numpy.int32),
        right=numpy.array(document["right"], dtype=numpy.int32),
        values=numpy.array(document["values"], dtype=numpy.float64),
        roots=numpy.array(document["roots"], dtype=numpy.int32),
    )
