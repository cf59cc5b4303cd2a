"""A large change worked out on a snapshot, before its turn to write, so that other writers wait only for its rows.

What was foreseen holds if the project is still exactly as it was; if not, or if it cannot be done, the transaction
works it out itself and says what is wrong. Knows nothing of requests.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from schemawire.errors import SchemawireError
from schemawire.schema import Changes, Key, Operation
from schemawire.schema.lookups import looked_up
from schemawire.service.store.records import ProjectHead
from schemawire.service.store.rows import ready_contents
from schemawire.service.store.store import Store
from schemawire.service.store.view import SqlView

MANY = 1_500
"""Fewer operations hold others up for less than 40 ms, and another thread at work costs more than that saves."""

Carry = Callable[[SqlView, Sequence[Operation]], Changes]
"""Carries out operations on a view."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """What operations change in a project, and the state of the project for which that is so."""

    stored: ProjectHead | None
    changes: Changes
    contents: Mapping[Key, tuple[bytes, bytes]]
    """Digest and document of each element that is written."""


async def foresee(store: Store, project_id: str, operations: Sequence[Operation], carry: Carry) -> Foreseen | None:
    """Return what many operations would change, or `None` where it is not worth it or cannot be said.

    *Cancelled:* nothing has happened.
    """
    if len(operations) < MANY:
        return None

    def look(conn: Connection) -> Foreseen:
        view = SqlView(conn, project_id)
        view.look_ahead(looked_up(operations))
        changes = carry(view, operations)
        return Foreseen(stored=view.stored, changes=changes, contents=ready_contents(changes.elements))

    try:
        return await store.read(look)
    except SchemawireError:  # perhaps a repeated request, which has its answer already: the transaction knows
        return None


def changes_of(
    view: SqlView, operations: Sequence[Operation], carry: Carry, foreseen: Foreseen | None
) -> tuple[Changes, Mapping[Key, tuple[bytes, bytes]]]:
    """Return what operations change in a project that is seen to be written, and the contents that are known already.

    Raises:
        SchemaInvalid: as `carry` does.
    """
    if foreseen is not None and foreseen.stored == view.stored:
        return foreseen.changes, foreseen.contents
    view.look_ahead(looked_up(operations))
    return carry(view, operations), {}
