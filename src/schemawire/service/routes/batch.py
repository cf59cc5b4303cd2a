"""Many operations in one request."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from schemawire.protocol.messages import BatchRequest, Reply
from schemawire.protocol.paths import BATCH
from schemawire.service.batches import run_batch
from schemawire.service.bodies import read_json, read_model
from schemawire.service.replies import send_answer
from schemawire.service.routes.declaring import ON_WRITE, backend_of, new_router, route
from schemawire.service.routes.parameters import OVERRIDE, WRITE_HEADERS
from schemawire.service.routes.writing import write_request_of

router: APIRouter = new_router()


@route(
    router, "POST", BATCH, needs="write", summary="Apply operations, as a whole or one by one", answers=Reply,
    takes=BatchRequest, parameters=(*WRITE_HEADERS, OVERRIDE),
    refuses=(*ON_WRITE, "invalid_project_id", "operation_invalid", "merge_conflict"),
)  # fmt: skip
async def batch(request: Request) -> Response:
    """One result per operation in `data`; a missing project is made. With `dryRun` nothing is stored."""
    document, body = await read_json(request)
    wanted = read_model(BatchRequest, document)
    write = write_request_of(request, wanted.project_id, body)
    return send_answer(await run_batch(backend_of(request), write, wanted))
