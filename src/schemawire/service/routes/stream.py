"""The schema as a stream, out and in."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from schemawire.protocol.headers import EVENT_STREAM, NDJSON, format_etag
from schemawire.protocol.messages import Reply, StreamElement
from schemawire.service.body_lines import Intake, require_ndjson
from schemawire.service.line_reply import LineReply, event_reply
from schemawire.service.refusals import RequestRefused
from schemawire.service.replies import IMMUTABLE, NO_STORE, REVALIDATE, send_answer
from schemawire.service.routes.declaring import ON_WRITE, backend_of, context_of, new_router, project_of, route
from schemawire.service.routes.parameters import (
    MAX_VERSION,
    ON_PROJECT_WRITE,
    Parameter,
    read_number,
)
from schemawire.service.routes.projects import PROJECT
from schemawire.service.routes.writing import write_request_of
from schemawire.service.store.elements import CHUNK_SIZE, MAX_CHUNK_SIZE
from schemawire.service.streams import StreamRequest, open_stream, resumed
from schemawire.service.uploads import upload_schema

router: APIRouter = new_router()

VERSION = Parameter(name="version", description="Which version; else the newest.", low=1, high=MAX_VERSION)
AFTER_CURSOR = Parameter(name="after", description="Resume behind the element with this cursor.")
LINES = {"type": "string", "x-media-type": NDJSON, "description": "A header, one line per element, and a trailer."}
LAST_EVENT_ID = Parameter(
    name="Last-Event-ID", place="header", description="Resume behind this event; what a browser sends by itself."
)
CHUNK = Parameter(name="chunkSize", description="Elements per portion.", low=1, high=MAX_CHUNK_SIZE)


@route(
    router, "GET", f"{PROJECT}/stream", needs="read", summary="Stream the schema element by element",
    answers=StreamElement, media_type=NDJSON, parameters=(VERSION, AFTER_CURSOR, CHUNK, LAST_EVENT_ID),
    refuses=("invalid_request", "not_acceptable"),
)  # fmt: skip
async def stream(request: Request) -> Response:
    """A header, the elements, and a trailer with count and digest; an error comes as the last line.

    With `Accept: text/event-stream` each is a server-sent event, and `Last-Event-ID` resumes.
    """
    wanted = StreamRequest(
        project_id=project_of(request),
        version=read_number(request, VERSION),
        after=request.query_params.get(AFTER_CURSOR.name),
        chunk_size=read_number(request, CHUNK) or CHUNK_SIZE,
        as_events=wants_events(request.headers.get("accept", "*/*")),
    )
    last_id = request.headers.get(LAST_EVENT_ID.name)
    if wanted.as_events and last_id is not None:
        further = resumed(wanted, last_id)
        if further is None:  # it would reconnect for ever
            return Response(status_code=204, headers={"Cache-Control": NO_STORE})
        wanted = further
    entry, chunks = await open_stream(backend_of(request).store, wanted, context_of(request).request_id)
    if wanted.as_events:
        return event_reply(chunks)
    headers = {
        "ETag": format_etag(entry.version, entry.digest),
        "Cache-Control": REVALIDATE if wanted.version is None else IMMUTABLE,
        "Vary": "Accept",
    }
    return LineReply(chunks, media_type=NDJSON, headers=headers, heartbeat=b"\n")


@route(
    router, "PUT", f"{PROJECT}/stream", needs="write", summary="Store a schema that is sent element by element",
    answers=Reply, takes=LINES, parameters=ON_PROJECT_WRITE, refuses=(*ON_WRITE, "overloaded"),
)  # fmt: skip
async def upload(request: Request) -> Response:
    """The lines that GET sends will do: a header, elements, and a trailer that must agree with what came."""
    require_ndjson(request)
    write = write_request_of(request, project_of(request), b"")
    return send_answer(await upload_schema(backend_of(request), write, Intake(request)))


def wants_events(accept: str) -> bool:
    """Tell whether a reader asks for server-sent events rather than lines.

    Raises:
        RequestRefused: it asks for neither.
    """
    ranges = {part.partition(";")[0].strip().lower() for part in accept.split(",")}
    if not ranges.isdisjoint({NDJSON, "application/*", "application/json"}):
        return False
    if EVENT_STREAM in ranges or "text/*" in ranges:
        return True
    if "*/*" in ranges:
        return False
    raise RequestRefused(
        "not_acceptable", f"A stream is {NDJSON} or {EVENT_STREAM}.", fix=f"Send `Accept: {NDJSON}`."
    )  # fmt: skip
