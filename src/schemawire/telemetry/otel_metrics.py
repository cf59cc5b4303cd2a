"""Events as OpenTelemetry metrics, for programs whose figures go to a collector; needs the API alone, not the SDK."""

from functools import partial

from opentelemetry import metrics
from opentelemetry.metrics import MeterProvider

from schemawire._version import __version__
from schemawire.errors import ConfigurationInvalid
from schemawire.events import (
    AttemptFinished,
    BreakerChanged,
    CallFinished,
    CallRefused,
    Event,
    RetryScheduled,
    SilentListener,
)
from schemawire.telemetry.in_flight import InFlight, current_method
from schemawire.telemetry.instruments import SECONDS
from schemawire.telemetry.semantics import (
    ERROR_TYPE,
    STATUS,
    URL_TEMPLATE,
    Attributes,
    method_attributes,
    server_attributes,
)
from schemawire.telemetry.shown import shown, shown_endpoint, shown_error, shown_route

_OVERFLOW: Attributes = {"otel.metric.overflow": True}
"""Source: OpenTelemetry metrics SDK specification, cardinality limits."""


class OtelMetricsListener(SilentListener):
    """Measures calls and attempts with the program's OpenTelemetry meters.

    `http.client.request.duration` is each attempt's, `schemawire.client.call.duration` each logical call's, in seconds;
    retries, refusals and changes of breakers are counters.

    Args:
        provider: where figures go; the program's own if not given.
        max_series: of each instrument, from 1; what comes later has the attribute `otel.metric.overflow` alone.
    """

    def __init__(self, provider: MeterProvider | None = None, *, max_series: int = 200) -> None:
        if max_series < 1:
            raise ConfigurationInvalid(f"max_series={max_series!r} must be a whole number from 1")
        meter = metrics.get_meter("schemawire", __version__, provider)
        seconds = partial(meter.create_histogram, unit="s", explicit_bucket_boundaries_advisory=SECONDS)
        self._attempts = seconds("http.client.request.duration", description="How long attempts took.")
        self._calls = seconds("schemawire.client.call.duration", description="How long logical calls took.")
        self._active = meter.create_up_down_counter("schemawire.client.active_calls", description="Calls that run.")
        self._retries = meter.create_counter("schemawire.retries", description="Further attempts decided.")
        self._refused = meter.create_counter("schemawire.refused_calls", description="Refusals by a policy.")
        self._changes = meter.create_counter("schemawire.circuitbreaker.transitions", description="State changes.")
        self._max_series = max_series
        self._seen: dict[str, set[frozenset[tuple[str, object]]]] = {}

    def call_scope(self, name: str, method: str, route: str) -> InFlight:
        """Return a scope that counts the call as active."""
        attributes = self._bounded("active", {"schemawire.client": shown_endpoint(name)})
        return InFlight(lambda change: self._active.add(round(change), attributes), method)

    def on_event(self, event: Event) -> None:
        """Count or measure `event`."""
        match event:
            case CallFinished():
                self._calls.record(event.duration, self._bounded("calls", _call(event)))
            case AttemptFinished():
                self._attempts.record(event.duration, self._bounded("attempts", _attempt(event)))
            case RetryScheduled():
                self._retries.add(1, self._bounded("retries", {"reason": shown(event.reason)}))
            case CallRefused():
                attributes: Attributes = {"name": shown_endpoint(event.name), "policy": event.policy}
                self._refused.add(1, self._bounded("refused", attributes))
            case BreakerChanged():
                changed: Attributes = {"name": shown_endpoint(event.name), "from": event.before, "to": event.after}
                self._changes.add(1, self._bounded("changes", changed))

    def _bounded(self, instrument: str, attributes: Attributes) -> Attributes:
        seen = self._seen.setdefault(instrument, set())
        series = frozenset(attributes.items())
        if series in seen:
            return attributes
        if len(seen) >= self._max_series:
            return _OVERFLOW
        seen.add(series)
        return attributes


def _call(event: CallFinished) -> Attributes:
    return {
        **method_attributes(event.method),
        "schemawire.client": shown_endpoint(event.name),
        "schemawire.outcome": event.outcome,
        URL_TEMPLATE: shown_route(event.route),
    }


def _attempt(event: AttemptFinished) -> Attributes:
    attributes = {**method_attributes(current_method()), **server_attributes(event.endpoint)}
    if event.status is not None:
        attributes[STATUS] = event.status
    error = shown_error(event.error) or (str(event.status) if (event.status or 0) >= 400 else None)
    return attributes if error is None else {**attributes, ERROR_TYPE: error}
