"""A span for each request, where a collector is named; knows no route and no store."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.types import ASGIApp

from schemawire.protocol.paths import HEALTH, PROMETHEUS_METRICS
from schemawire.service.context import RequestContext
from schemawire.service.frontier import CONTEXT
from schemawire.settings.service import ServiceSettings
from schemawire.telemetry import OtlpConfig, ServerTracing, open_tracer_provider
from schemawire.telemetry.server_spans import Scope

SERVICE_NAME = "schemawire"


@asynccontextmanager
async def traced(app: ASGIApp, settings: ServiceSettings) -> AsyncIterator[ASGIApp]:
    """Surround an application with server spans if the settings name a collector; at the end deliver what is left.

    Raises:
        ConfigurationInvalid: the collector's address is malformed, or the extra `otel` is not installed.
    """
    if not settings.otlp_endpoint:
        yield app
        return
    options = OtlpConfig(
        endpoint=settings.otlp_endpoint, service_name=SERVICE_NAME, sample_ratio=settings.otlp_sample_ratio
    )
    provider = open_tracer_provider(options)
    try:
        yield ServerTracing(app, provider, route_of=_route, is_traced=_is_traced)
    finally:
        await asyncio.to_thread(provider.shutdown)


def _is_traced(path: str) -> bool:
    # Load balancers and scrapers ask every few seconds and would bury everything else.
    return path != PROMETHEUS_METRICS and path != HEALTH and not path.startswith(f"{HEALTH}/")


def _route(scope: Scope) -> str | None:
    context = scope.get(CONTEXT)
    # The context's own label is "METHOD /pattern".
    return (context.route.partition(" ")[2] or None) if isinstance(context, RequestContext) else None
