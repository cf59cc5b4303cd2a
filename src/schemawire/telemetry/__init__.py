"""Who listens: each sink turns events into one kind of output and knows neither who emits nor the other sinks."""

from schemawire.telemetry.changes import HealthChange, HealthListener, HealthLog, HealthStatistics
from schemawire.telemetry.exposition import OPENMETRICS_TYPE, PROMETHEUS_TYPE
from schemawire.telemetry.history import History, HistoryConfig, HistoryStatistics
from schemawire.telemetry.logs import LogListener, configure_logging
from schemawire.telemetry.metric_store import LocalStore, MetricStore, MetricStoreConfig
from schemawire.telemetry.metrics import MetricsListener
from schemawire.telemetry.objectives import Alert, BurnMeter, Objective, ObjectiveState
from schemawire.telemetry.otel_metrics import OtelMetricsListener
from schemawire.telemetry.otlp import OtlpConfig, open_meter_provider, open_tracer_provider
from schemawire.telemetry.outside_store import OutsideStore, open_metric_store
from schemawire.telemetry.remote_write import LineProtocol, RemoteWrite
from schemawire.telemetry.repeats import SamplingConfig, SamplingStatistics
from schemawire.telemetry.rollups import Point, Tier, increases
from schemawire.telemetry.series import Question, Taken, Track, percentiles, summed
from schemawire.telemetry.server_meters import ServerMeters
from schemawire.telemetry.server_spans import ServerTracing
from schemawire.telemetry.shipping import Shipper, ShippingConfig, ShippingStatistics
from schemawire.telemetry.shown import call_labels, current_labels
from schemawire.telemetry.traces import TraceListener
from schemawire.telemetry.work_spans import WorkSpans, carried_headers

__all__ = [
    "OPENMETRICS_TYPE",
    "PROMETHEUS_TYPE",
    "Alert",
    "BurnMeter",
    "HealthChange",
    "HealthListener",
    "HealthLog",
    "HealthStatistics",
    "History",
    "HistoryConfig",
    "HistoryStatistics",
    "LineProtocol",
    "LocalStore",
    "LogListener",
    "MetricStore",
    "MetricStoreConfig",
    "MetricsListener",
    "Objective",
    "ObjectiveState",
    "OtelMetricsListener",
    "OtlpConfig",
    "OutsideStore",
    "Point",
    "Question",
    "RemoteWrite",
    "SamplingConfig",
    "SamplingStatistics",
    "ServerMeters",
    "ServerTracing",
    "Shipper",
    "ShippingConfig",
    "ShippingStatistics",
    "Taken",
    "Tier",
    "TraceListener",
    "Track",
    "WorkSpans",
    "call_labels",
    "carried_headers",
    "configure_logging",
    "current_labels",
    "increases",
    "open_meter_provider",
    "open_metric_store",
    "open_tracer_provider",
    "percentiles",
    "summed",
]
