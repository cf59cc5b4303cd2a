"""What the live view says about calling programs: from a handler's own statistics, or from a Prometheus page; pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from schemawire.telemetry.series import parsed_key

_BY_URL = ("schemawire_circuitbreaker_state", "schemawire_client_endpoint_pool_waiting")


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointView:
    """One endpoint as its caller sees it."""

    url: str
    state: str
    """Of its breaker; empty where it has none."""
    in_flight: float = 0
    waiting: float = 0
    ejections: float = 0
    healthy: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientView:
    """What callers do."""

    whose: str
    endpoints: tuple[EndpointView, ...] = ()
    calls: float = 0
    attempts: float = 0
    retries: float = 0
    refused: float = 0
    budget: float | None = None


def own_view(client: Mapping[str, Any]) -> ClientView:
    """Return the view of this program's own handler, from its statistics as JSON."""
    calls = client.get("calls") or {}
    budget = client.get("budget") or {}
    endpoints = tuple(_endpoint(each) for each in client.get("endpoints") or () if isinstance(each, Mapping))
    return ClientView(
        whose="this view's own calls",
        endpoints=endpoints,
        calls=calls.get("started", 0),
        attempts=calls.get("attempts", 0),
        retries=max(0, calls.get("attempts", 0) - calls.get("started", 0)),
        refused=calls.get("refused", 0),
        budget=budget.get("balance"),
    )


def _endpoint(found: Mapping[str, Any]) -> EndpointView:
    breaker, pool = found.get("breaker") or {}, found.get("pool") or {}
    return EndpointView(
        url=str(found.get("url", "")),
        state=str(breaker.get("state", "")).lower(),
        in_flight=pool.get("in_flight", pool.get("inFlight", 0)),
        waiting=pool.get("waiting", 0),
    )


def scraped_view(text: str) -> ClientView:
    """Return the view of another program, from its page for Prometheus; what it does not show is 0."""
    series = list(_series(text))

    def total(metric_name: str, /, **labels: str) -> float:
        return sum(
            value for metric, found, value in series
            if metric == metric_name and all(found.get(label) == text for label, text in labels.items())
        )  # fmt: skip

    names = {
        found["name"] for metric, found, _ in series
        if found.get("name") and metric in _BY_URL
    }  # fmt: skip
    urls = sorted(names | {found["endpoint"] for _, found, _ in series if "endpoint" in found})
    states = {
        found["name"]: found["state"] for metric, found, value in series
        if metric == "schemawire_circuitbreaker_state" and value == 1
    }  # fmt: skip
    checks = {
        found["endpoint"]: value == 1 for metric, found, value in series if metric == "schemawire_endpoint_healthy"
    }
    balances = [value for metric, _, value in series if metric == "schemawire_client_budget_balance"]
    return ClientView(
        whose="the program at --client" if series else "nothing at --client",
        endpoints=tuple(
            EndpointView(
                url=url,
                state=states.get(url, "closed" if url in names else ""),
                in_flight=total("schemawire_client_endpoint_pool_in_flight", name=url),
                waiting=total("schemawire_client_endpoint_pool_waiting", name=url),
                ejections=total("schemawire_endpoint_ejections_total", endpoint=url),
                healthy=checks.get(url),
            )
            for url in urls
        ),
        calls=total("schemawire_client_call_duration_seconds_count"),
        attempts=total("http_client_request_duration_seconds_count"),
        retries=total("schemawire_retries_total"),
        refused=total("schemawire_refused_calls_total"),
        budget=min(balances, default=None),
    )


def _series(text: str) -> Iterable[tuple[str, dict[str, str], float]]:
    for line in text.splitlines():
        key, _, value = line.rpartition(" ")
        if not key or line.startswith("#"):
            continue
        try:
            number = float(value)
        except ValueError:
            continue
        name, labels = parsed_key(key)
        yield name, dict(labels), number
