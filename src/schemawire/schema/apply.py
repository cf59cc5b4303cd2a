"""Carries out operations on a view of a schema and returns the net changes; pure, and never leaves an invalid schema.

Knows nothing of where the schema is stored.
"""

from collections.abc import Sequence

from schemawire.errors import SchemaInvalid
from schemawire.schema.changes import Changes, Outcome
from schemawire.schema.issues import pointer_to
from schemawire.schema.model import DomainSchema, Element
from schemawire.schema.operations import Operation
from schemawire.schema.steps import step
from schemawire.schema.verdict import Request, refuse_invalid
from schemawire.schema.view import Key, MemoryView, Overlay, SchemaView


def apply(view: SchemaView, operations: Sequence[Operation], *, pointer: str = "/operations") -> Changes:
    """Carry out all operations, or none.

    Args:
        view: the schema before, which must be valid; only looked at.
        operations: carried out in order; each sees the effect of those before it. References are judged at the end of
            the list, so a relationship may come before its entity, and an entity may go before what refers to it.
        pointer: where the list stands in the request; issues point below it.

    Returns:
        The net changes, with one outcome per operation.

    Raises:
        SchemaInvalid: an operation cannot be carried out, or the schema would break the rules; `operation` is the
            index of the one at fault, and nothing has changed.
    """
    overlay = Overlay(view)
    outcomes = _carry_out(view, overlay, operations, place=(pointer, 0))
    return _changes(view, overlay, outcomes)


def apply_each(view: SchemaView, operations: Sequence[Operation], *, pointer: str = "/operations") -> Changes:
    """Carry out every operation that can be, each on its own; the outcomes hold the errors of the others.

    Args:
        view: the schema before, which must be valid; only looked at.
        operations: carried out in order; each sees the effect of the good ones before it and must leave a valid schema.
        pointer: where the list stands in the request; issues point below it.
    """
    overlay = Overlay(view)
    outcomes: list[Outcome] = []
    for index, operation in enumerate(operations):
        above = Overlay(overlay)
        try:
            (outcome,) = _carry_out(overlay, above, [operation], place=(pointer, index))
        except SchemaInvalid as error:
            outcome = Outcome(index=index, operation=operation.operation, changed=False, error=error)
        else:
            overlay.absorb(above)
        outcomes.append(outcome)
    return _changes(view, overlay, outcomes)


def apply_to_schema(schema: DomainSchema, operations: Sequence[Operation]) -> DomainSchema:
    """Return the schema after the operations; elements keep their order, new ones come last.

    Raises:
        SchemaInvalid: as `apply` does.
    """
    view = MemoryView(schema)
    overlay = Overlay(view)
    _carry_out(view, overlay, operations, place=("/operations", 0))
    elements: list[Element] = []
    for kind in schema.COLLECTIONS:
        found = (overlay.get(kind, key) for key in overlay.keys(kind))
        elements.extend(element for element in found if element is not None)
    return DomainSchema.assemble(overlay.header(), elements)


def _carry_out(
    view: SchemaView, overlay: Overlay, operations: Sequence[Operation], *, place: tuple[str, int]
) -> list[Outcome]:
    """Carry out operations in an overlay on the view; `place` is where their list stands, and the first one's index."""
    pointer, first = place
    touched: dict[Key, int] = {}
    outcomes: list[Outcome] = []
    for index, operation in enumerate(operations, first):
        header = overlay.header()
        try:
            keys = step(overlay, operation, pointer + pointer_to(index))
        except SchemaInvalid as error:
            error.operation = index
            raise
        keys = keys if len(keys) < 2 else list(dict.fromkeys(keys))
        for key in keys:
            touched[key] = index
        is_changed = bool(keys) or (overlay.header() is not header and overlay.header() != header)
        name = operation.operation
        outcomes.append(Outcome(index=index, operation=name, changed=is_changed, elements=tuple(keys)))
    refuse_invalid(overlay, touched, Request(view, dict(enumerate(operations, first)), pointer))
    return outcomes


def _changes(view: SchemaView, overlay: Overlay, outcomes: list[Outcome]) -> Changes:
    return Changes(
        header_before=view.header(),
        header_after=overlay.header(),
        elements=overlay.changes(),
        outcomes=tuple(outcomes),
    )
