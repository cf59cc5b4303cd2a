"""The conversation about a project's schema, and taking changes back."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from schemawire.protocol.messages import RefineRequest, Reply, UndoRequest
from schemawire.service.bodies import read_json, read_model
from schemawire.service.language import time_to_read
from schemawire.service.refining import page_of_turns
from schemawire.service.refining import refine as refine_schema
from schemawire.service.refining import undo as undo_change
from schemawire.service.refusals import RequestRefused
from schemawire.service.replies import send_answer, send_record
from schemawire.service.routes.declaring import ON_WRITE, backend_of, context_of, new_router, project_of, route
from schemawire.service.routes.parameters import LIMIT, WRITE_HEADERS, Parameter, read_number, read_text
from schemawire.service.routes.projects import PROJECT
from schemawire.service.routes.writing import write_request_of

router: APIRouter = new_router()

SESSION = Parameter(name="sessionId", description="The conversation.", longest=200, example="s-1", is_required=True)
AFTER_TURN = Parameter(name="after", description="Only turns behind the one of this number.", low=0, high=2**31 - 1)


@route(
    router, "POST", f"{PROJECT}/refine", needs="write", summary="Say what to change", answers=Reply,
    takes=RefineRequest, parameters=WRITE_HEADERS, refuses=(*ON_WRITE, "operation_invalid"),
)  # fmt: skip
async def refine(request: Request) -> Response:
    """Operations with an explanation and a diff, a question with choices, or an answer; stored only if asked for."""
    document, body = await read_json(request)
    wanted = read_model(RefineRequest, document)
    write = write_request_of(request, project_of(request), body)
    with time_to_read(context_of(request).expires):
        answer = await refine_schema(backend_of(request), write, wanted)
    return send_answer(answer)


@route(
    router, "GET", f"{PROJECT}/refine", needs="read", summary="Read a conversation", answers=Reply,
    parameters=(SESSION, AFTER_TURN, LIMIT), refuses=("invalid_request",),
)  # fmt: skip
async def read_conversation(request: Request) -> Response:
    """What was said and what came of it, oldest first; `next` is the `after` of the following page."""
    session_id = read_text(request, SESSION)
    if session_id is None:
        missing = "The query parameter 'sessionId' is missing."
        raise RequestRefused("invalid_request", missing, fix="Add ?sessionId=SESSION.")
    page = await page_of_turns(
        backend_of(request).store,
        project_of(request),
        session_id,
        after=read_number(request, AFTER_TURN) or 0,
        limit=read_number(request, LIMIT) or 100,
    )
    return send_record(page.to_json(), message=f"{len(page.turns)} turns")


@route(
    router, "POST", f"{PROJECT}/undo", needs="write", summary="Take the last change back", answers=Reply,
    takes=UndoRequest, parameters=WRITE_HEADERS, refuses=ON_WRITE,
)  # fmt: skip
async def undo(request: Request) -> Response:
    """Makes a new version with the content from before the last change; said again, the one before it goes too."""
    document, body = await read_json(request)
    wanted = read_model(UndoRequest, document)
    write = write_request_of(request, project_of(request), body)
    return send_answer(await undo_change(backend_of(request), write, wanted))
