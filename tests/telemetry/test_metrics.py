"""Metrics as a scraper reads them: real clients in, text parsed by Prometheus' own library out."""

import asyncio
import math
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from schemawire.errors import CircuitOpen, ConfigurationInvalid, ConnectFailed
from schemawire.events import (
    CallFinished,
    CallRefused,
    EndpointEjected,
    Event,
    FallbackUsed,
    FaultInjected,
    HedgeStarted,
    Listeners,
    RetryGivenUp,
)
from schemawire.resilience import CircuitBreakerConfig, RetryConfig
from schemawire.telemetry import MetricsListener, TraceListener
from schemawire.telemetry.exposition import quantile
from schemawire.telemetry.instruments import OVERFLOW, Counter, Gauge, Histogram
from schemawire.testing import Reply, ScriptedWire
from schemawire.transport import Client

QUICK = RetryConfig(max_retries=2, transient_base=0.0)
Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def read(metrics: MetricsListener) -> Series:
    """Return every sample of the text format, by name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in parse_text(metrics.prometheus_text())
        for sample in family.samples
    }


def openmetrics(metrics: MetricsListener) -> list[Any]:
    """Return the families of the OpenMetrics format."""
    return list(parse_openmetrics(metrics.openmetrics_text()))  # type: ignore[no-untyped-call]  # has no types


def value(series: Series, metric: str, /, **labels: str) -> float:
    """Return the sum of the samples that have these labels."""
    wanted = set(labels.items())
    return sum(number for (each, have), number in series.items() if each == metric and wanted <= have)


async def test_calls_attempts_and_retries_are_counted() -> None:
    """One recovered call is one call, two attempts and one retry, under the names that users know."""
    metrics = MetricsListener()
    wire = ScriptedWire(Reply(status=503), Reply(), Reply(status=404))
    client = Client("http://a.test:81", wire=wire, listener=metrics, retry=QUICK)
    await client.request("GET", "/items/7", route="/items/{id}", params={"key": "hunter2"})
    await client.request("GET", "/items/8", route="/items/{id}")
    series = read(metrics)
    route = {"client": "client", "method": "GET", "route": "/items/{id}"}
    calls = "schemawire_client_call_duration_seconds_count"
    assert value(series, calls, **route, outcome="success") == 1
    assert value(series, calls, **route, outcome="rejected") == 1
    attempts = "http_client_request_duration_seconds_count"
    where = {"http_request_method": "GET", "server_address": "a.test", "server_port": "81"}
    assert value(series, attempts, **where, http_response_status_code="503", error_type="503") == 1
    assert value(series, attempts, **where, http_response_status_code="200", error_type="") == 1
    assert value(series, attempts, **where) == 3
    assert value(series, "schemawire_retry_calls_total", kind="successful_with_retry") == 1
    assert value(series, "schemawire_retry_calls_total", kind="failed_without_retry") == 1
    assert value(series, "schemawire_retries_total", name="retry", reason="status 503") == 1
    assert value(series, "schemawire_client_calls_in_flight") == 0
    assert value(series, "schemawire_client_wait_seconds_total", phase="first_byte") > 0
    assert "hunter2" not in metrics.prometheus_text()


async def test_a_call_is_in_flight_until_it_ends() -> None:
    """The gauge rises with a call and falls with its end, a cancelled one included."""
    metrics = MetricsListener()
    reached: list[float] = []

    def answer(request: object) -> Reply:
        reached.append(value(read(metrics), "schemawire_client_calls_in_flight", client="client"))
        return Reply(delay=60.0)

    client = Client("http://a.test", wire=ScriptedWire(answer), listener=metrics)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await client.request("GET", "/x")
    series = read(metrics)
    assert reached == [1]
    assert value(series, "schemawire_client_calls_in_flight") == 0
    assert value(series, "schemawire_client_call_duration_seconds_count", outcome="cancelled") == 1
    assert value(series, "schemawire_retry_calls_total") == 0


async def test_an_opening_breaker_shows_its_state_and_what_it_refuses() -> None:
    """Exactly one state is 1; the calls that it turned away are counted, and so is what the client itself knows."""
    metrics = MetricsListener()
    client = Client(
        "http://a.test", wire=ScriptedWire(then=ConnectFailed()), listener=metrics, retry=None,
        breaker=CircuitBreakerConfig(failure_threshold=2),
    )  # fmt: skip
    metrics.watch("client", client.statistics)
    for refusal in (ConnectFailed, ConnectFailed, CircuitOpen):
        with pytest.raises(refusal):
            await client.request("GET", "/x")
    series = read(metrics)
    states = {
        dict(labels)["state"]: number
        for (name, labels), number in series.items()
        if name == "schemawire_circuitbreaker_state"
    }
    assert [state for state, number in states.items() if number] == ["open"]
    assert len(states) == 6
    assert value(series, "schemawire_circuitbreaker_transitions_total", **{"from": "closed", "to": "open"}) == 1
    assert value(series, "schemawire_client_calls_started") == 3
    assert value(series, "schemawire_client_calls_refused") == 1
    assert value(series, "schemawire_client_endpoint_breaker_openings", name="http://a.test") == 1
    assert value(series, "schemawire_client_endpoint_pool_admitted", name="http://a.test") == 2


def test_rare_events_are_counted() -> None:
    """Every kind of event that a policy emits has a counter."""
    metrics = MetricsListener()
    events: list[Event] = [
        RetryGivenUp(name="r", attempt=3, reason="budget"),
        CallRefused(name="b", policy="breaker", reason="open"),
        HedgeStarted(name="h", delay=0.1),
        FallbackUsed(name="f", error=None),
        EndpointEjected(name="b", endpoint="http://u:p@a:1", ejected_for=30.0, reason="outlier"),
        FaultInjected(name="c", kind="fault"),
        Event(name="new"),
    ]
    for event in events:
        metrics.on_event(event)
    series = read(metrics)
    for name, labels in (
        ("schemawire_retry_given_up_total", {"name": "r", "reason": "budget"}),
        ("schemawire_refused_calls_total", {"name": "b", "policy": "breaker"}),
        ("schemawire_circuitbreaker_not_permitted_calls_total", {"name": "b"}),
        ("schemawire_hedges_total", {"name": "h"}),
        ("schemawire_fallbacks_total", {"name": "f"}),
        ("schemawire_endpoint_ejections_total", {"endpoint": "http://a:1", "reason": "outlier"}),
        ("schemawire_faults_injected_total", {"name": "c", "kind": "fault"}),
    ):
        assert value(series, name, **labels) == 1, name


def test_endless_labels_cost_detail_and_no_memory() -> None:
    """Beyond the cap everything is counted in one series, so sums stay right."""
    metrics = MetricsListener(max_series=10)
    for number in range(1000):
        metrics.on_event(
            CallFinished(
                name="c", method="GET", route=f"/{number}", outcome="success", duration=0.1, attempts=1, waits={}
            )
        )
    series = read(metrics)
    counts = {
        dict(labels)["route"]: number
        for (name, labels), number in series.items()
        if name == "schemawire_client_call_duration_seconds_count"
    }
    assert len(counts) == 11
    assert counts[OVERFLOW] == 990
    assert sum(counts.values()) == 1000


async def test_exemplars_lead_from_a_bucket_to_a_trace() -> None:
    """OpenMetrics names the trace of each bucket's latest call; without sampling there is none."""
    metrics = MetricsListener()
    provider = TracerProvider()
    listener = Listeners(TraceListener(provider), metrics)
    wire = ScriptedWire(then=Reply())
    await Client("http://a.test", wire=wire, listener=listener).request("GET", "/x")
    sent = wire.sent[0].request.headers["traceparent"].split("-")[1]
    families = {family.name: family for family in openmetrics(metrics)}
    found = {
        sample.exemplar.labels["trace_id"]
        for family in families.values()
        for sample in family.samples
        if sample.exemplar
    }
    assert found == {sent}
    assert families["schemawire_retry_calls"].type == "counter"
    silent = MetricsListener(exemplars=False)
    await Client("http://a.test", wire=ScriptedWire(then=Reply()), listener=silent).request("GET", "/x")
    assert "trace_id" not in silent.openmetrics_text()


@given(st.lists(st.text(), min_size=1, max_size=20))
def test_hostile_labels_survive_both_formats(texts: list[str]) -> None:
    """Quotes, line ends, escapes and any other text come out as one sample per value, in either format."""
    metrics = MetricsListener()
    for text in texts:
        metrics.on_event(HedgeStarted(name=text, delay=0.1))
    total = sum(
        sample.value
        for family in parse_text(metrics.prometheus_text())
        for sample in family.samples
        if sample.name == "schemawire_hedges_total"
    )
    assert total == len(texts)
    assert openmetrics(metrics)


@given(st.lists(st.floats(0, 100), max_size=100))
def test_histograms_are_cumulative_and_complete(durations: list[float]) -> None:
    """Buckets grow, the last one is the count, and the sum is the sum."""
    histogram = Histogram("h", "x")
    for duration in durations:
        histogram.observe((), duration)
    samples = list(histogram.samples())
    buckets = [(dict(sample.labels)["le"], sample.value) for sample in samples if sample.name == "h_bucket"]
    for edge, count in buckets:
        assert count == sum(duration <= float(edge) for duration in durations)
    if durations:
        assert samples[-1].value == len(durations)
        assert samples[-2].value == pytest.approx(sum(durations))


@pytest.mark.parametrize(
    ("buckets", "part", "expected"),
    [
        ([], 0.5, 0.0),
        ([(1.0, 0.0), (math.inf, 0.0)], 0.5, 0.0),
        ([(1.0, 10.0), (math.inf, 10.0)], 0.5, 0.5),
        ([(1.0, 10.0), (2.0, 20.0), (math.inf, 20.0)], 0.75, 1.5),
        ([(1.0, 0.0), (2.0, 10.0), (math.inf, 10.0)], 0.0001, pytest.approx(1.0, abs=1e-3)),
        ([(1.0, 5.0), (math.inf, 10.0)], 0.99, 1.0),
    ],
)
def test_percentiles_follow_prometheus(buckets: list[tuple[float, float]], part: float, expected: float) -> None:
    """A percentile lies on the straight line between its bucket's bounds, or at the last finite bound."""
    assert quantile(buckets, part) == expected


async def test_json_holds_the_same_figures() -> None:
    """Plain JSON has every series, and percentiles in place of buckets."""
    metrics = MetricsListener()
    await Client("http://a.test", wire=ScriptedWire(Reply()), listener=metrics).request("GET", "/x")
    [call] = metrics.as_json()["schemawire_client_call_duration_seconds"]
    assert call["labels"] == {"client": "client", "method": "GET", "route": "/x", "outcome": "success"}
    assert (call["count"], 0 <= call["p50"] <= call["p99"] <= 0.5) == (1, True)
    assert metrics.as_json()["schemawire_retry_calls"][0]["value"] == 1


def test_numbers_of_every_kind_are_written() -> None:
    """Infinities, not-a-number, large and whole numbers read back as they were."""
    gauge = Gauge("g", "x", ("n",))
    numbers = [math.inf, -math.inf, 0.1, 1e300, 3.0, -0.5]
    for index, number in enumerate(numbers):
        gauge.set((str(index),), number)
    gauge.set(("nan",), math.nan)
    metrics = MetricsListener()

    @dataclass(frozen=True)
    class Record:
        numbers: dict[str, float]
        name: str = ""
        text: str = "left out"
        none: None = None
        is_up: bool = True

    metrics.watch("state", lambda: Record({str(index): number for index, number in enumerate(numbers)}))
    series = read(metrics)
    assert [value(series, "schemawire_state_numbers", name=str(index)) for index in range(6)] == numbers
    assert value(series, "schemawire_state_is_up") == 1
    assert len(series) == 7


def test_what_is_wrong_is_refused() -> None:
    """Options out of range and labels that do not fit are refused, by name."""
    with pytest.raises(ConfigurationInvalid, match="max_series=0"):
        MetricsListener(max_series=0)
    with pytest.raises(ConfigurationInvalid, match="prefix='Bad-1'"):
        MetricsListener().watch("Bad-1", object)
    with pytest.raises(ConfigurationInvalid, match="bounds"):
        Histogram("h", "x", bounds=(2.0, 1.0))
    with pytest.raises(ValueError, match="c has the labels"):
        Counter("c", "x", ("a",)).add(("1", "2"))
