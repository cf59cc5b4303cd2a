"""Carries out one operation in an overlay.

Knows nothing of the list that it stands in, and leaves judging the result to `schema.verdict`.
"""

from schemawire.schema.cascade import cascade
from schemawire.schema.edits import create, delete, update
from schemawire.schema.operations import Create, Delete, MergeSchema, Operation, Rename, ReplaceSchema, Update
from schemawire.schema.renames import rename
from schemawire.schema.view import Key, Overlay
from schemawire.schema.whole import merge, replace


def step(overlay: Overlay, operation: Operation, pointer: str) -> list[Key]:
    """Carry out one operation.

    Args:
        overlay: where its effect goes.
        operation: what to do.
        pointer: where the operation stands in the request.

    Returns:
        Kind and key of every element that it wrote or removed.

    Raises:
        SchemaInvalid: it names something that does not exist, or exists already, or has no valid form.
    """
    match operation:
        case Create():
            return create(overlay, operation, pointer)
        case Update():
            return update(overlay, operation, pointer)
        case Delete(cascade=True):
            return _delete_with_users(overlay, operation, pointer)
        case Delete():
            return delete(overlay, operation, pointer)
        case Rename():
            return rename(overlay, operation, pointer)
        case ReplaceSchema():
            return replace(overlay, operation, pointer)
        case MergeSchema():
            return merge(overlay, operation, pointer)


def _delete_with_users(overlay: Overlay, operation: Delete, pointer: str) -> list[Key]:
    above = Overlay(overlay)
    keys = delete(above, operation, pointer)
    for key in tuple(keys):
        keys += cascade(overlay, above, key)
    overlay.absorb(above)
    return keys
