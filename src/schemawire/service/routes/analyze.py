"""Words to a draft."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from schemawire.protocol.messages import AnalyzeRequest, Reply
from schemawire.service.bodies import read_json, read_model
from schemawire.service.language import time_to_read
from schemawire.service.replies import send_answer
from schemawire.service.routes.declaring import backend_of, context_of, new_router, project_of, route
from schemawire.service.routes.projects import PROJECT
from schemawire.service.words import analyze_words

router: APIRouter = new_router()


@route(
    router, "POST", f"{PROJECT}/analyze", needs="read", summary="Draft a schema from words", answers=Reply,
    takes=AnalyzeRequest, refuses=("nothing_recognised",),
)  # fmt: skip
async def analyze(request: Request) -> Response:
    """The draft, its warnings and who made it; nothing is stored."""
    document, _ = await read_json(request)
    wanted = read_model(AnalyzeRequest, document)
    with time_to_read(context_of(request).expires):
        answer = await analyze_words(backend_of(request).analyser, project_of(request), wanted)
    return send_answer(answer)
