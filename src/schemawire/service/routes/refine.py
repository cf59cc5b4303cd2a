"""The conversation about a project's schema, and taking changes back."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from schemawire.protocol.messages import RefineRequest, Reply, UndoRequest
from schemawire.service.bodies import read_json, read_model
from schemawire.service.language import time_to_read
from schemawire.service.refining import refine as refine_schema
from schemawire.service.refining import undo as undo_change
from schemawire.service.replies import send_answer
from schemawire.service.routes.declaring import ON_WRITE, backend_of, context_of, new_router, project_of, route
from schemawire.service.routes.parameters import WRITE_HEADERS
from schemawire.service.routes.projects import PROJECT
from schemawire.service.routes.writing import write_request_of

router: APIRouter = new_router()


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
    router, "POST", f"{PROJECT}/undo", needs="write", summary="Take the last change back", answers=Reply,
    takes=UndoRequest, parameters=WRITE_HEADERS, refuses=ON_WRITE,
)  # fmt: skip
async def undo(request: Request) -> Response:
    """Makes a new version with the content from before the last change; said again, the one before it goes too."""
    document, body = await read_json(request)
    wanted = read_model(UndoRequest, document)
    write = write_request_of(request, project_of(request), body)
    return send_answer(await undo_change(backend_of(request), write, wanted))
