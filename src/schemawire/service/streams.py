"""A schema as a stream, in lines or events: header, elements, and a trailer that lets the reader verify what arrived.

Each page is a short read of its own, made when the one before has been sent: a slow reader holds nothing, a reader
that hangs up ends the stream at the next page. Knows nothing of HTTP servers.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from functools import partial

from schemawire.framing import encode_sse
from schemawire.protocol.messages import StreamHeader, StreamTrailer
from schemawire.service.element_pages import Pages, as_events, joined
from schemawire.service.in_band import error_frame
from schemawire.service.refusals import RequestRefused
from schemawire.service.store.elements import CHUNK_SIZE, find_version
from schemawire.service.store.records import VersionEntry, parse_cursor
from schemawire.service.store.staging import Place
from schemawire.service.store.store import Store

FINISHED = "end"
"""What stands for the cursor in the id of the last event, so that a reader that reconnects is told to stop."""
RETRY = 1.0
"""Seconds after which a reader of events should reconnect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRequest:
    """Which elements to send, and in which portions."""

    project_id: str
    version: int | None = None
    after: str | None = None
    """The cursor of the last element that the reader already has."""
    chunk_size: int = CHUNK_SIZE
    as_events: bool = False


async def open_stream(
    store: Store, request: StreamRequest, request_id: str
) -> tuple[VersionEntry, AsyncGenerator[bytes, None]]:
    """Return the version that will be sent, and the stream in chunks; what can be refused is refused here.

    Raises:
        ProjectMissing: there is no such project.
        VersionMissing: it has no such version.
        RequestRefused: `after` is not a cursor.
    """
    place = None if request.after is None else _place_of(request.after)
    entry = await store.read(partial(find_version, project_id=request.project_id, version=request.version))
    pages = Pages(
        store, entry, after=place, size=request.chunk_size,
        frame=as_events(entry.version) if request.as_events else joined,
    )  # fmt: skip
    return entry, _chunks(pages, entry, request, request_id)


async def _chunks(
    pages: Pages, entry: VersionEntry, request: StreamRequest, request_id: str
) -> AsyncGenerator[bytes, None]:
    framed = partial(_framed, request=request, version=entry.version)
    yield framed("header", _header(entry, request.after), cursor=request.after or "")
    try:
        while (page := await pages.next()) is not None:
            yield page
    except Exception as error:  # the head has gone out with a 200: the last frame says that it broke
        yield framed("error", error_frame(error, request_id), cursor=None)
    else:
        trailer = StreamTrailer(
            element_count=pages.count, digest=entry.digest, stream_digest=pages.seen.hexdigest()
        )  # fmt: skip
        yield framed("trailer", trailer.to_json(), cursor=FINISHED)


def _framed(kind: str, document: bytes, *, cursor: str | None, request: StreamRequest, version: int) -> bytes:
    if not request.as_events:
        return document + b"\n"
    retry = RETRY if kind == "header" else None
    # Without an id the reader keeps the one of the last element, and resumes behind it.
    number = None if cursor is None else f"{version}/{cursor}"
    return encode_sse(document.decode(), event=kind, id=number, retry=retry)


def resumed(request: StreamRequest, last_id: str) -> StreamRequest | None:
    """Return the request of a reader that reconnects, or `None` if it has everything.

    Args:
        request: what it asked for in the first place.
        last_id: the id of the last event that it got.

    Raises:
        RequestRefused: it is no such id, or one of another version than was asked for.
    """
    number, slash, cursor = last_id.partition("/")
    if not slash or not number.isascii() or not number.isdigit() or len(number) > 16:
        raise RequestRefused(
            "invalid_request", f"Last-Event-ID: {last_id[:60]!r} is not the id of an event of this stream.",
            fix="Send the id of the last event that came, or none.",
        )  # fmt: skip
    if request.version not in (None, int(number)):
        raise RequestRefused("invalid_request", "Last-Event-ID and version name different versions.")
    if cursor == FINISHED:
        return None
    return StreamRequest(
        project_id=request.project_id,
        version=int(number),
        after=cursor or None,
        chunk_size=request.chunk_size,
        as_events=True,
    )


def _place_of(cursor: str) -> Place:
    try:
        return parse_cursor(cursor)
    except ValueError as error:
        raise RequestRefused(
            "invalid_request", f"after: {error}", fix="Send the `cursor` of the last element that arrived."
        ) from None


def _header(entry: VersionEntry, after: str | None) -> bytes:
    header = StreamHeader(
        project_id=entry.project_id,
        version=entry.version,
        digest=entry.digest,
        header=entry.header_document(),
        element_count=entry.element_count,
        after=after,
    )
    return header.to_json()
