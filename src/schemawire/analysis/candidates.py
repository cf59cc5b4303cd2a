"""The names that prose offers for entities: as they stand, without their first words, and joined with an owner's.

Knows facts and ratings; chooses nothing.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from schemawire.analysis.facts import EntityName, Fact, MentionFact, PathFact, PropertyFact
from schemawire.analysis.lexicon import Lexicon
from schemawire.analysis.naming import entity_words

Origin = Literal["exact", "tail", "of", "had", "near", "act"]

_ACTING = {"subject": "S", "agent": "by", "object": "O", "undergoer": "P", "behind": "p"}
_ACT_FROM = 2
"""The rating from which what a verb does may be an entity."""

_MOST_OWNER_WORDS = 2
_NEAR = 5
_PART_FROM, _OWNER_FROM = 4, 4
"""Ratings from which a noun may be called after what it stands near to, and from which that may give it its name."""


@dataclass(slots=True)
class Candidates:
    """The names of one text: where they come from, and how often they were joined from two.

    `mentions` are those of the names as they stand; `longer` the names that end in a name, itself included; `acts` the
    ways to a name that only a verb speaks of.
    """

    origins: defaultdict[EntityName, set[Origin]] = field(default_factory=lambda: defaultdict(set))
    joined: Counter[EntityName] = field(default_factory=Counter)
    mentions: defaultdict[EntityName, list[MentionFact]] = field(default_factory=lambda: defaultdict(list))
    longer: defaultdict[EntityName, set[EntityName]] = field(default_factory=lambda: defaultdict(set))
    acts: defaultdict[EntityName, list[PathFact]] = field(default_factory=lambda: defaultdict(list))


def find_candidates(facts: Sequence[Fact], named: Sequence[EntityName], lexicon: Lexicon) -> Candidates:
    """Return the names that a text offers.

    Args:
        facts: what was read.
        named: the names that the facts speak of.
        lexicon: the language.
    """
    found = Candidates()
    for fact in facts:
        if isinstance(fact, MentionFact):
            found.mentions[fact.words].append(fact)
    for name in named:
        found.origins[name].add("exact")
        for start in range(len(name)):
            found.longer[name[start:]].add(name)
            if start:
                found.origins[name[start:]].add("tail")
    for fact in facts:
        for owner, part, origin in _joined(fact, lexicon):
            found.origins[owner + part].add(origin)
            found.joined[owner + part] += origin != "of"
        if isinstance(fact, PathFact) and fact.path.endswith("|act"):
            found.origins[fact.second].add("act")
            found.acts[fact.second].append(fact)
    return found


def read_acts(facts: Sequence[Fact], lexicon: Lexicon) -> Iterator[PathFact]:
    """Yield the ways from what is named to what its verb does: who borrows and what is borrowed to a loan."""
    for fact in facts:
        acting = _ACTING.get(fact.role) if isinstance(fact, MentionFact) else None
        if not isinstance(fact, MentionFact) or acting is None or fact.idle:
            continue
        for noun, rating in lexicon.nominals.get(fact.verb, {}).items():
            if rating >= _ACT_FROM and fact.words != (noun,):
                source = replace(fact.source, rule="parser:act")
                yield PathFact(
                    first=fact.words, second=(noun,), path=f"{acting}|act", source=source, distance=_NEAR,
                    verb=fact.verb, sentence=fact.sentence,
                )  # fmt: skip


def _joined(fact: Fact, lexicon: Lexicon) -> Iterator[tuple[EntityName, EntityName, Origin]]:
    """Yield owners and parts that one name could be made of: "the items of an order" may be order items."""
    match fact:
        case PropertyFact(owner=owner, phrase=phrase):
            words = entity_words(phrase.words)
            if owner and _fit(owner, words):
                yield owner, words, "had"
        case PathFact(first=first, second=second):
            if fact.path == "|of" and len(first) == 1 and len(second) <= _MOST_OWNER_WORDS:
                yield second, first, "of"
            if fact.distance > _NEAR or fact.path in ("listed", "far") or fact.path.endswith("|act"):
                return
            for owner, part in ((first, second), (second, first)):
                if _fit(owner, part) and _gives_name(owner, part, lexicon):
                    yield owner, part, "near"
        case _:
            return


def _fit(owner: EntityName, part: EntityName) -> bool:
    return len(part) == 1 and len(owner) <= _MOST_OWNER_WORDS and part[0] not in owner


def _gives_name(owner: EntityName, part: EntityName, lexicon: Lexicon) -> bool:
    rated, owning = lexicon.ratings.get(part[0]), lexicon.ratings.get(owner[-1])
    return rated is not None and rated.part >= _PART_FROM and owning is not None and owning.entity >= _OWNER_FROM
