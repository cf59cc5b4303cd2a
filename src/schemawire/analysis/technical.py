"""The columns that a developer expects beside the described ones: keys, reference fields, timestamps.

Knows the draft and its options; knows no sentence.
"""

from schemawire.analysis.drafting import EntityDraft, FieldDraft, LinkDraft, SchemaDraft
from schemawire.analysis.facts import EntityName
from schemawire.analysis.quantifiers import MANY, ONE, Quantity

_FAR_ENDS = frozenset({"to", "in", "for", "on", "at", "with", "from", "under"})


def add_keys(draft: SchemaDraft) -> None:
    """Give each entity without a parent a uuid primary key, first of its fields."""
    for entity in draft.entities.values():
        if entity.parent is not None:
            continue
        stated = entity.fields.pop("id", None)
        key = FieldDraft(words=("id",), type="uuid", source=stated.source if stated else None)
        key.extra = {"primaryKey": True, "generated": "uuid"}
        entity.fields = {"id": key, **entity.fields}


def add_reference_fields(draft: SchemaDraft) -> None:
    """Add the field that carries each relationship with one at either end."""
    for link in draft.links:
        placed = carrier_of(link)
        if placed is None:
            continue
        holder, referenced, quantity, unique = placed
        words = _reference_words(link, holder, referenced, draft)
        field = FieldDraft(words=words, type="uuid", source=link.evidence[0], required=quantity.low >= 1, unique=unique)
        field.extra = {"references": {"entity": draft.entities[referenced].name, "field": "id"}}
        _place(draft, draft.entities[holder], field, link)


def carrier_of(link: LinkDraft) -> tuple[EntityName, EntityName, Quantity, bool] | None:
    """Return who holds the reference, to whom, how many it must name, and whether each may be named once only."""
    source, target = link.source_quantity or ONE, link.target_quantity or MANY
    if source.is_many and target.is_many:
        return None
    if target.is_many:
        return link.target, link.source, source, False
    if source.is_many:
        return link.source, link.target, target, False
    if link.particle in _FAR_ENDS:
        return link.source, link.target, target, True
    return link.target, link.source, source, True


def _reference_words(
    link: LinkDraft, holder: EntityName, referenced: EntityName, draft: SchemaDraft
) -> tuple[str, ...]:
    if link.source == link.target:
        return (*_self_role(link, draft), "id")
    if link.role and referenced == link.target:
        return (*link.role, "id")
    agent = draft.lexicon.verbs.agents.get(link.verb)
    if agent is not None and referenced == link.source and not link.particle:
        return agent, "id"
    return (*referenced, "id")


def _self_role(link: LinkDraft, draft: SchemaDraft) -> tuple[str, ...]:
    """Return what a self reference is called: `parent` of a parent category, `manager` of managed employees."""
    role = tuple(word for word in link.role if word not in link.target)
    if role and not role[0].startswith("sub") and not (link.target_quantity or MANY).is_many:
        return role
    return ("parent",) if link.is_plain else (draft.lexicon.verbs.agents.get(link.verb) or _doer(link.verb),)


def _doer(verb: str) -> str:
    return (verb[:-1] if verb.endswith("e") else verb) + ("r" if verb.endswith("er") else "er")


def _place(draft: SchemaDraft, holder: EntityDraft, field: FieldDraft, link: LinkDraft) -> None:
    """Add a reference under a name that is still free; a second one to the same entity is told apart by its verb."""
    for words in (field.words, (link.verb, *field.words), *((*field.words[:-1], str(n), "id") for n in range(2, 100))):
        key = draft.field_key(words)
        if key not in holder.fields:
            field.words = words
            holder.fields[key] = field
            return


def add_timestamps(draft: SchemaDraft) -> None:
    """Give each entity without a parent the times of its creation and last change."""
    for entity in draft.entities.values():
        if entity.parent is None:
            for words, generated in ((("created", "at"), "now"), (("updated", "at"), "update")):
                field = FieldDraft(words=words, type="datetime")
                field.extra = {"generated": generated}
                draft.add_field(entity.words, field)
