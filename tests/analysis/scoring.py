"""Precision, recall and F1 of a schema against a reference model, by names that are equal once singular and folded.

Beside them two accuracies: of the ends of relationships that both have, how many are rightly one or many; of the fields
that both have, how many have a type of the right family.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from schemawire.analysis.naming import singular, split_words
from schemawire.schema.model import DomainSchema

KINDS = ("class", "attribute", "relationship")
ACCURACIES = ("cardinality", "type")
Model = Mapping[str, set[object]]
FAMILIES = {
    "bigint": "integer", "money": "decimal", "float": "decimal", "double": "decimal", "text": "string",
    "enum": "string", "email": "string", "url": "string", "phone": "string", "uuid": "string", "binary": "string",
    "int": "integer",
    "bool": "boolean", "list": "string", "json": "string",
}  # fmt: skip
"""Types that a reference does not tell apart."""


@dataclass(frozen=True, slots=True)
class Score:
    """The right share of what was found, of what there is, and F1; all 0 to 1."""

    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How many of those compared are right."""

    right: int
    total: int

    @property
    def share(self) -> float:
        """The right share, 0 to 1."""
        return self.right / max(self.total, 1)


def folded(name: str) -> str:
    """Return a name in lower case without word borders, each word in the singular."""
    return "".join(singular(word) for word in split_words(name))


def reference_model(case: Mapping[str, Any]) -> Model:
    """Return the names of a reference: classes and enums, owned attributes, unordered pairs."""
    return {
        "class": {folded(name) for name in (*case["classes"], *case["enums"])},
        "attribute": {(folded(owner), folded(name)) for owner, name, *_ in case["attributes"]},
        "relationship": {frozenset((folded(a), folded(b))) for a, b, *_ in case["relationships"]},
    }


def drafted_model(schema: DomainSchema) -> Model:
    """Return the same names of a schema, without its keys and references."""
    fields = [(entity.name, field) for entity in schema.entities for field in entity.fields]
    pairs = [(link.source, link.target) for link in schema.relationships]
    pairs += [(entity.name, entity.extends) for entity in schema.entities if entity.extends]
    return {
        "class": {folded(e.name) for e in schema.entities} | {folded(e.name) for e in schema.enums},
        "attribute": {
            (folded(owner), folded(field.name))
            for owner, field in fields
            if not field.primary_key and field.references is None
        },
        "relationship": {frozenset((folded(a), folded(b))) for a, b in pairs},
    }


def mean_scores(models: Iterable[tuple[Model, Model]]) -> dict[str, Score]:
    """Return each kind's precision and recall, averaged over pairs of reference and draft."""
    pairs = list(models)
    means = {}
    for kind in KINDS:
        rows = [_score(*_counts(gold[kind], found[kind])) for gold, found in pairs if gold[kind]]
        count = max(len(rows), 1)
        means[kind] = Score(
            *(sum(getattr(row, part) for row in rows) / count for part in ("precision", "recall", "f1"))
        )
    return means


def pooled_scores(models: Iterable[tuple[Model, Model]]) -> dict[str, Score]:
    """Return each kind's precision and recall over all cases together: long texts count for more."""
    pairs = list(models)
    sums = {kind: [_counts(gold[kind], found[kind]) for gold, found in pairs] for kind in KINDS}
    return {kind: _score(*(sum(row[part] for row in rows) for part in range(3))) for kind, rows in sums.items()}


def _counts(gold: set[object], found: set[object]) -> tuple[int, int, int]:
    return len(gold & found), len(found), len(gold)


def _score(right: int, found: int, gold: int) -> Score:
    return Score(right / max(found, 1), right / max(gold, 1), 2 * right / max(found + gold, 1))


def cardinality_accuracy(cases: Iterable[tuple[Mapping[str, Any], DomainSchema]]) -> Accuracy:
    """Return how many ends of relationships that both have are rightly one or many; the best fit of several counts."""
    right = total = 0
    for case, schema in cases:
        found: dict[frozenset[str], list[dict[str, bool]]] = {}
        for link in schema.relationships:
            ends = {folded(link.source): _is_many(link.source_cardinality)}
            ends[folded(link.target)] = _is_many(link.target_cardinality)
            found.setdefault(frozenset(ends), []).append(ends)
        for first, second, kind, low, high, *_ in case["relationships"]:
            wanted = {folded(first): low, folded(second): high}
            stated = {name: _is_many(end) for name, end in wanted.items() if end}
            fits = [
                sum(ends[name] == many for name, many in stated.items()) for ends in found.get(frozenset(wanted), ())
            ]
            if kind != "inheritance" and fits and len(wanted) > 1:
                right, total = right + max(fits), total + len(stated)
    return Accuracy(right, total)


def _is_many(cardinality: str) -> bool:
    return cardinality.split("..")[-1] not in ("0", "1")


def type_accuracy(cases: Iterable[tuple[Mapping[str, Any], DomainSchema]]) -> Accuracy:
    """Return how many of the fields that both have, and whose type the reference states, have a type of its family."""
    right = total = 0
    for case, schema in cases:
        found = {
            (folded(entity.name), folded(field.name)): field.type
            for entity in schema.entities
            for field in entity.fields
        }
        for owner, name, kind in case["attributes"]:
            drafted = found.get((folded(owner), folded(name)))
            if kind and drafted is not None:
                total += 1
                right += _family(kind) == _family(drafted)
    return Accuracy(right, total)


def _family(kind: str) -> str:
    named = kind[:1].isupper()  # the type is an enum of the reference
    return "string" if named else FAMILIES.get(kind.lower(), kind.lower())
