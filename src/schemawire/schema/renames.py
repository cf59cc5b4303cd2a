"""Renames one thing in an overlay and follows every reference to it.

Knows nothing of the list that an operation stands in.
"""

from schemawire.schema.edits import changed, find, find_entity, find_field, find_rule, with_fields, with_rule
from schemawire.schema.issues import pointer_to
from schemawire.schema.model import kind_of
from schemawire.schema.operations import Rename
from schemawire.schema.view import Key, Overlay


def rename(overlay: Overlay, operation: Rename, pointer: str) -> list[Key]:
    """Carry out one renaming; what is renamed says in `renamedFrom` what it was called."""
    new = {"name": operation.new_name, "renamed_from": operation.name}
    match operation.target:
        case "field":
            entity = find_entity(overlay, str(operation.entity), pointer_to("data", "entity"), pointer)
            field = find_field(entity, operation.name, pointer)
            entity = with_fields(entity, {field.name: changed(field, **new)})
            overlay.put(entity)
            return [("entity", entity.key)]
        case "rule":
            owner, rule = find_rule(overlay, operation.name, operation.entity, pointer)
            element = with_rule(owner, rule, changed(rule, name=operation.new_name))
            overlay.remove(kind_of(owner), owner.key)
            overlay.put(element)
            return [(kind_of(owner), owner.key), (kind_of(element), element.key)]
        case kind:
            element = changed(find(overlay, kind, operation.name, pointer), **new)
            overlay.remove(kind, operation.name)
            overlay.put(element)
            return [(kind, operation.name), (kind, element.key)]
