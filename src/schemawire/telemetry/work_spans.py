"""Spans around work that is no HTTP call: what a store does, what goes into a queue, and what a worker takes out of it.

The context of a trace travels with a message as two text headers, so a worker's span continues the trace of the call
that caused its work, hours later or in another process.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, StatusCode, TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from schemawire.telemetry.semantics import ERROR_TYPE, Attributes
from schemawire.telemetry.shown import shown, shown_error
from schemawire.telemetry.tracers import tracer_of

_PROPAGATOR = TraceContextTextMapPropagator()


class WorkSpans:
    """Opens spans for stores, queues and workers.

    Args:
        provider: where spans go; the program's own if not given.
    """

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self._tracer = tracer_of(provider)

    def step(self, name: str) -> AbstractContextManager[Span]:
        """Open a span of our own code, such as an analysis."""
        return self._open(shown(name), SpanKind.INTERNAL, {})

    def database(self, system: str, operation: str, table: str = "") -> AbstractContextManager[Span]:
        """Open the span of one database operation.

        Args:
            system: `sqlite` or `postgresql`.
            operation: its verb, such as `INSERT`; never the statement, whose values may be secret.
            table: what it is done to, if it is one.
        """
        attributes: Attributes = {"db.system.name": system, "db.operation.name": shown(operation)}
        if table:
            attributes["db.collection.name"] = shown(table)
        return self._open(f"{operation} {table}".strip(), SpanKind.CLIENT, attributes)

    def send(
        self,
        queue: str,
        headers: dict[str, str],
        *,
        system: str = "schemawire",
        caused_by: Mapping[str, str] | None = None,
    ) -> AbstractContextManager[Span]:
        """Open the span of putting a message into a queue, and write its trace context to the message's `headers`.

        Args:
            queue: where the message goes.
            headers: what travels with it.
            system: the broker's kind.
            caused_by: the trace context of what caused the message, where that was earlier.
        """
        attributes = _messaging(system, queue, "send")
        parent = None if caused_by is None else context_in(caused_by)
        return self._open(f"send {queue}", SpanKind.PRODUCER, attributes, parent=parent, sends=headers)

    def process(
        self, queue: str, headers: Mapping[str, str], *, system: str = "schemawire"
    ) -> AbstractContextManager[Span]:
        """Open the span of working on a message; it continues the trace that its `headers` carry, if they do."""
        attributes = _messaging(system, queue, "process")
        return self._open(f"process {queue}", SpanKind.CONSUMER, attributes, parent=context_in(headers))

    @contextmanager
    def _open(
        self,
        name: str,
        kind: SpanKind,
        attributes: Attributes,
        *,
        parent: Context | None = None,
        sends: dict[str, str] | None = None,
    ) -> Iterator[Span]:
        links = () if parent is None else _links_beside(parent)
        with self._tracer.start_as_current_span(
            shown(name), context=parent, kind=kind, attributes=attributes, links=links, record_exception=False,
            set_status_on_exception=False,
        ) as span:  # fmt: skip
            if sends is not None:
                _PROPAGATOR.inject(sends)
            try:
                yield span
            except Exception as error:
                span.set_attribute(ERROR_TYPE, shown_error(error) or "_OTHER")
                span.set_status(StatusCode.ERROR)
                raise


def context_in(headers: Mapping[str, str]) -> Context | None:
    """Return the trace context that `headers` carry, or `None` where they carry none that can be read."""
    found = _PROPAGATOR.extract({name.lower(): value for name, value in headers.items()}, context=Context())
    return found if trace.get_current_span(found).get_span_context().is_valid else None


def carried_headers() -> dict[str, str]:
    """Return the current trace context as headers, to be kept beside work that is done later; empty outside a trace."""
    headers: dict[str, str] = {}
    _PROPAGATOR.inject(headers)
    return headers


def _messaging(system: str, queue: str, operation: str) -> Attributes:
    return {
        "messaging.system": shown(system),
        "messaging.destination.name": shown(queue),
        "messaging.operation.type": operation,
    }


def _links_beside(parent: Context) -> tuple[Link, ...]:
    """Link the worker's own surroundings, so that both the cause and the loop that took the work can be found."""
    own = trace.get_current_span().get_span_context()
    cause = trace.get_current_span(parent).get_span_context()
    return (Link(own),) if own.is_valid and own.trace_id != cause.trace_id else ()
