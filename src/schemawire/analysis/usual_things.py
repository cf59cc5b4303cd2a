"""What entities usually have and are related to, by their nouns; how well two names of a text fit each other.

Knows the language's list of usual things; chooses nothing.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from schemawire.analysis.facts import EntityName
from schemawire.analysis.forest import Features

_FADING = 0.04
"""What each place further down its list takes from how usual something is."""
_HALF = 0.5
"""What a name counts for that only ends in a usual one."""


@dataclass(frozen=True, slots=True)
class Usual:
    """What the entity of a noun usually has: fields, last words of fields and related nouns, each with 0 to 1."""

    fields: Mapping[str, float]
    ends: Mapping[str, float]
    related: Mapping[str, float]


@cache
def load_usual(language: str) -> Mapping[str, Usual]:
    """Return what is usual for each noun; the list is read once per process.

    Args:
        language: the name of the language's folder.
    """
    text = files("schemawire.analysis").joinpath(language, "usual.txt").read_text("utf-8")
    usual: dict[str, Usual] = {}
    for line in text.splitlines():
        noun, colon, lists = line.partition(": ")
        if not colon or line.startswith("#"):
            continue
        has, _, related = lists.partition("; ")
        fields = _ranked(has)
        ends: dict[str, float] = {}
        for name, value in fields.items():
            ends.setdefault(name.rpartition(" ")[2], value)
        usual[noun] = Usual(fields, ends, _ranked(related))
    return usual


def _ranked(names: str) -> dict[str, float]:
    ranked: dict[str, float] = {}
    for place, name in enumerate(names.split(", ")):
        ranked.setdefault(name, 1.0 - _FADING * place)
    return ranked


class Company:
    """The names of one text, and how well others fit among them.

    Args:
        names: the names.
        usual: what is usual.
    """

    def __init__(self, names: Collection[EntityName], usual: Mapping[str, Usual]) -> None:
        self._usual = usual
        self._heads = Counter(name[-1] for name in names)
        self._wanted: Counter[str] = Counter()
        self._fields: Counter[str] = Counter()
        self._ends: Counter[str] = Counter()
        for known in (usual[head] for head in self._heads if head in usual):
            self._wanted.update(known.related)
            self._fields.update(known.fields)
            self._ends.update(known.ends)
        self._fits: dict[EntityName, list[float]] = {}

    def name_features(self, name: EntityName) -> Features:
        """Return how well a name fits the others, as an entity and as a field."""
        own, joined = self._usual.get(name[-1]), " ".join(name)
        features = {
            "wanted-by": float(self._wanted[name[-1]]), "field-of": float(self._fields[joined]),
            "field-end-of": float(self._ends[name[-1]]), "usual-known": float(own is not None),
            "company": float(len(self._heads)), "wants": 0.0, "wants-fields": 0.0,
        }  # fmt: skip
        if own is None:
            return features
        return features | {
            "wants": float(sum(head in self._heads for head in own.related)),
            "wants-fields": float(sum(field.rpartition(" ")[2] in self._heads for field in own.fields)),
        }

    def field_features(self, owner: EntityName, words: EntityName) -> Features:
        """Return how well a field fits an entity, which is one of the names, and how well it fits the others."""
        own = field_fit(owner, words, self._usual)
        fits = self._all_fits(words)
        behind = bisect_right(fits, own)
        best = fits[-1] if behind < len(fits) else fits[-2] if len(fits) > 1 else 0.0
        return {
            "fits": own, "fits-known": float(owner[-1] in self._usual), "fits-other": best, "fits-better": own - best,
            "fit-rank": float(len(fits) - behind),
        }  # fmt: skip

    def _all_fits(self, words: EntityName) -> list[float]:
        """Return how well a field fits each name, least first."""
        if words not in self._fits:
            whole = " ".join(words)
            fits = ([_fit(self._usual.get(head), whole, words[-1])] * count for head, count in self._heads.items())
            self._fits[words] = sorted(fit for same in fits for fit in same)
        return self._fits[words]

    def relation_features(self, first: EntityName, second: EntityName) -> Features:
        """Return how usual it is that two of the names are related, and with how many others each rather is."""
        ways = relation_fit(first, second, self._usual), relation_fit(second, first, self._usual)
        ranks = [self._rank(name, way) for name, way in zip((first, second), ways, strict=True) if way]
        known = sum(name[-1] in self._usual for name in (first, second))
        return {
            "usual": max(ways), "usual-both": min(ways), "usual-known": float(known),
            "usual-rank": float(min(ranks, default=-1)),
        }  # fmt: skip

    def _rank(self, name: EntityName, way: float) -> int:
        related = self._usual[name[-1]].related.items()
        return sum(self._heads[head] for head, value in related if value > way)


def field_fit(owner: EntityName, words: EntityName, usual: Mapping[str, Usual]) -> float:
    """Return how usual a field is for an entity, 0 to 1; half of that if only its last word is."""
    return _fit(usual.get(owner[-1]), " ".join(words), words[-1])


def _fit(known: Usual | None, whole: str, last: str) -> float:
    if known is None:
        return 0.0
    return max(known.fields.get(whole, 0.0), _HALF * known.ends.get(last, 0.0))


def relation_fit(first: EntityName, second: EntityName, usual: Mapping[str, Usual]) -> float:
    """Return how usual it is that the first of two entities is related to the second, 0 to 1."""
    known = usual.get(first[-1])
    return 0.0 if known is None else known.related.get(second[-1], 0.0)
