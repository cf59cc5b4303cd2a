"""How likely what an entity has is a field of it: how it is said and what its noun means, weighed.

Knows facts, the language's weights and the draft; the weights are learnt like those of `weighing`.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from schemawire.analysis.attributes import is_known_field
from schemawire.analysis.drafting import SchemaDraft
from schemawire.analysis.facts import EntityName, Fact, MentionFact, PropertyFact
from schemawire.analysis.fields import find_entity
from schemawire.analysis.lexicon import Lexicon
from schemawire.analysis.naming import entity_words
from schemawire.analysis.weighing import Features, likelihood

Owned = tuple[EntityName, EntityName]
"""An entity and the words of what it has."""

_LIKELY = 0.6
"""From here it is a field: where a cross-validation over the project's own texts did best."""
_MEANINGS = ("persons", "bodies", "documents", "events", "objects", "places", "unkept")


def field_features(facts: Sequence[Fact], draft: SchemaDraft) -> dict[Owned, Features]:
    """Return what speaks for each property that is no relation being a field of its owner."""
    told = Counter(fact.words for fact in facts if isinstance(fact, MentionFact))
    doing = {fact.words for fact in facts if isinstance(fact, MentionFact) and fact.role in ("subject", "agent")}
    found: defaultdict[Owned, list[PropertyFact]] = defaultdict(list)
    for fact in owned_fields(facts, draft):
        found[fact.owner, entity_words(fact.phrase.words)].append(fact)
    sizes = Counter(owner for owner, _ in found)
    features: dict[Owned, Features] = {}
    for (owner, words), said in found.items():
        own = _said(said, words, draft.lexicon)
        own |= {
            "told": math.log(1 + told[words]), "told-again": float(told[words] > len(said)),
            "does": float(words in doing),
            "company": math.log(sizes[owner]), "alone": float(sizes[owner] == 1), "many": float(sizes[owner] > _MANY),
            "person": float(owner[-1] in draft.lexicon.senses["persons"]),
        }  # fmt: skip
        features[owner, words] = own
    return features


_MANY = 6


def owned_fields(facts: Iterable[Fact], draft: SchemaDraft) -> Iterable[PropertyFact]:
    """Yield the properties of entities that mean no other entity."""
    for fact in facts:
        owned = isinstance(fact, PropertyFact) and fact.owner in draft.entities and entity_words(fact.phrase.words)
        if isinstance(fact, PropertyFact) and owned and find_entity(fact, draft) is None:
            yield fact


def _said(said: Sequence[PropertyFact], words: EntityName, lexicon: Lexicon) -> Features:
    first, nouns = said[0], lexicon.nouns
    exact = " ".join(words) in nouns.types or " ".join(first.phrase.words) in nouns.types
    known = any(is_known_field(fact.phrase, lexicon) for fact in said)
    features: Features = {
        "exact": float(exact), "tail": float(known and not exact), "unknown": float(not known),
        "hint": float(any(fact.phrase.hint for fact in said)), "words": float(len(words) - 1),
        "long": float(len(words) > 2), "plural": float(first.phrase.plural),
        "certain": float(any(f.certain for f in said)),
        "unknown-plural": float(first.phrase.plural and not known), "twice": float(len(said) > 1),
        "counted": float(first.phrase.quantity is not None and first.phrase.quantity.is_many),
        "valued": float(any(fact.values or fact.phrase.values or fact.phrase.bracket for fact in said)),
        "limited": float(any(bool(fact.phrase.tail) for fact in said)), "optional": float(first.optional),
        "the": float(first.phrase.determiner == "the"), "a": float(first.phrase.determiner in ("a", "an")),
    }  # fmt: skip
    features |= {f"rule:{fact.source.rule}": 1.0 for fact in said}
    features |= {f"is:{sense}": 1.0 for sense in _MEANINGS if words[-1] in lexicon.senses[sense] and not exact}
    return features


def likely_fields(facts: Sequence[Fact], draft: SchemaDraft) -> list[Fact]:
    """Return the facts without the properties that hardly are fields; all of them where no tree was read."""
    if not any(isinstance(fact, MentionFact) for fact in facts):
        return list(facts)
    weights = draft.lexicon.weights["field"]
    dropped = {
        owned
        for owned, features in field_features(facts, draft).items()
        if not features["hint"] and likelihood(features, weights) < _LIKELY
    }
    return [
        fact
        for fact in facts
        if not isinstance(fact, PropertyFact)
        or (fact.owner, entity_words(fact.phrase.words)) not in dropped
        or find_entity(fact, draft) is not None
    ]
