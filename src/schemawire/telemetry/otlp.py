"""Sends spans and metrics to a collector by OTLP over HTTP; alone needs the SDK, which the extra `otel` brings."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from schemawire._version import __version__
from schemawire.errors import ConfigurationInvalid
from schemawire.telemetry.shown import shown_endpoint

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider


@dataclass(frozen=True, slots=True, kw_only=True)
class OtlpConfig:
    """Where spans and metrics are sent, and how many.

    Args:
        endpoint: the collector's base URL, such as `http://localhost:4318`; `/v1/traces` or `/v1/metrics` is added.
        service_name: what the collector calls this program.
        headers: sent along, such as an API key.
        sample_ratio: the share of traces begun here that is recorded, 0 to 1; a caller's own decision wins.
        timeout: seconds for one delivery, above 0.
        interval: seconds between deliveries, above 0.
        max_queue: spans that wait at most, from 1; what comes on top is dropped.
    """

    endpoint: str
    service_name: str = "schemawire"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    sample_ratio: float = 1.0
    timeout: float = 5.0
    interval: float = 2.0
    max_queue: int = 4096

    def __post_init__(self) -> None:
        _require_http(self.endpoint)
        if not 0 <= self.sample_ratio <= 1:
            raise ConfigurationInvalid(f"sample_ratio={self.sample_ratio!r} must be a number from 0 to 1")
        for name in ("timeout", "interval"):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigurationInvalid(f"{name}={getattr(self, name)!r} must be a number of seconds above 0")
        if self.max_queue < 1:
            raise ConfigurationInvalid(f"max_queue={self.max_queue!r} must be a whole number from 1")


def _require_http(endpoint: str) -> None:
    try:
        parts = urlsplit(endpoint)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    if not fits:
        shown = shown_endpoint(endpoint)
        raise ConfigurationInvalid(f"endpoint={shown!r} must be the http or https URL of an OTLP collector")


def open_tracer_provider(options: OtlpConfig) -> "TracerProvider":
    """Return a provider whose spans a thread delivers in batches; it is not made the program's own.

    Delivery never holds up a call: while the collector is away, batches are tried again for `timeout` and then dropped.
    End it with `shutdown()`, which delivers what is left.

    Raises:
        ConfigurationInvalid: the extra `otel` is not installed.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
    except ImportError as error:
        raise _without_sdk() from error
    provider = TracerProvider(resource=_resource(options), sampler=ParentBasedTraceIdRatio(options.sample_ratio))
    exporter = OTLPSpanExporter(
        endpoint=f"{options.endpoint.rstrip('/')}/v1/traces", headers=dict(options.headers), timeout=options.timeout
    )
    provider.add_span_processor(
        BatchSpanProcessor(
            exporter,
            max_queue_size=options.max_queue,
            max_export_batch_size=min(512, options.max_queue),
            schedule_delay_millis=options.interval * 1000,
            export_timeout_millis=options.timeout * 1000,
        )
    )
    return provider


def open_meter_provider(options: OtlpConfig) -> "MeterProvider":
    """Return a provider whose figures a thread delivers at every `interval`; it is not made the program's own.

    Figures are cumulative, so what a collector missed while it was away is in the next delivery. End it with
    `shutdown()`, which delivers once more.

    Raises:
        ConfigurationInvalid: the extra `otel` is not installed.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    except ImportError as error:
        raise _without_sdk() from error
    exporter = OTLPMetricExporter(
        endpoint=f"{options.endpoint.rstrip('/')}/v1/metrics", headers=dict(options.headers), timeout=options.timeout
    )
    reader = PeriodicExportingMetricReader(
        exporter, export_interval_millis=options.interval * 1000, export_timeout_millis=options.timeout * 1000
    )
    return MeterProvider([reader], resource=_resource(options))


def _resource(options: OtlpConfig) -> "Resource":
    from opentelemetry.sdk.resources import Resource

    return Resource.create({"service.name": options.service_name, "service.version": __version__})


def _without_sdk() -> ConfigurationInvalid:
    return ConfigurationInvalid(
        "Sending to a collector needs the OpenTelemetry SDK", fix='Install it: pip install "schemawire[otel]".'
    )
