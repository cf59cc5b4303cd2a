"""Events while they happen, as server-sent events."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from schemawire.protocol.headers import EVENT_STREAM
from schemawire.protocol.messages import ChangeEvent, OperationStatus
from schemawire.protocol.paths import OPERATIONS
from schemawire.service.in_band import with_error_event
from schemawire.service.line_reply import event_reply
from schemawire.service.live_events import follow_operation, follow_project
from schemawire.service.replies import NO_STORE
from schemawire.service.routes.declaring import backend_of, context_of, new_router, project_of, route
from schemawire.service.routes.parameters import MAX_VERSION, Parameter, read_number, to_number
from schemawire.service.routes.projects import PROJECT
from schemawire.service.routes.stream import LAST_EVENT_ID

router: APIRouter = new_router()

AFTER_VERSION = Parameter(
    name="after", description="Begin behind this version; else with what comes next.", low=0, high=MAX_VERSION
)


@route(
    router, "GET", f"{PROJECT}/events", needs="read", summary="Hear of every new version",
    answers=ChangeEvent, media_type=EVENT_STREAM, parameters=(AFTER_VERSION, LAST_EVENT_ID),
    refuses=("invalid_request", "overloaded"),
)  # fmt: skip
async def follow_changes(request: Request) -> Response:
    """Goes on until the caller hangs up or the service stops; `Last-Event-ID` resumes, and nothing is missed."""
    backend = backend_of(request)
    last_id = request.headers.get(LAST_EVENT_ID.name)
    after = read_number(request, AFTER_VERSION) if last_id is None else to_number(last_id, AFTER_VERSION)
    chunks = await follow_project(backend, project_of(request), after=after)
    return event_reply(with_error_event(chunks, context_of(request).request_id))


@route(
    router, "GET", f"{OPERATIONS}/{{operationId}}/events", needs="read", summary="Follow an operation to its end",
    answers=OperationStatus, media_type=EVENT_STREAM, parameters=(LAST_EVENT_ID,), refuses=("not_found", "overloaded"),
)  # fmt: skip
async def follow_one_operation(request: Request) -> Response:
    """One event per change of its state, progress or attempts; the last one is called `final`."""
    context = context_of(request)
    chunks = await follow_operation(
        backend_of(request),
        context.principal,
        request.path_params["operationId"],
        last_id=request.headers.get(LAST_EVENT_ID.name),
    )
    if chunks is None:  # it would reconnect for ever
        return Response(status_code=204, headers={"Cache-Control": NO_STORE})
    return event_reply(with_error_event(chunks, context.request_id))
