"""The service's log: one JSON line per request through the standard `logging`; never a body, never a secret.

It configures nothing by itself, so a program that embeds the service keeps its own logging.
"""

import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TextIO

import structlog
from opentelemetry import trace

LOGGER_NAME = "schemawire.service"

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
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    line = json.dumps({**fields, "event": "request", "level": "info", "timestamp": now})
    # Not `info`: it walks the stack for a place in the code that no line shows.
    _standard.handle(logging.LogRecord(LOGGER_NAME, logging.INFO, "", 0, line, (), None))


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
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    _standard.handlers[:] = [handler]
    _standard.setLevel(level.upper())
    _standard.propagate = False
