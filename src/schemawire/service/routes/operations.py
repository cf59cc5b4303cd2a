"""Asynchronous operations: submit, list, look at, cancel."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from schemawire.protocol.messages import Reply, SubmitRequest
from schemawire.protocol.paths import OPERATIONS
from schemawire.service.bodies import read_json, read_model
from schemawire.service.operations import Operation, OperationState
from schemawire.service.refusals import RequestRefused
from schemawire.service.replies import Answer, encode, send_answer, send_record
from schemawire.service.routes.declaring import ON_WRITE, backend_of, context_of, new_router, project_of, route
from schemawire.service.routes.parameters import (
    DEADLINE,
    KEY,
    LIMIT,
    OVERRIDE,
    WRITE_HEADERS,
    Parameter,
    read_number,
    refuse_unknown,
)
from schemawire.service.routes.projects import PROJECT
from schemawire.service.routes.writing import write_request_of
from schemawire.service.status import status_record
from schemawire.service.submissions import cancel, find_status, page_of_operations, retry, submit

router: APIRouter = new_router()

STATES = ", ".join(state.value for state in OperationState)
STATE = Parameter(name="state", description=f"Only those in this state: {STATES}.")
PROJECT_ID = Parameter(name="projectId", description="Only those of this project.")
BEFORE = Parameter(name="before", description="Where the page continues: `next` of the page before.")


@route(
    router, "POST", f"{PROJECT}/async", needs="write", summary="Submit work to be done later", answers=Reply,
    status=202, takes=SubmitRequest, parameters=(*WRITE_HEADERS, OVERRIDE), refuses=(*ON_WRITE, "operation_invalid"),
)  # fmt: skip
async def submit_operation(request: Request) -> Response:
    """A batch, or a description to analyse and merge; `Location` and `data.operationId` lead to its status."""
    document, body = await read_json(request)
    wanted = read_model(SubmitRequest, document)
    write = write_request_of(request, project_of(request), body)
    return send_answer(await submit(backend_of(request), write, wanted))


@route(
    router, "GET", OPERATIONS, needs="read", summary="List the operations", answers=Reply,
    parameters=(LIMIT, BEFORE, STATE, PROJECT_ID), refuses=("invalid_request", "not_found"),
)  # fmt: skip
async def list_operations(request: Request) -> Response:
    """Newest first."""
    refuse_unknown(request, (LIMIT, BEFORE, STATE, PROJECT_ID))
    page = await page_of_operations(
        backend_of(request).store,
        context_of(request).principal,
        project_id=request.query_params.get(PROJECT_ID.name),
        state=_state_of(request.query_params.get(STATE.name)),
        before=request.query_params.get(BEFORE.name),
        limit=read_number(request, LIMIT) or 100,
    )
    return send_record(encode(page), message=f"{len(page['operations'])} operations")


@route(
    router, "GET", f"{OPERATIONS}/{{operationId}}/status", needs="read", summary="Where an operation stands",
    answers=Reply, refuses=("not_found",),
)  # fmt: skip
async def read_status(request: Request) -> Response:
    """Its state, progress and attempts, and at the end its result or its error."""
    context = context_of(request)
    return _send(await find_status(backend_of(request).store, context.principal, request.path_params["operationId"]))


@route(
    router, "DELETE", f"{OPERATIONS}/{{operationId}}", needs="write", summary="Cancel an operation", answers=Reply,
    refuses=("not_found", "operation_finished"),
)  # fmt: skip
async def cancel_operation(request: Request) -> Response:
    """What it has not committed by now is never committed; cancelling twice is harmless."""
    context = context_of(request)
    return _send(await cancel(backend_of(request), context.principal, request.path_params["operationId"]))


@route(
    router, "POST", f"{OPERATIONS}/{{operationId}}/retry", needs="write", summary="Try an operation again",
    answers=Reply, status=202, parameters=(KEY, DEADLINE), refuses=(*ON_WRITE, "not_found", "conflict"),
)  # fmt: skip
async def retry_operation(request: Request) -> Response:
    """What failed, was parked or was cancelled becomes a new operation, behind the others of its project."""
    backend = backend_of(request)
    failed = await find_status(backend.store, context_of(request).principal, request.path_params["operationId"])
    write = write_request_of(request, failed.project_id, failed.operation_id.encode())
    return send_answer(await retry(backend, write, failed))


def _send(operation: Operation) -> Response:
    return send_answer(
        Answer(
            message=f"operation {operation.operation_id} is {operation.state.value}",
            payload=status_record(operation).to_json(),
            project_id=operation.project_id,
        )
    )


def _state_of(text: str | None) -> OperationState | None:
    if text is None:
        return None
    try:
        return OperationState(text)
    except ValueError:
        raise RequestRefused(
            "invalid_request", f"state: {text[:40]!r} is not a state.", fix=f"Use one of {STATES}."
        ) from None
