"""The service's figures in two forms: one JSON record, and Prometheus text; counts nothing itself."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from schemawire.service.backend import Backend
from schemawire.service.recorder import PERCENTILES, RouteRecord

PROMETHEUS_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


def metrics_record(backend: Backend) -> dict[str, Any]:
    """Return all figures as one JSON record; times are in seconds."""
    recorder = backend.recorder
    return {
        "service": {
            "totalRequests": recorder.total(),
            "successfulRequests": recorder.total(0, 400),
            "failedRequests": recorder.total(400),
            "clientErrors": recorder.total(400, 500),
            "serverErrors": recorder.total(500),
            "inFlight": recorder.in_flight,
            "uptime": round(recorder.uptime, 3),
        },
        "routes": {label: _route_record(entry) for label, entry in sorted(recorder.routes.items())},
        "store": {"storeId": backend.store.store_id, **_camel(asdict(backend.store.statistics()))},
        "operations": _camel(asdict(backend.dispatcher.statistics())),
    }


def _route_record(entry: RouteRecord) -> dict[str, Any]:
    latencies = entry.latencies
    mean = latencies.total / latencies.count if latencies.count else 0.0
    return {
        "requests": latencies.count,
        "failed": entry.count_between(400, 1000),
        "latency": {
            "mean": round(mean, 6),
            **{f"p{round(part * 100)}": round(latencies.percentile(part), 6) for part in PERCENTILES},
            "max": round(latencies.highest, 6),
        },
    }


def _camel(record: Mapping[str, Any]) -> dict[str, Any]:
    return {name.split("_")[0] + "".join(map(str.title, name.split("_")[1:])): value for name, value in record.items()}


class ServiceCollector(Collector):
    """Shows a backend's figures to Prometheus at the moment when it asks."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def collect(self) -> Iterable[Metric]:
        """Yield every metric."""
        recorder = self._backend.recorder
        yield GaugeMetricFamily("schemawire_requests_in_flight", "Requests being served.", recorder.in_flight)
        yield GaugeMetricFamily("schemawire_uptime_seconds", "Time since the service began.", recorder.uptime)
        yield from self._requests()
        yield from _numbers("schemawire_store", asdict(self._backend.store.statistics()))
        yield from _numbers("schemawire_operations", asdict(self._backend.dispatcher.statistics()))

    def _requests(self) -> Iterable[Metric]:
        counts = CounterMetricFamily("schemawire_requests", "Finished requests.", labels=("route", "status"))
        times = HistogramMetricFamily(
            "schemawire_request_duration_seconds", "How long requests took.", labels=("route",)
        )
        for label, entry in sorted(self._backend.recorder.routes.items()):
            for status, count in sorted(entry.by_status.items()):
                counts.add_metric((label, str(status)), count)
            below = entry.latencies.at_most(_BOUNDS)
            buckets = [(str(bound), float(count)) for bound, count in zip(_BOUNDS, below, strict=True)]
            buckets.append(("+Inf", float(entry.latencies.count)))
            times.add_metric((label,), buckets, entry.latencies.total)
        yield counts
        yield times


def _numbers(prefix: str, record: Mapping[str, Any]) -> Iterable[Metric]:
    for name, value in record.items():
        if isinstance(value, int | float):
            yield GaugeMetricFamily(f"{prefix}_{name}", f"{prefix}: {name.replace('_', ' ')}.", float(value))


def new_registry(backend: Backend) -> CollectorRegistry:
    """Return a registry of the service's own, so that an embedding program's metrics stay its own."""
    registry = CollectorRegistry()
    registry.register(ServiceCollector(backend))
    return registry


def prometheus_text(registry: CollectorRegistry) -> bytes:
    """Return the figures in Prometheus' text format."""
    return generate_latest(registry)
