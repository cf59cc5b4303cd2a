"""Server metrics by OpenTelemetry: middleware around any ASGI application; knows none of its routes."""

import time
from collections.abc import Callable

from opentelemetry import metrics
from opentelemetry.metrics import MeterProvider

from schemawire._version import __version__
from schemawire.telemetry.instruments import SECONDS
from schemawire.telemetry.semantics import ERROR_TYPE, ROUTE, STATUS, URL_SCHEME, Attributes, method_attributes
from schemawire.telemetry.server_spans import App, Message, Receive, Scope, Send, route_in
from schemawire.telemetry.shown import shown, shown_error

_MOST_SERIES = 500
_OVERFLOW: Attributes = {"otel.metric.overflow": True}


class ServerMeters:
    """Measures `http.server.request.duration` and `http.server.active_requests`.

    Args:
        app: the application.
        provider: where figures go; the program's own if not given.
        route_of: names the route of a finished request, low in variety.
    """

    def __init__(
        self,
        app: App,
        provider: MeterProvider | None = None,
        *,
        route_of: Callable[[Scope], str | None] = route_in,
    ) -> None:
        self._app = app
        self._route_of = route_of
        meter = metrics.get_meter("schemawire", __version__, provider)
        self._times = meter.create_histogram(
            "http.server.request.duration", unit="s", description="How long requests took.",
            explicit_bucket_boundaries_advisory=SECONDS,
        )  # fmt: skip
        self._active = meter.create_up_down_counter(
            "http.server.active_requests", unit="{request}", description="Requests being served."
        )
        self._seen: set[frozenset[tuple[str, object]]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, and measure it however it ends."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        running: Attributes = {**method_attributes(scope["method"]), URL_SCHEME: scope.get("scheme", "http")}
        running.pop("http.request.method_original", None)
        found: Attributes = {}

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                found[STATUS] = message["status"]
            await send(message)

        self._active.add(1, running)
        started = time.perf_counter()
        try:
            await self._app(scope, receive, watched)
        except BaseException as error:
            found[ERROR_TYPE] = shown_error(error) or "_OTHER"
            raise
        finally:
            self._active.add(-1, running)
            self._times.record(time.perf_counter() - started, self._bounded({**running, **found}, scope))

    def _bounded(self, attributes: Attributes, scope: Scope) -> Attributes:
        route = self._route_of(scope)
        if route is not None:
            attributes[ROUTE] = shown(route)
        status = attributes.get(STATUS)
        if isinstance(status, int) and status >= 500:
            attributes.setdefault(ERROR_TYPE, str(status))
        series = frozenset(attributes.items())
        if series not in self._seen:
            if len(self._seen) >= _MOST_SERIES:
                return _OVERFLOW
            self._seen.add(series)
        return attributes
