"""Which of the things that prose speaks of are entities: prose mentions far more than it describes.

Knows facts; a thing needs fields, kinds or several relations before it counts.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from schemawire.analysis.attributes import nature_of
from schemawire.analysis.facts import (
    ConstraintFact,
    EntityFact,
    EntityName,
    Fact,
    KindFact,
    PropertyFact,
    RelationFact,
)
from schemawire.analysis.lexicon import Lexicon
from schemawire.analysis.naming import entity_words
from schemawire.analysis.things import is_thing

PROSE_FROM = 450
"""Characters, about 80 words: in a shorter text one relation is enough to make an entity, prose needs more evidence."""


_NEEDED = 2
"""Things with fields that one without must be related to; with one, every actor and place would be an entity."""

_OPENING = 40
"""Characters in which the first subject of a text stands."""
_UNCOUNTED = frozenset({"", "a", "an", "all", "any", "no", "some", "another", "the"})


@dataclass(slots=True)
class _Case:
    """What speaks for a name: its fields, the others it is related to, and whether it was declared or is a kind."""

    fields: set[EntityName] = field(default_factory=set)
    others: set[EntityName] = field(default_factory=set)
    undergoes: int = 0
    relations: set[int] = field(default_factory=set)
    sure: bool = False
    counted: bool = False
    """A relation says how many: "at least two vineyards are visited" is meant for the model."""
    first: int = 1 << 40


def is_prose(facts: Sequence[Fact]) -> bool:
    """Return whether facts were read from more than a few sentences."""
    return max((fact.source.end for fact in facts), default=0) >= PROSE_FROM


def choose_from_prose(facts: Sequence[Fact], lexicon: Lexicon) -> set[EntityName]:
    """Return the names with enough evidence."""
    cases: defaultdict[EntityName, _Case] = defaultdict(_Case)
    for fact in facts:
        _plead(fact, cases, lexicon)
    strong = {name for name, case in cases.items() if _strong(name, case, lexicon)}
    stages = {name for name, case in cases.items() if _is_stage(case)}
    strong -= {name for name in strong if len(name) == 1 and lexicon.grammar.is_in(name[0], "empty_things")}
    related = {name for name, case in cases.items() if _is_related(name, case, strong, lexicon)}
    return strong | (related - stages)


def _plead(fact: Fact, cases: defaultdict[EntityName, _Case], lexicon: Lexicon) -> None:
    match fact:
        case EntityFact(words=words, strength="declared") if not fact.source.rule.startswith("managed"):
            cases[words].sure = True
        case KindFact(child=child, parent=parent):
            cases[child].sure = cases[parent].sure = True
        case ConstraintFact(owner=owner, field=named):
            cases[owner].fields.add(named)
        case RelationFact(source_words=first, target_words=second):
            _relate(first, second, fact.source.start, cases)
            if _is_counted(fact):
                cases[first].counted = cases[second].counted = True
        case PropertyFact(owner=owner, phrase=phrase) if phrase.words:
            inner = entity_words(phrase.words)
            if is_thing(fact, lexicon):
                if fact.kind == "composition":
                    cases[owner].sure = cases[inner].sure = True
                _relate(owner, inner, fact.source.start, cases)
            else:
                cases[owner].fields.add(inner)
    for name in _ends(fact):
        cases[name].first = min(cases[name].first, fact.source.start)


def _is_counted(fact: RelationFact) -> bool:
    quantities = (fact.source_quantity, fact.target_quantity)
    counted = any(quantity is not None and quantity.word not in _UNCOUNTED for quantity in quantities)
    return counted or fact.source.rule == "parser:passive-by"


def _ends(fact: Fact) -> tuple[EntityName, ...]:
    return (fact.source_words, fact.target_words) if isinstance(fact, RelationFact) else ()


def _relate(first: EntityName, second: EntityName, place: int, cases: defaultdict[EntityName, _Case]) -> None:
    for name, other in ((first, second), (second, first)):
        cases[name].others.add(other)
        cases[name].relations.add(place)
    cases[second].undergoes += 1


def _is_stage(case: _Case) -> bool:
    """Whoever a text opens with and nobody acts on is where it all happens: "a nursery sells plants"."""
    return case.first < _OPENING and not case.undergoes and not case.fields and not case.sure


def _strong(name: EntityName, case: _Case, lexicon: Lexicon) -> bool:
    """A thing that is described: it is a kind, was declared, or has fields and takes part in something."""
    if nature_of(name, lexicon).known and not case.sure:
        return len(case.fields) > 1 and bool(case.others)
    return case.sure or len(case.fields) > 1 or (bool(case.fields) and bool(case.others))


def _is_related(name: EntityName, case: _Case, strong: set[EntityName], lexicon: Lexicon) -> bool:
    """A thing without fields counts if it has to do with those that have, and is not where it all happens."""
    if nature_of(name, lexicon).known or (len(name) == 1 and lexicon.grammar.is_in(name[0], "empty_things")):
        return False
    if case.counted and case.others & strong:
        return True
    return len(case.others & strong) >= _NEEDED or len(case.relations) > _NEEDED
