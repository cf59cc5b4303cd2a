"""The operations that lead from one schema to another.

Knows nothing of what the differences mean.
"""

from collections.abc import Iterator
from typing import Any

from schemawire.errors import SchemaInvalid
from schemawire.schema.apply import apply_to_schema
from schemawire.schema.edits import changed
from schemawire.schema.identity import canonical_bytes, same_value, schema_digest
from schemawire.schema.matching import align
from schemawire.schema.model import DomainSchema, Element, Entity, Part, Rule, kind_of
from schemawire.schema.operations import Create, Delete, Operation, ReplaceSchema, Target, Update
from schemawire.schema.patch import merge_patch


def diff_operations(old: DomainSchema, new: DomainSchema) -> list[Operation]:
    """Return operations that lead from one schema to the other: applied to `old` they give the digest of `new`.

    As small as the operations allow: renamings, creations, updates and deletions. What none of them can express is
    written anew: an element whose fields change places, or the whole schema if its header changes. Empty if the two
    are the same, evidence and the order of elements apart.
    """
    wanted = schema_digest(new)
    if schema_digest(old) == wanted:
        return []
    if not same_value(old.header(), new.header()):
        return [ReplaceSchema(schema=new)]
    alignment = align(old, new)
    operations: list[Operation] = [*alignment.renames, *_changes(alignment.aligned, new)]
    try:
        if schema_digest(apply_to_schema(old, operations)) == wanted:
            return operations
    except SchemaInvalid:  # the target itself breaks the rules, or was named so that the steps collide
        pass
    return [ReplaceSchema(schema=new)]


def _changes(old: DomainSchema, new: DomainSchema) -> Iterator[Operation]:
    before = {(kind_of(element), element.key): element for element in old.elements()}
    after = {(kind_of(element), element.key) for element in new.elements()}
    for key, element in before.items():
        if key not in after:
            yield _deletion(element)
    for element in new.elements():
        former = before.get((kind_of(element), element.key))
        if former is None:
            yield Create(target=kind_of(element), part=element)
        elif canonical_bytes(former) != canonical_bytes(element):
            yield from _change(former, element)


def _deletion(element: Element) -> Delete:
    return Delete(target=kind_of(element), name=element.name, entity=_scope(element))


def _scope(element: Element) -> str | None:
    return element.entity if isinstance(element, Rule) else None


def _change(old: Element, new: Element) -> list[Operation]:
    """Return what turns one element into the other: small steps where they lead there, else the element anew."""
    anew: list[Operation] = [_deletion(old), Create(target=kind_of(new), part=new)]
    if not (isinstance(old, Entity) and isinstance(new, Entity)):
        update = _update(kind_of(new), old, new, _scope(new))
        return [update] if update else anew
    return _entity_steps(old, new) or anew


def _entity_steps(old: Entity, new: Entity) -> list[Operation]:
    """Return the steps from one entity to the other, or none if they do not lead there."""
    fields = {field.name: field for field in old.fields}
    rules = {rule.name: rule for rule in old.rules}
    kept = [name for name in fields if new.field(name)]
    added = [field for field in new.fields if field.name not in fields]
    if [*kept, *(field.name for field in added)] != [field.name for field in new.fields]:
        return []
    if [name for name in rules if name in {rule.name for rule in new.rules}] != [rule.name for rule in new.rules]:
        return []  # `create_rule` makes a top-level rule, so an entity's own list can only shrink
    before, after = (changed(entity, fields=(), rules=()) for entity in (old, new))
    changes: list[tuple[Target, Part, Part, str | None]] = [
        *(("rule", rules[rule.name], rule, new.name) for rule in new.rules),
        *(("field", fields[field.name], field, new.name) for field in new.fields if field.name in fields),
        ("entity", before, after, None),
    ]
    updates = [_update(*change) for change in changes if not same_value(change[1], change[2])]
    gone = [name for name in rules if name not in {rule.name for rule in new.rules}]
    steps: list[Operation | None] = [
        *(Delete(target="field", name=name, entity=new.name) for name in fields if not new.field(name)),
        *(Delete(target="rule", name=name, entity=new.name) for name in gone),
        *updates,
        *(Create(target="field", entity=new.name, part=field) for field in added),
    ]
    return [] if None in steps else [step for step in steps if step is not None]


def _update(target: Target, old: Part, new: Part, entity: str | None) -> Update | None:
    """Return the update from one part to the other, or `None` if no merge patch can express it."""
    before, after = old.to_document(), new.to_document()
    fixed = {"name", "fields", "rules", "evidence"} | ({"entity"} if target == "rule" else set())
    keys = sorted((before.keys() | after.keys()) - fixed)
    patch = {
        key: _patch(before.get(key), after.get(key)) for key in keys if not same_value(before.get(key), after.get(key))
    }
    merged = merge_patch(before, patch)
    if not isinstance(merged, dict) or not all(same_value(merged.get(key), after.get(key)) for key in keys):
        return None  # a null inside an extension: for a merge patch that means removal
    return Update(target=target, name=str(after["name"]), entity=entity, patch=patch)


def _patch(old: object, new: object) -> Any:
    """Return the merge patch that turns one JSON value into another."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    keys = sorted(old.keys() | new.keys())
    return {key: _patch(old.get(key), new.get(key)) for key in keys if not same_value(old.get(key), new.get(key))}
