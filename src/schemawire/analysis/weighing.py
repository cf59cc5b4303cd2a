"""What speaks for and against a name in prose being an entity: how it is said, and what its noun means.

Knows facts and the lexicon; judges nothing.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from schemawire.analysis.attributes import nature_of
from schemawire.analysis.facts import (
    ConstraintFact,
    EntityFact,
    EntityName,
    Fact,
    KindFact,
    MentionFact,
    PropertyFact,
    RelationFact,
)
from schemawire.analysis.forest import Features
from schemawire.analysis.lexicon import Lexicon
from schemawire.analysis.naming import entity_words
from schemawire.analysis.things import is_field_noun, is_thing

_USUAL_CROWD = 30
"""Names that a text of some 200 words mentions."""
_OPENING = 120
"""Characters in which the stage is set: who runs the whole, and why."""
_STAGE = 40
"""Characters in which the first subject of a text stands."""
_INTRODUCING = {
    "before": ("before",), "each": ("each", "every"), "a": ("a", "an", "another", "one"), "it": ("it",),
    "the": ("the", "this", "that", "these", "those"),
}  # fmt: skip
_DOERS = ("er", "or", "ee", "ist", "ant", "ian", "man")
_ABSTRACT = ("ness", "ity", "ism", "ance", "ence", "ship", "hood")
_ACTS = ("tion", "sion", "ment", "ing", "al", "ure")


@dataclass(slots=True)
class _Evidence:
    roles: Counter[str] = field(default_factory=Counter)
    marks: Counter[str] = field(default_factory=Counter)
    fields: set[EntityName] = field(default_factory=set)
    known_fields: set[EntityName] = field(default_factory=set)
    things: set[EntityName] = field(default_factory=set)
    others: set[EntityName] = field(default_factory=set)
    places: set[int] = field(default_factory=set)
    had_as_field: int = 0
    had_as_thing: int = 0
    child: int = 0
    parent: int = 0
    declared: bool = False
    part: int = 0
    rules: Counter[str] = field(default_factory=Counter)
    first: int = 1 << 40


def entity_features(facts: Sequence[Fact], lexicon: Lexicon) -> dict[EntityName, Features]:
    """Return what speaks for and against each name that the facts mention."""
    found: defaultdict[EntityName, _Evidence] = defaultdict(_Evidence)
    for fact in facts:
        _gather(fact, found, lexicon)
    heads = Counter(name[-1] for name in found if len(name) > 1)
    crowd = math.log(max(len(found), 1) / _USUAL_CROWD)
    most = max((len(evidence.places) for evidence in found.values()), default=1)
    features = {name: _features(name, evidence, heads, lexicon) for name, evidence in found.items() if name}
    for name, own in features.items():
        count = len(found[name].places)
        own |= {"crowd": crowd, "share": count / max(most, 1), "once-in-crowd": crowd * float(count <= 1)}
    return features


def _gather(fact: Fact, found: defaultdict[EntityName, _Evidence], lexicon: Lexicon) -> None:
    match fact:
        case MentionFact():
            _gather_mention(fact, found[fact.words])
        case PropertyFact(owner=owner, phrase=phrase) if phrase.words:
            _gather_property(fact, found, lexicon)
        case RelationFact(source_words=first, target_words=second):
            for name, other, side in ((first, second, "source"), (second, first, "target")):
                found[name].others.add(other)
                found[name].rules[f"{side}:{fact.source.rule.removeprefix('parser:')}"] += 1
        case KindFact(child=child, parent=parent):
            found[child].child += 1
            found[parent].parent += 1
        case ConstraintFact(owner=owner, field=named):
            found[owner].fields.add(named)
        case EntityFact(words=words, strength="declared") if not fact.source.rule.startswith("managed"):
            found[words].declared = True
        case _:
            pass


def _gather_mention(fact: MentionFact, evidence: _Evidence) -> None:
    evidence.first = min(evidence.first, fact.source.start)
    evidence.places.add(fact.source.start)
    evidence.roles[fact.role] += 1
    evidence.marks[_introduced(fact)] += 1
    for mark in ("proper", "conditional", "idle", "plural", "adjective", "doubtful", "aside", "numbered"):
        evidence.marks[mark] += bool(getattr(fact, mark))


def _introduced(fact: MentionFact) -> str:
    """Return how a mention is introduced: by which kind of word, or by none."""
    for mark, words in _INTRODUCING.items():
        if fact.determiner in words:
            return mark
    return "counted" if fact.counted else "bare-plural" if fact.plural else "bare"


def _gather_property(fact: PropertyFact, found: defaultdict[EntityName, _Evidence], lexicon: Lexicon) -> None:
    inner = entity_words(fact.phrase.words)
    owner = found[fact.owner]
    if not inner:
        return
    if is_thing(fact, lexicon):
        owner.things.add(inner)
        found[inner].had_as_thing += 1
        found[inner].part += fact.kind == "composition"
        owner.part += fact.kind == "composition"
        return
    owner.fields.add(inner)
    if nature_of(inner, lexicon).known or fact.phrase.hint:
        owner.known_fields.add(inner)
    elif not fact.phrase.hint:
        found[inner].had_as_field += 1


def _features(name: EntityName, evidence: _Evidence, heads: Counter[str], lexicon: Lexicon) -> Features:
    count = max(1, len(evidence.places))
    features: Features = {
        "mentions": math.log(count), "once": float(count == 1),
        "fields": float(bool(evidence.fields)), "two-fields": float(len(evidence.fields) > 1),
        "known-field": float(bool(evidence.known_fields)), "two-known-fields": float(len(evidence.known_fields) > 1),
        "things": float(bool(evidence.things)), "others": math.log(1 + len(evidence.others)),
        "had-as-field": float(evidence.had_as_field > 0), "had-as-thing": float(evidence.had_as_thing > 0),
        "child": float(evidence.child > 0), "parent": float(evidence.parent > 0), "part": float(evidence.part > 0),
        "declared": float(evidence.declared),
        "unmentioned": float(not (evidence.places or evidence.child or evidence.parent)),
        "many-fields": float(len(evidence.fields) > 2), "three-known": float(len(evidence.known_fields) > 2),
        "opening": float(evidence.first < _OPENING and not evidence.fields),
        "first": float(evidence.first < _STAGE and not evidence.fields),
        **_name_features(name, heads, lexicon),
    }  # fmt: skip
    features |= {f"role:{role}": min(1.0, number / count) for role, number in evidence.roles.items()}
    features |= {f"any:{role}": 1.0 for role in evidence.roles}
    features |= {f"mark:{mark}": 1.0 for mark, number in evidence.marks.items() if number}
    for mark in ("proper", "idle", "conditional", "adjective", "doubtful", "aside", "numbered"):
        features[f"mark:{mark}"] = evidence.marks[mark] / count
    features |= {f"rel:{rule}": 1.0 for rule in evidence.rules}
    return features


def _name_features(name: EntityName, heads: Counter[str], lexicon: Lexicon) -> Features:
    head, grammar, nouns = name[-1], lexicon.grammar, lexicon.nouns
    senses = {f"is:{sense}": 1.0 for sense, members in lexicon.senses.items() if head in members}
    return {
        **senses, "unknown": float(not senses), "alone:unkept": float("is:unkept" in senses and len(senses) == 1),
        "words": float(len(name) - 1), "long": float(len(name) > 2), "field-noun": float(is_field_noun(name, lexicon)),
        "known-tail": float(nature_of(name, lexicon).known), "person": float(head in nouns.people),
        "doer": float(head.endswith(_DOERS)), "abstract": float(head.endswith(_ABSTRACT)),
        "act": float(head.endswith(_ACTS)), "organisation": float(head in nouns.organisations),
        "empty": float(grammar.is_in(head, "empty_things") or grammar.is_in(head, "not_things")),
        "container": float(head in grammar.containers), "state-noun": float(grammar.is_in(head, "state_nouns")),
        "head-shared": math.log(1 + heads[head]), "part-noun": float(head in nouns.parts),
    }  # fmt: skip
