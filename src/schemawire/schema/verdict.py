"""Judges the schema that operations lead to, and blames the operation at fault.

Knows nothing of how operations are carried out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from schemawire.errors import SchemaInvalid
from schemawire.schema.affected import Touch, affected_by
from schemawire.schema.edits import names_of
from schemawire.schema.issues import MAX_ISSUES, Issue, errors_only, invalid, pointer_to
from schemawire.schema.model import ELEMENT_KINDS, Element, Entity, Field, Relationship, kind_of
from schemawire.schema.operations import Create, Delete, MergeSchema, Operation, ReplaceSchema
from schemawire.schema.rules import MAX_ELEMENTS, check_element
from schemawire.schema.steps import step
from schemawire.schema.view import Key, Overlay, SchemaView, references_of


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for."""

    view: SchemaView
    """The schema before."""
    operations: Mapping[int, Operation]
    """By index, in order."""
    pointer: str
    """Where the list of operations stands in the document that the caller sent."""


def refuse_invalid(overlay: Overlay, touched: Mapping[Key, int], request: Request) -> None:
    """Raise `SchemaInvalid` if the operations would leave a schema that breaks the rules.

    Every touched element is checked, and every one that a touch may break; nothing else is looked at.

    Args:
        overlay: the schema after the operations.
        touched: each written or removed element, with the index of the last operation that did so.
        request: what was asked for.
    """
    _refuse_too_many(overlay, touched, request.pointer)
    suspects: dict[Key, int] = dict(touched)
    for key, index in touched.items():
        before, after = overlay.before(key), overlay.get(*key)
        if before is None and not isinstance(after, Relationship):
            continue  # nothing can have referred to what was not there; itself it is a suspect already
        for other in affected_by(overlay, Touch(key, before, after)):
            suspects.setdefault(other, index)
    faults = _faults(overlay, suspects)
    if faults:
        raise _blamed(_traced(faults, request) if len(request.operations) > 1 else faults, request)


@dataclass(frozen=True, slots=True)
class _Fault:
    """An issue in an element, and the index of the operation that brought it about."""

    element: Element
    issue: Issue
    index: int

    @property
    def key(self) -> Key:
        return kind_of(self.element), self.element.key


def _faults(overlay: Overlay, suspects: Mapping[Key, int]) -> list[_Fault]:
    found: list[_Fault] = []
    for key, index in suspects.items():
        element = overlay.get(*key)
        if element is not None:
            found += [_Fault(element, issue, index) for issue in errors_only(check_element(overlay, element))]
        if len(found) >= MAX_ISSUES:
            break
    return found


def _traced(faults: list[_Fault], request: Request) -> list[_Fault]:
    """Return the faults with the operation to blame: the one after which the fault was there and stayed.

    Carries the operations out again, which is worth it only since there is a fault to explain.
    """
    overlay = Overlay(request.view)
    names = {fault.key: references_of(fault.element) | {fault.key[1]} for fault in faults}
    since: dict[tuple[Key, str], int] = {}
    for index, operation in request.operations.items():
        touched = {key[1] for key in step(overlay, operation, request.pointer)}
        for key, near in names.items():
            if touched.isdisjoint(near):
                continue
            element = overlay.get(*key)
            there = {issue.message for issue in check_element(overlay, element)} if element is not None else set()
            known = {message for known_key, message in since if known_key == key}
            for message in known - there:
                del since[key, message]
            since.update({(key, message): index for message in there - known})
    return [replace(fault, index=since.get((fault.key, fault.issue.message), fault.index)) for fault in faults]


def _blamed(faults: list[_Fault], request: Request) -> SchemaInvalid:
    index = min(fault.index for fault in faults)
    operation, place = request.operations[index], request.pointer + pointer_to(index)
    own = [fault for fault in faults if fault.index == index]
    if isinstance(operation, Delete):
        return invalid([_still_used(operation, own, place)], operation=index)
    data = place + pointer_to("data")
    issues = [replace(f.issue, pointer=data + _within(operation, f.element, f.issue)) for f in own]
    return invalid(issues, operation=index)


def _refuse_too_many(overlay: Overlay, touched: Mapping[Key, int], pointer: str) -> None:
    for kind in ELEMENT_KINDS:
        last = max((index for key, index in touched.items() if key[0] == kind), default=None)
        if last is not None and overlay.count(kind) > MAX_ELEMENTS[kind]:
            message = f"the schema would have more than {MAX_ELEMENTS[kind]} elements of kind {kind}"
            issue = Issue(code="too_many", pointer=pointer + pointer_to(last), message=message, fix="Split the schema.")
            raise invalid([issue], operation=last)


def _still_used(operation: Delete, faults: list[_Fault], place: str) -> Issue:
    name = operation.name if operation.entity is None else f"{operation.entity}.{operation.name}"
    users = names_of(dict.fromkeys(fault.key for fault in faults))
    fix = "Change or delete those first"
    return Issue(
        code="still_used",
        pointer=place + pointer_to("data", "name"),
        message=f"{operation.target} {name!r} is still used by {users}: {faults[0].issue.message}",
        fix=f"{fix}, or send cascade true." if operation.target == "entity" else f"{fix}.",
    )


def _within(operation: Operation, element: Element, issue: Issue) -> str:
    """Return the issue's place within the data of an operation that holds it; otherwise the data as a whole."""
    match operation:
        case Create(part=Field() as field) if isinstance(element, Entity) and element.name == operation.entity:
            prefix = pointer_to("fields", next(i for i, own in enumerate(element.fields) if own.name == field.name))
            return issue.pointer.removeprefix(prefix) if issue.pointer.startswith(prefix + "/") else ""
        case Create(part=part) if part == element:
            return issue.pointer
        case ReplaceSchema(schema=schema) | MergeSchema(schema=schema):
            collection = schema.COLLECTIONS[kind_of(element)]
            for position, part in enumerate(getattr(schema, collection)):
                if part == element:
                    return pointer_to(collection, position) + issue.pointer
    return ""
