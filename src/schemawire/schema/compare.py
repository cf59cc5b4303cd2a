"""What differs between two schemas, in the domain's own words.

Knows nothing of whether a difference is harmless.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from schemawire.schema.identity import canonical_bytes, same_value
from schemawire.schema.issues import pointer_to
from schemawire.schema.matching import Alignment, align
from schemawire.schema.model import DomainSchema, Element, Entity, Enum, Field, Index, Part, Rule
from schemawire.schema.operations import Rename, Target

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
    return compare_aligned(align(old, new), old, new)


def compare_aligned(alignment: Alignment, old: DomainSchema, new: DomainSchema) -> list[Difference]:
    """Do as `compare` does, where it is known already which element of the old schema is which of the new one."""
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
    """Return where the renamed thing's name stands in the new document."""
    for pointer, part, owner in _named_parts(new, rename.target):
        if getattr(part, "name", None) == rename.new_name and owner == rename.entity:
            return pointer + pointer_to("name")
    return ""


def _named_parts(schema: DomainSchema, target: Target) -> Iterator[tuple[str, Part, str | None]]:
    """Yield all things of a kind with their pointers and the entities that they belong to."""
    if target != "field":
        collection = schema.COLLECTIONS[target]
        for position, element in enumerate(getattr(schema, collection)):
            yield pointer_to(collection, position), element, element.entity if isinstance(element, Rule) else None
    if target in ("field", "rule"):
        inner = "fields" if target == "field" else "rules"
        for position, entity in enumerate(schema.entities):
            for place, part in enumerate(getattr(entity, inner)):
                yield pointer_to("entities", position, inner, place), part, entity.name


@dataclass(frozen=True, slots=True)
class _Spot:
    """Where two versions of one element stand, and what it is called."""

    old: str
    new: str
    path: str


def _elements(kind: str, collection: str, old: Sequence[Element], new: Sequence[Element]) -> Iterator[Difference]:
    before = {element.key: (position, element) for position, element in enumerate(old)}
    after = {element.key for element in new}
    for key, (position, element) in before.items():
        if key not in after:
            yield _gone(kind, pointer_to(collection, position), key, element)
    for position, element in enumerate(new):
        place = pointer_to(collection, position)
        former_position, former = before.get(element.key, (0, None))
        if former is None:
            yield _added(kind, place, element.key, element)
        elif former is not element and canonical_bytes(former) != canonical_bytes(element):
            yield from _options(former, element, kind, place, element.key)
            yield from _inner(former, element, _Spot(pointer_to(collection, former_position), place, element.key))


def _inner(old: Element, new: Element, spot: _Spot) -> Iterator[Difference]:
    match old, new:
        case Entity(), Entity():
            yield from _parts("field", _named(old.fields), _named(new.fields), spot)
            yield from _parts("rule", _named(old.rules), _named(new.rules), spot)
            yield from _parts("index", _named(old.indexes), _named(new.indexes), spot)
        case Enum(), Enum():
            yield from _values(old.values, new.values, spot)


def _named(parts: Sequence[Field | Rule | Index]) -> dict[str, Part]:
    """Return parts by name; an index needs none, and one over other fields is another index."""
    return {
        part.name or f"({', '.join(part.fields)})" if isinstance(part, Index) else part.name: part for part in parts
    }


def _parts(what: str, old: dict[str, Part], new: dict[str, Part], spot: _Spot) -> Iterator[Difference]:
    collection = "indexes" if what == "index" else f"{what}s"
    for position, (name, part) in enumerate(old.items()):
        if name not in new:
            yield _gone(what, spot.old + pointer_to(collection, position), f"{spot.path}.{name}", part)
    for position, (name, part) in enumerate(new.items()):
        pointer, path = spot.new + pointer_to(collection, position), f"{spot.path}.{name}"
        if name in old:
            yield from _options(old[name], part, what, pointer, path)
        else:
            yield _added(what, pointer, path, part)
    yield from _order(list(old), list(new), collection, spot)


def _values(old: Sequence[str], new: Sequence[str], spot: _Spot) -> Iterator[Difference]:
    for position, value in enumerate(old):
        if value not in new:
            pointer = spot.old + pointer_to("values", position)
            yield Difference(code="enum_value_removed", pointer=pointer, path=f"{spot.path}.{value}", before=value)
    for position, value in enumerate(new):
        if value not in old:
            pointer = spot.new + pointer_to("values", position)
            yield Difference(code="enum_value_added", pointer=pointer, path=f"{spot.path}.{value}", after=value)
    yield from _order(old, new, "values", spot)


def _order(old: Sequence[str], new: Sequence[str], collection: str, spot: _Spot) -> Iterator[Difference]:
    kept = set(old) & set(new)
    before, after = ([name for name in names if name in kept] for names in (old, new))
    if before != after:
        code = "enum_values_reordered" if collection == "values" else f"{collection}_reordered"
        pointer = spot.new + pointer_to(collection)
        yield Difference(code=code, pointer=pointer, path=spot.path, before=before, after=after)


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
