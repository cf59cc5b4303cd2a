"""Large schemas sent element by element: never whole in memory, and sent again from the start where a try is cut."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from schemawire.handler.backend import accept, read_reply, result_of
from schemawire.handler.results import DomainResult
from schemawire.protocol import paths
from schemawire.protocol.headers import NDJSON
from schemawire.schema import DomainSchema, kind_of
from schemawire.transport import Client

UPLOAD_SILENCE = 900.0
"""Seconds that the backend may be silent: it takes lines, then judges the whole, and answers at the very end."""
_PORTION_BYTES = 64 * 1024
_ELEMENT = b'"element"'

ElementLine = Mapping[str, Any]
"""`{"kind": "entity", "element": {…}}`, as the callback of `stream_large_schema` gets it."""
Elements = Iterable[ElementLine] | AsyncIterable[ElementLine]
Source = DomainSchema | Mapping[str, Any] | Path | Callable[[], Elements]
"""A schema, a document, a file of lines or with a document, or a function that returns the elements anew each time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """What is sent, and what goes with it."""

    source: Source
    header: Mapping[str, Any] | None = None
    """What the schema says about itself, where the source is a function; only `name` must be there."""
    session_id: str | None = None
    message: str | None = None
    on_progress: Callable[[int], None] | None = None
    """Called with the number of elements sent so far; starts again from little where a try is repeated."""


class Uploader:
    """Sends schemas as streams, through a client of its own that waits longer: an answer comes after all is judged.

    The client is made with the first upload.

    Args:
        build: makes the client.
    """

    def __init__(self, build: Callable[[], Client]) -> None:
        self._build = build
        self._client: Client | None = None

    async def send(
        self, project_id: str, upload: Upload, *, if_match: str | None, key: str, deadline: float
    ) -> DomainResult:
        """Send a schema as a stream; see `DomainSchemaHandler.upload_schema`."""
        if self._client is None:
            self._client = self._build()
        path = paths.stream(project_id)
        headers = {"Content-Type": NDJSON} | ({"If-Match": if_match} if if_match is not None else {})
        response = await self._client.request(
            "PUT",
            path,
            body=lambda: _chunks(upload),
            headers=headers,
            idempotency_key=key,
            deadline=deadline,
            retry_until_deadline=True,
            route=paths.pattern(path),
        )
        exchange = accept(response, f"PUT {path}")
        reply = read_reply(exchange, project_id)
        return result_of(exchange, reply, project_id, reply.data)

    async def aclose(self) -> None:
        """Close the client, if there is one."""
        if self._client is not None:
            await self._client.aclose()


async def _chunks(upload: Upload) -> AsyncIterator[bytes]:
    """Yield the lines of one try: the header, the elements in portions, and the trailer that belongs to them."""
    seen, count = hashlib.sha256(), 0
    async for stated, lines in _portions(upload):
        if stated is not None:
            yield _line({"type": "header", **stated, **_note(upload)})
        if not lines:
            continue
        portion = b"".join(lines)
        seen.update(portion)
        count += len(lines)
        if upload.on_progress is not None:
            upload.on_progress(count)
        yield portion
    yield _line({"type": "trailer", "elementCount": count, "streamDigest": seen.hexdigest()})


def _note(upload: Upload) -> dict[str, Any]:
    note = {"sessionId": upload.session_id, "message": upload.message}
    return {name: value for name, value in note.items() if value is not None}


Portion = tuple[dict[str, Any] | None, list[bytes]]
"""The members of the header line, in the first portion alone, and element lines."""


async def _portions(upload: Upload) -> AsyncIterator[Portion]:
    source = upload.source
    if isinstance(source, Path):
        async for portion in _from_file(source):
            yield portion
    elif isinstance(source, DomainSchema):
        header = source.header().model_dump(mode="json", by_alias=True, exclude_unset=True)
        yield {"header": header}, []
        for lines in _in_portions(_line_of(kind_of(part), part.to_document()) for part in source.elements()):
            yield None, lines
    elif isinstance(source, Mapping):
        for portion in _from_document(source):
            yield portion
    else:
        yield {"header": dict(upload.header or {})}, []
        async for lines in _from_elements(source()):
            yield None, lines


def _from_document(document: Mapping[str, Any]) -> Iterator[Portion]:
    lists = set(DomainSchema.COLLECTIONS.values())
    yield {"header": {name: value for name, value in document.items() if name not in lists}}, []
    parts = ((kind, part) for kind, name in DomainSchema.COLLECTIONS.items() for part in document.get(name) or ())
    for lines in _in_portions(_line_of(kind, part) for kind, part in parts):
        yield None, lines


async def _from_elements(elements: Elements) -> AsyncIterator[list[bytes]]:
    if isinstance(elements, Iterable):
        for lines in _in_portions(_line_of(part["kind"], part["element"]) for part in elements):
            yield lines
        return
    pending: list[bytes] = []
    async for part in elements:
        pending.append(_line_of(part["kind"], part["element"]))
        if len(pending) >= 500:
            yield pending
            pending = []
    yield pending


async def _from_file(path: Path) -> AsyncIterator[Portion]:
    """Yield what a file holds: lines as they were streamed out, or one document."""
    file = await asyncio.to_thread(path.open, "rb")
    try:
        first = await asyncio.to_thread(file.readline)
        stated = _header_of(first)
        if stated is None:
            document = json.loads(first + await asyncio.to_thread(file.read))
            if not isinstance(document, dict):
                raise ValueError(f"{path} holds neither a schema nor the lines of one")
            for portion in _from_document(document):
                yield portion
            return
        yield stated, []
        while lines := await asyncio.to_thread(_read_lines, file):
            yield None, [line for line in lines if _ELEMENT in line and not line.startswith(b'{"type":"trailer"')]
    finally:
        await asyncio.to_thread(file.close)


def _header_of(line: bytes) -> dict[str, Any] | None:
    """Return what the header line of a stream says; `None` if it is no such line."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    if not isinstance(found, dict) or found.get("type") != "header":
        return None
    return {name: found[name] for name in ("header", "digest", "elementCount", "after") if name in found}


def _read_lines(file: IO[bytes]) -> list[bytes]:
    lines = file.readlines(_PORTION_BYTES)
    if lines and not lines[-1].endswith(b"\n"):
        lines[-1] += b"\n"
    return lines


def _in_portions(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    pending: list[bytes] = []
    size_bytes = 0
    for line in lines:
        pending.append(line)
        size_bytes += len(line)
        if size_bytes >= _PORTION_BYTES:
            yield pending
            pending, size_bytes = [], 0
    if pending:
        yield pending


def _line_of(kind: str, element: Any) -> bytes:
    return _line({"type": "element", "kind": kind, "element": element})


def _line(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode() + b"\n"
