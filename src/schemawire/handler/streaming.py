"""Large schemas, element by element: verified at the end, taken up again after a cut; never whole in memory."""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from math import inf
from random import random
from typing import Any

from pydantic import ValidationError

from schemawire.errors import BadReply, ConfigurationInvalid, Failed, Refused, StreamBroken
from schemawire.framing import NdjsonDecoder
from schemawire.handler.callbacks import Callback, call_with
from schemawire.handler.refusals import error_of_reply
from schemawire.handler.results import StreamSummary
from schemawire.protocol import paths
from schemawire.protocol.headers import NDJSON
from schemawire.protocol.messages import StreamElement, StreamError, StreamHeader, StreamTrailer
from schemawire.resilience.backoff import Backoff
from schemawire.schema import ELEMENT_KINDS, ELEMENT_TYPES, Element, Header, digest_of, element_digest, kind_of
from schemawire.transport import Client, StreamResponse

_OK = 200
_ACCEPT = {"Accept": NDJSON}
_PAUSE = Backoff(base=0.05, cap=2.0)
"""Before a cut stream is taken up again; a reply that brought something starts it afresh."""
_DIGEST_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamingConfig:
    """How a large schema is streamed.

    Args:
        chunk_size: elements that the backend reads and sends at a time, 1 to 100,000.
        max_resumptions: cuts in a row without a single new element after which the stream is given up, 0 to 1,000.
        max_line_bytes: the longest element accepted, 1 KiB to 256 MiB.
    """

    chunk_size: int = 1024
    max_resumptions: int = 5
    max_line_bytes: int = 16 * 1024 * 1024

    def __post_init__(self) -> None:
        ranges = {
            "chunk_size": (1, 100_000),
            "max_resumptions": (0, 1_000),
            "max_line_bytes": (1024, 256 * 1024 * 1024),
        }
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
                raise ConfigurationInvalid(f"{name}={value!r} must be a whole number from {low} to {high}")


class Progress:
    """How far a stream has come, over all its replies.

    Invariants: `cursor` is behind the last element that was handed out; `digests` holds the digest of each in order,
    unless the caller began in the middle.
    """

    def __init__(self, after: str | None) -> None:
        self.resumed_from_outside = after is not None
        self.cursor = after
        self.header: StreamHeader | None = None
        self.count = 0
        self.digests = bytearray()
        self.ended = False
        """Whether the trailer has come, however it compares, or nothing that comes can be right any more."""
        self._position = (-1, "")

    @property
    def pinned(self) -> StreamHeader:
        """The header of the first reply.

        Raises:
            StreamBroken: there was none.
        """
        if self.header is None:
            raise StreamBroken("The stream did not begin with a header.")
        return self.header

    def pin(self, header: StreamHeader, project_id: str) -> None:
        """Take the first header; a later one must promise the same version.

        Raises:
            StreamBroken: it is about something else.
        """
        if header.project_id != project_id:
            raise StreamBroken(f"The stream is about project {header.project_id!r}, not about {project_id!r}.")
        if self.header is None:
            self.header = header
        elif (header.version, header.digest) != (self.header.version, self.header.digest):
            raise StreamBroken(f"The stream went on with version {header.version} instead of {self.header.version}.")

    def add(self, element: Element, cursor: str) -> None:
        """Count an element that is handed out.

        Raises:
            StreamBroken: it does not stand behind the one before it, so the stream would never end.
        """
        position = (ELEMENT_KINDS.index(kind_of(element)), element.key)
        if position <= self._position:
            self.ended = True
            raise StreamBroken(f"The stream repeats {kind_of(element)} {element.key!r}, or brings it out of order.")
        self._position = position
        self.cursor = cursor
        self.count += 1
        if not self.resumed_from_outside:
            self.digests += element_digest(element)

    def verify(self) -> None:
        """Compare the number and the digests of all elements with what the header promised.

        Raises:
            StreamBroken: they differ.
        """
        header = self.pinned
        if self.resumed_from_outside:
            return  # the elements before the caller's cursor were never seen here
        if self.count != header.element_count:
            raise StreamBroken(f"The stream brought {self.count} elements instead of {header.element_count}.")
        digests = (bytes(self.digests[i : i + _DIGEST_BYTES]) for i in range(0, len(self.digests), _DIGEST_BYTES))
        found = digest_of(Header.model_validate(header.header), digests)
        if found != header.digest:
            raise StreamBroken(f"The elements have the digest {found}, not {header.digest} as promised.")


class Reply:
    """What one reply has brought so far, to be held against its own trailer."""

    def __init__(self, decoder: NdjsonDecoder) -> None:
        self.decoder = decoder
        self.count = 0
        self.lines = hashlib.sha256()
        self.begun = False
        self.broken: Failed | Refused | None = None

    def verify(self, trailer: StreamTrailer, progress: Progress) -> None:
        """Compare with the trailer, and the whole stream with its header.

        Raises:
            StreamBroken: they differ.
        """
        progress.ended = True
        if trailer.digest != progress.pinned.digest:
            raise StreamBroken("The stream's trailer is about another schema than its header.")
        if (trailer.element_count, trailer.stream_digest) != (self.count, self.lines.hexdigest()):
            raise StreamBroken(
                f"The stream's trailer promised {trailer.element_count} elements with the digest "
                f"{trailer.stream_digest}; {self.count} with {self.lines.hexdigest()} arrived."
            )
        progress.verify()


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRequest:
    """Which stream is wanted: see `DomainSchemaHandler.stream_large_schema`."""

    project_id: str
    version: int | None = None
    after: str | None = None


async def read_stream(
    client: Client, request: StreamRequest, config: StreamingConfig, callback: Callback
) -> StreamSummary:
    """Call `callback` with each element; see `DomainSchemaHandler.stream_large_schema`."""
    progress = Progress(request.after)
    resumptions = 0
    async with aclosing(_elements(client, request, config, progress)) as elements:
        async for element in elements:
            if element is None:
                resumptions += 1
            else:
                await call_with(callback, element)
    header = progress.pinned
    return StreamSummary(
        project_id=request.project_id,
        version=header.version,
        digest=header.digest,
        element_count=progress.count,
        resumptions=resumptions,
    )


async def _elements(
    client: Client, request: StreamRequest, config: StreamingConfig, progress: Progress
) -> AsyncGenerator[dict[str, Any] | None, None]:
    """Yield every element once, over as many replies as it takes, and `None` for each cut that was mended."""
    in_vain = 0
    while True:
        before = progress.count
        reply = Reply(decoder=NdjsonDecoder(max_line_bytes=config.max_line_bytes))
        async with aclosing(_one_reply(client, request, config, progress, reply)) as elements:
            async for element in elements:
                yield element
        if reply.broken is None:
            return
        in_vain = in_vain + 1 if progress.count == before else 0
        is_final = progress.header is None or progress.ended or not reply.broken.retryable
        if is_final or in_vain > config.max_resumptions:
            raise reply.broken
        yield None
        await asyncio.sleep(_PAUSE.delay(in_vain + 1, random())[0])  # noqa: S311  # jitter, not a secret


async def _one_reply(
    client: Client, request: StreamRequest, config: StreamingConfig, progress: Progress, reply: Reply
) -> AsyncGenerator[dict[str, Any], None]:
    """Yield the elements of one reply; `reply.broken` holds the error that ended it too early."""
    path = paths.stream(request.project_id)
    opening = client.stream(
        "GET", path, params=_params(request, config, progress), headers=_ACCEPT, deadline=inf, route=paths.pattern(path)
    )
    try:
        async with opening as response, aclosing(_body(response, path, reply, progress, request)) as elements:
            async for element in elements:
                yield element
        if not progress.ended:
            raise StreamBroken("The stream ended before its trailer.")
    except (Failed, Refused) as error:
        reply.broken = error


def _params(request: StreamRequest, config: StreamingConfig, progress: Progress) -> dict[str, str]:
    version = request.version if progress.header is None else progress.header.version
    params = {"chunkSize": config.chunk_size, "version": version, "after": progress.cursor}
    return {name: str(value) for name, value in params.items() if value is not None}


async def _body(
    response: StreamResponse, path: str, reply: Reply, progress: Progress, request: StreamRequest
) -> AsyncGenerator[dict[str, Any], None]:
    if response.status != _OK:
        raise error_of_reply(response.status, response.headers, await response.read(), where=f"GET {path}")
    async with aclosing(aiter(response)) as chunks:
        async for chunk in chunks:
            for element in _taken(chunk, reply, progress, request):
                yield element


def _taken(chunk: bytes, reply: Reply, progress: Progress, request: StreamRequest) -> Iterator[dict[str, Any]]:
    for line, raw in reply.decoder.feed_lines(chunk):
        element = _take(line, raw, reply, progress, request)
        if element is not None:
            yield element


def _take(line: Any, raw: bytes, reply: Reply, progress: Progress, request: StreamRequest) -> dict[str, Any] | None:
    """Judge one line; return what the callback gets if it is an element."""
    kind = line.get("type") if isinstance(line, dict) else None
    if progress.ended or (reply.begun == (kind == "header") and kind != "error"):
        raise StreamBroken(f"The stream has a line of type {kind!r} where none belongs.")
    try:
        match kind:
            case "element":
                return _take_element(line, raw, reply, progress)
            case "header":
                progress.pin(StreamHeader.model_validate(line), request.project_id)
                reply.begun = True
            case "trailer":
                reply.verify(StreamTrailer.model_validate(line), progress)
            case "error":
                raise _told_by_server(StreamError.model_validate(line))
            case _:
                raise StreamBroken(f"The stream has a line of the unknown type {kind!r}.")
    except ValidationError as error:
        first = error.errors()[0]
        raise BadReply(f"A stream line of type {kind} has not the promised form: {first['msg']}") from error
    return None


def _take_element(line: dict[str, Any], raw: bytes, reply: Reply, progress: Progress) -> dict[str, Any]:
    element = StreamElement.model_validate(line)
    part = ELEMENT_TYPES[element.kind].model_validate(element.element)
    reply.count += 1
    reply.lines.update(raw)
    progress.add(part, element.cursor)
    return {"kind": element.kind, "cursor": element.cursor, "element": element.element}


def _told_by_server(line: StreamError) -> StreamBroken:
    detail = line.problem.get("detail", "no reason given")
    return StreamBroken(f"The backend broke the stream off: {detail}")
