"""NDJSON and server-sent events, encoded and decoded without any I/O; knows neither client nor service.

Decoders are pushed chunks as they arrive, cut anywhere, and hand out what is complete. Both refuse a line that outgrows
its limit, so that a hostile stream cannot fill the memory, and both tell a stream that ended from one that was cut.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from schemawire.errors import StreamBroken

MAX_LINE_BYTES = 16 * 1024 * 1024
_SELF_DELIMITING = (dict, list, str)
_LINE_BREAK = re.compile(rb"\r\n|\n|\r")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def encode_ndjson(value: object) -> bytes:
    r"""Return `value` as one line of NDJSON, its line break included.

    Raises:
        ValueError: `value` holds NaN or an infinity, which JSON cannot say.
        TypeError: `value` holds something that is not JSON.

    >>> encode_ndjson({"name": "Größe"})
    b'{"name":"Gr\xc3\xb6\xc3\x9fe"}\n'
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode() + b"\n"


class NdjsonDecoder:
    """Turns chunks of NDJSON into values; empty lines are passed over.

    Args:
        max_line_bytes: the longest line accepted, from 1.
    """

    def __init__(self, *, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._lines = _Lines(max_line_bytes, universal=False)
        self._number = 0

    def feed(self, chunk: bytes) -> Iterator[Any]:
        """Return the values that `chunk` completes; iterate to the end before the next chunk.

        Raises:
            StreamBroken: a line is not JSON or outgrows the limit; the values before it have been handed out.
        """
        return (value for value, _ in self.feed_lines(chunk))

    def feed_lines(self, chunk: bytes) -> Iterator[tuple[Any, bytes]]:
        """Return like `feed` the values that `chunk` completes, each with its line as it came, line break included.

        Raises:
            StreamBroken: as in `feed`.
        """
        for line in self._lines.push(chunk):
            self._number += 1
            if line and not line.isspace():
                yield self._parse(line), line + b"\n"

    def finish(self) -> Iterator[Any]:
        """Return the value of a last line without a line break, where it is certain that nothing of it is missing.

        Raises:
            StreamBroken: the stream ended in the middle of a line.
        """
        rest = self._lines.take_rest()
        if not rest.strip():
            return
        self._number += 1
        try:
            value = self._parse(rest)
        except StreamBroken as error:
            raise StreamBroken(f"The stream ended in the middle of line {self._number}.") from error
        # `12` may be the beginning of `123`; an object, a list or a string ends with its own mark.
        if not isinstance(value, _SELF_DELIMITING):
            raise StreamBroken(f"The stream ended in line {self._number} before its line break; it may be cut.")
        yield value

    def _parse(self, line: bytes) -> Any:
        try:
            return json.loads(line, parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            shown = line[:60]
            raise StreamBroken(f"Line {self._number} of the stream is not JSON ({error}): {shown!r}") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSentEvent:
    """One event of a `text/event-stream`."""

    data: str
    event: str = "message"
    id: str = ""
    """The last event id that the stream has named, which a reconnecting client sends back."""
    retry: float | None = None
    """Seconds to wait before reconnecting, where this event says so."""


def encode_sse(data: str, *, event: str | None = None, id: str | None = None, retry: float | None = None) -> bytes:  # noqa: A002  # the field's own name
    r"""Return one server-sent event, its empty line included.

    Args:
        data: may have several lines; each becomes a `data:` line.
        event: the event's type, one line.
        id: the event's id, one line without NUL.
        retry: seconds to wait before reconnecting, from 0.

    Raises:
        ValueError: `event` or `id` holds a line break, or `id` a NUL.

    >>> encode_sse("a\nb", event="change")
    b'event: change\ndata: a\ndata: b\n\n'
    """
    lines: list[str] = []
    for name, value in (("event", event), ("id", id)):
        if value is not None:
            if "\n" in value or "\r" in value or "\0" in value:
                raise ValueError(f"the {name} of a server-sent event is {value!r}; it must be one line without NUL")
            lines.append(f"{name}: {value}")
    if retry is not None:
        lines.append(f"retry: {round(retry * 1000)}")
    lines.extend(f"data: {line}" for line in re.split(r"\r\n|\n|\r", data))
    return ("\n".join(lines) + "\n\n").encode()


def encode_sse_comment(text: str = "") -> bytes:
    r"""Return a comment, which keeps an idle stream alive and is heard by nobody.

    >>> encode_sse_comment("still here")
    b': still here\n\n'
    """
    return f": {' '.join(text.splitlines())}".rstrip().encode() + b"\n\n"


class SseDecoder:
    """Turns chunks of a `text/event-stream` into events.

    Args:
        max_line_bytes: the longest line accepted, from 1.
        max_event_bytes: the largest data of one event accepted, from 1.

    *Source:* WHATWG HTML §9.2.6 (event stream interpretation).
    """

    def __init__(self, *, max_line_bytes: int = MAX_LINE_BYTES, max_event_bytes: int = MAX_LINE_BYTES) -> None:
        self._lines = _Lines(max_line_bytes, universal=True)
        self._max_event_bytes = max_event_bytes
        self._at_start = True
        self._last_id = ""
        self._begin_event()

    def _begin_event(self) -> None:
        self._data: list[str] = []
        self._size = 0
        self._event = ""
        self._retry: float | None = None

    def feed(self, chunk: bytes) -> Iterator[ServerSentEvent]:
        """Return the events that `chunk` completes; iterate to the end before the next chunk.

        Raises:
            StreamBroken: a line or an event outgrows its limit, or is not UTF-8; the events before it have been
                handed out.
        """
        for line in self._lines.push(chunk):
            event = self._take(line)
            if event is not None:
                yield event

    def finish(self) -> None:
        """Say that the stream has ended.

        Raises:
            StreamBroken: it ended in the middle of an event.
        """
        if self._lines.take_rest() or self._data:
            raise StreamBroken("The event stream ended in the middle of an event.")

    def _take(self, line: bytes) -> ServerSentEvent | None:
        if self._at_start:
            self._at_start = False
            line = line.removeprefix(_BYTE_ORDER_MARK)
        if not line:
            return self._dispatch()
        if not line.startswith(b":"):
            self._take_field(line)
        return None

    def _take_field(self, line: bytes) -> None:
        try:
            name, _, value = line.decode().partition(":")
        except UnicodeDecodeError as error:
            raise StreamBroken(f"The event stream is not UTF-8: {line[:60]!r}") from error
        value = value.removeprefix(" ")
        match name:
            case "data":
                self._append(value, len(line))
            case "event":
                self._event = value
            case "id" if "\0" not in value:
                self._last_id = value
            case "retry" if value.isascii() and value.isdigit():
                self._retry = int(value[:12]) / 1000.0
            case _:
                pass  # The standard has unknown fields ignored.

    def _append(self, value: str, size: int) -> None:
        self._size += size
        if self._size > self._max_event_bytes:
            raise StreamBroken(f"An event of the stream is larger than {self._max_event_bytes} bytes.")
        self._data.append(value)

    def _dispatch(self) -> ServerSentEvent | None:
        data, name, retry = self._data, self._event, self._retry
        self._begin_event()
        if not data:
            return None
        return ServerSentEvent(data="\n".join(data), event=name or "message", id=self._last_id, retry=retry)


class _Lines:
    """Cuts chunks into lines.

    Invariants: `_pieces` hold no line break and `_size` bytes, at most the limit; a line feed that follows a carriage
    return at the end of the last chunk belongs to the line break before it.
    """

    def __init__(self, limit: int, *, universal: bool) -> None:
        if limit < 1:
            raise ValueError(f"max_line_bytes={limit!r} must be 1 or more")
        self._limit = limit
        self._universal = universal
        self._pieces: list[bytes] = []
        self._size = 0
        self._after_return = False

    def push(self, chunk: bytes) -> Iterator[bytes]:
        parts = self._split(chunk)
        last = len(parts) - 1
        for position, part in enumerate(parts):
            self._hold(part)
            if position < last:
                yield self.take_rest()

    def _split(self, chunk: bytes) -> list[bytes]:
        if not self._universal:
            return chunk.split(b"\n")
        if not chunk:
            return [b""]
        if self._after_return:
            chunk = chunk.removeprefix(b"\n")
        self._after_return = chunk.endswith(b"\r")
        if b"\r" not in chunk:
            return chunk.split(b"\n")
        return _LINE_BREAK.split(chunk)

    def _hold(self, part: bytes) -> None:
        self._size += len(part)
        if self._size > self._limit:
            raise StreamBroken(
                f"A line of the stream is longer than {self._limit} bytes.",
                fix="Raise the line limit if such lines are meant, else look at what the other side sends.",
            )
        self._pieces.append(part)

    def take_rest(self) -> bytes:
        line = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        return line
