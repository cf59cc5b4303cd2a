"""Precision, recall and F1 of a schema against a reference model, by names that are equal once singular and folded."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from schemawire.analysis.naming import singular, split_words
from schemawire.schema.model import DomainSchema

KINDS = ("class", "attribute", "relationship")
Model = Mapping[str, set[object]]


@dataclass(frozen=True, slots=True)
class Score:
    """Means over the cases: the right share of what was found, of what there is, and F1; all 0 to 1."""

    precision: float
    recall: float
    f1: float


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
        rows = [(len(gold[kind] & found[kind]), len(found[kind]), len(gold[kind])) for gold, found in pairs]
        precision = sum(right / max(found, 1) for right, found, _ in rows) / len(rows)
        recall = sum(right / max(gold, 1) for right, _, gold in rows) / len(rows)
        f1 = sum(2 * right / max(found + gold, 1) for right, found, gold in rows) / len(rows)
        means[kind] = Score(precision, recall, f1)
    return means
