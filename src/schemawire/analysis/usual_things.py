"""What entities usually have and are related to, by their nouns; how well two names of a text fit each other.

Knows the language's list of usual things; chooses nothing.
"""

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


def field_fit(owner: EntityName, words: EntityName, usual: Mapping[str, Usual]) -> float:
    """Return how usual a field is for an entity, 0 to 1; half of that if only its last word is."""
    known = usual.get(owner[-1])
    if known is None:
        return 0.0
    return max(known.fields.get(" ".join(words), 0.0), _HALF * known.ends.get(words[-1], 0.0))


def fit_features(
    owner: EntityName, words: EntityName, owners: Collection[EntityName], usual: Mapping[str, Usual]
) -> Features:
    """Return how well a field fits an entity, and how well the other entities of its text.

    Args:
        owner: the entity.
        words: the field's name.
        owners: the entities of the text.
        usual: what is usual.
    """
    own = field_fit(owner, words, usual)
    others = [field_fit(other, words, usual) for other in owners if other != owner]
    best = max(others, default=0.0)
    return {
        "fits": own, "fits-known": float(owner[-1] in usual), "fits-other": best, "fits-better": own - best,
        "fit-rank": float(sum(other > own for other in others)),
    }  # fmt: skip


def relation_fit(first: EntityName, second: EntityName, usual: Mapping[str, Usual]) -> float:
    """Return how usual it is that the first of two entities is related to the second, 0 to 1."""
    known = usual.get(first[-1])
    return 0.0 if known is None else known.related.get(second[-1], 0.0)


def company_features(name: EntityName, around: Collection[EntityName], usual: Mapping[str, Usual]) -> Features:
    """Return how well a name fits the other names of its text, as an entity and as a field.

    Args:
        name: the name.
        around: the names that the text mentions.
        usual: what is usual.
    """
    others = [usual[head] for head in {other[-1] for other in around} if head in usual and head != name[-1]]
    own = usual.get(name[-1])
    heads = {other[-1] for other in around}
    joined = " ".join(name)
    return {
        "wanted-by": float(sum(name[-1] in other.related for other in others)),
        "wants": float(sum(head in heads for head in own.related)) if own else 0.0,
        "wants-fields": float(sum(field.rpartition(" ")[2] in heads for field in own.fields)) if own else 0.0,
        "field-of": float(sum(joined in other.fields for other in others)),
        "field-end-of": float(sum(name[-1] in other.ends for other in others)),
        "usual-known": float(own is not None), "company": float(len(others)),
    }  # fmt: skip
