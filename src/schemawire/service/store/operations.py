"""Durable operations as rows; the legal steps are decided in `service.operations`, here they are only kept."""

import json
import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Row, and_, bindparam, case, func, insert, or_, select, update

from schemawire.service.operations import Operation, OperationState, claim, expire, is_claimable
from schemawire.service.status import webhook_body
from schemawire.service.store.deliveries import add_delivery
from schemawire.service.store.locks import wait_for_lock
from schemawire.service.store.portions import delete_oldest
from schemawire.service.store.refusals import LeaseLost, OperationMissing
from schemawire.service.store.tables import operations

RETENTION = 7 * 24 * 3600.0
"""Seconds for which a finished operation is kept."""

_JSON = ("payload", "result", "error", "trace")
_CHANGING = ("state", "progress", "attempts", "lease_owner", "lease_expires_at", "available_at", "result", "error",
             "updated_at", "finished_at")  # fmt: skip
"""What happens to an operation; the rest, which may be large, was said at its submission."""
_ADD = insert(operations)
_FIND = select(operations).where(operations.c.operation_id == bindparam("id"))
_FIND_LOCKED = _FIND.with_for_update()
_SAVE = (
    update(operations)
    .where(operations.c.operation_id == bindparam("id"))
    .values({name: bindparam(name) for name in _CHANGING})
)
_LAST = (
    select(operations.c.created_at)
    .where(operations.c.project_id == bindparam("p"), operations.c.finished_at.is_(None))
    .order_by(operations.c.created_at.desc())
    .limit(1)
)
_FIRSTS = (
    select(operations.c.project_id, func.min(operations.c.created_at).label("created_at"))
    .where(operations.c.finished_at.is_(None))
    .group_by(operations.c.project_id)
    .subquery("firsts")
)
_IS_FIRST = and_(
    operations.c.finished_at.is_(None),
    operations.c.project_id == _FIRSTS.c.project_id,
    operations.c.created_at == _FIRSTS.c.created_at,
)
"""Nothing that was submitted earlier for the same project is unfinished."""
_QUEUED, _RUNNING = OperationState.QUEUED.value, OperationState.RUNNING.value
_DUE = case((operations.c.state == _QUEUED, operations.c.available_at), else_=operations.c.lease_expires_at)
_NEXT_DUE = select(func.min(_DUE)).select_from(operations.join(_FIRSTS, _IS_FIRST))


def to_operation(row: Row[Any]) -> Operation:
    """Return the value of a row of `operations`."""
    values = dict(row._mapping)
    for name in _JSON:
        values[name] = None if values[name] is None else json.loads(values[name])
    return Operation(**{**values, "state": OperationState(row.state)})


def _to_values(operation: Operation, names: Iterable[str] = operations.c.keys()) -> dict[str, Any]:
    values = {name: getattr(operation, name) for name in names}
    for name in _JSON:
        if values.get(name) is not None:
            values[name] = json.dumps(values[name])
    return {**values, "state": operation.state.value}


def add_operation(conn: Connection, operation: Operation) -> Operation:
    """Store a new operation behind every other one of its project, and return it as it is stored.

    A clock that was set back must not let it overtake, so it is made later than the last one where it has to be.
    """
    wait_for_lock(conn, "operations", operation.project_id)
    last = conn.execute(_LAST, {"p": operation.project_id}).scalar_one_or_none()
    if last is not None and operation.created_at <= last:
        operation = replace(operation, created_at=math.nextafter(last, math.inf))
    conn.execute(_ADD, _to_values(operation))
    return operation


def find_operation(conn: Connection, operation_id: str, *, lock: bool = False) -> Operation | None:
    """Return the operation, or `None`; with `lock`, nobody else changes it before the commit."""
    row = conn.execute(_FIND_LOCKED if lock else _FIND, {"id": operation_id}).one_or_none()
    return None if row is None else to_operation(row)


def require_operation(conn: Connection, operation_id: str, *, lock: bool = False) -> Operation:
    """Return the operation; with `lock`, on engines with parallel writers, nobody else changes it before the commit.

    Raises:
        OperationMissing: there is none.
    """
    operation = find_operation(conn, operation_id, lock=lock)
    if operation is None:
        raise OperationMissing(f"there is no operation {operation_id[:80]!r}")
    return operation


def save_operation(conn: Connection, operation: Operation) -> None:
    """Store an operation's next state; one that has ended is announced where its webhook says."""
    values = _to_values(operation, _CHANGING)
    conn.execute(_SAVE, {"id": operation.operation_id, **values})
    if operation.state.is_final and operation.webhook is not None:
        add_delivery(conn, operation, operation.webhook, body=webhook_body(operation), now=operation.updated_at)


def list_operations(
    conn: Connection,
    *,
    project_id: str | None = None,
    only: frozenset[str] | None = None,
    state: OperationState | None = None,
    before: str | None = None,
    limit: int = 100,
) -> list[Operation]:
    """Return operations, newest first.

    Args:
        conn: a connection.
        project_id: only those of one project.
        only: the projects that the caller may see; all where it is not given.
        state: only those in one state.
        before: the id of the last operation of the page before.
        limit: how many at most, 1 to 1,000.

    Raises:
        OperationMissing: `before` names none.
    """
    query = select(operations).order_by(operations.c.created_at.desc(), operations.c.operation_id.desc())
    if project_id is not None:
        query = query.where(operations.c.project_id == project_id)
    if only is not None:
        query = query.where(operations.c.project_id.in_(sorted(only)))
    if state is not None:
        query = query.where(operations.c.state == state.value)
    if before is not None:
        last = require_operation(conn, before)
        older = operations.c.created_at < last.created_at
        same = and_(operations.c.created_at == last.created_at, operations.c.operation_id < last.operation_id)
        query = query.where(or_(older, same))
    return [to_operation(row) for row in conn.execute(query.limit(max(1, min(limit, 1_000))))]


def claim_due(conn: Connection, owner: str, *, now: float, lease: float, limit: int) -> list[Operation]:
    """Take up to `limit` operations that wait and are due, or whose worker's lease has run out, for `owner`.

    Operations of one project are done one at a time in the order of their submission: one that waits for its next
    attempt holds up those behind it. Among projects the most important operation goes first, then the oldest. One
    whose worker died on its last attempt is parked on the way.
    """
    waiting = and_(operations.c.state == _QUEUED, operations.c.available_at <= now)
    abandoned = and_(operations.c.state == _RUNNING, operations.c.lease_expires_at <= now)
    query = (
        select(operations)
        .join(_FIRSTS, _IS_FIRST)
        .where(or_(waiting, abandoned))
        .order_by(operations.c.priority.desc(), operations.c.available_at, operations.c.operation_id)
        .limit(limit)
        .with_for_update(of=operations, skip_locked=True)
    )
    taken: list[Operation] = []
    for row in conn.execute(query).all():
        operation = to_operation(row)
        if is_claimable(operation, now):
            claimed = claim(operation, owner, now=now, lease=lease)
            save_operation(conn, claimed)
            taken.append(claimed)
    return [operation for operation in taken if operation.state is OperationState.RUNNING]


def expire_leases(conn: Connection, *, now: float, alive: str) -> int:
    """End every lease that is not held by `alive`, whose process is known to be the only one; return how many."""
    query = select(operations).where(operations.c.state == _RUNNING, operations.c.lease_owner != alive)
    found = [to_operation(row) for row in conn.execute(query).all()]
    for operation in found:
        save_operation(conn, expire(operation, now=now))
    return len(found)


def require_lease(conn: Connection, operation_id: str, owner: str) -> Operation:
    """Return the operation as it stands, if it is running and `owner` holds it.

    Raises:
        LeaseLost: it was cancelled, or another worker took it over; nothing may be committed for it.
    """
    query = select(operations).where(operations.c.operation_id == operation_id)
    row = conn.execute(query.with_for_update()).one_or_none()  # nobody takes it over before the commit
    operation = None if row is None else to_operation(row)
    if operation is None or operation.state is not OperationState.RUNNING or operation.lease_owner != owner:
        state = "gone" if operation is None else operation.state.value
        raise LeaseLost(f"operation {operation_id} is {state} and not held by {owner!r}")
    return operation


def next_due(conn: Connection) -> float | None:
    """Return when the next operation can be claimed at the earliest, or `None` if there is nothing to wait for."""
    earliest: float | None = conn.execute(_NEXT_DUE).scalar_one()
    return earliest


def sweep_operations(conn: Connection, *, now: float, keep: float = RETENTION) -> int:
    """Forget a portion of the operations that finished more than `keep` seconds ago, and return how many they were."""
    return delete_oldest(conn, operations.c.finished_at, before=now - keep)
