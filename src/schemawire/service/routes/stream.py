"""The schema as a stream of lines."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from schemawire.protocol.headers import NDJSON, format_etag
from schemawire.protocol.messages import Reply, StreamElement
from schemawire.service.body_lines import Intake, require_ndjson
from schemawire.service.line_reply import LineReply
from schemawire.service.refusals import RequestRefused
from schemawire.service.replies import IMMUTABLE, REVALIDATE, send_answer
from schemawire.service.routes.declaring import ON_WRITE, backend_of, context_of, new_router, project_of, route
from schemawire.service.routes.parameters import (
    MAX_VERSION,
    ON_PROJECT_WRITE,
    Parameter,
    read_number,
    refuse_unknown,
)
from schemawire.service.routes.projects import PROJECT
from schemawire.service.routes.writing import write_request_of
from schemawire.service.store.elements import CHUNK_SIZE, MAX_CHUNK_SIZE
from schemawire.service.streams import StreamRequest, open_stream
from schemawire.service.uploads import upload_schema

router: APIRouter = new_router()

VERSION = Parameter(name="version", description="Which version; else the newest.", low=1, high=MAX_VERSION)
AFTER_CURSOR = Parameter(name="after", description="Resume behind the element with this cursor.")
LINES = {"type": "string", "x-media-type": NDJSON, "description": "A header, one line per element, and a trailer."}
CHUNK = Parameter(name="chunkSize", description="Elements per portion.", low=1, high=MAX_CHUNK_SIZE)


@route(
    router, "GET", f"{PROJECT}/stream", needs="read", summary="Stream the schema element by element",
    answers=StreamElement, media_type=NDJSON, parameters=(VERSION, AFTER_CURSOR, CHUNK),
    refuses=("invalid_request", "not_acceptable"),
)  # fmt: skip
async def stream(request: Request) -> Response:
    """A header line, one line per element, and a trailer with count and digest; an error comes as the last line."""
    refuse_unknown(request, (VERSION, AFTER_CURSOR, CHUNK))
    _require_ndjson(request.headers.get("accept", "*/*"))
    wanted = StreamRequest(
        project_id=project_of(request),
        version=read_number(request, VERSION),
        after=request.query_params.get(AFTER_CURSOR.name),
        chunk_size=read_number(request, CHUNK) or CHUNK_SIZE,
    )
    entry, lines = await open_stream(backend_of(request).store, wanted, context_of(request).request_id)
    headers = {
        "ETag": format_etag(entry.version, entry.digest),
        "Cache-Control": REVALIDATE if wanted.version is None else IMMUTABLE,
    }
    return LineReply(lines, media_type=NDJSON, headers=headers)


@route(
    router, "PUT", f"{PROJECT}/stream", needs="write", summary="Store a schema that is sent element by element",
    answers=Reply, takes=LINES, parameters=ON_PROJECT_WRITE, refuses=(*ON_WRITE, "overloaded"),
)  # fmt: skip
async def upload(request: Request) -> Response:
    """The lines that GET sends will do: a header, elements, and a trailer that must agree with what came."""
    require_ndjson(request)
    write = write_request_of(request, project_of(request), b"")
    return send_answer(await upload_schema(backend_of(request), write, Intake(request)))


def _require_ndjson(accept: str) -> None:
    ranges = {part.partition(";")[0].strip().lower() for part in accept.split(",")}
    if ranges.isdisjoint({NDJSON, "application/*", "*/*", "application/json"}):
        raise RequestRefused("not_acceptable", f"A stream is {NDJSON}.", fix=f"Send `Accept: {NDJSON}`.")
