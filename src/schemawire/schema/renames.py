"""Renames one thing in an overlay and follows every reference to it.

Knows nothing of the list that an operation stands in.
"""

from collections.abc import Callable, Iterable

from schemawire.schema.affected import heirs
from schemawire.schema.edits import (
    altered,
    changed,
    find,
    find_entity,
    find_field,
    find_rule,
    taken,
    with_fields,
    with_rule,
)
from schemawire.schema.expressions import FORMER, rename_paths
from schemawire.schema.issues import invalid
from schemawire.schema.model import (
    FREE_RULE_KINDS,
    Element,
    ElementKind,
    Entity,
    Enum,
    Field,
    Index,
    Relationship,
    Rule,
    kind_of,
)
from schemawire.schema.operations import Rename
from schemawire.schema.rules import fields_of, visible_fields
from schemawire.schema.view import Key, Overlay

PathRenaming = Callable[[tuple[str, ...]], tuple[str, ...]]


def rename(overlay: Overlay, operation: Rename, pointer: str) -> list[Key]:
    """Carry out one renaming; what is renamed says in `renamedFrom` what it was called.

    Followed are `extends`, references, enums of fields, ends of relationships, indexes, the entities of rules, and the
    fields and entities that expressions name. Texts for people are left alone.
    """
    if operation.name == operation.new_name:
        return []
    match operation.target:
        case "field":
            return _rename_field(overlay, operation, pointer)
        case "rule":
            return _rename_rule(overlay, operation, pointer)
        case "relationship":
            element = find(overlay, "relationship", operation.name, pointer)
            _refuse_taken(overlay, ("relationship",), operation, pointer)
            return overlay.move("relationship", element.key, _named(element, operation))
        case kind:
            element = find(overlay, kind, operation.name, pointer)
            _refuse_taken(overlay, ("entity", "enum"), operation, pointer)
            return _rename_global(overlay, element, operation)


def _refuse_taken(overlay: Overlay, kinds: Iterable[ElementKind], operation: Rename, pointer: str) -> None:
    for kind in kinds:
        if overlay.get(kind, operation.new_name) is not None:
            raise invalid([taken(kind, operation.new_name, pointer, "newName")])


def _named(element: Element, operation: Rename) -> Element:
    return changed(element, name=operation.new_name, renamed_from=operation.name)


def _rename_rule(overlay: Overlay, operation: Rename, pointer: str) -> list[Key]:
    owner, rule = find_rule(overlay, operation.name, operation.entity, pointer)
    new = changed(rule, name=operation.new_name, renamed_from=operation.name)
    entity = overlay.get("entity", operation.entity) if operation.entity else None
    siblings = entity.rules if isinstance(entity, Entity) else ()
    if overlay.get("rule", new.key) is not None or any(other.name == new.name for other in siblings):
        raise invalid([taken("rule", new.key, pointer, "newName")])
    if isinstance(owner, Entity):
        return overlay.put(with_rule(owner, rule, new))
    return overlay.move("rule", rule.key, new)


def _rename_global(overlay: Overlay, element: Element, operation: Rename) -> list[Key]:
    """Rename an entity or an enum, whose names are used across the schema."""
    old, new = operation.name, operation.new_name
    users = dict.fromkeys(overlay.referrers(old))
    users.pop((kind_of(element), old), None)
    renamed = _named(element, operation)
    touched = overlay.move(kind_of(element), old, _followed(overlay, renamed, old, new))
    for key in users:
        user = overlay.get(*key)
        if user is not None:
            touched += _store(overlay, key, _followed(overlay, user, old, new))
    return touched


def _store(overlay: Overlay, key: Key, element: Element) -> list[Key]:
    return overlay.put(element) if element.key == key[1] else overlay.move(key[0], key[1], element)


def _followed(overlay: Overlay, element: Element, old: str, new: str) -> Element:
    """Return an element with every use of an entity's or enum's name replaced."""

    def swap(name: str | None) -> str | None:
        return new if name == old else name

    match element:
        case Entity():
            fields = tuple(_field_followed(field, old, new) for field in element.fields)
            own = set(visible_fields(overlay, element))
            rules = tuple(_rule_followed(rule, old, new, own) for rule in element.rules)
            return altered(element, extends=swap(element.extends), fields=fields, rules=rules)
        case Relationship():
            ends = {name: swap(getattr(element, name)) for name in ("source", "target", "through")}
            return altered(element, **ends)
        case Rule():
            return _rule_followed(element, old, new, set(fields_of(overlay, swap(element.entity) or "") or ()))
        case Enum():
            return element


def _field_followed(field: Field, old: str, new: str) -> Field:
    references = field.references
    if references and references.entity == old:
        references = changed(references, entity=new)
    return altered(field, references=references, enum=new if field.enum == old else field.enum)


def _rule_followed(rule: Rule, old: str, new: str, own_fields: set[str]) -> Rule:
    def path(parts: tuple[str, ...]) -> tuple[str, ...]:
        names_entity = len(parts) > 1 and parts[0] == old and old not in own_fields
        return (new, *parts[1:]) if names_entity else parts

    return altered(rule, entity=new if rule.entity == old else rule.entity, expression=_expression(rule, path))


def _expression(rule: Rule, path: PathRenaming) -> str | None:
    if rule.expression is None or rule.kind in FREE_RULE_KINDS:
        return rule.expression
    return rename_paths(rule.expression, path)


def _rename_field(overlay: Overlay, operation: Rename, pointer: str) -> list[Key]:
    entity = find_entity(overlay, operation.entity, pointer)
    field = find_field(entity, operation.name, pointer)
    old, new = operation.name, operation.new_name
    if entity.field(new):
        raise invalid([taken("field", f"{entity.name}.{new}", pointer, "newName")])
    owners = {entity.name, *heirs(overlay, entity.name)}
    users: dict[Key, None] = {("entity", entity.name): None}
    for owner in owners:
        users.update(dict.fromkeys(overlay.referrers(owner)))
    scopes = {name: set(fields_of(overlay, name) or ()) for name in owners}
    touched = overlay.put(with_fields(entity, {old: changed(field, name=new, renamed_from=old)}))
    for key in users:
        user = overlay.get(*key)
        if user is not None:
            touched += overlay.put(_field_renamed(user, _FieldRenaming(owners, old, new, scopes)))
    return touched


class _FieldRenaming:
    """How the paths of expressions change when a field of some entities gets another name."""

    def __init__(self, owners: set[str], old: str, new: str, scopes: dict[str, set[str]]) -> None:
        self.owners, self.old, self.new = owners, old, new
        self._scopes = scopes

    def path(self, scope: str | None, parts: tuple[str, ...]) -> tuple[str, ...]:
        """Return the new parts of a path in a rule of the given entity."""
        fields = self._scopes.get(scope or "", set())
        if scope in self.owners and parts[0] == self.old:
            return (self.new, *parts[1:])
        qualified = len(parts) > 1 and parts[1] == self.old and parts[0] not in fields
        if qualified and (parts[0] in self.owners or (parts[0] == FORMER and scope in self.owners)):
            return (parts[0], self.new, *parts[2:])
        return parts


def _field_renamed(element: Element, renaming: _FieldRenaming) -> Element:
    match element:
        case Entity():
            fields = tuple(_reference_renamed(field, renaming) for field in element.fields)
            rules = tuple(_rule_renamed(rule, element.name, renaming) for rule in element.rules)
            indexes = element.indexes
            if element.name in renaming.owners:
                indexes = tuple(_index_renamed(index, renaming) for index in indexes)
            return altered(element, fields=fields, rules=rules, indexes=indexes)
        case Rule():
            return _rule_renamed(element, element.entity, renaming)
        case Enum() | Relationship():
            return element


def _reference_renamed(field: Field, renaming: _FieldRenaming) -> Field:
    references = field.references
    if references and references.entity in renaming.owners and references.field == renaming.old:
        return changed(field, references=changed(references, field=renaming.new))
    return field


def _index_renamed(index: Index, renaming: _FieldRenaming) -> Index:
    return altered(index, fields=tuple(renaming.new if name == renaming.old else name for name in index.fields))


def _rule_renamed(rule: Rule, scope: str | None, renaming: _FieldRenaming) -> Rule:
    return altered(rule, expression=_expression(rule, lambda parts: renaming.path(scope, parts)))
