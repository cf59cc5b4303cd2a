"""Durable operations as rows; the legal steps are decided in `service.operations`, here they are only kept."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Integer,
    Text,
    and_,
    bindparam,
    case,
    cast,
    exists,
    false,
    func,
    insert,
    literal_column,
    or_,
    select,
    true,
    update,
)

from schemawire.service.operations import Operation, OperationState, claim, expire, is_claimable
from schemawire.service.status import webhook_body
from schemawire.service.store.deliveries import add_delivery
from schemawire.service.store.locks import has_parallel_writers, lock_number, wait_for_lock
from schemawire.service.store.portions import delete_oldest
from schemawire.service.store.prepared import Prepared
from schemawire.service.store.refusals import LeaseLost, OperationMissing
from schemawire.service.store.tables import IS_NEXT, operations

RETENTION = 7 * 24 * 3600.0
"""Seconds for which a finished operation is kept."""

_LINE = "operations"
"""The name of the lock of a project's list of operations."""
_JSON = ("payload", "result", "error", "trace")
_CHANGING = ("state", "progress", "attempts", "lease_owner", "lease_expires_at", "available_at", "result", "error",
             "updated_at", "finished_at")  # fmt: skip
"""What happens to an operation; the rest, which may be large, was said at its submission."""
_ONE, _NONE = literal_column("1", Integer), literal_column("0", Integer)
_KEPT = tuple(column for column in operations.c if column.name != "is_next")
_ADD = Prepared(insert(operations))
_FIND = select(*_KEPT).where(operations.c.operation_id == bindparam("id"))
_FIND_LOCKED = _FIND.with_for_update()
_SAVING = (
    update(operations)
    .where(operations.c.operation_id == bindparam("id"))
    .values({name: bindparam(name) for name in _CHANGING})
)
_SAVE = Prepared(_SAVING)
_QUEUED, _RUNNING = OperationState.QUEUED.value, OperationState.RUNNING.value
_IS_HELD = and_(
    operations.c.state == bindparam("held_state"),
    operations.c.lease_owner == bindparam("holder"),
    operations.c.attempts == bindparam("held_attempts"),
)
_COMPLETE = Prepared(_SAVING.where(_IS_HELD))
_LOCK_IF_NEXT = case(
    (operations.c.is_next, cast(func.pg_advisory_xact_lock(bindparam("lock", type_=BigInteger)), Text)), else_=None
)
_SAVE_AND_LOCK = _SAVING.returning(operations.c.is_next, _LOCK_IF_NEXT)
_COMPLETE_AND_LOCK = _SAVING.where(_IS_HELD).returning(operations.c.is_next, _LOCK_IF_NEXT)
"""With the lock of the project's list taken in the same journey; the next statement sees what others have left."""
_IN_LINE = and_(operations.c.project_id == bindparam("p"), operations.c.finished_at.is_(None))
_LAST = Prepared(
    select(operations.c.created_at).where(_IN_LINE).order_by(operations.c.created_at.desc()).limit(_ONE).offset(_NONE)
)  # fmt: skip
_FIRST = select(operations.c.operation_id).where(_IN_LINE).order_by(operations.c.created_at).limit(_ONE).offset(_NONE)
_PASS_ON = Prepared(
    update(operations).where(operations.c.operation_id == _FIRST.scalar_subquery()).values(is_next=true())
)
_FOUND = _FIRST.cte("found")
_MARKED = (
    update(operations)
    .where(operations.c.operation_id == select(_FOUND.c.operation_id).scalar_subquery())
    .where(operations.c.finished_at.is_(None))
    .values(is_next=true())
    .returning(operations.c.operation_id)
    .cte("marked")
)
_FIND_AND_MARK = select(
    select(func.count()).select_from(_FOUND).scalar_subquery(),
    select(func.count()).select_from(_MARKED).scalar_subquery(),
)
_EARLIER = operations.alias("earlier")
_REPAIR = (
    update(operations)
    .where(
        operations.c.finished_at.is_(None),
        operations.c.is_next.is_(false()),
        ~exists().where(
            _EARLIER.c.project_id == operations.c.project_id,
            _EARLIER.c.finished_at.is_(None),
            _EARLIER.c.created_at < operations.c.created_at,
        ),
    )
    .values(is_next=true())
)
_CLAIMABLE = (
    select(*_KEPT)
    .where(
        IS_NEXT,
        or_(
            and_(operations.c.state == _QUEUED, operations.c.available_at <= bindparam("now")),
            and_(operations.c.state == _RUNNING, operations.c.lease_expires_at <= bindparam("now")),
        ),
    )
    .order_by(operations.c.priority.desc(), operations.c.available_at, operations.c.operation_id)
    .limit(bindparam("most"))
    .with_for_update(of=operations, skip_locked=True)
)
_NEXT_DUE = select(
    select(func.min(operations.c.available_at)).where(IS_NEXT, operations.c.state == _QUEUED).scalar_subquery(),
    select(func.min(operations.c.lease_expires_at)).where(IS_NEXT, operations.c.state == _RUNNING).scalar_subquery(),
)


def to_operation(row: Sequence[Any]) -> Operation:
    """Return the value of a row of `operations`, all columns but the mark of the next one."""
    values = dict(zip(_NAMES, row, strict=True))
    for name in _JSON:
        values[name] = None if values[name] is None else json.loads(values[name])
    values["state"] = OperationState(values["state"])
    return Operation(**values)


_NAMES = tuple(column.name for column in _KEPT)


def _to_values(operation: Operation, names: Iterable[str] = _NAMES) -> dict[str, Any]:
    values = {name: getattr(operation, name) for name in names}
    for name in _JSON:
        if values.get(name) is not None:
            values[name] = json.dumps(values[name])
    return {**values, "state": operation.state.value}


def add_operation(conn: Connection, operation: Operation) -> Operation:
    """Store a new operation behind every other one of its project, and return it as it is stored.

    A clock that was set back must not let it overtake, so it is made later than the last one where it has to be.
    """
    wait_for_lock(conn, _LINE, operation.project_id)
    last = _LAST.first(conn, {"p": operation.project_id})
    if last is not None and operation.created_at <= last[0]:
        operation = replace(operation, created_at=math.nextafter(last[0], math.inf))
    _ADD.run(conn, {**_to_values(operation), "is_next": last is None})
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
    """Store an operation's next state, read under its lock; where it has ended, the next of its project may begin."""
    values = {"id": operation.operation_id, **_to_values(operation, _CHANGING)}
    if not operation.state.is_final:
        _SAVE.run(conn, values)
        return
    if has_parallel_writers(conn):
        was_next = conn.execute(_SAVE_AND_LOCK, values | {"lock": _lock_of(operation)}).one()[0]
    else:
        _SAVE.run(conn, values)
        was_next = True
    _end(conn, operation, was_next=was_next)


def save_completed(conn: Connection, operation: Operation, held: Operation) -> bool:
    """Store that a held operation has ended, if it is still held; return whether another one may begin now.

    Raises:
        LeaseLost: it was cancelled, or another worker took it over; nothing may be committed for it.
    """
    values = {
        "id": operation.operation_id,
        **_to_values(operation, _CHANGING),
        "held_state": _RUNNING,
        "holder": held.lease_owner,
        "held_attempts": held.attempts,
    }
    if has_parallel_writers(conn):
        row = conn.execute(_COMPLETE_AND_LOCK, values | {"lock": _lock_of(operation)}).one_or_none()
        is_kept = row is not None
    else:
        is_kept = _COMPLETE.change(conn, values) == 1
    if not is_kept:
        raise LeaseLost(f"operation {operation.operation_id} is not held by {held.lease_owner!r} any more")
    return _end(conn, operation, was_next=True)


def _end(conn: Connection, operation: Operation, *, was_next: bool) -> bool:
    if operation.webhook is not None:
        add_delivery(conn, operation, operation.webhook, body=webhook_body(operation), now=operation.updated_at)
    return was_next and _pass_on(conn, operation.project_id)


def _pass_on(conn: Connection, project_id: str) -> bool:
    """Mark the next operation of a project whose first has ended, and tell whether there is one.

    Invariant: whoever marks or adds holds the lock of the project's list, and nobody waits for it who has locked an
    operation that is not the marked one; so the mark that is passed on here never waits in a circle.
    """
    if not has_parallel_writers(conn):
        return _PASS_ON.change(conn, {"p": project_id}) > 0
    while True:
        found, marked = conn.execute(_FIND_AND_MARK, {"p": project_id}).one()
        if found == marked:
            return bool(marked)  # else the one that was found has just been cancelled: look again


def mark_next(conn: Connection) -> None:
    """Mark what comes next in every project, where a process that knew nothing of marks has left it without."""
    conn.execute(_REPAIR)


def _lock_of(operation: Operation) -> int:
    return lock_number(_LINE, operation.project_id)


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
    query = select(*_KEPT).order_by(operations.c.created_at.desc(), operations.c.operation_id.desc())
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
    due = conn.execute(_CLAIMABLE, {"now": now, "most": limit}).all()
    found = [operation for operation in map(to_operation, due) if is_claimable(operation, now)]
    claimed = [claim(operation, owner, now=now, lease=lease) for operation in found]
    running = [operation for operation in claimed if operation.state is OperationState.RUNNING]
    changes = [{"id": each.operation_id, **_to_values(each, _CHANGING)} for each in running]
    _SAVE.run_each(conn, changes)
    for operation in claimed:
        if operation.state.is_final:
            save_operation(conn, operation)
    return running


def expire_leases(conn: Connection, *, now: float, alive: str) -> int:
    """End every lease that is not held by `alive`, whose process is known to be the only one; return how many."""
    query = select(*_KEPT).where(IS_NEXT, operations.c.state == _RUNNING, operations.c.lease_owner != alive)
    found = [to_operation(row) for row in conn.execute(query).all()]
    for operation in found:
        save_operation(conn, expire(operation, now=now))
    return len(found)


def require_lease(conn: Connection, operation_id: str, owner: str) -> Operation:
    """Return the operation as it stands, if it is running and `owner` holds it.

    Raises:
        LeaseLost: it was cancelled, or another worker took it over; nothing may be committed for it.
    """
    operation = find_operation(conn, operation_id, lock=True)  # nobody takes it over before the commit
    if operation is None or operation.state is not OperationState.RUNNING or operation.lease_owner != owner:
        state = "gone" if operation is None else operation.state.value
        raise LeaseLost(f"operation {operation_id} is {state} and not held by {owner!r}")
    return operation


def next_due(conn: Connection) -> float | None:
    """Return when the next operation can be claimed at the earliest, or `None` if there is nothing to wait for."""
    return min((moment for moment in conn.execute(_NEXT_DUE).one() if moment is not None), default=None)


def sweep_operations(conn: Connection, *, now: float, keep: float = RETENTION) -> int:
    """Forget a portion of the operations that finished more than `keep` seconds ago, and return how many they were."""
    return delete_oldest(conn, operations.c.finished_at, before=now - keep)
