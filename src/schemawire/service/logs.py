"""The service's log: one JSON line per request through the standard `logging`; never a body, never a secret.

It configures nothing by itself, so a program that embeds the service keeps its own logging.
"""

import asyncio
import json
import json.encoder
import logging
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import TextIO

import structlog
from opentelemetry import trace

LOGGER_NAME = "schemawire.service"
DELAY = 0.05
"""Seconds after which a request's line is written at the latest."""
_MOST_PENDING = 200
_make_encoder = getattr(json.encoder, "c_make_encoder", None)
_chunks = _make_encoder and _make_encoder(
    None, json.JSONEncoder().default, json.encoder.encode_basestring_ascii, None, ": ", ", ", False, False, True
)
"""What `json.dumps` makes anew for each text, which takes longer than a line; it keeps nothing between two."""

_standard = logging.getLogger(LOGGER_NAME)

log: structlog.typing.FilteringBoundLogger = structlog.wrap_logger(
    _standard,
    wrapper_class=structlog.stdlib.BoundLogger,
    processors=[
        structlog.stdlib.filter_by_level,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(),
    ],
)
"""The logger of the whole room, independent of how a host program has configured structlog."""


def is_logging_requests() -> bool:
    """Tell whether anybody wants request lines, so that a quiet service does not even build them."""
    return _standard.isEnabledFor(logging.INFO)


def log_request(fields: Mapping[str, object]) -> None:
    """Write the line of one request, in the form that `log` has.

    There is one for every request, and passing through every processor costs as much as the rest of a small read.
    """
    line = _encoded({**fields, "event": "request", "level": "info", "timestamp": _now()})
    if _lines is not None and _standard.handlers == [_lines]:
        _lines.collect(line)
    else:  # not `info`: it walks the stack for a place in the code that no line shows
        _standard.handle(logging.LogRecord(LOGGER_NAME, logging.INFO, "", 0, line, (), None))


def _encoded(fields: Mapping[str, object]) -> str:
    return json.dumps(fields) if _chunks is None else "".join(_chunks(fields, 0))


def _now() -> str:
    """Return the time as every other line has it; the seconds are the same for hundreds of lines."""
    seconds, rest = divmod(time.time_ns() // 1_000, 1_000_000)
    return f"{_until_seconds(seconds)}.{rest:06d}Z"


@lru_cache(maxsize=2)
def _until_seconds(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().removesuffix("+00:00")


class LineHandler(logging.StreamHandler[TextIO]):
    """Writes records at once and request lines together, a moment later: each write is a call of the system.

    Invariant: what `_pending` holds is written before any later record, on `flush`, and after `DELAY` at the latest.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._pending: list[str] = []

    def collect(self, line: str) -> None:
        """Write a line soon."""
        if not self._pending:
            try:
                asyncio.get_running_loop().call_later(DELAY, self.flush)
            except RuntimeError:  # there is no loop that could come back to it
                self._pending.append(line)
                self.flush()
                return
        self._pending.append(line)
        if len(self._pending) >= _MOST_PENDING:
            self.flush()

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, behind the lines that came before it."""
        self._write_pending()
        super().emit(record)

    def flush(self) -> None:
        """Write everything."""
        self._write_pending()
        super().flush()

    def _write_pending(self) -> None:
        self.acquire()
        try:
            lines, self._pending = self._pending, []
            if lines:
                self.stream.write("\n".join(lines) + "\n")
        except (OSError, ValueError):  # a log that cannot be written must stop nothing
            return
        finally:
            self.release()


_lines: LineHandler | None = None
"""The handler of a process that is nothing but the service."""


def trace_fields(headers: Mapping[bytes, bytes]) -> dict[str, str]:
    """Return the ids of the trace that runs, for a log line; without one, those that the caller sent."""
    span = trace.get_current_span().get_span_context()
    if span.is_valid:
        return {"traceId": f"{span.trace_id:032x}", "spanId": f"{span.span_id:016x}"}
    given = headers.get(b"traceparent")
    parts = given.decode("latin-1").split("-") if given and len(given) == 55 else []
    is_id = len(parts) == 4 and len(parts[1]) == 32 and parts[1].isalnum() and parts[1].isascii()
    return {"traceId": parts[1]} if is_id else {}


def log_to_stream(level: str = "INFO", stream: TextIO | None = None) -> None:
    """Write the service's lines to a stream, for a process that is nothing but the service.

    Args:
        level: the least severe level that is written, by its name.
        stream: where to; standard error if not given.
    """
    global _lines
    handler = _lines = LineHandler(stream or sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    _standard.handlers[:] = [handler]
    _standard.setLevel(level.upper())
    _standard.propagate = False
