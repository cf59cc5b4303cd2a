"""The service's figures as metrics, in the words of OpenTelemetry where it has some; counts nothing itself.

Labels are patterns of routes, statuses and names that the service gives itself, so nothing that a caller sends can make
a series of its own.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from schemawire._version import __version__
from schemawire.service.recorder import Latencies, Recorder
from schemawire.telemetry.instruments import SECONDS, AnyFamily, Counter, Exemplar, Gauge, Histogram
from schemawire.telemetry.objectives import ObjectiveState
from schemawire.telemetry.semantics import OTHER_METHOD

_STATES = (
    "waiting", "active", "is_", "running", "largest", "idle", "pool", "connections", "free", "in_use", "queue",
    "pending", "series", "used", "engine_connected", "open",
)  # fmt: skip
"""Beginnings of the names of fields that go up and down; every other whole number only grows."""
_MAX_SERIES = 500


def request_families(recorder: Recorder) -> Iterator[AnyFamily]:
    """Yield what there is to say about requests."""
    times = Histogram(
        "http_server_request_duration_seconds", "How long requests took.",
        ("http_request_method", "http_route", "http_response_status_code", "error_type"), max_series=_MAX_SERIES,
    )  # fmt: skip
    for label, entry in list(recorder.routes.items()):
        method, _, route = label.partition(" ")
        method, route = (method, route) if route else (OTHER_METHOD, label)
        for status, latencies in list(entry.by_status.items()):
            error = str(status) if status >= 500 else ""
            times.put((method, route, str(status), error), _buckets(latencies), latencies.total, _exemplars(latencies))
    yield times
    yield _gauge("http_server_active_requests", "Requests being served.", recorder.in_flight)
    yield _gauge("schemawire_uptime_seconds", "Time since the service began.", recorder.uptime)
    build = Gauge("schemawire_build_info", "Always 1; the label says which version runs.", ("version",))
    build.set((__version__,), 1.0)
    yield build


def _buckets(latencies: Latencies) -> list[int]:
    below = [*latencies.at_most(SECONDS), latencies.count]
    return [count - before for count, before in zip(below, [0, *below], strict=False)]


def _exemplars(latencies: Latencies) -> dict[int, Exemplar]:
    found: dict[int, Exemplar] = {}
    for trace_id, duration, at in latencies.traces.values():
        bucket = bisect_left(SECONDS, duration)
        if bucket not in found or found[bucket].at < at:
            found[bucket] = Exemplar(trace_id, duration, at)
    return found


def record_families(prefix: str, record: Any) -> Iterator[AnyFamily]:
    """Yield one metric for each number of a record of statistics: a gauge for a state, else a counter.

    Args:
        prefix: begins each name.
        record: a dataclass.
    """
    for name, value in _numbers(asdict(record)):
        words = f"{prefix.removeprefix('schemawire_')}: {name.replace('_', ' ')}."
        if isinstance(value, float) or name.startswith(_STATES) or isinstance(value, bool):
            yield _gauge(f"{prefix}_{name}", words, float(value))
        else:
            counter = Counter(f"{prefix}_{name}", words)
            counter.put((), value)
            yield counter


def _numbers(record: Mapping[str, Any]) -> Iterator[tuple[str, int | float]]:
    for name, value in record.items():
        if isinstance(value, int | float):
            yield name, value
        elif isinstance(value, dict):
            for inner, number in _numbers(value):
                yield f"{name}_{inner}", number


def objective_families(states: list[ObjectiveState], totals: Mapping[str, tuple[int, int]]) -> Iterator[AnyFamily]:
    """Yield what there is to say about objectives.

    Args:
        states: how each stands.
        totals: by its name, how many requests it was about since the start, and how many of them were bad.
    """
    requests = Counter("schemawire_slo_requests", "Requests that an objective is about.", ("objective",))
    bad = Counter("schemawire_slo_bad_requests", "Those of them that were not as they should be.", ("objective",))
    target = Gauge("schemawire_slo_target", "The share that is to be good.", ("objective",))
    burn = Gauge("schemawire_slo_burn_rate", "1 spends exactly the error budget.", ("objective", "window"))
    left = Gauge("schemawire_slo_budget_left", "The share of 30 days' error budget that is left.", ("objective",))
    for state in states:
        name = state.objective.name
        total, failed = totals[name]
        requests.put((name,), total)
        bad.put((name,), failed)
        target.set((name,), state.objective.target)
        left.set((name,), state.budget_left)
        for window, found in state.windows.items():
            burn.set((name, window), found.burn)
    yield from (requests, bad, target, burn, left)


def labelled_gauge(name: str, help_text: str, label: str, values: Mapping[str, float]) -> Gauge:
    """Return a gauge with one label."""
    gauge = Gauge(name, help_text, (label,))
    for value, number in values.items():
        gauge.set((value,), number)
    return gauge


def _gauge(name: str, help_text: str, value: float) -> Gauge:
    gauge = Gauge(name, help_text)
    gauge.set((), value)
    return gauge
