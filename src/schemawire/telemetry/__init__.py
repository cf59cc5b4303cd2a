"""Who listens: each sink turns events into one kind of output and knows neither who emits nor the other sinks."""

from schemawire.telemetry.logs import LogListener, configure_logging
from schemawire.telemetry.repeats import SamplingConfig, SamplingStatistics
from schemawire.telemetry.shown import call_labels, current_labels

__all__ = [
    "LogListener",
    "SamplingConfig",
    "SamplingStatistics",
    "call_labels",
    "configure_logging",
    "current_labels",
]
