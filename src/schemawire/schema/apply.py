"""Carries out operations on a view of a schema and returns the net changes; pure, and never leaves an invalid schema.

Knows nothing of where the schema is stored.
"""

from collections.abc import Sequence

from schemawire.errors import SchemaInvalid
from schemawire.schema.changes import Changes, Outcome
from schemawire.schema.edits import create, delete, update
from schemawire.schema.issues import pointer_to, refuse
from schemawire.schema.model import DomainSchema
from schemawire.schema.operations import Create, Delete, MergeSchema, Operation, Rename, ReplaceSchema, Update
from schemawire.schema.renames import rename
from schemawire.schema.rules import check_elements
from schemawire.schema.view import Key, MemoryView, Overlay, SchemaView
from schemawire.schema.whole import merge, replace


def apply(view: SchemaView, operations: Sequence[Operation], *, pointer: str = "/operations") -> Changes:
    """Carry out all operations, or none.

    Args:
        view: the schema before; only looked at.
        operations: carried out in order; each sees the effect of those before it. References are judged at the end of
            the list, so a relationship may come before its entity.
        pointer: where the list stands in the request; issues point below it.

    Returns:
        The net changes, with one outcome per operation.

    Raises:
        SchemaInvalid: an operation cannot be carried out, or the schema would break the rules; `operation` is the
            index of the one at fault, and nothing has changed.
    """
    overlay = Overlay(view)
    outcomes = _carry_out(overlay, operations, pointer)
    return _changes(view, overlay, outcomes)


def apply_each(view: SchemaView, operations: Sequence[Operation], *, pointer: str = "/operations") -> Changes:
    """Carry out every operation that can be, each on its own; the outcomes hold the errors of the others.

    Args:
        view: the schema before; only looked at.
        operations: carried out in order; each sees the effect of the good ones before it and must leave a valid schema.
        pointer: where the list stands in the request; issues point below it.
    """
    overlay = Overlay(view)
    outcomes: list[Outcome] = []
    for index, operation in enumerate(operations):
        step = Overlay(overlay)
        try:
            (outcome,) = _carry_out(step, [operation], pointer, first=index)
        except SchemaInvalid as error:
            outcome = Outcome(index=index, operation=operation.operation, changed=False, error=error)
        else:
            overlay.absorb(step)
        outcomes.append(outcome)
    return _changes(view, overlay, outcomes)


def apply_to_schema(schema: DomainSchema, operations: Sequence[Operation]) -> DomainSchema:
    """Return the schema after the operations; elements keep their order, new ones come last.

    Raises:
        SchemaInvalid: as `apply` does.
    """
    overlay = Overlay(MemoryView(schema))
    _carry_out(overlay, operations, "/operations")
    keys = ((kind, key) for kind in schema.COLLECTIONS for key in overlay.keys(kind))
    elements = (overlay.get(kind, key) for kind, key in keys)
    return DomainSchema.assemble(overlay.header(), (element for element in elements if element is not None))


def _carry_out(overlay: Overlay, operations: Sequence[Operation], pointer: str, first: int = 0) -> list[Outcome]:
    touched: dict[Key, int] = {}
    outcomes: list[Outcome] = []
    for index, operation in enumerate(operations, first):
        place = pointer + pointer_to(index)
        try:
            keys = _one(overlay, operation, place)
        except SchemaInvalid as error:
            error.operation = index
            raise
        touched.update(dict.fromkeys(keys, index))
        outcomes.append(Outcome(index=index, operation=operation.operation, changed=bool(keys), elements=tuple(keys)))
    _check(overlay, touched, pointer)
    return outcomes


def _one(overlay: Overlay, operation: Operation, pointer: str) -> list[Key]:
    match operation:
        case Create():
            return create(overlay, operation, pointer)
        case Update():
            return update(overlay, operation, pointer)
        case Delete():
            return delete(overlay, operation, pointer)
        case Rename():
            return rename(overlay, operation, pointer)
        case ReplaceSchema():
            return replace(overlay, operation, pointer)
        case MergeSchema():
            return merge(overlay, operation, pointer)


def _check(overlay: Overlay, touched: dict[Key, int], pointer: str) -> None:
    for (kind, key), index in touched.items():
        element = overlay.get(kind, key)
        if element is not None:
            place = pointer + pointer_to(index, "data")
            refuse((issue.under(place) for issue in check_elements(overlay, [element])), operation=index)
        for referrer in overlay.referrers(key):
            other = overlay.get(*referrer)
            if other is not None:
                place = pointer + pointer_to(index, "data")
                refuse((issue.under(place) for issue in check_elements(overlay, [other])), operation=index)


def _changes(view: SchemaView, overlay: Overlay, outcomes: list[Outcome]) -> Changes:
    return Changes(
        header_before=view.header(),
        header_after=overlay.header(),
        elements=overlay.changes(),
        outcomes=tuple(outcomes),
    )
