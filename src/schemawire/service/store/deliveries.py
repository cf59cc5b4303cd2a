"""Webhook calls that are owed: a row from the end of an operation until its receiver has accepted, or never will.

Knows nothing of HTTP.
"""

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, Row, bindparam, func, insert, select, update

from schemawire.service.operations import Operation
from schemawire.service.store.portions import delete_oldest
from schemawire.service.store.tables import deliveries

WAITING, DELIVERED, ABANDONED = "waiting", "delivered", "abandoned"
RETENTION = 7 * 24 * 3600.0
"""Seconds for which a finished delivery is kept."""

_DUE = (
    select(deliveries)
    .where(deliveries.c.finished_at.is_(None), deliveries.c.due_at <= bindparam("now"))
    .order_by(deliveries.c.due_at)
    .limit(bindparam("most"))
    .with_for_update(skip_locked=True)
)
_NEXT = select(func.min(deliveries.c.due_at)).where(deliveries.c.finished_at.is_(None))
_HERE = deliveries.c.delivery_id == bindparam("id")


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One webhook call that is owed."""

    delivery_id: str
    """The same at every attempt, so that the receiver can tell a repeat."""
    operation_id: str
    project_id: str
    url: str
    body: bytes
    state: str
    attempts: int
    due_at: float
    error: str | None
    created_at: float
    finished_at: float | None


def _to_delivery(row: Row[Any]) -> Delivery:
    return Delivery(**row._mapping)


def add_delivery(conn: Connection, operation: Operation, url: str, *, body: bytes, now: float) -> None:
    """Owe a call, in the transaction that ends the operation."""
    values = {
        "delivery_id": uuid4().hex,
        "operation_id": operation.operation_id,
        "project_id": operation.project_id,
        "url": url,
        "body": body,
        "state": WAITING,
        "attempts": 0,
        "due_at": now,
        "created_at": now,
    }
    conn.execute(insert(deliveries), values)


def claim_deliveries(conn: Connection, *, now: float, lease: float, limit: int) -> list[Delivery]:
    """Take deliveries that are due; nobody else tries them for `lease` seconds."""
    found = [_to_delivery(row) for row in conn.execute(_DUE, {"now": now, "most": limit}).all()]
    if found:
        taken = deliveries.c.delivery_id.in_([delivery.delivery_id for delivery in found])
        conn.execute(update(deliveries).where(taken).values(due_at=now + lease, attempts=deliveries.c.attempts + 1))
    return found


def next_delivery(conn: Connection) -> float | None:
    """Return when the next delivery is due, or `None` if none is owed."""
    earliest: float | None = conn.execute(_NEXT).scalar_one()
    return earliest


def end_delivery(conn: Connection, delivery_id: str, *, state: str, error: str | None, now: float) -> None:
    """Note that a delivery was accepted, or is given up."""
    values = {"state": state, "error": error, "finished_at": now}
    conn.execute(
        update(deliveries).where(_HERE, deliveries.c.finished_at.is_(None)).values(values), {"id": delivery_id}
    )


def postpone_delivery(conn: Connection, delivery_id: str, *, due_at: float, error: str) -> None:
    """Note that an attempt failed, and when the next one is due."""
    values = {"due_at": due_at, "error": error}
    conn.execute(
        update(deliveries).where(_HERE, deliveries.c.finished_at.is_(None)).values(values), {"id": delivery_id}
    )


def sweep_deliveries(conn: Connection, *, now: float, keep: float = RETENTION) -> int:
    """Forget a portion of the deliveries that ended more than `keep` seconds ago, and return how many they were."""
    return delete_oldest(conn, deliveries.c.finished_at, before=now - keep)
