"""Work that is promised now and done later: taken in, carried out, looked at and cancelled.

The row of an operation is the promise: it is committed before the caller hears of it, and its effect is committed
together with its end, so a process that dies in between leaves either both or neither. Knows nothing of HTTP servers.
"""

import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from sqlalchemy import Connection

from schemawire.analysis import Analyser
from schemawire.protocol import paths
from schemawire.protocol.messages import BatchRequest, SubmitRequest
from schemawire.schema import DomainSchema, MergeSchema, apply
from schemawire.service import store as repository
from schemawire.service.access import Principal
from schemawire.service.backend import Backend
from schemawire.service.batches import read_batch, store_batch
from schemawire.service.dispatch import Execution
from schemawire.service.language import options_of
from schemawire.service.once import write_once
from schemawire.service.operations import IllegalTransition, Operation, OperationState, new_operation
from schemawire.service.refusals import RequestRefused, internal_error, refusal_of
from schemawire.service.replies import Answer
from schemawire.service.status import status_record
from schemawire.service.store import Store, WriteNote
from schemawire.service.threads import in_proportion
from schemawire.service.write_request import WriteRequest

BATCH_KIND = "batch"
WORDS_KIND = "analyze"
TERMS = "terms"
"""Beside the request in the payload: under which compatibility terms it was taken in."""


async def submit(backend: Backend, write: WriteRequest, wanted: SubmitRequest) -> Answer:
    """Take an operation in; it is durable when this returns, and done soon after.

    Raises:
        RequestRefused: it says neither what to apply nor what to analyse, or both; or its webhook may not be called.
        SchemaInvalid: an operation of an atomic batch is malformed.
    """
    if (wanted.operations is None) == (wanted.description is None):
        raise RequestRefused(
            "invalid_request", "Either operations or a description is wanted.", fix="Send exactly one of the two."
        )
    if wanted.operations is not None:
        read = partial(read_batch, wanted.operations, atomic=wanted.atomic)
        await in_proportion(write.size_bytes, read)
    if wanted.webhook is not None:
        backend.webhooks.check(wanted.webhook)
    carried: dict[str, str] = {}
    with backend.dispatcher.spans.send("operations", carried):
        return await _taken_in(backend, write, _operation_of(write, wanted, carried))


async def _taken_in(backend: Backend, write: WriteRequest, operation: Operation) -> Answer:
    def work(conn: Connection) -> Answer:
        stored = repository.add_operation(conn, operation)
        backend.dispatcher.note(conn, stored)
        return _accepted(stored)

    answer = await write_once(backend, write, work)
    if not answer.is_replay:
        backend.dispatcher.announce(operation.operation_id)
    return answer


def _operation_of(write: WriteRequest, wanted: SubmitRequest, carried: Mapping[str, str]) -> Operation:
    kind = BATCH_KIND if wanted.operations is not None else WORDS_KIND
    return new_operation(
        write.project_id,
        kind,
        {**wanted.model_dump(mode="json", by_alias=True), TERMS: _terms_of(write)},
        now=time.time(),
        session_id=wanted.session_id,
        principal=write.principal,
        idempotency_key=write.key,
        webhook=wanted.webhook,
        trace=carried or None,
    )


def _accepted(operation: Operation) -> Answer:
    return Answer(
        message=f"accepted as operation {operation.operation_id}",
        payload=status_record(operation).to_json(),
        project_id=operation.project_id,
        status=202,
        headers={"Location": paths.operation_status(operation.operation_id)},
    )


class Worker:
    """Carries out operations; given to the dispatcher, which knows when."""

    def __init__(self, analyser: Analyser) -> None:
        self._analyser = analyser

    async def __call__(self, execution: Execution) -> None:
        """Carry out one operation; its effect and its completion are one commit.

        Raises:
            SchemaInvalid: it cannot be done, now or ever.
            VersionMoved: the project has moved on.
        """
        operation = execution.operation
        wanted = SubmitRequest.model_validate({k: v for k, v in operation.payload.items() if k != TERMS})
        if wanted.operations is not None:
            await execution.finish(partial(_do_batch, operation=operation, wanted=wanted))
        else:
            draft = await self._analyser.analyze(wanted.description or "", options=options_of(wanted.options))
            execution.report(0.5)
            await execution.finish(partial(_do_merge, operation=operation, wanted=wanted, schema=draft.schema))


def _do_batch(conn: Connection, *, operation: Operation, wanted: SubmitRequest) -> dict[str, Any]:
    batch = BatchRequest(
        project_id=operation.project_id,
        session_id=wanted.session_id,
        operations=wanted.operations or (),
        atomic=wanted.atomic,
        expected_version=wanted.expected_version,
        message=wanted.message,
    )
    write = WriteRequest(
        project_id=operation.project_id,
        principal=operation.principal or "",
        route="",
        key=operation.operation_id,
        default_mode=_default_mode(operation),
        override_compatibility=_is_overriding(operation),
    )
    done = store_batch(conn, write, batch, read_batch(batch.operations, atomic=batch.atomic))
    return {"version": done.version, "digest": done.digest, "results": done.results}


def _do_merge(conn: Connection, *, operation: Operation, wanted: SubmitRequest, schema: DomainSchema) -> dict[str, Any]:
    note = WriteNote(
        now=time.time(),
        created_by=operation.principal,
        session_id=wanted.session_id,
        message=wanted.message,
        expected_version=wanted.expected_version,
        default_mode=_default_mode(operation),
        override_compatibility=_is_overriding(operation),
    )
    view = repository.SqlView(conn, operation.project_id, is_writing=True)
    repository.check_expected(view, note.expected_version)
    if view.head is None:
        written = repository.replace_in_view(view, schema, note)
    else:
        written = repository.write_changes(view, apply(view, [MergeSchema(schema=schema)]), note)
    return {"version": written.entry.version, "digest": written.entry.digest, "changed": written.changed}


def _terms_of(write: WriteRequest) -> dict[str, object]:
    return {"defaultMode": write.default_mode, "override": write.override_compatibility}


def _default_mode(operation: Operation) -> str:
    return str(_terms(operation).get("defaultMode", "NONE"))


def _is_overriding(operation: Operation) -> bool:
    return _terms(operation).get("override") is True


def _terms(operation: Operation) -> Mapping[str, object]:
    terms = operation.payload.get(TERMS)
    return terms if isinstance(terms, Mapping) else {}


def describe_failure(error: BaseException) -> Mapping[str, object]:
    """Return the problem document that a failed operation keeps."""
    refusal = refusal_of(error) if isinstance(error, Exception) else None
    problem = (refusal or internal_error()).to_problem()
    return problem.model_dump(mode="json", by_alias=True, exclude_none=True)


async def find_status(store: Store, principal: Principal, operation_id: str) -> Operation:
    """Return an operation that the caller may see.

    Raises:
        OperationMissing: there is none.
        RequestRefused: it belongs to a project that the caller may not touch.
    """
    operation = await store.read(partial(repository.require_operation, operation_id=operation_id))
    principal.require_project(operation.project_id)
    return operation


async def page_of_operations(
    store: Store,
    principal: Principal,
    *,
    project_id: str | None,
    state: OperationState | None,
    before: str | None,
    limit: int,
) -> dict[str, Any]:
    """Return the operations that the caller may see, newest first; `next` is the `before` of the following page."""
    select = partial(
        repository.list_operations,
        project_id=project_id,
        only=principal.projects,
        state=state,
        before=before,
        limit=limit,
    )
    found = await store.read(select)
    records = [status_record(operation).model_dump(by_alias=True) for operation in found]
    return {"operations": records, "next": found[-1].operation_id if len(found) == limit else None}


async def cancel(backend: Backend, principal: Principal, operation_id: str) -> Operation:
    """Cancel an operation; one that is already cancelled stays so, so that the request may be repeated.

    Raises:
        OperationMissing: there is none.
        IllegalTransition: it has ended otherwise.
        RequestRefused: it belongs to a project that the caller may not touch.
    """
    await find_status(backend.store, principal, operation_id)
    try:
        return await backend.dispatcher.cancel(operation_id)
    except IllegalTransition:
        operation = await find_status(backend.store, principal, operation_id)
        if operation.state is OperationState.CANCELLED:
            return operation
        raise


async def retry(backend: Backend, write: WriteRequest, failed: Operation) -> Answer:
    """Take in an operation that ended without success once more, behind the others of its project.

    It becomes a new operation: what has ended does not change any more.

    Raises:
        RequestRefused: it has not ended, or it has succeeded.
    """
    if not failed.state.is_final or failed.state is OperationState.SUCCEEDED:
        raise RequestRefused(
            "conflict",
            f"Operation {failed.operation_id} is {failed.state.value} and cannot be tried again.",
            fix="Only what failed, was parked or was cancelled can be.",
        )
    carried: dict[str, str] = {}
    with backend.dispatcher.spans.send("operations", carried):
        again = new_operation(
            failed.project_id,
            failed.kind,
            {**failed.payload, TERMS: _terms_of(write)},  # of who asks now: an override is not inherited
            now=time.time(),
            session_id=failed.session_id,
            principal=write.principal,
            idempotency_key=write.key,
            priority=failed.priority,
            max_attempts=failed.max_attempts,
            webhook=failed.webhook,
            trace=carried or None,
        )
        return await _taken_in(backend, write, again)
