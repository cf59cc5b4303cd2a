"""Entities that carry a many-to-many relationship: "members borrow books" and a loan with its dates.

Knows the nouns of verbs and the draft; knows no sentence.
"""

from schemawire.analysis.drafting import FieldDraft, LinkDraft, SchemaDraft
from schemawire.analysis.facts import EntityName
from schemawire.analysis.quantifiers import MANY, Quantity


def join_through_entities(draft: SchemaDraft) -> None:
    """Let the entity that a verb's noun names carry a relationship with many at both ends.

    The entity becomes an association; what else related it to the two ends says the same and goes.
    """
    for link in list(draft.links):
        join = _join_of(link, draft)
        if join is None or draft.entities[join].parent is not None:
            continue
        link.through = join
        draft.entities[join].kind = "association"
        draft.links = [other for other in draft.links if other is link or not _repeats(other, link, join)]


def _join_of(link: LinkDraft, draft: SchemaDraft) -> EntityName | None:
    if link.source == link.target or not (_is_many(link.source_quantity) and _is_many(link.target_quantity)):
        return None
    named = [link.through] if link.through else [(noun,) for noun in draft.lexicon.verbs.nouns.get(link.verb, ())]
    taken = {other.through for other in draft.links if other is not link}
    free = (noun for noun in named if noun in draft.entities and noun not in (link.source, link.target))
    return next((noun for noun in free if noun not in taken), None)


def _is_many(quantity: Quantity | None) -> bool:
    return (quantity or MANY).is_many


def _repeats(other: LinkDraft, link: LinkDraft, join: EntityName) -> bool:
    ends = {other.source, other.target}
    return join in ends and bool(ends & {link.source, link.target}) and not other.role


def add_join_references(draft: SchemaDraft) -> None:
    """Give each joining entity the references to both of its ends."""
    for link in draft.links:
        if link.through is None:
            continue
        for end in (link.source, link.target):
            field = FieldDraft(words=(*end, "id"), type="uuid", source=link.evidence[0])
            field.extra = {"references": {"entity": draft.entities[end].name, "field": "id"}}
            draft.add_field(link.through, field)
