"""Inheritance: what may extend what, without cycles, and where keys belong.

Knows nothing of relationships.
"""

from collections.abc import Iterator

from schemawire.schema.issues import Issue, pointer_to
from schemawire.schema.model import Entity, EntityKind
from schemawire.schema.rules.scope import MAX_ANCESTORS, ancestors
from schemawire.schema.view import SchemaView

_MAY_EXTEND: dict[EntityKind, frozenset[EntityKind]] = {
    "entity": frozenset({"entity", "abstract", "association"}),
    "association": frozenset({"entity", "abstract", "association"}),
    "abstract": frozenset({"entity", "abstract", "association", "valueObject"}),
    "valueObject": frozenset({"valueObject", "abstract"}),
}


def inheritance_issues(view: SchemaView, entity: Entity) -> Iterator[Issue]:
    """Yield what is wrong with an entity's parents and with the keys that it has or inherits."""
    above = ancestors(view, entity)
    if entity.extends:
        yield from _parent_issues(view, entity, above)
    yield from _key_issues(entity, above)


def _parent_issues(view: SchemaView, entity: Entity, above: list[Entity]) -> Iterator[Issue]:
    if entity.extends == entity.name:
        yield _issue("cyclic_extends", f"{entity.name!r} extends itself", "Remove `extends`.")
    elif not above:
        there = "an enum" if view.get("enum", str(entity.extends)) else "unknown"
        message = f"{entity.name!r} extends {entity.extends!r}, which is {there}"
        yield _issue("unknown_entity", message, "Create the entity, or correct the name.")
    elif len(above) > MAX_ANCESTORS:
        message = f"{entity.name!r} has more than {MAX_ANCESTORS} ancestors"
        yield _issue("inheritance_too_deep", message, "Flatten the hierarchy.")
    elif above[-1].extends in {entity.name, *(parent.name for parent in above)}:
        way = " → ".join([entity.name, *(parent.name for parent in above), str(above[-1].extends)])
        yield _issue("cyclic_extends", f"{entity.name!r} extends itself in the end: {way[:300]}", "Break the cycle.")
    elif above[0].kind not in _MAY_EXTEND[entity.kind]:
        message = (
            f"{entity.name!r} is of kind {entity.kind} and cannot extend {above[0].name!r} of kind {above[0].kind}"
        )
        yield _issue("extends_unfit", message, "Give both the same kind, or hold the other one in a field.")


def _key_issues(entity: Entity, above: list[Entity]) -> Iterator[Issue]:
    keyed = next((parent.name for parent in above if any(field.primary_key for field in parent.fields)), None)
    for position, field in enumerate(entity.fields):
        if not field.primary_key:
            continue
        pointer = pointer_to("fields", position, "primaryKey")
        if entity.kind == "valueObject":
            message = f"value object {entity.name!r} has the primary key {field.name!r}"
            yield _doubt("key_on_value_object", pointer, message, "Make it an entity, or drop the key.")
        elif keyed:
            message = f"{entity.name!r} has the primary key {field.name!r} and inherits one from {keyed!r}"
            yield _doubt("key_redefined", pointer, message, "Keep the inherited key alone.")


def _issue(code: str, message: str, fix: str) -> Issue:
    return Issue(code=code, pointer="/extends", message=message, fix=fix)


def _doubt(code: str, pointer: str, message: str, fix: str) -> Issue:
    return Issue(code=code, pointer=pointer, message=message, fix=fix, severity="warning")
