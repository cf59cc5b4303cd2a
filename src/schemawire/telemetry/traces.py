"""Events as OpenTelemetry spans: one per logical call, one client span per attempt; needs the API alone, not the SDK.

Until a program installs an SDK, every span is a no-op. Span names and attributes follow the stable conventions.
"""

from contextlib import AbstractContextManager, nullcontext
from contextvars import Token
from types import TracebackType

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer, TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from schemawire.events import AttemptFinished, CallFinished, Event, SilentListener
from schemawire.telemetry.fields import fields_of, word_for
from schemawire.telemetry.semantics import (
    ERROR_TYPE,
    RESEND_COUNT,
    STATUS,
    URL_FULL,
    URL_TEMPLATE,
    Attributes,
    method_attributes,
    server_attributes,
    span_name,
)
from schemawire.telemetry.shown import current_labels, shown, shown_endpoint, shown_error, shown_route
from schemawire.telemetry.tracers import tracer_of
from schemawire.telemetry.work_spans import WorkSpans

_NOTHING = nullcontext()
_ASK_AGAIN = 50
"""Looks at whether there is an SDK that one answer holds for: asking costs more than all the rest while it is off."""
_CALL = otel_context.create_key("schemawire-call")
_ATTEMPT = otel_context.create_key("schemawire-attempt")
_LABEL_NAMES = {"projectId": "project.id", "sessionId": "session.id", "requestId": "request.id"}


class TraceListener(SilentListener):
    """Makes a span current around each logical call, a client span around each attempt, and sends its context along.

    What policies do in between (retries, refusals, hedges, ejections) becomes events of the call's span. The span of a
    streamed call stays open until its body has been read.

    Args:
        provider: where spans go; the program's own (`opentelemetry.trace.set_tracer_provider`) if not given.
        propagator: writes the headers; W3C `traceparent` and `tracestate` if not given. Baggage is not sent unless
            asked for, because it may hold what the other side must not see.
    """

    def __init__(self, provider: TracerProvider | None = None, *, propagator: TextMapPropagator | None = None) -> None:
        self._tracer = tracer_of(provider)
        self._is_own = provider is not None
        self._off = False
        self._unasked = 0
        self._steps = WorkSpans(provider)
        self._propagator = propagator or TraceContextTextMapPropagator()

    def _is_off(self) -> bool:
        """Tell whether no SDK is installed, so that no span could be recorded; a new one is seen soon."""
        if self._unasked == 0:
            self._unasked = _ASK_AGAIN
            self._off = not self._is_own and type(trace.get_tracer_provider()) is trace.ProxyTracerProvider
        self._unasked -= 1
        return self._off

    def call_scope(self, name: str, method: str, route: str) -> AbstractContextManager[object]:
        """Return a scope in which the call's span is current."""
        if self._is_off():
            return _NOTHING
        return _CallScope(self._tracer, name, method, shown_route(route))

    def attempt_scope(self, endpoint: str, attempt: int, headers: dict[str, str]) -> AbstractContextManager[object]:
        """Return a scope in which the attempt's span is current and `headers` carry it."""
        if self._is_off():
            if trace.get_current_span() is not trace.INVALID_SPAN:  # somebody else's trace is passed on all the same
                self._propagator.inject(headers)
            return _NOTHING
        call = otel_context.get_value(_CALL)
        method, route = (call.method, call.route) if isinstance(call, _CallScope) else ("HTTP", "")
        attributes = _attempt_attributes(endpoint, attempt, method, route)
        return _AttemptScope(self._tracer, span_name(method, _template(route)), attributes, self._propagator, headers)

    def step_scope(self, name: str) -> AbstractContextManager[object]:
        """Return a scope in which a span of one step of our own work is current."""
        return self._steps.step(name)

    def on_event(self, event: Event) -> None:
        """End the span that `event` is the end of, or note `event` in the current call's span."""
        if self._off and self._is_off():
            return
        match event:
            case CallFinished():
                scope = otel_context.get_value(_CALL)
                if isinstance(scope, _CallScope):
                    scope.finish(event)
            case AttemptFinished():
                scope = otel_context.get_value(_ATTEMPT)
                if isinstance(scope, _AttemptScope):
                    scope.finish(event)
            case _:
                scope = otel_context.get_value(_CALL)
                span = scope.span if isinstance(scope, _CallScope) else trace.get_current_span()
                if span.is_recording():
                    span.add_event(
                        word_for(event), {f"schemawire.{key}": value for key, value in fields_of(event).items()}
                    )


class _SpanScope(AbstractContextManager[object]):
    """Makes a span current; an ending event that is heard inside, or later, ends it.

    Invariant: the span is ended exactly once, by its event, or by the scope if that closes with an error unheard.
    """

    span: Span

    def __init__(self, key: str) -> None:
        self._key = key
        self._token: Token[Context] | None = None
        self._ended = False

    def _open(self, span: Span) -> None:
        self.span = span
        context = otel_context.set_value(self._key, self, trace.set_span_in_context(span))
        self._token = otel_context.attach(context)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trail: TracebackType | None
    ) -> None:
        if self._token is not None:
            otel_context.detach(self._token)
        if error is not None and not self._ended:
            self._end(_outcome(None, "failed", error), is_error=isinstance(error, Exception))

    def _end(self, attributes: Attributes, *, is_error: bool) -> None:
        if self._ended:
            return
        self._ended = True
        if self.span.is_recording():
            self.span.set_attributes(attributes)
            if is_error:
                self.span.set_status(StatusCode.ERROR)
        self.span.end()


class _CallScope(_SpanScope):
    def __init__(self, tracer: Tracer, name: str, method: str, route: str) -> None:
        super().__init__(_CALL)
        self.method = method
        self.route = route
        self._tracer = tracer
        self._name = name

    def __enter__(self) -> object:
        attributes = {
            **method_attributes(self.method),
            **_url(None, self.route),
            "schemawire.client": shown(self._name),
        }
        attributes |= {f"schemawire.{_LABEL_NAMES[name]}": text for name, text in current_labels().items()}
        name = f"call {span_name(self.method, _template(self.route))}"
        self._open(self._tracer.start_span(name, kind=SpanKind.INTERNAL, attributes=attributes))
        return self

    def finish(self, event: CallFinished) -> None:
        attributes = _outcome(event.status, event.outcome, event.error)
        attributes |= {f"schemawire.wait.{name}": seconds for name, seconds in event.waits.items()}
        attributes["schemawire.attempts"] = event.attempts
        self._end(attributes, is_error=event.outcome in {"failed", "refused", "rejected"})


class _AttemptScope(_SpanScope):
    def __init__(
        self,
        tracer: Tracer,
        name: str,
        attributes: Attributes,
        propagator: TextMapPropagator,
        headers: dict[str, str],
    ) -> None:
        super().__init__(_ATTEMPT)
        self._tracer = tracer
        self._name = name
        self._attributes = attributes
        self._propagator = propagator
        self._headers = headers

    def __enter__(self) -> object:
        self._open(self._tracer.start_span(self._name, kind=SpanKind.CLIENT, attributes=self._attributes))
        self._propagator.inject(self._headers)
        return self

    def finish(self, event: AttemptFinished) -> None:
        attributes = _outcome(event.status, event.outcome, event.error)
        # A client counts every status from 400 as an error of the call, unlike a server.
        self._end(attributes, is_error=event.outcome in {"failed", "rejected"})


def _attempt_attributes(endpoint: str, attempt: int, method: str, route: str) -> Attributes:
    attributes = {**method_attributes(method), **_url(endpoint, route), **server_attributes(endpoint)}
    if attempt > 1:
        attributes[RESEND_COUNT] = attempt - 1
    return attributes


def _template(route: str) -> str | None:
    # A path that is no pattern differs from call to call, which a span's name must not.
    return route if "{" in route else None


def _url(endpoint: str | None, route: str) -> Attributes:
    if "{" in route:
        return {URL_TEMPLATE: route}
    return {} if endpoint is None else {URL_FULL: shown_endpoint(endpoint) + route}


def _outcome(status: int | None, outcome: str, error: BaseException | None) -> Attributes:
    attributes: Attributes = {"schemawire.outcome": outcome if isinstance(error, Exception | None) else "cancelled"}
    if status is not None:
        attributes[STATUS] = status
    if isinstance(error, Exception):
        attributes[ERROR_TYPE] = shown_error(error) or "_OTHER"
    elif status is not None and status >= 400:
        attributes[ERROR_TYPE] = str(status)
    return attributes
