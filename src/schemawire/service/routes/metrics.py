"""The service's figures."""

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.responses import Response

from schemawire.protocol.paths import METRICS, PROMETHEUS_METRICS
from schemawire.service.figures_record import metrics_record
from schemawire.service.refusals import RequestRefused
from schemawire.service.replies import JSON, NO_STORE, encode
from schemawire.service.routes.declaring import backend_of, new_router, route
from schemawire.service.routes.parameters import Parameter, read_number, read_text
from schemawire.telemetry import OPENMETRICS_TYPE, PROMETHEUS_TYPE
from schemawire.telemetry.exposition import openmetrics_text, prometheus_text

router: APIRouter = new_router()

_LONGEST = 10 * 366 * 86_400
_POINTS = 60
_WINDOW = Parameter(
    name="window", description="Seconds of history, an hour if not given; 0 for none.", low=0, high=_LONGEST
)
_STEP = Parameter(
    name="step", description="Seconds of each point; a sixtieth of the window if not given.", low=1, high=_LONGEST
)
_METRIC = Parameter(name="metric", description="Every series of this metric in place of the usual lines.", longest=200)


class MetricsReply(BaseModel):
    """Figures since the service began; times are in seconds."""

    model_config = ConfigDict(extra="allow")

    service: dict[str, float]
    """Requests: totalRequests, successfulRequests, failedRequests, clientErrors, serverErrors, inFlight; uptime."""
    latency: dict[str, float]
    """Of all requests: mean, p50, p90, p95, p99, max."""
    routes: dict[str, dict[str, object]]
    store: dict[str, object]
    operations: dict[str, object]
    objectives: list[dict[str, object]]
    """Each with its error budget and how fast it burns in several windows."""
    health: dict[str, object]
    """Which dependencies are not well, and the latest changes."""
    history: dict[str, object] | None = None
    """Lines over time: `store`, `window`, `step`, `lines` (name to points of time and value), or `problem`."""


@route(router, "GET", PROMETHEUS_METRICS, needs="read", summary="Figures for Prometheus", answers=MetricsReply,
       media_type="text/plain")  # fmt: skip
async def prometheus(request: Request) -> Response:
    """Prometheus' text format, or OpenMetrics with exemplars by Accept; the scraper sends a key of scope read."""
    families = backend_of(request).figures.families()
    wants_openmetrics = "application/openmetrics-text" in request.headers.get("accept", "")
    text = openmetrics_text(families) if wants_openmetrics else prometheus_text(families)
    media_type = OPENMETRICS_TYPE if wants_openmetrics else PROMETHEUS_TYPE
    return Response(text.encode(), 200, {"Cache-Control": NO_STORE, "Content-Type": media_type, "Vary": "Accept"})


@route(router, "GET", METRICS, needs="read", summary="Figures as JSON", answers=MetricsReply,
       parameters=(_WINDOW, _STEP, _METRIC))  # fmt: skip
async def metrics(request: Request) -> Response:
    """Requests, latencies by route, the store, the operations, objectives, health, and what they were over time."""
    backend = backend_of(request)
    window = read_number(request, _WINDOW)
    window = 3600 if window is None else window
    step = read_number(request, _STEP) or max(1, window // _POINTS)
    found = metrics_record(backend)
    if window:
        try:
            found["history"] = await backend.figures.history(window, step, read_text(request, _METRIC))
        except ValueError as error:
            raise RequestRefused(
                "invalid_request", str(error), fix="Choose a shorter window or a longer step."
            ) from None
    return Response(encode(found), 200, {"Cache-Control": NO_STORE}, JSON)
