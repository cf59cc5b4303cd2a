"""Server spans: middleware around any ASGI application; knows none of its routes."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from opentelemetry.trace import Span, SpanKind, StatusCode, TracerProvider

from schemawire.telemetry.semantics import (
    ERROR_TYPE,
    ROUTE,
    SERVER_ADDRESS,
    SERVER_PORT,
    STATUS,
    URL_PATH,
    URL_SCHEME,
    Attributes,
    method_attributes,
    span_name,
)
from schemawire.telemetry.shown import shown, shown_error
from schemawire.telemetry.tracers import tracer_of
from schemawire.telemetry.work_spans import context_in

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_CARRIED = (b"traceparent", b"tracestate")


def route_in(scope: Scope) -> str | None:
    """Return the pattern of the route that Starlette or FastAPI chose, if one was."""
    path = getattr(scope.get("route"), "path", None)
    return path if isinstance(path, str) else None


class ServerTracing:
    """Surrounds each request with a server span that continues the caller's trace.

    Args:
        app: the application.
        provider: where spans go; the program's own if not given.
        route_of: names the route of a finished request, low in variety.
        is_traced: whether a path gets a span, so that health checks need not.
    """

    def __init__(
        self,
        app: App,
        provider: TracerProvider | None = None,
        *,
        route_of: Callable[[Scope], str | None] = route_in,
        is_traced: Callable[[str], bool] = lambda path: True,
    ) -> None:
        self._app = app
        self._tracer = tracer_of(provider)
        self._route_of = route_of
        self._is_traced = is_traced

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request.

        *Cancelled:* the span ends without a status; the cancellation goes on.
        """
        if scope["type"] != "http" or not self._is_traced(scope["path"]):
            await self._app(scope, receive, send)
            return
        with self._tracer.start_as_current_span(
            span_name(scope["method"], None), context=context_in(_carried(scope)), kind=SpanKind.SERVER,
            attributes=_attributes(scope), record_exception=False, set_status_on_exception=False,
        ) as span:  # fmt: skip
            await self._serve(span, scope, receive, send)

    async def _serve(self, span: Span, scope: Scope, receive: Receive, send: Send) -> None:
        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                _note_status(span, message["status"])
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except asyncio.CancelledError:
            span.set_attribute("schemawire.outcome", "cancelled")
            raise
        except Exception as error:
            span.set_attribute(ERROR_TYPE, shown_error(error) or "_OTHER")
            span.set_status(StatusCode.ERROR)
            raise
        finally:
            route = self._route_of(scope)
            if route is not None:
                span.set_attribute(ROUTE, shown(route))
                span.update_name(span_name(scope["method"], shown(route)))


def _note_status(span: Span, status: int) -> None:
    span.set_attribute(STATUS, status)
    if status >= 500:  # a 4xx is the caller's fault, not the server's
        span.set_attribute(ERROR_TYPE, str(status))
        span.set_status(StatusCode.ERROR)


def _carried(scope: Scope) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        if name in _CARRIED:
            found.setdefault(name.decode(), value.decode("latin-1"))
    return found


def _attributes(scope: Scope) -> Attributes:
    attributes = {
        **method_attributes(scope["method"]),
        URL_SCHEME: scope.get("scheme", "http"),
        URL_PATH: shown(scope["path"]),
    }
    server = scope.get("server")
    if server:
        attributes[SERVER_ADDRESS] = str(server[0])
        if server[1] is not None:
            attributes[SERVER_PORT] = server[1]
    return attributes
