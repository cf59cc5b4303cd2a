"""Creates, updates and deletes one thing in an overlay, and says which elements that wrote or removed.

Knows nothing of the list that an operation stands in.
"""

from collections.abc import Iterable
from typing import TypeVar

from schemawire.schema.issues import Issue, did_you_mean, invalid, pointer_to
from schemawire.schema.model import Element, ElementKind, Entity, Field, Part, Rule, kind_of
from schemawire.schema.operations import Create, Delete, Target, Update
from schemawire.schema.patch import patched
from schemawire.schema.view import Key, Overlay

AnyPart = TypeVar("AnyPart", bound=Part)


def create(overlay: Overlay, operation: Create, pointer: str) -> list[Key]:
    """Carry out one creation."""
    part = operation.part
    if isinstance(part, Field):
        entity = find_entity(overlay, str(operation.entity), pointer_to("data", "entity"), pointer)
        if entity.field(part.name):
            raise invalid([_taken("field", f"{entity.name}.{part.name}", pointer)])
        return _put(overlay, changed(entity, fields=(*entity.fields, part)))
    kind = _element_kind(operation.target)
    for taken in ("entity", "enum") if kind in ("entity", "enum") else (kind,):
        if overlay.get(taken, part.key):
            raise invalid([_taken(taken, part.key, pointer)])
    return _put(overlay, part)


def update(overlay: Overlay, operation: Update, pointer: str) -> list[Key]:
    """Carry out one update."""
    place = pointer + pointer_to("data")
    match operation.target:
        case "field":
            entity = find_entity(overlay, str(operation.entity), pointer_to("data", "entity"), pointer)
            field = find_field(entity, operation.name, pointer)
            return _put(overlay, with_fields(entity, {field.name: patched(field, operation.patch, place)}))
        case "rule":
            owner, rule = find_rule(overlay, operation.name, operation.entity, pointer)
            return _put(overlay, with_rule(owner, rule, patched(rule, operation.patch, place)))
        case kind:
            element = find(overlay, kind, operation.name, pointer)
            return _put(overlay, patched(element, operation.patch, place))


def delete(overlay: Overlay, operation: Delete, pointer: str) -> list[Key]:
    """Carry out one deletion."""
    match operation.target:
        case "field":
            entity = find_entity(overlay, str(operation.entity), pointer_to("data", "entity"), pointer)
            field = find_field(entity, operation.name, pointer)
            return _put(overlay, with_fields(entity, {field.name: None}))
        case "rule":
            owner, rule = find_rule(overlay, operation.name, operation.entity, pointer)
            if isinstance(owner, Entity):
                return _put(overlay, with_rule(owner, rule, None))
            overlay.remove("rule", rule.key)
            return [("rule", rule.key)]
        case kind:
            find(overlay, kind, operation.name, pointer)
            overlay.remove(kind, operation.name)
            return [(kind, operation.name)]


def _put(overlay: Overlay, element: Element) -> list[Key]:
    overlay.put(element)
    return [(kind_of(element), element.key)]


def changed(part: AnyPart, **values: object) -> AnyPart:
    """Return the part with some values replaced; unlike `model_copy` alone it keeps the part's document exact."""
    return part.model_copy(update=values)


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
        raise invalid([_missing(kind, name, pointer + pointer_to("data", "name"), ())])
    return element


def find_entity(overlay: Overlay, name: str, place: str, pointer: str) -> Entity:
    """Return an entity, or raise `SchemaInvalid` saying that there is none."""
    element = overlay.get("entity", name)
    if not isinstance(element, Entity):
        raise invalid([_missing("entity", name, pointer + place, ())])
    return element


def find_field(entity: Entity, name: str, pointer: str) -> Field:
    """Return a field, or raise `SchemaInvalid` saying that there is none and which name is nearest."""
    field = entity.field(name)
    if field is None:
        names = [other.name for other in entity.fields]
        raise invalid([_missing("field", f"{entity.name}.{name}", pointer + pointer_to("data", "name"), names)])
    return field


def find_rule(overlay: Overlay, name: str, entity: str | None, pointer: str) -> tuple[Entity | Rule, Rule]:
    """Return a rule and its owner: a top-level rule, or else one of the entity's own."""
    key = name if entity is None else f"{entity}.{name}"
    rule = overlay.get("rule", key)
    if isinstance(rule, Rule):
        return rule, rule
    owner = overlay.get("entity", entity) if entity else None
    if isinstance(owner, Entity):
        for own in owner.rules:
            if own.name == name:
                return owner, own
    raise invalid([_missing("rule", key, pointer + pointer_to("data", "name"), ())])


def _missing(what: str, name: str, place: str, known: Iterable[str]) -> Issue:
    fix = did_you_mean(name.rpartition(".")[2], known, "Create it first, or correct the name.")
    return Issue(code=f"unknown_{what}", pointer=place, message=f"there is no {what} {name!r}", fix=fix)


def _taken(what: str, name: str, pointer: str) -> Issue:
    return Issue(
        code="duplicate_name",
        pointer=pointer + pointer_to("data", "name"),
        message=f"there is already the {what} {name!r}",
        fix="Choose another name, or update what is there.",
    )


def _element_kind(target: Target) -> ElementKind:
    if target == "field":
        raise ValueError("a field is no element")
    return target
