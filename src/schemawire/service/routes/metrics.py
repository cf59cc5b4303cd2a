"""The service's figures."""

from fastapi import APIRouter
from prometheus_client import CollectorRegistry
from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.responses import Response

from schemawire.protocol.paths import METRICS, PROMETHEUS_METRICS
from schemawire.service.metrics import PROMETHEUS_TYPE, metrics_record, prometheus_text
from schemawire.service.replies import JSON, NO_STORE, encode
from schemawire.service.routes.declaring import backend_of, new_router, route

router: APIRouter = new_router()


class MetricsReply(BaseModel):
    """Figures since the service began; times are in seconds."""

    model_config = ConfigDict(extra="allow")

    service: dict[str, float]
    """Requests: totalRequests, successfulRequests, failedRequests, clientErrors, serverErrors, inFlight; uptime."""
    routes: dict[str, dict[str, object]]
    store: dict[str, object]
    operations: dict[str, object]


@route(router, "GET", PROMETHEUS_METRICS, needs="read", summary="Figures for Prometheus", answers=MetricsReply,
       media_type="text/plain")  # fmt: skip
async def prometheus(request: Request) -> Response:
    """Prometheus' text format; the scraper sends a key of scope read."""
    registry: CollectorRegistry = request.app.state.registry
    return Response(prometheus_text(registry), 200, {"Cache-Control": NO_STORE, "Content-Type": PROMETHEUS_TYPE})


@route(router, "GET", METRICS, needs="read", summary="Figures as JSON", answers=MetricsReply)
async def metrics(request: Request) -> Response:
    """Requests, latencies by route, the store and the operations."""
    return Response(encode(metrics_record(backend_of(request))), 200, {"Cache-Control": NO_STORE}, JSON)
