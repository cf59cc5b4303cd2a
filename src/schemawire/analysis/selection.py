"""Which of the things that a text speaks of are entities.

Knows facts and how strongly each was stated; knows no field.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from schemawire.analysis.drafting import EntityDraft, SchemaDraft
from schemawire.analysis.facts import (
    ConstraintFact,
    EntityFact,
    EntityName,
    Fact,
    KindFact,
    MentionFact,
    NameFact,
    PropertyFact,
    RelationFact,
    Source,
)
from schemawire.analysis.lexicon import Lexicon
from schemawire.analysis.naming import entity_words
from schemawire.analysis.prose import choose_from_prose, is_prose
from schemawire.analysis.quantifiers import MANY
from schemawire.analysis.things import is_field_noun, is_thing

_ENOUGH = 2


def select_entities(facts: Sequence[Fact], draft: SchemaDraft) -> None:
    """Add to a draft the entities that the facts amount to, in order of first mention."""
    sources = gather_sources(facts)
    chosen = choose_from_prose(facts, draft.lexicon) if is_prose(facts) else set()
    if not chosen:
        chosen = {name for name, score in _score(facts, draft.lexicon).items() if score >= _ENOUGH}
    for name, found in sources.items():
        if name in chosen:
            draft.entities[name] = EntityDraft(words=name, sources=found)


def gather_sources(facts: Iterable[Fact]) -> dict[EntityName, list[Source]]:
    """Return where each name is spoken of; a bare mention is shown only where nothing else speaks of it."""
    sources: dict[EntityName, list[Source]] = {}
    for fact in facts:
        for name in _names(fact):
            sources.setdefault(name, []).append(fact.source)
    told = {name: [source for source in found if source.rule != "parser:mention"] for name, found in sources.items()}
    return {name: told[name] or found for name, found in sources.items()}


def _names(fact: Fact) -> tuple[EntityName, ...]:
    match fact:
        case EntityFact(words=words) | MentionFact(words=words):
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
                scores[second] += 1 if is_field_noun(second, lexicon) and not _names_things(fact) else 2
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
    scores[fact.owner] += 4 if not is_field_noun(fact.owner, lexicon) else 2
    inner = entity_words(fact.phrase.words)
    if inner and inner[-1].removeprefix("sub").lstrip("-") == fact.owner[-1]:
        return  # a category's subcategories are categories
    if fact.phrase.words and is_thing(fact, lexicon):
        scores[entity_words(fact.phrase.words)] += 4
