"""Events as metrics, with the names and labels that users of OpenTelemetry and resilience4j know; serves no address."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, TypeVar

from opentelemetry import trace

from schemawire.errors import ConfigurationInvalid
from schemawire.events import (
    AttemptFinished,
    BreakerChanged,
    CacheUsed,
    CallFinished,
    CallRefused,
    DiscoveryFailed,
    EndpointEjected,
    EndpointHealthChanged,
    EndpointsChanged,
    Event,
    FallbackUsed,
    FaultInjected,
    HedgeStarted,
    RetryGivenUp,
    RetryScheduled,
    SilentListener,
)
from schemawire.telemetry.exposition import as_json, openmetrics_text, prometheus_text
from schemawire.telemetry.in_flight import InFlight, current_method
from schemawire.telemetry.instruments import AnyFamily, Counter, Gauge, Histogram, Sample
from schemawire.telemetry.semantics import (
    METHOD,
    SERVER_ADDRESS,
    SERVER_PORT,
    method_attributes,
    server_attributes,
)
from schemawire.telemetry.shown import shown_endpoint, shown_error, shown_route
from schemawire.telemetry.states import is_metric_name, state_gauges

_BREAKER_STATES = ("closed", "open", "half_open", "forced_open", "disabled", "metrics_only")


F = TypeVar("F", Counter, Gauge, Histogram)


class MetricsListener(SilentListener):
    """Counts and measures what happens to calls.

    A metric has at most `max_series` series; what comes later is counted in one series whose labels are all
    `overflow`. Times are in seconds.

    Args:
        max_series: of each metric, from 1.
        exemplars: whether histograms remember the latest sampled trace of each bucket.
    """

    def __init__(self, *, max_series: int = 200, exemplars: bool = True) -> None:
        self._max_series = max_series
        self._exemplars = exemplars
        self._watched: dict[str, Callable[[], object]] = {}
        self._families: list[AnyFamily] = []
        self._make_call_families()
        self._make_policy_families()

    def _make_call_families(self) -> None:
        self._attempts = self._histogram(
            "http_client_request_duration_seconds", "How long attempts took.",
            "http_request_method", "server_address", "server_port", "http_response_status_code", "error_type",
        )  # fmt: skip
        self._calls = self._histogram(
            "schemawire_client_call_duration_seconds", "How long logical calls took.",
            "client", "method", "route", "outcome",
        )  # fmt: skip
        self._in_flight = self._gauge("schemawire_client_calls_in_flight", "Calls whose head is awaited.", "client")
        self._waits = self._counter(
            "schemawire_client_wait_seconds", "Where calls spent their time.", "client", "phase"
        )
        self._retry_calls = self._counter(
            "schemawire_retry_calls", "Calls by whether they ended well and needed retries.", "name", "kind"
        )

    def _make_policy_families(self) -> None:
        self._retries = self._counter("schemawire_retries", "Further attempts that were decided.", "name", "reason")
        self._given_up = self._counter("schemawire_retry_given_up", "Calls not tried again.", "name", "reason")
        self._state = self._gauge("schemawire_circuitbreaker_state", "1 for the present state.", "name", "state")
        self._transitions = self._counter(
            "schemawire_circuitbreaker_transitions", "Changes of a breaker's state.", "name", "from", "to"
        )
        self._not_permitted = self._counter(
            "schemawire_circuitbreaker_not_permitted_calls", "Calls that an open breaker refused.", "name"
        )
        self._refused = self._counter("schemawire_refused_calls", "Refusals by a policy.", "name", "policy")
        self._hedges = self._counter("schemawire_hedges", "Second attempts started beside a slow first.", "name")
        self._fallbacks = self._counter("schemawire_fallbacks", "Answers by a fallback.", "name")
        self._ejections = self._counter("schemawire_endpoint_ejections", "Endpoints left alone.", "endpoint", "reason")
        self._healthy = self._gauge("schemawire_endpoint_healthy", "1 for an endpoint that answers checks.", "endpoint")
        self._found = self._gauge("schemawire_discovery_endpoints", "How many endpoints are known.", "name")
        self._moves = self._counter("schemawire_discovery_changes", "Endpoints that came and went.", "name", "kind")
        self._lookups = self._counter("schemawire_discovery_failures", "Discoveries that could not be asked.", "name")
        self._cached = self._counter("schemawire_cache_calls", "Calls that a cache dealt with.", "name", "outcome")
        self._faults = self._counter("schemawire_faults_injected", "Faults made on purpose.", "name", "kind")

    def _counter(self, name: str, help_text: str, *labels: str) -> Counter:
        return self._kept(Counter(name, help_text, labels, max_series=self._max_series))

    def _gauge(self, name: str, help_text: str, *labels: str) -> Gauge:
        return self._kept(Gauge(name, help_text, labels, max_series=self._max_series))

    def _histogram(self, name: str, help_text: str, *labels: str) -> Histogram:
        return self._kept(Histogram(name, help_text, labels, max_series=self._max_series))

    def _kept(self, family: F) -> F:
        self._families.append(family)
        return family

    def watch(self, prefix: str, read: Callable[[], object]) -> None:
        """Show the numbers of a record too, such as `watch("client", client.statistics)`; read anew at each asking.

        Args:
            prefix: 1 to 64 lower-case letters, digits and underscores; the same again replaces what it stood for.
            read: returns a dataclass; called in the thread that asks.

        Raises:
            ConfigurationInvalid: the prefix cannot begin a metric's name.
        """
        if not is_metric_name(prefix):
            raise ConfigurationInvalid(f"prefix={prefix!r} must be lower-case letters, digits and underscores")
        self._watched[prefix] = read

    def call_scope(self, name: str, method: str, route: str) -> AbstractContextManager[object]:
        """Return a scope that counts the call as in flight."""
        return InFlight(partial(self._in_flight.add, (shown_endpoint(name),)), method)

    def on_event(self, event: Event) -> None:
        """Count or measure `event`."""
        match event:
            case CallFinished():
                self._call(event)
            case AttemptFinished():
                self._attempt(event)
            case RetryScheduled():
                self._retries.add((event.name, event.reason))
            case RetryGivenUp():
                self._given_up.add((event.name, event.reason))
            case BreakerChanged():
                self._breaker(event)
            case CallRefused():
                self._refusal(event)
            case _:
                self._rare(event)

    def _call(self, event: CallFinished) -> None:
        labels = (event.name, event.method, shown_route(event.route), event.outcome)
        self._calls.observe(labels, event.duration, self._trace_id())
        for phase, seconds in event.waits.items():
            self._waits.add((event.name, phase), seconds)
        kind = "successful" if event.outcome == "success" else "failed"
        if event.outcome != "cancelled":
            self._retry_calls.add((event.name, f"{kind}_{'with' if event.attempts > 1 else 'without'}_retry"))

    def _attempt(self, event: AttemptFinished) -> None:
        server = server_attributes(event.endpoint)
        status = "" if event.status is None else str(event.status)
        failed = event.status is not None and event.status >= 400
        error = shown_error(event.error) or (status if failed else "")
        method = str(method_attributes(current_method())[METHOD])
        where = str(server.get(SERVER_ADDRESS, "")), str(server.get(SERVER_PORT, ""))
        self._attempts.observe((method, *where, status, error), event.duration, self._trace_id())

    def _breaker(self, event: BreakerChanged) -> None:
        name, before, after = shown_endpoint(event.name), event.before.lower(), event.after.lower()
        self._transitions.add((name, before, after))
        for state in _BREAKER_STATES:
            self._state.set((name, state), float(state == after))

    def _refusal(self, event: CallRefused) -> None:
        name = shown_endpoint(event.name)
        self._refused.add((name, event.policy))
        if event.policy == "breaker":
            self._not_permitted.add((name,))

    def _rare(self, event: Event) -> None:
        match event:
            case HedgeStarted():
                self._hedges.add((event.name,))
            case FallbackUsed():
                self._fallbacks.add((event.name,))
            case EndpointEjected():
                self._ejections.add((shown_endpoint(event.endpoint), event.reason))
            case CacheUsed():
                self._cached.add((event.name, event.outcome))
            case EndpointHealthChanged() | EndpointsChanged() | DiscoveryFailed():
                self._endpoints(event)
            case FaultInjected():
                self._faults.add((event.name, event.kind))

    def _endpoints(self, event: EndpointHealthChanged | EndpointsChanged | DiscoveryFailed) -> None:
        match event:
            case EndpointHealthChanged():
                self._healthy.set((shown_endpoint(event.endpoint),), float(event.healthy))
            case EndpointsChanged():
                self._found.set((event.name,), event.total)
                self._moves.add((event.name, "added"), len(event.added))
                self._moves.add((event.name, "removed"), len(event.removed))
            case DiscoveryFailed():
                self._lookups.add((event.name,))

    def _trace_id(self) -> str | None:
        if not self._exemplars:
            return None
        span = trace.get_current_span().get_span_context()
        return f"{span.trace_id:032x}" if span.trace_flags.sampled else None

    def families(self) -> list[AnyFamily]:
        """Return every metric that has a series, and the watched state as it is now."""
        watched = [
            gauge
            for prefix, read in list(self._watched.items())
            for gauge in state_gauges(f"schemawire_{prefix}", read, max_series=self._max_series)
        ]
        return [family for family in self._families if next(family.samples(), None)] + watched

    def samples(self) -> Iterator[Sample]:
        """Yield every number as it is now."""
        for family in self.families():
            yield from family.samples()

    def prometheus_text(self) -> str:
        """Return all metrics in Prometheus' text format."""
        return prometheus_text(self.families())

    def openmetrics_text(self) -> str:
        """Return all metrics in OpenMetrics, with exemplars."""
        return openmetrics_text(self.families())

    def as_json(self) -> dict[str, Any]:
        """Return all metrics as plain JSON values, percentiles included."""
        return as_json(self.families())
