"""The service's figures as one JSON record; counts nothing itself. Times are in seconds."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from schemawire.service.backend import Backend
from schemawire.service.recorder import PERCENTILES, Latencies, RouteRecord
from schemawire.service.store.records import timestamp
from schemawire.telemetry.objectives import ObjectiveState


def metrics_record(backend: Backend) -> dict[str, Any]:
    """Return all figures as they are now."""
    recorder = backend.recorder
    health = backend.figures.health_statistics()
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
        "latency": _latency(recorder.together()),
        "routes": {label: _route(entry) for label, entry in sorted(recorder.routes.items())},
        "store": {"storeId": backend.store.store_id, **camel(asdict(backend.store.statistics()))},
        "operations": camel(asdict(backend.dispatcher.statistics())),
        "objectives": [_objective(state) for state in backend.figures.objectives()],
        "health": {
            "unhealthy": health.unhealthy,
            "changes": [{**asdict(change), "at": timestamp(change.at)} for change in health.changes],
        },
    }


def _route(entry: RouteRecord) -> dict[str, Any]:
    latencies = entry.latencies
    return {"requests": latencies.count, "failed": entry.count_between(400, 1000), "latency": _latency(latencies)}


def _latency(latencies: Latencies) -> dict[str, float]:
    return {
        "mean": round(latencies.total / latencies.count if latencies.count else 0.0, 6),
        **{f"p{round(part * 100)}": round(latencies.percentile(part), 6) for part in PERCENTILES},
        "max": round(latencies.highest, 6),
    }


def _objective(state: ObjectiveState) -> dict[str, Any]:
    objective = state.objective
    return {
        "name": objective.name,
        "target": objective.target,
        "threshold": objective.threshold,
        "budgetLeft": round(state.budget_left, 6),
        "alert": state.alert.value,
        "windows": {
            name: {"total": window.total, "bad": window.bad, "burn": round(window.burn, 4)}
            for name, window in state.windows.items()
        },
    }


def camel(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record whose names are written as in JSON, nested ones included."""
    return {
        name.split("_")[0] + "".join(map(str.title, name.split("_")[1:])): camel(value)
        if isinstance(value, dict)
        else value
        for name, value in record.items()
    }
