"""What must still be announced to a broker: written with the operation itself, deleted once it was announced.

Knows nothing of brokers.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, delete, insert, select

from schemawire.service.store.tables import operations, outbox

_ADD = insert(outbox)
_STALE = (
    select(outbox.c.operation_id, operations.c.finished_at.is_(None).label("is_waiting"))
    .select_from(outbox.outerjoin(operations, operations.c.operation_id == outbox.c.operation_id))
    .where(outbox.c.created_at <= bindparam("before"))
    .order_by(outbox.c.created_at)
    .limit(bindparam("most"))
)


def note_in_outbox(conn: Connection, operation_id: str, *, now: float) -> None:
    """Remember that an operation must be announced, in the transaction that submits it."""
    conn.execute(_ADD, {"operation_id": operation_id, "created_at": now})


def unannounced(conn: Connection, *, before: float, limit: int) -> tuple[list[str], list[str]]:
    """Return operations noted before a moment: those that still wait, and those that need no announcement any more."""
    rows = conn.execute(_STALE, {"before": before, "most": limit}).all()
    waiting = [row.operation_id for row in rows if row.is_waiting]
    ended = [row.operation_id for row in rows if not row.is_waiting]
    return waiting, ended


def forget_announced(conn: Connection, operation_ids: Sequence[str]) -> None:
    """Forget what was announced; harmless when it was forgotten before."""
    conn.execute(delete(outbox).where(outbox.c.operation_id.in_(operation_ids)))
