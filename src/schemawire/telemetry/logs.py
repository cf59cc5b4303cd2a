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
    AttemptFinished,
    BreakerChanged,
    CallFinished,
    CallRefused,
    EndpointEjected,
    Event,
    FallbackUsed,
    FaultInjected,
    HedgeStarted,
    RetryGivenUp,
    RetryScheduled,
    SilentListener,
)
from schemawire.telemetry.repeats import Repeats, SamplingConfig, SamplingStatistics
from schemawire.telemetry.shown import current_labels, shown, shown_endpoint, shown_error, shown_route

LOGGER_NAME = "schemawire.client"
Form = Literal["auto", "json", "console"]
Fields = dict[str, object]

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
        self._bound.log(level, _WORDS.get(type(event), shown(type(event).__name__)), **fields, **_surroundings())

    def statistics(self) -> SamplingStatistics:
        """Return how many lines were written and left out; all zero without sampling."""
        if self._repeats is None:
            return SamplingStatistics(passed=0, left_out=0, kinds=0)
        return self._repeats.statistics()


_KIND = ("name", "method", "route", "endpoint", "outcome", "status", "error", "reason", "policy")
"""Lines that agree in these fields repeat one another."""

_WORDS: dict[type[Event], str] = {
    CallFinished: "call",
    AttemptFinished: "attempt",
    RetryScheduled: "retry scheduled",
    RetryGivenUp: "retry given up",
    BreakerChanged: "breaker changed",
    CallRefused: "call refused",
    HedgeStarted: "hedge started",
    FallbackUsed: "fallback used",
    EndpointEjected: "endpoint ejected",
    FaultInjected: "fault injected",
}


def level_of(event: Event) -> int:
    """Return how much a line about `event` matters."""
    match event:
        case CallFinished():
            return logging.WARNING if event.outcome in _BAD_OUTCOMES else logging.INFO
        case BreakerChanged():
            return logging.WARNING if event.after.lower() in _ALARMING else logging.INFO
        case EndpointEjected():
            return logging.WARNING
        case FallbackUsed() | FaultInjected():
            return logging.INFO
        case _:
            return logging.DEBUG


def fields_of(event: Event) -> Fields:
    """Return what a line says about `event`; fields that are unknown or empty are left out."""
    fields: Fields = {"name": shown_endpoint(event.name), **_particulars(event)}
    return {name: value for name, value in fields.items() if value is not None}


def _particulars(event: Event) -> Fields:
    match event:
        case CallFinished():
            return _call(event)
        case AttemptFinished():
            return {
                "endpoint": shown_endpoint(event.endpoint), "attempt": event.attempt, "outcome": event.outcome,
                "status": event.status, "durationMs": _ms(event.duration), "error": shown_error(event.error),
            }  # fmt: skip
        case RetryScheduled():
            return {"attempt": event.attempt, "delayMs": _ms(event.delay), "reason": shown(event.reason)}
        case RetryGivenUp():
            return {"attempt": event.attempt, "reason": shown(event.reason)}
        case BreakerChanged():
            return {
                "before": event.before, "after": event.after, "reason": shown(event.reason),
                "openForMs": _ms(event.open_for),
            }  # fmt: skip
        case CallRefused():
            after = _ms(event.retry_after)
            return {"policy": event.policy, "reason": shown(event.reason), "retryAfterMs": after}
        case HedgeStarted():
            return {"delayMs": _ms(event.delay)}
        case FallbackUsed():
            return {"error": shown_error(event.error)}
        case EndpointEjected():
            ejected = _ms(event.ejected_for)
            return {"endpoint": shown_endpoint(event.endpoint), "ejectedForMs": ejected, "reason": event.reason}
        case FaultInjected():
            return {"kind": event.kind}
        case _:
            return {}


def _call(event: CallFinished) -> Fields:
    return {
        "method": event.method,
        "route": shown_route(event.route),
        "outcome": event.outcome,
        "status": event.status,
        "durationMs": _ms(event.duration),
        "attempts": event.attempts,
        **{f"{_camel(name)}Ms": _ms(seconds) for name, seconds in event.waits.items()},
        "error": shown_error(event.error),
    }


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.title, others))


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)


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
