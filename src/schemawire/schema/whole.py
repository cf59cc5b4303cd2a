"""Replaces a whole schema in an overlay, or merges one into it.

Knows nothing of the list that an operation stands in.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

from schemawire.schema.edits import altered, with_extensions
from schemawire.schema.identity import same_value
from schemawire.schema.issues import Issue, pointer_to, refuse
from schemawire.schema.model import ELEMENT_KINDS, Element, Entity, Field, Part, Rule, kind_of
from schemawire.schema.operations import MergeSchema, ReplaceSchema
from schemawire.schema.rules import schema_name_issues
from schemawire.schema.view import Key, Overlay

AnyPart = TypeVar("AnyPart", bound=Part)

_FILLED = frozenset({"id", "description", "evidence"})
"""What says nothing about rows: a merge fills it in where it is missing and leaves it alone where it is not."""
_NAMED_LISTS = frozenset({"fields", "indexes", "rules"})


def replace(overlay: Overlay, operation: ReplaceSchema, pointer: str) -> list[Key]:
    """Make the overlay show exactly the given schema; identical elements are not touched."""
    schema = operation.schema
    refuse(issue.under(pointer + pointer_to("data")) for issue in schema_name_issues(schema))
    wanted = {(kind_of(element), element.key) for element in schema.elements()}
    gone: list[Key] = [(kind, key) for kind in ELEMENT_KINDS for key in overlay.keys(kind) if (kind, key) not in wanted]
    touched = [key for kind, name in gone for key in overlay.remove(kind, name)]
    for element in schema.elements():
        touched += overlay.put(element)
    overlay.set_header(schema.header())
    return touched


def merge(overlay: Overlay, operation: MergeSchema, pointer: str) -> list[Key]:
    """Add what is missing; an entity that is there may only gain fields, indexes and rules.

    What the merged schema leaves unsaid is no conflict, and descriptions, ids and extensions are filled in where they
    are missing. The header stays, unless there is nothing yet that it could be the header of.

    Raises:
        SchemaInvalid: something is there with other content; one issue per conflict, naming both sides.
    """
    schema, place = operation.schema, pointer + pointer_to("data")
    refuse(issue.under(place) for issue in schema_name_issues(schema))
    issues: list[Issue] = []
    merged: list[Element] = []
    for kind, collection in schema.COLLECTIONS.items():
        for position, element in enumerate(getattr(schema, collection)):
            there = overlay.get(kind, element.key)
            if there is not None:
                found = _conflicts(there, element, element.key)
                issues.extend(issue.under(place + pointer_to(collection, position)) for issue in found)
            merged.append(element if there is None else _merged(there, element))
    refuse(issues)
    if not any(overlay.count(kind) for kind in ELEMENT_KINDS):
        overlay.set_header(schema.header())
    return [key for element in merged for key in overlay.put(element)]


def _merged(there: Element, new: Element) -> Element:
    if not isinstance(there, Entity) or not isinstance(new, Entity):
        return _filled(there, new)
    fields = {field.name: field for field in new.fields}
    rules = {rule.name: rule for rule in new.rules}
    return altered(
        _filled(there, new),
        fields=tuple(_filled(field, fields.pop(field.name, field)) for field in there.fields) + tuple(fields.values()),
        rules=tuple(_filled(rule, rules.pop(rule.name, rule)) for rule in there.rules) + tuple(rules.values()),
        indexes=there.indexes + tuple(index for index in new.indexes if index not in there.indexes),
    )


def _filled(there: AnyPart, new: AnyPart) -> AnyPart:
    missing = {name: getattr(new, name) for name in _said(new) if name in _FILLED and not getattr(there, name)}
    known = there.model_extra or {}
    extensions = {name: value for name, value in (new.model_extra or {}).items() if name not in known}
    return with_extensions(altered(there, **missing), {**known, **extensions})


def _said(part: Part) -> Iterator[str]:
    """Yield the names of the values that a part's document holds, apart from nulls."""
    for name in type(part).model_fields:
        if name in part.model_fields_set and getattr(part, name) is not None:
            yield name


def _conflicts(there: Element, new: Element, who: str) -> Iterator[Issue]:
    """Yield an issue for everything that both sides say differently."""
    yield from _part_conflicts(there, new, who)
    if isinstance(there, Entity) and isinstance(new, Entity):
        yield from _list_conflicts("fields", {field.name: field for field in there.fields}, new.fields, who)
        yield from _list_conflicts("rules", {rule.name: rule for rule in there.rules}, new.rules, who)


def _list_conflicts(
    collection: str, there: Mapping[str, Part], new: Sequence[Field | Rule], who: str
) -> Iterator[Issue]:
    for position, part in enumerate(new):
        known = there.get(part.name)
        if known is not None:
            for issue in _part_conflicts(known, part, f"{who}.{part.name}"):
                yield issue.under(pointer_to(collection, position))


def _part_conflicts(there: Part, new: Part, who: str) -> Iterator[Issue]:
    for name in _said(new):
        ours, theirs = getattr(there, name), getattr(new, name)
        skipped = name in _NAMED_LISTS or (name in _FILLED and (name == "evidence" or not ours))
        if not skipped and not same_value(ours, theirs):
            yield _conflict(type(new).model_fields[name].alias or name, ours, theirs, who)
    for name, theirs in (new.model_extra or {}).items():
        ours = (there.model_extra or {}).get(name, theirs)
        if not same_value(ours, theirs):
            yield _conflict(name, ours, theirs, who)


def _conflict(key: str, ours: object, theirs: object, who: str) -> Issue:
    return Issue(
        code="merge_conflict",
        pointer=pointer_to(key),
        message=f"{who!r} has {key} {_short(ours)} here and {_short(theirs)} in what is merged",
        fix="Change one side, or update the stored one explicitly.",
    )


def _short(value: object) -> str:
    return repr(value.to_document() if isinstance(value, Part) else value)[:80]
