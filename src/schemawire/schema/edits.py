"""Creates, updates and deletes one thing in an overlay, and says which elements that wrote or removed.

Knows nothing of the list that an operation stands in.
"""

from collections.abc import Iterable
from typing import TypeVar

from schemawire.schema.issues import Issue, did_you_mean, invalid, pointer_to
from schemawire.schema.model import Element, ElementKind, Entity, Field, Part, Rule, kind_of
from schemawire.schema.operations import Create, Delete, Update
from schemawire.schema.patch import patched
from schemawire.schema.view import Key, Overlay

AnyPart = TypeVar("AnyPart", bound=Part)


def create(overlay: Overlay, operation: Create, pointer: str) -> list[Key]:
    """Carry out one creation."""
    part = operation.part
    if isinstance(part, Field):
        entity = find_entity(overlay, operation.entity, pointer)
        if entity.field(part.name):
            raise invalid([taken("field", f"{entity.name}.{part.name}", pointer)])
        return overlay.put(changed(entity, fields=(*entity.fields, part)))
    kind = kind_of(part)
    rivals: tuple[ElementKind, ...] = ("entity", "enum") if kind in ("entity", "enum") else (kind,)
    for rival in rivals:
        if overlay.get(rival, part.key) is not None:
            raise invalid([taken(rival, part.key, pointer)])
    return overlay.put(part)


def update(overlay: Overlay, operation: Update, pointer: str) -> list[Key]:
    """Carry out one update."""
    place = pointer + pointer_to("data")
    match operation.target:
        case "field":
            entity = find_entity(overlay, operation.entity, pointer)
            field = find_field(entity, operation.name, pointer)
            return overlay.put(with_fields(entity, {field.name: patched(field, operation.patch, place)}))
        case "rule":
            owner, rule = find_rule(overlay, operation.name, operation.entity, pointer)
            return overlay.put(with_rule(owner, rule, patched(rule, operation.patch, place)))
        case kind:
            element = find(overlay, kind, operation.name, pointer)
            return overlay.put(patched(element, operation.patch, place))


def delete(overlay: Overlay, operation: Delete, pointer: str) -> list[Key]:
    """Carry out one deletion; what still uses the deleted thing is found when the result is checked."""
    match operation.target:
        case "field":
            entity = find_entity(overlay, operation.entity, pointer)
            field = find_field(entity, operation.name, pointer)
            return overlay.put(with_fields(entity, {field.name: None}))
        case "rule":
            owner, rule = find_rule(overlay, operation.name, operation.entity, pointer)
            if isinstance(owner, Entity):
                return overlay.put(with_rule(owner, rule, None))
            return overlay.remove("rule", rule.key)
        case kind:
            find(overlay, kind, operation.name, pointer)
            return overlay.remove(kind, operation.name)


def changed(part: AnyPart, **values: object) -> AnyPart:
    """Return the part with some values set; the caller answers for their types."""
    return part.model_copy(update=values)


def altered(part: AnyPart, **values: object) -> AnyPart:
    """Return the part with those values set that differ, so that its document keeps leaving out what it left out."""
    different = {name: value for name, value in values.items() if getattr(part, name) != value}
    return changed(part, **different) if different else part


def with_extensions(part: AnyPart, extensions: dict[str, object]) -> AnyPart:
    """Return the part with exactly these `x-…` values."""
    if extensions == (part.model_extra or {}):
        return part
    return type(part).model_validate({**_given(part), **extensions}, by_name=True)


def _given(part: Part) -> dict[str, object]:
    return {name: getattr(part, name) for name in part.model_fields_set if name in type(part).model_fields}


def with_fields(entity: Entity, replaced: dict[str, Field | None]) -> Entity:
    """Return the entity with some of its fields replaced, or removed where the new one is `None`."""
    fields = (replaced.get(field.name, field) for field in entity.fields)
    return changed(entity, fields=tuple(field for field in fields if field is not None))


def with_rule(owner: Entity | Rule, rule: Rule, replacement: Rule | None) -> Entity | Rule:
    """Return the owner of a rule with that rule replaced, or removed; a top-level rule is its own owner."""
    if isinstance(owner, Rule):
        return replacement or owner
    rules = (replacement if other is rule else other for other in owner.rules)
    return changed(owner, rules=tuple(other for other in rules if other is not None))


def find(overlay: Overlay, kind: ElementKind, name: str, pointer: str) -> Element:
    """Return an element, or raise `SchemaInvalid` saying that there is none."""
    element = overlay.get(kind, name)
    if element is None:
        raise invalid([_missing(kind, name, pointer + pointer_to("data", "name"))])
    return element


def find_entity(overlay: Overlay, name: str | None, pointer: str) -> Entity:
    """Return the entity that an operation on a field names, or raise `SchemaInvalid` saying that there is none."""
    element = overlay.get("entity", name or "")
    if not isinstance(element, Entity):
        raise invalid([_missing("entity", name or "", pointer + pointer_to("data", "entity"))])
    return element


def find_field(entity: Entity, name: str, pointer: str) -> Field:
    """Return a field, or raise `SchemaInvalid` saying that there is none and which name is nearest."""
    field = entity.field(name)
    if field is None:
        names = [other.name for other in entity.fields]
        place = pointer + pointer_to("data", "name")
        raise invalid([_missing("field", f"{entity.name}.{name}", place, did_you_mean(name, names, _CREATE_IT))])
    return field


def find_rule(overlay: Overlay, name: str, entity: str | None, pointer: str) -> tuple[Entity | Rule, Rule]:
    """Return a rule and its owner: itself if it stands at the top level, or else the entity that lists it."""
    key = name if entity is None else f"{entity}.{name}"
    rule = overlay.get("rule", key)
    if isinstance(rule, Rule):
        return rule, rule
    owner = overlay.get("entity", entity) if entity else None
    for own in owner.rules if isinstance(owner, Entity) else ():
        if isinstance(owner, Entity) and own.name == name:
            return owner, own
    fix = _CREATE_IT if entity else f"{_CREATE_IT[:-1]}; the rule of an entity is named by `entity` too."
    raise invalid([_missing("rule", key, pointer + pointer_to("data", "name"), fix)])


_CREATE_IT = "Create it first, or correct the name."


def _missing(what: str, name: str, place: str, fix: str = _CREATE_IT) -> Issue:
    return Issue(code=f"unknown_{what}", pointer=place, message=f"there is no {what} {name!r}", fix=fix)


def taken(what: str, name: str, pointer: str, key: str = "name") -> Issue:
    """Return the issue that something of that name exists already.

    Args:
        what: the kind of thing.
        name: its name.
        pointer: where the operation stands in the request.
        key: the key of the operation's data that gives the name.
    """
    return Issue(
        code="duplicate_name",
        pointer=pointer + pointer_to("data", key),
        message=f"there is already the {what} {name!r}",
        fix="Choose another name, or update what is there.",
    )


def names_of(elements: Iterable[Key]) -> str:
    """Return a few keys as words, for a message."""
    words = [f"{kind} {key!r}" for kind, key in elements]
    return ", ".join(words[:5]) + (f" and {len(words) - 5} more" if len(words) > 5 else "")
