"""What differs between two schemas, in the domain's own words.

Knows nothing of whether a difference is harmless.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from schemawire.schema.identity import canonical_bytes, same_value
from schemawire.schema.issues import pointer_to
from schemawire.schema.matching import align
from schemawire.schema.model import DomainSchema, Element, Entity, Enum, Field, Index, Part, Rule
from schemawire.schema.operations import Rename

Named = TypeVar("Named", Field, Rule)

_CODES = {
    "relationship_source_cardinality_changed": "relationship_cardinality_changed",
    "relationship_target_cardinality_changed": "relationship_cardinality_changed",
    "relationship_source_changed": "relationship_end_changed",
    "relationship_target_changed": "relationship_end_changed",
    "relationship_source_role_changed": "relationship_role_changed",
    "relationship_target_role_changed": "relationship_role_changed",
}
_COMPARED_APART = frozenset(
    {"name", "renamed_from", "evidence", "fields", "indexes", "rules", "values", *DomainSchema.COLLECTIONS.values()}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that differs.

    The codes are `<thing>_added`, `<thing>_removed`, `<thing>_renamed`, `<thing>_<option>_changed` and
    `<things>_reordered`, where a thing is a schema, entity, field, index, enum, enum_value, relationship or rule.
    """

    code: str
    pointer: str
    """A JSON pointer into the new document, or into the old one for what was removed."""
    path: str
    """The thing itself, such as `Post.title`; under its new name."""
    before: Any = None
    """The old value as it stands in the document; `None` for what is new."""
    after: Any = None


def compare(old: DomainSchema, new: DomainSchema) -> list[Difference]:
    """Return what differs: renamings first, then the header, then kind by kind in the order of the documents.

    What a renaming changes by itself, such as the ends of relationships, is not reported again. Evidence does not
    count, nor does the order of elements.
    """
    alignment = align(old, new)
    aligned = alignment.aligned
    found = [_renaming(rename, new) for rename in alignment.renames]
    found += _options(aligned, new, "schema", "", new.name)
    if old.name != new.name:
        found.append(
            Difference(code="schema_name_changed", pointer="/name", path=new.name, before=old.name, after=new.name)
        )
    for kind, collection in DomainSchema.COLLECTIONS.items():
        found += _elements(kind, collection, getattr(aligned, collection), getattr(new, collection))
    return found


def _renaming(rename: Rename, new: DomainSchema) -> Difference:
    path = rename.new_name if rename.entity is None else f"{rename.entity}.{rename.new_name}"
    return Difference(
        code=f"{rename.target}_renamed",
        pointer=_pointer_of(rename, new),
        path=path,
        before=rename.name,
        after=rename.new_name,
    )


def _pointer_of(rename: Rename, new: DomainSchema) -> str:
    if rename.target in ("field", "rule"):
        for position, entity in enumerate(new.entities):
            collection = "fields" if rename.target == "field" else "rules"
            parts: Sequence[Part] = getattr(entity, collection) if entity.name == rename.entity else ()
            for inner, part in enumerate(parts):
                if getattr(part, "name", None) == rename.new_name:
                    return pointer_to("entities", position, collection, inner, "name")
    collection = {"entity": "entities", "enum": "enums", "relationship": "relationships"}.get(rename.target, "rules")
    for position, element in enumerate(getattr(new, collection)):
        if element.name == rename.new_name and (rename.target != "rule" or element.entity == rename.entity):
            return pointer_to(collection, position, "name")
    return ""


def _elements(kind: str, collection: str, old: Sequence[Element], new: Sequence[Element]) -> Iterator[Difference]:
    before = {element.key: element for element in old}
    after = {element.key for element in new}
    for position, element in enumerate(old):
        if element.key not in after:
            yield _gone(kind, pointer_to(collection, position), element.key, element)
    for position, element in enumerate(new):
        former, place = before.get(element.key), pointer_to(collection, position)
        if former is None:
            yield _added(kind, place, element.key, element)
        elif former is not element and canonical_bytes(former) != canonical_bytes(element):
            yield from _options(former, element, kind, place, element.key)
            yield from _inner(former, element, place)


def _inner(old: Element, new: Element, place: str) -> Iterator[Difference]:
    match old, new:
        case Entity(), Entity():
            yield from _parts("field", "fields", old.fields, new.fields, place, new.name)
            yield from _parts("rule", "rules", old.rules, new.rules, place, new.name)
            yield from _indexes(old.indexes, new.indexes, place, new.name)
        case Enum(), Enum():
            yield from _values(old.values, new.values, place, new.name)


def _parts(
    what: str, collection: str, old: Sequence[Named], new: Sequence[Named], place: str, owner: str
) -> Iterator[Difference]:
    before, after = {part.name: part for part in old}, {part.name for part in new}
    for position, part in enumerate(old):
        if part.name not in after:
            yield _gone(what, place + pointer_to(collection, position), f"{owner}.{part.name}", part)
    for position, part in enumerate(new):
        pointer, path = place + pointer_to(collection, position), f"{owner}.{part.name}"
        former = before.get(part.name)
        if former is None:
            yield _added(what, pointer, path, part)
        else:
            yield from _options(former, part, what, pointer, path)
    yield from _order(
        [part.name for part in old], [part.name for part in new], what, place + pointer_to(collection), owner
    )


def _indexes(old: Sequence[Index], new: Sequence[Index], place: str, owner: str) -> Iterator[Difference]:
    """Compare indexes, which need no name: one with other fields is another index."""
    before, after = ({_index_name(index): index for index in indexes} for indexes in (old, new))
    for name, index in before.items():
        if name not in after:
            yield _gone("index", place + pointer_to("indexes", old.index(index)), f"{owner}.{name}", index)
    for name, index in after.items():
        pointer = place + pointer_to("indexes", new.index(index))
        if name not in before:
            yield _added("index", pointer, f"{owner}.{name}", index)
        else:
            yield from _options(before[name], index, "index", pointer, f"{owner}.{name}")
    yield from _order(list(before), list(after), "index", place + pointer_to("indexes"), owner)


def _index_name(index: Index) -> str:
    return index.name or f"({', '.join(index.fields)})"


def _values(old: Sequence[str], new: Sequence[str], place: str, owner: str) -> Iterator[Difference]:
    for position, value in enumerate(old):
        if value not in new:
            pointer = place + pointer_to("values", position)
            yield Difference(code="enum_value_removed", pointer=pointer, path=f"{owner}.{value}", before=value)
    for position, value in enumerate(new):
        if value not in old:
            pointer = place + pointer_to("values", position)
            yield Difference(code="enum_value_added", pointer=pointer, path=f"{owner}.{value}", after=value)
    yield from _order(list(old), list(new), "enum_value", place + pointer_to("values"), owner)


def _order(old: list[str], new: list[str], what: str, pointer: str, owner: str) -> Iterator[Difference]:
    before, after = ([name for name in names if name in old and name in new] for names in (old, new))
    if before != after:
        plural = "indexes" if what == "index" else f"{what}s"
        yield Difference(code=f"{plural}_reordered", pointer=pointer, path=owner, before=before, after=after)


def _options(old: Part, new: Part, what: str, place: str, path: str) -> Iterator[Difference]:
    for name, option in type(new).model_fields.items():
        before, after = getattr(old, name), getattr(new, name)
        apart = name in _COMPARED_APART and not (what == "index" and name == "fields")
        if not apart and not same_value(before, after):
            code = f"{what}_{name}_changed"
            pointer = place + pointer_to(option.alias or name)
            yield Difference(
                code=_CODES.get(code, code),
                pointer=pointer,
                path=path,
                before=_document(before),
                after=_document(after),
            )
    former, present = old.model_extra or {}, new.model_extra or {}
    for name in sorted(former.keys() | present.keys()):
        if (name in former) != (name in present) or not same_value(former[name], present[name]):
            pointer, values = place + pointer_to(name), (former.get(name), present.get(name))
            code = f"{what}_extension_changed"
            yield Difference(code=code, pointer=pointer, path=path, before=values[0], after=values[1])


def _added(what: str, pointer: str, path: str, part: Part) -> Difference:
    return Difference(code=f"{what}_added", pointer=pointer, path=path, after=part.to_document())


def _gone(what: str, pointer: str, path: str, part: Part) -> Difference:
    return Difference(code=f"{what}_removed", pointer=pointer, path=path, before=part.to_document())


def _document(value: object) -> Any:
    match value:
        case Part():
            return value.to_document()
        case tuple():
            return [_document(item) for item in value]
        case _:
            return value
