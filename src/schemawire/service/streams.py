"""A schema as lines: header, one line per element, and a trailer that lets the reader verify what arrived.

Each chunk is a short read of its own, made when the one before has been sent: a slow reader holds nothing, a reader
that hangs up ends the stream at the next chunk. Knows nothing of HTTP servers.
"""

import hashlib
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial

from schemawire.protocol.messages import StreamError, StreamHeader, StreamTrailer
from schemawire.service.logs import log
from schemawire.service.refusals import RequestRefused, internal_error, refusal_of
from schemawire.service.store.elements import CHUNK_SIZE, find_version, stream_elements
from schemawire.service.store.records import ElementRow, VersionEntry, parse_cursor
from schemawire.service.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRequest:
    """Which elements to send, and in which portions."""

    project_id: str
    version: int | None = None
    after: str | None = None
    """The cursor of the last element that the reader already has."""
    chunk_size: int = CHUNK_SIZE


async def open_stream(
    store: Store, request: StreamRequest, request_id: str
) -> tuple[VersionEntry, AsyncGenerator[bytes, None]]:
    """Return the version that will be sent, and the lines in chunks; what can be refused is refused here.

    Raises:
        ProjectMissing: there is no such project.
        VersionMissing: it has no such version.
        RequestRefused: `after` is not a cursor.
    """
    if request.after is not None:
        _check_cursor(request.after)
    entry = await store.read(partial(find_version, project_id=request.project_id, version=request.version))
    return entry, _lines(store, entry, request, request_id)


async def _lines(
    store: Store, entry: VersionEntry, request: StreamRequest, request_id: str
) -> AsyncGenerator[bytes, None]:
    yield _header_line(entry, request.after)
    seen = hashlib.sha256()
    count = 0
    rows = stream_elements(
        store, entry.rows_key, entry.version, after=request.after, chunk_size=request.chunk_size
    )  # fmt: skip
    try:
        async with aclosing(rows):
            async for chunk in rows:
                lines = b"".join(map(_element_line, chunk))
                seen.update(lines)
                count += len(chunk)
                yield lines
    except Exception as error:  # the head has gone out with a 200: the last line says that it broke
        yield _error_line(error, request_id)
    else:
        trailer = StreamTrailer(element_count=count, digest=entry.digest, stream_digest=seen.hexdigest())
        yield trailer.to_json() + b"\n"


def _check_cursor(cursor: str) -> None:
    try:
        parse_cursor(cursor)
    except ValueError as error:
        raise RequestRefused(
            "invalid_request", f"after: {error}", fix="Send the `cursor` of the last element that arrived."
        ) from None


def _header_line(entry: VersionEntry, after: str | None) -> bytes:
    header = StreamHeader(
        project_id=entry.project_id,
        version=entry.version,
        digest=entry.digest,
        header=entry.header_document(),
        element_count=entry.element_count,
        after=after,
    )
    return header.to_json() + b"\n"


def _element_line(row: ElementRow) -> bytes:
    cursor = json.dumps(row.cursor, ensure_ascii=False).encode()
    kind = row.kind.encode()
    return b'{"type":"element","kind":"%b","cursor":%b,"element":%b}\n' % (kind, cursor, row.body)


def _error_line(error: Exception, request_id: str) -> bytes:
    refusal = refusal_of(error)
    if refusal is None:
        log.exception("stream failed", requestId=request_id)
        refusal = internal_error()
    problem = refusal.to_problem().model_copy(update={"request_id": request_id})
    return StreamError(problem=json.loads(problem.to_json())).to_json() + b"\n"
