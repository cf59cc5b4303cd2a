"""Streams that a hostile or broken backend sends: each is mended, or ends with an error; none passes as complete."""

import json
from collections.abc import Awaitable, Callable, MutableMapping
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs

import pytest

from schemawire import CircuitBreakerConfig, DomainSchemaHandler, SchemawireError, StreamBroken, StreamingConfig
from schemawire.schema import parse_schema, schema_digest
from schemawire.transport.wires.inprocess import InProcessWire

NAMES = [f"E{number:02}" for number in range(10)]
DOCUMENT = {"formatVersion": "1", "name": "p", "entities": [{"name": name} for name in NAMES]}
DIGEST = schema_digest(parse_schema(DOCUMENT))
Script = Callable[[str | None], tuple[list[bytes], bool]]
"""From the cursor that is asked for to the lines to send, and whether the reply ends in good order."""


def line(**fields: Any) -> bytes:
    """One line of a stream."""
    return json.dumps(fields).encode() + b"\n"


def header(**changed: Any) -> bytes:
    """The true header, with some members changed."""
    fields = {
        "type": "header",
        "projectId": "p",
        "version": 1,
        "digest": DIGEST,
        "header": {"formatVersion": "1", "name": "p"},
        "elementCount": len(NAMES),
    }
    return line(**{**fields, **changed})


def elements(names: list[str]) -> list[bytes]:
    """The lines of some elements."""
    return [line(type="element", kind="entity", cursor=f"0:{name}", element={"name": name}) for name in names]


def trailer(lines: list[bytes], **changed: Any) -> bytes:
    """The trailer that fits the lines, with some members changed."""
    digest = sha256(b"".join(lines)).hexdigest()
    fields = {"type": "trailer", "elementCount": len(lines), "digest": DIGEST, "streamDigest": digest}
    return line(**{**fields, **changed})


def rest_after(cursor: str | None) -> list[str]:
    """The names behind a cursor."""
    return [name for name in NAMES if cursor is None or f"0:{name}" > cursor]


def truthful(cursor: str | None) -> tuple[list[bytes], bool]:
    """A reply with nothing wrong."""
    lines = elements(rest_after(cursor))
    return [header(), *lines, trailer(lines)], True


class Backend:
    """An ASGI application that plays a script, one reply after the other; the last is repeated."""

    def __init__(self, *scripts: Script) -> None:
        self.scripts = scripts
        self.cursors: list[str | None] = []

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[Any]],
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            return
        cursor = parse_qs(scope["query_string"].decode()).get("after", [None])[0]
        script = self.scripts[min(len(self.cursors), len(self.scripts) - 1)]
        self.cursors.append(cursor)
        lines, in_good_order = script(cursor)
        head = [(b"content-type", b"application/x-ndjson")]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        for one in lines:
            await send({"type": "http.response.body", "body": one, "more_body": True})
        if in_good_order:
            await send({"type": "http.response.body", "body": b"", "more_body": False})


def handler_of(backend: Backend) -> DomainSchemaHandler:
    """A handler that talks to the script; its breaker does not interfere."""
    return DomainSchemaHandler(
        "http://scripted",
        wire=InProcessWire(backend),
        streaming_config=StreamingConfig(max_resumptions=2),
        circuit_breaker_config=CircuitBreakerConfig(failure_threshold=1000),
    )


async def names_of(backend: Backend) -> tuple[list[str], Any]:
    """What the callback saw, and the summary."""
    seen: list[str] = []
    async with handler_of(backend) as handler:
        summary = await handler.stream_large_schema("p", lambda data: seen.append(data["element"]["name"]))
    return seen, summary


def cut_after(count: int) -> Script:
    """A reply whose connection breaks after some elements."""
    return lambda cursor: ([header(), *elements(rest_after(cursor)[:count])], False)


async def test_a_true_stream_is_complete() -> None:
    """Count and digest are right, so every element is handed out once."""
    seen, summary = await names_of(Backend(truthful))
    assert seen == NAMES
    assert (summary.element_count, summary.digest, summary.resumptions) == (10, DIGEST, 0)


@pytest.mark.parametrize("count", range(11))
async def test_a_cut_stream_is_taken_up_again(count: int) -> None:
    """Wherever the connection breaks, no element is missing or repeated, and the whole is verified."""
    backend = Backend(cut_after(count), truthful)
    seen, summary = await names_of(backend)
    assert seen == NAMES
    assert summary.resumptions == 1
    assert backend.cursors[1] == (f"0:{NAMES[count - 1]}" if count else None)


async def test_many_cuts_are_mended_while_there_is_progress() -> None:
    """The limit counts cuts in a row without a new element."""
    seen, summary = await names_of(Backend(*[cut_after(1)] * 9, truthful))
    assert seen == NAMES
    assert summary.resumptions == 9


async def test_cuts_without_progress_are_given_up() -> None:
    """A backend that never gets further is not asked for ever."""
    backend = Backend(cut_after(3), cut_after(0))
    with pytest.raises(SchemawireError):
        await names_of(backend)
    assert len(backend.cursors) == 4


def without_trailer(cursor: str | None) -> tuple[list[bytes], bool]:
    """A reply that ends in good order, but too early."""
    return [header(), *elements(rest_after(cursor))], True


LIES: dict[str, list[bytes]] = {
    "a wrong stream digest": [header(), *elements(NAMES), trailer(elements(NAMES), streamDigest="0" * 64)],
    "a wrong count": [header(), *elements(NAMES), trailer(elements(NAMES), elementCount=9)],
    "an element too few": [header(), *elements(NAMES[:9]), trailer(elements(NAMES[:9]))],
    "an element too many": [header(), *elements([*NAMES, "X"]), trailer(elements([*NAMES, "X"]))],
    "a repeated element": [header(), *elements([*NAMES[:9], NAMES[0]]), trailer(elements([*NAMES[:9], NAMES[0]]))],
    "a changed element": [header(), *elements([*NAMES[:9], "Z"]), trailer(elements([*NAMES[:9], "Z"]))],
    "another project": [header(projectId="q"), *elements(NAMES), trailer(elements(NAMES))],
    "another schema in the trailer": [header(), *elements(NAMES), trailer(elements(NAMES), digest="0" * 64)],
    "no header": [*elements(NAMES), trailer(elements(NAMES))],
    "two headers": [header(), header(), *elements(NAMES), trailer(elements(NAMES))],
    "lines after the trailer": [header(), *elements(NAMES), trailer(elements(NAMES)), *elements(["Z"])],
    "an unknown line": [header(), line(type="surprise"), *elements(NAMES), trailer(elements(NAMES))],
    "not JSON": [header(), b"{]\n", *elements(NAMES), trailer(elements(NAMES))],
    "not an object": [header(), b"[1]\n", *elements(NAMES), trailer(elements(NAMES))],
    "a malformed element": [header(), line(type="element", kind="entity"), trailer([])],
    "an error in band": [header(), *elements(NAMES[:2]), line(type="error", problem={"detail": "disk full"})],
}


@pytest.mark.parametrize("lie", LIES)
async def test_a_lying_stream_never_passes(lie: str) -> None:
    """Whatever does not fit raises one of the project's errors."""
    with pytest.raises(SchemawireError):
        await names_of(Backend(lambda _: (LIES[lie], True)))


async def test_a_stream_without_trailer_never_passes() -> None:
    """The end of the connection is not the end of the stream."""
    with pytest.raises(StreamBroken, match="trailer"):
        await names_of(Backend(without_trailer))


async def test_an_overlong_line_is_refused() -> None:
    """A hostile line cannot fill the memory."""
    huge = line(type="element", kind="entity", cursor="0:A", element={"name": "A", "description": "x" * 5000})
    async with DomainSchemaHandler(
        "http://scripted",
        wire=InProcessWire(Backend(lambda _: ([header(), huge], True))),
        streaming_config=StreamingConfig(max_line_bytes=1024, max_resumptions=0),
    ) as handler:
        with pytest.raises(StreamBroken, match="1024"):
            await handler.stream_large_schema("p", print)
