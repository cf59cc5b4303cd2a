"""Metrics as an OpenTelemetry SDK reads them."""

import asyncio
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from tests.telemetry.collector import collecting

from schemawire.errors import ConfigurationInvalid
from schemawire.events import BreakerChanged, CallFinished, CallRefused
from schemawire.resilience import RetryConfig
from schemawire.telemetry import OtelMetricsListener, OtlpConfig, open_meter_provider
from schemawire.testing import Reply, ScriptedWire
from schemawire.transport import Client

Points = dict[str, list[Any]]


class Sdk:
    """A provider whose figures are read in memory."""

    def __init__(self) -> None:
        self._reader = InMemoryMetricReader()
        self.provider = MeterProvider([self._reader])

    def read(self) -> Points:
        """Return the data points of each instrument."""
        found = self._reader.get_metrics_data()
        assert found is not None
        return {
            metric.name: list(metric.data.data_points)
            for resource in found.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }


async def test_attempts_and_calls_are_histograms_in_seconds() -> None:
    """Names, attributes and buckets are those of the conventions; a retry is one more attempt, not one more call."""
    sdk = Sdk()
    wire = ScriptedWire(Reply(status=503), Reply())
    client = Client(
        "http://a.test:81", wire=wire, listener=OtelMetricsListener(sdk.provider), retry=RetryConfig(transient_base=0.0)
    )
    await client.request("GET", "/items/7", route="/items/{id}", params={"key": "hunter2"})
    points = sdk.read()
    attempts = {
        point.attributes["http.response.status_code"]: point for point in points["http.client.request.duration"]
    }
    assert dict(attempts[503].attributes) == {
        "http.request.method": "GET", "server.address": "a.test", "server.port": 81,
        "http.response.status_code": 503, "error.type": "503",
    }  # fmt: skip
    assert "error.type" not in attempts[200].attributes
    assert tuple(attempts[200].explicit_bounds)[:3] == (0.001, 0.0025, 0.005)
    [call] = points["schemawire.client.call.duration"]
    assert (call.count, call.attributes["url.template"], call.attributes["schemawire.outcome"]) == (
        1,
        "/items/{id}",
        "success",
    )
    assert points["schemawire.client.active_calls"][0].value == 0
    assert points["schemawire.retries"][0].value == 1
    assert "hunter2" not in str(points)


def test_policies_are_counted() -> None:
    """Refusals and changes of state say which policy and which states."""
    sdk = Sdk()
    listener = OtelMetricsListener(sdk.provider)
    listener.on_event(CallRefused(name="http://u:p@a:1", policy="breaker", reason="open"))
    listener.on_event(BreakerChanged(name="http://a:1", before="closed", after="open", reason="failures"))
    points = sdk.read()
    assert dict(points["schemawire.refused_calls"][0].attributes) == {"name": "http://a:1", "policy": "breaker"}
    assert dict(points["schemawire.circuitbreaker.transitions"][0].attributes)["to"] == "open"


def test_endless_attributes_overflow() -> None:
    """Beyond the cap everything is measured in one series, so counts stay right."""
    sdk = Sdk()
    listener = OtelMetricsListener(sdk.provider, max_series=5)
    for number in range(100):
        listener.on_event(
            CallFinished(name="c", method="GET", route=f"/{number}", outcome="success", duration=0.1, attempts=1)
        )
    points = sdk.read()["schemawire.client.call.duration"]
    [overflow] = [point for point in points if point.attributes.get("otel.metric.overflow")]
    assert (len(points), overflow.count) == (6, 95)
    with pytest.raises(ConfigurationInvalid, match="max_series=0"):
        OtelMetricsListener(max_series=0)


async def test_without_an_sdk_nothing_happens() -> None:
    """A program without an SDK pays for no-op instruments alone."""
    client = Client("http://a.test", wire=ScriptedWire(Reply()), listener=OtelMetricsListener())
    assert (await client.request("GET", "/x")).status == 200


async def test_figures_reach_a_collector() -> None:
    """The last delivery, at the end, holds every figure in OTLP's own protobuf."""
    with collecting() as collector:
        provider = open_meter_provider(OtlpConfig(endpoint=collector.url, interval=60.0))
        client = Client("http://a.test", wire=ScriptedWire(then=Reply()), listener=OtelMetricsListener(provider))
        for _ in range(3):
            await client.request("GET", "/x")
        await asyncio.to_thread(provider.shutdown)
    [calls] = [metric for metric in collector.metrics if metric.name == "schemawire.client.call.duration"]
    assert (calls.unit, sum(point.count for point in calls.histogram.data_points)) == ("s", 3)
