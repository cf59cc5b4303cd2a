"""Names within one element and across the schema: no duplicates, no confusable twins, not too many.

Knows nothing of what the named things mean.
"""

import unicodedata
from collections.abc import Iterable, Iterator

from schemawire.schema.issues import Issue, pointer_to
from schemawire.schema.model import DomainSchema, Element, Entity, Enum, Rule
from schemawire.schema.rules.scope import ancestors
from schemawire.schema.view import SchemaView

MAX_ELEMENTS = {"entity": 1_000_000, "enum": 1_000_000, "relationship": 1_000_000, "rule": 1_000_000}
"""How many elements of each kind a schema may have."""
MAX_FIELDS = 1_000
"""How many fields one entity may have."""
MAX_LIST = 10_000
"""How many values an enum, and how many indexes or rules an entity may have."""


def name_issues(view: SchemaView, element: Element) -> Iterator[Issue]:
    """Yield what is wrong with the names of one element and inside it."""
    match element:
        case Entity():
            yield from _shared_namespace(view.get("enum", element.name), "entity", element.name)
            yield from _entity_names(element)
            yield from _inherited_names(view, element)
            yield from _rule_names(view, element)
        case Enum():
            yield from _shared_namespace(view.get("entity", element.name), "enum", element.name)
            values = [unicodedata.normalize("NFC", value) for value in element.values]
            yield from _repeated(values, "value", "values")
            yield from _too_many(len(values), MAX_LIST, "values", element.name)
        case Rule() if element.entity:
            owner = view.get("entity", element.entity)
            if isinstance(owner, Entity) and any(own.name == element.name for own in owner.rules):
                yield _twice("/name", "rule", element.key)


def schema_name_issues(schema: DomainSchema) -> Iterator[Issue]:
    """Yield what only the whole schema shows: repeated keys, confusable names, too many elements."""
    for kind, collection in schema.COLLECTIONS.items():
        elements = getattr(schema, collection)
        yield from _repeated([element.key for element in elements], kind, collection, "name")
        yield from _too_many(len(elements), MAX_ELEMENTS[kind], collection, schema.name)
        if kind != "rule":
            yield from _twins([element.name for element in elements], kind, collection)


def _shared_namespace(other: Element | None, kind: str, name: str) -> Iterator[Issue]:
    if other is not None:
        yield Issue(
            code="duplicate_name",
            pointer="/name",
            message=f"{name!r} names both an entity and an enum",
            fix=f"Rename the {kind} or the other one: entities and enums share one set of names.",
        )


def _entity_names(entity: Entity) -> Iterator[Issue]:
    if entity.fields:
        fields = [field.name for field in entity.fields]
        yield from _repeated(fields, "field", "fields", "name")
        yield from _twins(fields, "field", "fields")
        yield from _too_many(len(fields), MAX_FIELDS, "fields", entity.name)
    if entity.indexes or entity.rules:
        yield from _index_and_rule_names(entity)


def _index_and_rule_names(entity: Entity) -> Iterator[Issue]:
    indexes = {position: index.name for position, index in enumerate(entity.indexes) if index.name}
    yield from _repeated(list(indexes.values()), "index", "indexes", "name", positions=list(indexes))
    yield from _repeated([rule.name for rule in entity.rules], "rule", "rules", "name")
    yield from _too_many(len(entity.indexes), MAX_LIST, "indexes", entity.name)
    yield from _too_many(len(entity.rules), MAX_LIST, "rules", entity.name)


def _inherited_names(view: SchemaView, entity: Entity) -> Iterator[Issue]:
    if not entity.extends:
        return
    owners = {field.name: above.name for above in reversed(ancestors(view, entity)) for field in above.fields}
    for position, field in enumerate(entity.fields):
        if field.name in owners:
            yield Issue(
                code="duplicate_name",
                pointer=pointer_to("fields", position, "name"),
                message=f"{entity.name!r} inherits a field {field.name!r} from {owners[field.name]!r} already",
                fix="Remove the field here, or give it another name.",
            )


def _rule_names(view: SchemaView, entity: Entity) -> Iterator[Issue]:
    for position, rule in enumerate(entity.rules):
        if view.get("rule", f"{entity.name}.{rule.name}") is not None:
            yield _twice(pointer_to("rules", position, "name"), "rule", f"{entity.name}.{rule.name}")


def _repeated(names: list[str], what: str, *path: str, positions: list[int] | None = None) -> Iterator[Issue]:
    if len(set(names)) == len(names):
        return
    collection, *rest = path
    seen: set[str] = set()
    for position, name in zip(positions or range(len(names)), names, strict=True):
        if name in seen:
            yield _twice(pointer_to(collection, position, *rest), what, name)
        seen.add(name)


def _twice(pointer: str, what: str, name: str) -> Issue:
    return Issue(
        code="duplicate_name",
        pointer=pointer,
        message=f"{what} {name[:80]!r} exists twice",
        fix="Rename or remove one of them.",
    )


def _twins(names: Iterable[str], what: str, collection: str) -> Iterator[Issue]:
    seen: dict[str, str] = {}
    for position, name in enumerate(names):
        first = seen.setdefault(unicodedata.normalize("NFKC", name).casefold(), name)
        if first != name:
            yield Issue(
                code="confusable_name",
                pointer=pointer_to(collection, position, "name"),
                message=f"{what} {name!r} differs from {first!r} in letter case or width alone",
                fix="Choose names that stay different where letter case does not count, as in most databases.",
                severity="warning",
            )


def _too_many(count: int, limit: int, collection: str, owner: str) -> Iterator[Issue]:
    if count > limit:
        yield Issue(
            code="too_many",
            pointer=pointer_to(collection),
            message=f"{owner!r} has {count} {collection}, more than {limit}",
            fix="Split it.",
        )
