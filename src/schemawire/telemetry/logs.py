"""Events as log lines: one per logical call, attempts and retries at debug; configures nothing of a host program.

Lines go to the standard logger `schemawire.client`. Their message is a mapping that reads as `name=value` pairs in any
handler and that the formatter of `configure_logging` turns into JSON or a coloured line.
"""

import logging
import sys
import time
from collections.abc import Callable, MutableMapping
from typing import Any, Literal, TextIO

import structlog
from opentelemetry import trace

from schemawire.errors import ConfigurationInvalid
from schemawire.events import (
    BreakerChanged,
    CallFinished,
    DiscoveryFailed,
    EndpointEjected,
    EndpointHealthChanged,
    EndpointsChanged,
    Event,
    FallbackUsed,
    FaultInjected,
    SilentListener,
)
from schemawire.telemetry.fields import fields_of, word_for
from schemawire.telemetry.repeats import Repeats, SamplingConfig, SamplingStatistics
from schemawire.telemetry.shown import current_labels

LOGGER_NAME = "schemawire.client"
Form = Literal["auto", "json", "console"]

_ALARMING = frozenset({"open", "forced_open"})
_BAD_OUTCOMES = frozenset({"failed", "refused"})


class LogListener(SilentListener):
    """Writes what happens to calls to a standard logger.

    A call is an info line, a failed or refused one a warning; attempts, retries and hedges are debug lines. Each line
    carries the trace and span that are current, and the labels of `call_labels`.

    Args:
        logger: where to; the logger `schemawire.client` if not given.
        sampling: how many equal lines are let through; `None`: all.
        clock: seconds, for the sampling alone.
    """

    def __init__(
        self,
        logger: logging.Logger | None = None,
        *,
        sampling: SamplingConfig | None = SamplingConfig(),  # noqa: B008  # frozen
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._logger = logger or logging.getLogger(LOGGER_NAME)
        self._bound: structlog.stdlib.BoundLogger = structlog.wrap_logger(
            self._logger,
            wrapper_class=structlog.stdlib.BoundLogger,
            processors=[
                structlog.stdlib.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                _as_line,
            ],
            cache_logger_on_first_use=False,
        )
        self._repeats = None if sampling is None else Repeats(sampling)
        self._clock = clock

    def on_event(self, event: Event) -> None:
        """Write a line for `event`, unless its level is off or it is one of too many."""
        if not self._logger.isEnabledFor(logging.WARNING):
            return  # no event matters more, so a quiet logger costs one look
        level = level_of(event)
        if not self._logger.isEnabledFor(level):
            return
        fields = fields_of(event)
        if self._repeats is not None:
            kind = (type(event), *(fields.get(name) for name in _KIND))
            left_out = self._repeats.admit(kind, self._clock())
            if left_out is None:
                return
            if left_out:
                fields["leftOut"] = left_out
        self._bound.log(level, word_for(event), **fields, **_surroundings())

    def statistics(self) -> SamplingStatistics:
        """Return how many lines were written and left out; all zero without sampling."""
        if self._repeats is None:
            return SamplingStatistics(passed=0, left_out=0, kinds=0)
        return self._repeats.statistics()


_KIND = ("name", "method", "route", "endpoint", "outcome", "status", "error", "reason", "policy")
"""Lines that agree in these fields repeat one another."""


def level_of(event: Event) -> int:
    """Return how much a line about `event` matters."""
    match event:
        case CallFinished():
            return logging.WARNING if event.outcome in _BAD_OUTCOMES else logging.INFO
        case BreakerChanged():
            return logging.WARNING if event.after.lower() in _ALARMING else logging.INFO
        case EndpointEjected() | DiscoveryFailed():
            return logging.WARNING
        case EndpointHealthChanged():
            return logging.INFO if event.healthy else logging.WARNING
        case EndpointsChanged():
            return logging.INFO
        case FallbackUsed() | FaultInjected():
            return logging.INFO
        case _:
            return logging.DEBUG


def _surroundings() -> dict[str, str]:
    span = trace.get_current_span().get_span_context()
    labels = current_labels()
    if not span.is_valid:
        return labels
    return {"traceId": f"{span.trace_id:032x}", "spanId": f"{span.span_id:016x}", **labels}


class _Line(dict[str, Any]):
    """The fields of one line; reads as `name=value` pairs, rendered only when somebody looks."""

    def __str__(self) -> str:
        fields = {name: value for name, value in self.items() if name not in {"event", "level", "timestamp"}}
        return f"{self['event']} {_RENDER_PAIRS(None, '', fields)}"


_RENDER_PAIRS = structlog.processors.LogfmtRenderer()


def _as_line(
    logger: logging.Logger, name: str, fields: MutableMapping[str, Any]
) -> tuple[tuple[_Line], dict[str, dict[str, Any]]]:
    # The two extra fields are how structlog's formatter knows a record that came through structlog.
    return (_Line(fields),), {"extra": {"_logger": logger, "_name": name}}


def configure_logging(
    level: str = "INFO", *, form: Form = "auto", stream: TextIO | None = None, name: str = "schemawire"
) -> logging.Handler:
    """Write the lines of a logger tree to a stream; for programs of our own, never called on import.

    Only the logger called `name` is touched: calling it again replaces the earlier handler of this function alone.

    Args:
        level: the least severe level that is written, by its name.
        form: `auto` is `console` on a terminal and `json` elsewhere.
        stream: standard error if not given.
        name: the root of the tree; everything of ours lies below `schemawire`.

    Returns:
        The handler, so that it can be removed again.

    Raises:
        ConfigurationInvalid: there is no such level or form.
    """
    if level.upper() not in logging.getLevelNamesMapping():
        raise ConfigurationInvalid(f"level={level!r} must be one of DEBUG, INFO, WARNING, ERROR and CRITICAL")
    if form not in ("auto", "json", "console"):
        raise ConfigurationInvalid(f"form={form!r} must be auto, json or console")
    stream = stream or sys.stderr
    handler = _OwnHandler(stream)
    handler.setFormatter(_formatter(_is_console(form, stream), colours=_is_terminal(stream)))
    logger = logging.getLogger(name)
    logger.handlers[:] = [*(known for known in logger.handlers if not isinstance(known, _OwnHandler)), handler]
    logger.setLevel(level.upper())
    logger.propagate = False
    return handler


class _OwnHandler(logging.StreamHandler[TextIO]):
    """Told apart from the host program's handlers by its class."""


def _is_terminal(stream: TextIO) -> bool:
    return not stream.closed and stream.isatty()


def _is_console(form: Form, stream: TextIO) -> bool:
    return form == "console" or (form == "auto" and _is_terminal(stream))


def _formatter(console: bool, *, colours: bool) -> logging.Formatter:
    renderer: structlog.typing.Processor = structlog.processors.JSONRenderer(ensure_ascii=False)
    if console:
        renderer = structlog.dev.ConsoleRenderer(colors=colours)
    return structlog.stdlib.ProcessorFormatter(
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        foreign_pre_chain=[
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
        ],
    )
