"""Which of the things that a text speaks of are entities.

Knows facts and how strongly each was stated; knows no field.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from schemawire.analysis.attributes import is_known_field
from schemawire.analysis.drafting import EntityDraft, SchemaDraft
from schemawire.analysis.facts import (
    ConstraintFact,
    EntityFact,
    EntityName,
    Fact,
    KindFact,
    NameFact,
    PropertyFact,
    RelationFact,
    Source,
)
from schemawire.analysis.lexicon import Lexicon
from schemawire.analysis.naming import entity_words
from schemawire.analysis.noun_phrases import Phrase
from schemawire.analysis.quantifiers import MANY

_SHORT_TEXT = 40
"""Facts: in a text with fewer, one relation is enough to make an entity; prose needs two mentions."""


def select_entities(facts: Sequence[Fact], draft: SchemaDraft) -> None:
    """Add to a draft the entities that the facts amount to, in order of first mention."""
    sources = _gather(facts)
    scores = _score(facts, draft.lexicon)
    threshold = 2 if len(facts) < _SHORT_TEXT else 3
    for name, found in sources.items():
        if scores[name] >= threshold:
            draft.entities[name] = EntityDraft(words=name, sources=found)


def _gather(facts: Iterable[Fact]) -> dict[EntityName, list[Source]]:
    sources: dict[EntityName, list[Source]] = {}
    for fact in facts:
        for name in _names(fact):
            sources.setdefault(name, []).append(fact.source)
    return sources


def _names(fact: Fact) -> tuple[EntityName, ...]:
    match fact:
        case EntityFact(words=words):
            return (words,)
        case PropertyFact(owner=owner, phrase=phrase):
            return (owner, entity_words(phrase.words)) if phrase.words else (owner,)
        case RelationFact(source_words=first, target_words=second) | KindFact(child=first, parent=second):
            return first, second
        case ConstraintFact(owner=owner):
            return (owner,)
        case NameFact() | _:
            return ()


def _score(facts: Iterable[Fact], lexicon: Lexicon) -> Counter[EntityName]:
    """Two points make an entity of a short text: one declaration, or a place in a relation."""
    scores: Counter[EntityName] = Counter()
    for fact in facts:
        match fact:
            case EntityFact(words=words, strength=strength):
                scores[words] += 4 if strength == "declared" else 1
            case PropertyFact():
                _score_property(fact, scores, lexicon)
            case RelationFact(source_words=first, target_words=second):
                scores[first] += 2
                scores[second] += 1 if _is_field_noun(second, lexicon) and not _names_things(fact) else 2
            case KindFact(child=child, parent=parent):
                scores[child] += 4
                scores[parent] += 4
            case ConstraintFact(owner=owner):
                scores[owner] += 2
            case _:
                pass
    return scores


def _names_things(fact: RelationFact) -> bool:
    """Return whether the target must be a thing, though its noun is often a field: "users write comments"."""
    return fact.verb == "belong" or (fact.particle in ("", "with") and (fact.target_quantity or MANY).is_many)


def _score_property(fact: PropertyFact, scores: Counter[EntityName], lexicon: Lexicon) -> None:
    scores[fact.owner] += 4 if not _is_field_noun(fact.owner, lexicon) else 2
    inner = entity_words(fact.phrase.words)
    if inner and inner[-1].removeprefix("sub").lstrip("-") == fact.owner[-1]:
        return  # a category's subcategories are categories
    if fact.phrase.words and is_thing(fact, lexicon):
        scores[entity_words(fact.phrase.words)] += 4


def _is_field_noun(name: EntityName, lexicon: Lexicon) -> bool:
    return " ".join(name) in lexicon.nouns.types


def is_thing(fact: PropertyFact, lexicon: Lexicon) -> bool:
    """Return whether what an owner has is a thing of its own by the way it is said, not a field.

    "many comments" are things; "a title" and "phone numbers" are fields.
    """
    phrase = fact.phrase
    if fact.certain or fact.type is not None or fact.values or phrase.hint or (phrase.bracket and not phrase.plural):
        return False
    if is_known_field(phrase, lexicon):
        return phrase.plural and phrase.quantity is not None and phrase.is_many and _usually_hangs(phrase, lexicon)
    if fact.relational or phrase.is_many:
        return True
    return phrase.quantity is not None and phrase.quantity.word not in ("a", "an", "number")


def _usually_hangs(phrase: Phrase, lexicon: Lexicon) -> bool:
    """Return whether many of a kind are usually things: "many comments" are, "many phone numbers" are not."""
    key = "_".join(entity_words(phrase.words))
    return key in lexicon.domains.dependants or key in lexicon.domains.many_to_many
