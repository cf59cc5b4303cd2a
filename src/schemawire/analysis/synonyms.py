"""Several names for one thing: "registered student" and "student", "bus driver" and "driver", the system's initials.

Knows facts and names; decides nothing about fields.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from schemawire.analysis.attributes import nature_of
from schemawire.analysis.facts import (
    ConstraintFact,
    EntityFact,
    EntityName,
    Fact,
    KindFact,
    MentionFact,
    NameFact,
    PathFact,
    PropertyFact,
    RelationFact,
    RuleFact,
    words_of,
)
from schemawire.analysis.lexicon import Lexicon
from schemawire.analysis.naming import entity_words
from schemawire.analysis.prose import is_prose
from schemawire.analysis.things import is_thing


def merge_synonyms(facts: Sequence[Fact], lexicon: Lexicon) -> list[Fact]:
    """Return the facts with each longer name of a thing replaced by the shorter one that stands alone elsewhere."""
    synonyms = find_synonyms(facts, lexicon)
    return [renamed(fact, synonyms) for fact in facts] if synonyms else list(facts)


def find_synonyms(facts: Sequence[Fact], lexicon: Lexicon) -> dict[EntityName, EntityName]:
    """Return which names are other forms of which."""
    names = dict.fromkeys(name for fact in facts for name in _spoken_of(fact, lexicon))
    kept = {fact.words for fact in facts if isinstance(fact, EntityFact) and fact.strength == "declared"}
    kept |= {name for fact in facts if isinstance(fact, KindFact) for name in (fact.child, fact.parent)}
    prose = is_prose(facts)
    told = Counter(name for fact in facts for name in _spoken_of(fact, lexicon))
    place = {name: position for position, name in enumerate(names)}
    longer: defaultdict[EntityName, list[EntityName]] = defaultdict(list)
    for name in names:
        longer[name[1:]].append(name)
    synonyms: dict[EntityName, EntityName] = {}
    for name in names:
        if name in kept or len(name) < 2 or name[1:] not in names:
            continue
        own = len(name) == 2 and name[:1] in names and (not prose or told[name[1:]] > told[name])
        if _is_adjective(name[0], lexicon) or (own and len(longer[name[1:]]) == 1):
            synonyms[name] = name[1:]
        elif longer[name[1:]] == [name] and told[name[1:]] > 2 * told[name] and prose:
            synonyms[name] = name[1:]  # "station" ten times after one "docking station"
        elif longer[name[1:]] == [name] and name[1:] not in kept and place[name] < place[name[1:]]:
            synonyms[name[1:]] = name  # "each spot" after "parking spots" means those
    return {old: new for old, new in synonyms.items() if new not in synonyms}


def _spoken_of(fact: Fact, lexicon: Lexicon) -> tuple[EntityName, ...]:
    match fact:
        case PathFact():
            return ()
        case MentionFact(words=words, role=role) if role == "modifier" or nature_of(words, lexicon).known:
            return ()  # "company name" is no longer way to say name
        case PropertyFact(phrase=phrase) if phrase.words and is_thing(fact, lexicon):
            return (*words_of(fact), entity_words(phrase.words))
        case _:
            return words_of(fact)


def _is_adjective(word: str, lexicon: Lexicon) -> bool:
    form = lexicon.verbs.forms.get(word)
    past = form is not None and form.form == "past"
    past = past or (word.endswith("ed") and len(word) > 5)
    return past or lexicon.grammar.is_in(word, "adjectives") or word.endswith(("-listed", "-based", "-specific"))


def renamed(fact: Fact, synonyms: Mapping[EntityName, EntityName]) -> Fact:
    """Return a fact under other names of what it speaks of."""

    def new(name: EntityName) -> EntityName:
        return synonyms.get(name, name)

    match fact:
        case EntityFact() | MentionFact():
            return replace(fact, words=new(fact.words))
        case PropertyFact():
            target = synonyms.get(entity_words(fact.phrase.words))
            phrase = replace(fact.phrase, words=target) if target else fact.phrase
            return replace(fact, owner=new(fact.owner), phrase=phrase)
        case RelationFact():
            return replace(fact, source_words=new(fact.source_words), target_words=new(fact.target_words))
        case KindFact():
            return replace(fact, child=new(fact.child), parent=new(fact.parent))
        case ConstraintFact():
            return replace(fact, owner=new(fact.owner))
        case RuleFact():
            return replace(fact, about=new(fact.about))
        case PathFact():
            return replace(fact, first=new(fact.first), second=new(fact.second))
        case NameFact():
            return fact
