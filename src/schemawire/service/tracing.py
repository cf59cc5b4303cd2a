"""Spans of all that the service does for a request, where a collector is named; knows no route and no statement."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from opentelemetry import trace
from starlette.types import ASGIApp

from schemawire.analysis import Analyser, AnalysisOptions, Draft
from schemawire.protocol.paths import HEALTH, PROMETHEUS_METRICS
from schemawire.service.context import RequestContext
from schemawire.service.frontier import CONTEXT
from schemawire.service.store import Store
from schemawire.service.traced_store import TracedStore
from schemawire.settings.service import ServiceSettings
from schemawire.telemetry import (
    OtlpConfig,
    ServerMeters,
    ServerTracing,
    WorkSpans,
    open_meter_provider,
    open_tracer_provider,
)
from schemawire.telemetry.server_spans import Scope

SERVICE_NAME = "schemawire"
METER_INTERVAL = 10.0
"""Seconds between deliveries of figures to a collector."""
_PLAIN = AnalysisOptions()


def traced_parts(settings: ServiceSettings, store: Store, analyser: Analyser) -> tuple[Store, Analyser]:
    """Return a store and an analyser that open spans, if the settings name a collector; else the two as they are."""
    if not settings.otlp_endpoint:
        return store, analyser
    spans = WorkSpans()
    return TracedStore(store, spans), TracedAnalyser(analyser, spans)


def sampled_trace_id() -> str | None:
    """Return the id of the trace that runs, if it is recorded."""
    span = trace.get_current_span().get_span_context()
    return f"{span.trace_id:032x}" if span.trace_flags.sampled else None


class TracedAnalyser:
    """Passes descriptions on to an analyser, inside a span that says how long they are and never what they say."""

    def __init__(self, analyser: Analyser, spans: WorkSpans) -> None:
        self._analyser = analyser
        self._spans = spans

    async def analyze(self, description: str, *, options: AnalysisOptions = _PLAIN) -> Draft:
        """Return the draft of a description; see `Analyser.analyze`."""
        with self._spans.step("analyze") as span:
            span.set_attribute("schemawire.description.characters", len(description))
            return await self._analyser.analyze(description, options=options)


@asynccontextmanager
async def traced(app: ASGIApp, settings: ServiceSettings) -> AsyncIterator[ASGIApp]:
    """Surround an application with server spans if the settings name a collector; at the end deliver what is left.

    For a process that is nothing but the service: the provider becomes the process's own, so that the store, the
    analyser, the queue and the workers find it too.

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
    trace.set_tracer_provider(provider)
    meters = open_meter_provider(replace(options, interval=METER_INTERVAL)) if settings.otlp_metrics else None
    measured = app if meters is None else ServerMeters(app, meters, route_of=_route)
    try:
        yield ServerTracing(measured, provider, route_of=_route, is_traced=_is_traced)
    finally:
        await asyncio.to_thread(provider.shutdown)
        if meters is not None:
            await asyncio.to_thread(meters.shutdown)


def _is_traced(path: str) -> bool:
    # Load balancers and scrapers ask every few seconds and would bury everything else.
    return path != PROMETHEUS_METRICS and path != HEALTH and not path.startswith(f"{HEALTH}/")


def _route(scope: Scope) -> str | None:
    context = scope.get(CONTEXT)
    # The context's own label is "METHOD /pattern".
    return (context.route.partition(" ")[2] or None) if isinstance(context, RequestContext) else None
