"""Many operations in one request."""

from contextlib import nullcontext
from functools import partial

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from schemawire.protocol.headers import NDJSON
from schemawire.protocol.messages import BatchRequest, Reply
from schemawire.protocol.paths import BATCH
from schemawire.service.batches import run_batch
from schemawire.service.bodies import read_json_body, read_model
from schemawire.service.body_lines import Intake, require_ndjson
from schemawire.service.in_band import with_error_line
from schemawire.service.large_batches import answer_lines
from schemawire.service.line_reply import LineReply
from schemawire.service.operation_lines import OperationLines
from schemawire.service.replies import NO_STORE, send_answer
from schemawire.service.routes.declaring import ON_WRITE, backend_of, context_of, new_router, route
from schemawire.service.routes.parameters import OVERRIDE, WRITE_HEADERS
from schemawire.service.routes.writing import write_request_of
from schemawire.service.strict_json import parse_json
from schemawire.service.threads import in_proportion

SMALL_BYTES = 8 * 1024
"""Batches up to this size never wait for their turn."""
router: APIRouter = new_router()


@route(
    router, "POST", BATCH, needs="write", summary="Apply operations, as a whole or one by one", answers=Reply,
    takes=BatchRequest, parameters=(*WRITE_HEADERS, OVERRIDE),
    refuses=(*ON_WRITE, "invalid_project_id", "operation_invalid", "merge_conflict"),
)  # fmt: skip
async def batch(request: Request) -> Response:
    """One result per operation in `data`; a missing project is made. With `dryRun` nothing is stored.

    Sent as lines (`application/x-ndjson`: a header line, then one operation per line), it is answered as lines.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() == NDJSON:
        return await _batch_of_lines(request)
    backend, body = backend_of(request), await read_json_body(request)
    async with backend.batch_turns if len(body) > SMALL_BYTES else nullcontext():
        context_of(request).check_deadline()
        document = await in_proportion(len(body), partial(parse_json, body))
        wanted = read_model(BatchRequest, document)
        write = write_request_of(request, wanted.project_id, body)
        return send_answer(await run_batch(backend, write, wanted))


async def _batch_of_lines(request: Request) -> Response:
    require_ndjson(request)
    context_of(request).principal.require("write")
    lines = OperationLines()
    try:
        intake = Intake(request)
        await lines.take_in(intake)
        write = write_request_of(request, lines.stated.project_id, intake.seen.digest())
        chunks = await answer_lines(backend_of(request), write, lines)
    except BaseException:
        lines.close()
        raise
    framed = with_error_line(chunks, context_of(request).request_id, at_end=lines.close)
    return LineReply(framed, media_type=NDJSON, headers={"Cache-Control": NO_STORE}, heartbeat=b"\n")
