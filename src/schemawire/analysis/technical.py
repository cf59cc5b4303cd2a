"""The columns that a developer expects beside the described ones: keys, reference fields, timestamps.

Knows the draft and its options; knows no sentence.
"""

from itertools import chain

from schemawire.analysis.drafting import End, EntityDraft, FieldDraft, LinkDraft, SchemaDraft
from schemawire.analysis.quantifiers import MANY, ONE

_MAX_SAME = 100
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
        end = referenced_end(link)
        if end is None:
            continue
        holder, referenced = (link.target, link.source) if end == "source" else (link.source, link.target)
        source, target = link.source_quantity or ONE, link.target_quantity or MANY
        quantity = source if end == "source" else target
        field = FieldDraft(
            words=(*_reference_words(link, end, draft), "id"), type="uuid", source=link.evidence[0],
            required=quantity.low >= 1, unique=not (source.is_many or target.is_many),
        )  # fmt: skip
        field.extra = {"references": {"entity": draft.entities[referenced].name, "field": "id"}}
        _place(draft, draft.entities[holder], field, link, end)


def referenced_end(link: LinkDraft) -> End | None:
    """Return the end that a reference field names; `None` where both ends have many, so that no field can."""
    source, target = link.source_quantity or ONE, link.target_quantity or MANY
    if source.is_many and target.is_many:
        return None
    if target.is_many:
        return "source"
    return "target" if source.is_many or link.particle in _FAR_ENDS else "source"


def _reference_words(link: LinkDraft, end: End, draft: SchemaDraft) -> tuple[str, ...]:
    if link.source == link.target:
        return _self_role(link, draft)
    if end == "target":
        return link.role or link.target
    agent = draft.lexicon.verbs.agents.get(link.verb)
    is_name = agent is not None and not link.particle and link.source[-1] not in draft.lexicon.nouns.organisations
    return (agent,) if agent is not None and is_name else link.source


def _self_role(link: LinkDraft, draft: SchemaDraft) -> tuple[str, ...]:
    """Return what a self reference is called: `parent` of a parent category, `manager` of managed employees."""
    role = tuple(word for word in link.role if word not in link.target)
    if role and not role[0].startswith("sub") and not (link.target_quantity or MANY).is_many:
        return role
    return ("parent",) if link.is_plain else (draft.lexicon.verbs.agents.get(link.verb) or _doer(link.verb),)


def _doer(verb: str) -> str:
    return (verb[:-1] if verb.endswith("e") else verb) + ("r" if verb.endswith("er") else "er")


def _place(draft: SchemaDraft, holder: EntityDraft, field: FieldDraft, link: LinkDraft, end: End) -> None:
    """Add a reference under a name that is still free; a second one to the same entity is told apart by its verb."""
    words = field.words
    numbered = ((*words[:-1], str(number), "id") for number in range(2, _MAX_SAME))
    for candidate in chain((words, (link.verb, *words)), numbered):
        key = draft.field_key(candidate)
        if key not in holder.fields:
            field.words = candidate
            holder.fields[key] = field
            link.referenced_end, link.reference_role = end, candidate[:-1]
            return


def drop_inherited(draft: SchemaDraft) -> None:
    """Drop the fields of an entity that one of its ancestors has already."""
    for entity in draft.entities.values():
        inherited: set[str] = set()
        above = entity.parent
        while above is not None:
            inherited |= {_folded(key) for key in draft.entities[above].fields}
            above = draft.entities[above].parent
        for key in [key for key in entity.fields if _folded(key) in inherited]:
            del entity.fields[key]


def _folded(key: str) -> str:
    return key.casefold().replace("_", "")


def add_timestamps(draft: SchemaDraft) -> None:
    """Give each entity without a parent the times of its creation and last change."""
    for entity in draft.entities.values():
        if entity.parent is None:
            for words, generated in ((("created", "at"), "now"), (("updated", "at"), "update")):
                field = FieldDraft(words=words, type="datetime")
                field.extra = {"generated": generated}
                draft.add_field(entity.words, field)
