"""The form in which an operation's status travels: in replies, events and webhooks."""

import json

from schemawire.protocol.messages import OperationStatus
from schemawire.service.operations import Operation
from schemawire.service.store.records import timestamp


def status_record(operation: Operation) -> OperationStatus:
    """Return the form in which an operation's status travels."""
    return OperationStatus(
        operation_id=operation.operation_id,
        project_id=operation.project_id,
        state=operation.state.value,
        kind=operation.kind,
        progress=operation.progress,
        attempts=operation.attempts,
        created_at=timestamp(operation.created_at),
        updated_at=timestamp(operation.updated_at),
        finished_at=None if operation.finished_at is None else timestamp(operation.finished_at),
        result=operation.result,
        error=None if operation.error is None else dict(operation.error),
    )


def webhook_body(operation: Operation) -> bytes:
    """Return what is told to the webhook of an operation that has ended."""
    told = {
        "type": f"operation.{operation.state.value}",
        "timestamp": timestamp(operation.updated_at),
        "data": status_record(operation).model_dump(mode="json", by_alias=True),
    }
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()
