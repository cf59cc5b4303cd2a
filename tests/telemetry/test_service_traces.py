"""The real service as a collector sees it: each request a span in its caller's trace."""

import asyncio
from pathlib import Path

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from tests.service.caller import Caller
from tests.telemetry.collector import collecting, values

from schemawire import DomainSchemaHandler
from schemawire.errors import ConfigurationInvalid, NotFound
from schemawire.settings.service import ServiceSettings
from schemawire.telemetry import OtlpConfig, TraceListener, open_tracer_provider
from schemawire.testing.service_process import ServiceProcess


async def test_a_request_is_a_span_below_the_attempt_that_sent_it(tmp_path: Path) -> None:
    """Handler and service, two processes, are one trace; health checks and scrapes are none."""
    with collecting() as collector:
        provider = open_tracer_provider(OtlpConfig(endpoint=collector.url, service_name="engine", interval=60.0))
        service = ServiceProcess(tmp_path, environment={"SCHEMAWIRE_OTLP_ENDPOINT": collector.url})
        async with (
            service,
            DomainSchemaHandler(service.base_url, service.admin_key, listener=TraceListener(provider)) as handler,
        ):
            await handler.health_check()
            with pytest.raises(NotFound):
                await handler.get_schema("missing")
            async with Caller(service) as call:
                shown = await call("GET", "/metrics", headers={"Accept": "application/openmetrics-text"})
            assert service.stop() == 0
        provider.shutdown()
    servers = [span for span in collector.spans if span.kind == Span.SPAN_KIND_SERVER]
    by_id = {span.span_id: span for span in collector.spans}
    [server] = servers
    assert server.name == "GET /api/domain-schema/{projectId}"
    assert values(server.attributes)["http.response.status_code"] == 404
    attempt = by_id[server.parent_span_id]
    assert attempt.kind == Span.SPAN_KIND_CLIENT
    assert attempt.trace_id == server.trace_id
    assert attempt.name == server.name
    assert {resource["service.name"] for resource in collector.resources} == {"engine", "schemawire"}
    families = parse_openmetrics(shown.body.decode())  # type: ignore[no-untyped-call]  # it has no types
    exemplars = [each.exemplar.labels for family in families for each in family.samples if each.exemplar]
    assert {"trace_id": server.trace_id.hex()} in exemplars


async def test_figures_of_requests_reach_the_collector_too(tmp_path: Path) -> None:
    """With SCHEMAWIRE_OTLP_METRICS request times go there by route and status, and what a caller makes up does not."""
    with collecting() as collector:
        environment = {"SCHEMAWIRE_OTLP_ENDPOINT": collector.url, "SCHEMAWIRE_OTLP_METRICS": "true"}
        service = ServiceProcess(tmp_path, environment=environment)
        async with service, DomainSchemaHandler(service.base_url, service.admin_key) as handler:
            with pytest.raises(NotFound):
                await handler.get_schema("missing")
            assert await asyncio.to_thread(service.stop) == 0
    [times] = [metric for metric in collector.metrics if metric.name == "http.server.request.duration"]
    found = [values(point.attributes) for point in times.histogram.data_points]
    [missing] = [each for each in found if each.get("http.route") == "/api/domain-schema/{projectId}"]
    assert (missing["http.response.status_code"], missing["http.request.method"]) == (404, "GET")
    assert "http.server.active_requests" in {metric.name for metric in collector.metrics}


async def test_a_collector_that_is_away_costs_no_request_and_no_start(tmp_path: Path) -> None:
    """The service starts, answers and stops in good order while its collector refuses."""
    environment = {"SCHEMAWIRE_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    async with ServiceProcess(tmp_path, environment=environment) as service:
        async with DomainSchemaHandler(service.base_url, service.admin_key) as handler:
            assert (await handler.health_check()).is_healthy
            assert (await handler.get_metrics())["service"]["totalRequests"] >= 1
        assert service.stop() == 0


def test_the_settings_name_the_collector(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Address and share come from the environment, and a password in the address is not shown."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SCHEMAWIRE_OTLP_ENDPOINT", "http://u:hunter2@collector:4318")
    monkeypatch.setenv("SCHEMAWIRE_OTLP_SAMPLE_RATIO", "0.1")
    settings = ServiceSettings()
    assert (settings.otlp_endpoint, settings.otlp_sample_ratio) == ("http://u:hunter2@collector:4318", 0.1)
    assert "hunter2" not in repr(settings) + str(settings.explain())
    monkeypatch.setenv("SCHEMAWIRE_OTLP_SAMPLE_RATIO", "2")
    with pytest.raises(ConfigurationInvalid, match="SCHEMAWIRE_OTLP_SAMPLE_RATIO='2'"):
        ServiceSettings()
