"""Entities that carry a many-to-many relationship: "members borrow books" and a loan with its dates.

Knows the nouns of verbs and the draft; knows no sentence.
"""

from collections import Counter, defaultdict

from schemawire.analysis.drafting import FieldDraft, LinkDraft, SchemaDraft
from schemawire.analysis.facts import EntityName
from schemawire.analysis.quantifiers import MANY, ONE, Quantity

_SHORTEST_STEM = 4
_DOERS = ("er", "or", "ee", "ant", "ist")
"""Endings of those who act or are acted on: a publisher is no act of publishing."""


def join_through_entities(draft: SchemaDraft) -> None:
    """Let the entity that a verb's noun names carry a relationship with many at both ends.

    The entity becomes an association; what else related it to the two ends says the same and goes.
    """
    around: defaultdict[EntityName, list[LinkDraft]] = defaultdict(list)
    for link in draft.links:
        for end in {link.source, link.target}:
            around[end].append(link)
    joined: dict[EntityName, LinkDraft] = {}
    acts = _Acts(draft)
    for link in draft.links:
        join = _join_of(link, draft, acts)
        if join is not None and join not in joined and draft.entities[join].parent is None:
            joined[join] = link
    repeated = {id(other) for join, link in joined.items() for other in around[join] if _repeats(other, link)}
    for join, link in joined.items():
        link.through = None if id(link) in repeated else join
        draft.entities[join].kind = "association" if link.through else "entity"
    draft.links = [link for link in draft.links if id(link) not in repeated]


def split_at_joins(draft: SchemaDraft) -> None:
    """Relate both ends of a verb to the entity that its noun names: "students enrol in courses" and an enrolment.

    The relation of the two then goes by way of that entity.
    """
    acts = _Acts(draft)
    related = Counter(frozenset((link.source, link.target)) for link in draft.links)
    kept: list[LinkDraft] = []
    parts: list[LinkDraft] = []
    for link in draft.links:
        join = next((noun for noun in acts.of(link) if noun in draft.entities), None)
        if join is None or link.source == link.target or join in (link.source, link.target):
            kept.append(link)
            continue
        related[frozenset((link.source, link.target))] -= 1
        missing = [end for end in (link.source, link.target) if not related[frozenset((end, join))]]
        parts.extend(_part(link, end, join) for end in missing)
        related.update(frozenset((end, join)) for end in missing)
    draft.links = kept + parts


def _part(link: LinkDraft, end: EntityName, join: EntityName) -> LinkDraft:
    evidence = list(link.evidence)
    return LinkDraft(source=end, target=join, verb="have", evidence=evidence, source_quantity=ONE, target_quantity=MANY)


class _Acts:
    """What the acts of verbs are called; entities are found by how they begin, however many there are."""

    def __init__(self, draft: SchemaDraft) -> None:
        self._listed = draft.lexicon.verbs.nouns
        self._entities: defaultdict[str, list[EntityName]] = defaultdict(list)
        for name in draft.entities:
            if not name[-1].endswith(_DOERS):
                self._entities[name[-1][:_SHORTEST_STEM]].append(name)

    def of(self, link: LinkDraft) -> list[EntityName]:
        """Return what one act of a link's verb is called: by the lexicon, or an entity with the verb's stem."""
        listed: list[EntityName] = [(noun,) for noun in self._listed.get(link.verb, ())]
        stem = link.verb.removesuffix("e").removesuffix("y")
        if len(stem) < _SHORTEST_STEM:
            return listed
        acts = [name for name in self._entities.get(stem[:_SHORTEST_STEM], ()) if name[-1].startswith(stem)]
        return listed + [name for name in acts if name not in (link.source, link.target)]


def _join_of(link: LinkDraft, draft: SchemaDraft, acts: _Acts) -> EntityName | None:
    named = link.through
    link.through = None
    if link.source == link.target or not (_is_many(link.source_quantity) and _is_many(link.target_quantity)):
        return None
    nouns = [named] if named else acts.of(link)
    return next((noun for noun in nouns if noun in draft.entities and noun not in (link.source, link.target)), None)


def _is_many(quantity: Quantity | None) -> bool:
    return (quantity or MANY).is_many


def _repeats(other: LinkDraft, link: LinkDraft) -> bool:
    """Return whether a link of the joining entity only says that it hangs on one of the two ends."""
    return bool({other.source, other.target} & {link.source, link.target}) and not other.role


def add_join_references(draft: SchemaDraft) -> None:
    """Give each joining entity the references to both of its ends."""
    for link in draft.links:
        if link.through is None:
            continue
        for end in (link.source, link.target):
            field = FieldDraft(words=(*end, "id"), type="uuid", source=link.evidence[0])
            field.extra = {"references": {"entity": draft.entities[end].name, "field": "id"}}
            draft.add_field(link.through, field)
