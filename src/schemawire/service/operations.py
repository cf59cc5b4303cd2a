"""The life of a durable operation as plain decisions of `now`: every legal step, and no other.

    queued ──claim──▶ running ──complete──▶ succeeded
      │  ▲               ├──fail (final)──▶ failed
      │  └──fail (again) ┤──fail (attempts used up)──▶ parked
      │     take over    │
      └──cancel──▶ cancelled ◀──cancel──┘

Knows nothing of tables, threads or what an operation does. Times are seconds since 1970-01-01 UTC.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from uuid import uuid4

from schemawire.errors import SchemawireError


class OperationState(Enum):
    """Where an operation stands."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    PARKED = "parked"

    @property
    def is_final(self) -> bool:
        """Whether it will not change any more."""
        return self not in (OperationState.QUEUED, OperationState.RUNNING)


class IllegalTransition(SchemawireError):
    """The operation is not in a state in which that can happen to it."""

    code = "operation_finished"
    default_fix = "Read the operation's status; a finished operation does not change any more."


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One durable piece of work. Invariant: it has a lease (owner and expiry) exactly while it is running."""

    operation_id: str
    project_id: str
    kind: str
    payload: Mapping[str, object]
    created_at: float
    updated_at: float
    available_at: float
    """Not to be claimed earlier."""
    state: OperationState = OperationState.QUEUED
    progress: float = 0.0
    attempts: int = 0
    """How often it was claimed."""
    max_attempts: int = 5
    lease_owner: str | None = None
    lease_expires_at: float | None = None
    priority: int = 0
    """Higher ones are claimed first."""
    session_id: str | None = None
    principal: str | None = None
    idempotency_key: str | None = None
    webhook: str | None = None
    """Where its end is announced, if anywhere."""
    trace: Mapping[str, str] | None = None
    """The trace context of the call that caused it, as headers."""
    result: object = None
    error: Mapping[str, object] | None = None
    """A problem document, where the last attempt failed."""
    finished_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """How long a failed operation waits: drawn between nothing and a cap that doubles."""

    first: float = 1.0
    most: float = 300.0
    draw: random.Random = field(default_factory=random.Random, repr=False)

    def delay(self, attempts: int) -> float:
        """Return the seconds to wait after so many attempts; drawn inside the cap, so that no two agree on it."""
        cap = min(self.most, self.first * 2.0 ** min(attempts - 1, 32))
        return self.draw.uniform(0.0, cap)


def new_operation(
    project_id: str,
    kind: str,
    payload: Mapping[str, object],
    *,
    now: float,
    session_id: str | None = None,
    principal: str | None = None,
    idempotency_key: str | None = None,
    priority: int = 0,
    max_attempts: int = 5,
    webhook: str | None = None,
    trace: Mapping[str, str] | None = None,
) -> Operation:
    """Return a queued operation with an id of its own."""
    return Operation(
        operation_id=uuid4().hex,
        project_id=project_id,
        kind=kind,
        payload=payload,
        created_at=now,
        updated_at=now,
        available_at=now,
        session_id=session_id,
        principal=principal,
        idempotency_key=idempotency_key,
        priority=priority,
        max_attempts=max_attempts,
        webhook=webhook,
        trace=trace,
    )


def is_claimable(operation: Operation, now: float) -> bool:
    """Tell whether a worker may take it: it waits and is due, or its worker's lease has run out."""
    match operation.state:
        case OperationState.QUEUED:
            return operation.available_at <= now
        case OperationState.RUNNING:
            return operation.lease_expires_at is not None and operation.lease_expires_at <= now
        case _:
            return False


def claim(operation: Operation, owner: str, *, now: float, lease: float) -> Operation:
    """Return the operation as taken by `owner` for `lease` seconds; or parked, if its last worker died on the last try.

    Raises:
        IllegalTransition: it is finished, not due, or in another worker's hands.
    """
    if not is_claimable(operation, now):
        raise _illegal(operation, "be claimed now")
    if operation.attempts >= operation.max_attempts:
        return _finish(operation, OperationState.PARKED, now, error=operation.error or _abandoned(operation))
    return replace(
        operation,
        state=OperationState.RUNNING,
        attempts=operation.attempts + 1,
        progress=0.0,
        lease_owner=owner,
        lease_expires_at=now + lease,
        updated_at=now,
    )


def renew(operation: Operation, owner: str, *, now: float, lease: float, progress: float | None = None) -> Operation:
    """Return the operation with its lease extended, and its progress (0 to 1, never falling) noted.

    Raises:
        IllegalTransition: `owner` does not hold it.
    """
    _require_held(operation, owner, "have its lease renewed")
    reached = operation.progress if progress is None else min(1.0, max(operation.progress, progress))
    return replace(operation, lease_expires_at=now + lease, progress=reached, updated_at=now)


def complete(operation: Operation, owner: str, *, now: float, result: object = None) -> Operation:
    """Return the operation as done.

    Raises:
        IllegalTransition: `owner` does not hold it.
    """
    _require_held(operation, owner, "be completed")
    return _finish(operation, OperationState.SUCCEEDED, now, result=result)


def fail(
    operation: Operation, owner: str, *, now: float, error: Mapping[str, object], retry_in: float | None
) -> Operation:
    """Return the operation after a failed attempt: queued again, failed for good, or parked.

    Args:
        operation: what was tried.
        owner: who tried it.
        now: when it failed.
        error: the problem document.
        retry_in: seconds until the next attempt; `None` if another attempt cannot help.

    Raises:
        IllegalTransition: `owner` does not hold it.
    """
    _require_held(operation, owner, "fail")
    if retry_in is None:
        return _finish(operation, OperationState.FAILED, now, error=error)
    if operation.attempts >= operation.max_attempts:
        return _finish(operation, OperationState.PARKED, now, error=error)
    return _requeue(operation, now, available_at=now + retry_in, error=error)


def release(operation: Operation, owner: str, *, now: float) -> Operation:
    """Return the operation as queued again, the attempt not counted: its worker stops before it is done.

    Raises:
        IllegalTransition: `owner` does not hold it.
    """
    _require_held(operation, owner, "be released")
    released = _requeue(operation, now, available_at=now, error=operation.error)
    return replace(released, attempts=operation.attempts - 1)


def expire(operation: Operation, *, now: float) -> Operation:
    """Return a running operation with its lease at an end, because its worker is known to be dead.

    Raises:
        IllegalTransition: it is not running.
    """
    if operation.state is not OperationState.RUNNING:
        raise _illegal(operation, "be taken over")
    return replace(operation, lease_expires_at=now, updated_at=now)


def cancel(operation: Operation, *, now: float) -> Operation:
    """Return the operation as cancelled; a worker that holds it loses its lease and can commit nothing any more.

    Raises:
        IllegalTransition: it is finished.
    """
    if operation.state.is_final:
        raise _illegal(operation, "be cancelled")
    return _finish(operation, OperationState.CANCELLED, now)


def _finish(
    operation: Operation,
    state: OperationState,
    now: float,
    *,
    result: object = None,
    error: Mapping[str, object] | None = None,
) -> Operation:
    return replace(
        operation,
        state=state,
        result=result,
        error=error,
        progress=1.0 if state is OperationState.SUCCEEDED else operation.progress,
        lease_owner=None,
        lease_expires_at=None,
        updated_at=now,
        finished_at=now,
    )


def _requeue(operation: Operation, now: float, *, available_at: float, error: Mapping[str, object] | None) -> Operation:
    return replace(
        operation,
        state=OperationState.QUEUED,
        available_at=available_at,
        lease_owner=None,
        lease_expires_at=None,
        error=error,
        updated_at=now,
    )


def _require_held(operation: Operation, owner: str, what: str) -> None:
    if operation.state is not OperationState.RUNNING or operation.lease_owner != owner:
        raise _illegal(operation, f"{what} by {owner!r}")


def _illegal(operation: Operation, what: str) -> IllegalTransition:
    holder = f" by {operation.lease_owner!r}" if operation.lease_owner else ""
    return IllegalTransition(f"operation {operation.operation_id} is {operation.state.value}{holder} and cannot {what}")


def _abandoned(operation: Operation) -> dict[str, object]:
    return {
        "code": "internal_error",
        "detail": f"its worker ended {operation.attempts} times without finishing it",
        "fix": "Look at the worker's log from when it ended, then submit the work again.",
        "retryable": False,
    }
