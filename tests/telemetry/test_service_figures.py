"""The real service's figures over time: restarts, stores that are away, bad questions, and what is good enough."""

import asyncio
import json
import os
import sqlite3
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from tests.service.caller import BLOG, Caller, new_project
from tests.telemetry.stores import influx, influx_says, prometheus, running, victoria_metrics

from schemawire.errors import ConfigurationInvalid
from schemawire.service.figures import FigureOptions, Figures
from schemawire.service.recorder import Recorder
from schemawire.telemetry.metric_store import MetricStoreConfig
from schemawire.testing.service_process import ServiceProcess

if TYPE_CHECKING:
    from tests.servers.postgres import Databases

QUICK = {"SCHEMAWIRE_METRICS_INTERVAL": "0.1"}


async def figures(service: ServiceProcess, query: str = "window=600&step=60") -> dict[str, Any]:
    """Return the JSON figures of a running service."""
    async with Caller(service) as call:
        reply = await call("GET", f"metrics?{query}")
    assert reply.status == 200, reply.body
    found: dict[str, Any] = reply.json()
    return found


def requests_in(history: dict[str, Any], name: str = "requests") -> int:
    """Return how many requests a line over time adds up to."""
    step: int = history["step"]
    total: float = sum(rate * step for _, rate in history["lines"][name])
    return round(total)


async def settled(service: ServiceProcess, at_least: float, name: str = "requests") -> dict[str, Any]:
    """Return the history once it holds so many requests; readings come by a timer."""
    history: dict[str, Any] = {}
    for _ in range(100):
        history = (await figures(service))["history"]
        if "problem" not in history and requests_in(history, name) >= at_least:
            break
        await asyncio.sleep(0.1)
    return history


async def test_history_outlives_every_kind_of_end(tmp_path: Path) -> None:
    """After a clean stop and after `kill -9` the history holds what was counted before, and nothing twice."""
    service = ServiceProcess(tmp_path, environment=QUICK)
    async with service:
        async with Caller(service) as call:
            for _ in range(20):
                await call("GET", "missing")
        await settled(service, 20, "clientErrors")
        assert await asyncio.to_thread(service.stop) == 0
        await asyncio.to_thread(service.restart)
        async with Caller(service) as call:
            for _ in range(7):
                await call("GET", "missing")
        assert requests_in(await settled(service, 27, "clientErrors"), "clientErrors") == 27
        await asyncio.sleep(1.2)  # written once a second: a kill may cost what came since
        await asyncio.to_thread(service.restart)
        found = await figures(service)
    history = found["history"]
    assert requests_in(history, "clientErrors") == 27
    assert (history["store"], history["window"], history["step"]) == ("sqlite", 600, 60)
    assert all(0 < value < 5 for _, value in history["lines"]["latencyP99"])
    assert found["objectives"][0]["windows"]["1h"]["total"] >= 27  # what earlier processes counted is not forgotten


@pytest.mark.parametrize("kind", [pytest.param("VictoriaMetrics", marks=pytest.mark.soak), "Prometheus", "InfluxDB"])
async def test_history_comes_from_an_outside_store(tmp_path: Path, kind: str) -> None:
    """What was counted while the store was away arrives when it is back, once, over a restart of the service too."""
    make = {"VictoriaMetrics": victoria_metrics, "Prometheus": prometheus, "InfluxDB": influx}[kind]
    store = await asyncio.to_thread(make, tmp_path / "store")
    address = {"InfluxDB": f"influx+{store.url}/figures", "Prometheus": f"prometheus+{store.url}"}
    url = address.get(kind, f"victoriametrics+{store.url}")
    service = ServiceProcess(tmp_path / "service", environment={**QUICK, "SCHEMAWIRE_METRICS_STORE": url})
    with running(store):
        if kind == "InfluxDB":
            influx_says(store, 'CREATE DATABASE "figures"')
    async with service:  # the store is away
        async with Caller(service) as call:
            for _ in range(10):
                await call("GET", "missing")
        assert "problem" in (await figures(service))["history"]
        assert await asyncio.to_thread(service.stop) == 0
    with running(store):
        async with service:
            async with Caller(service) as call:
                for _ in range(5):
                    await call("GET", "missing")
            history = await settled(service, 15, "clientErrors")
            assert requests_in(history, "clientErrors") == 15
            assert history["store"] == kind.lower().removesuffix("db")


async def test_a_worker_beside_a_service_keeps_its_own_figures(tmp_path: Path, postgres_databases: "Databases") -> None:
    """Processes that share a database and a port have files of their own, and so lose and mix nothing."""
    with postgres_databases.fresh() as database:
        environment = {
            **QUICK,
            "SCHEMAWIRE_DATABASE_URL": database,
            "SCHEMAWIRE_METRICS_STORE": "auto",
            "XDG_DATA_HOME": str(tmp_path),
        }
        async with ServiceProcess(tmp_path / "s", environment=environment) as service:
            variables = {**os.environ, **environment, "SCHEMAWIRE_PORT": str(service.port)}
            ready = tmp_path / "ready"
            worker = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "schemawire", "worker", "--ready-file", str(ready), env=variables,
                stderr=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
            while not await asyncio.to_thread(ready.exists):
                assert worker.returncode is None
                await asyncio.sleep(0.05)
            worker.terminate()
            assert await worker.wait() == 0
            assert "problem" not in (await figures(service))["history"]
            names = [f"schemawire-{service.port}{suffix}.metrics.db" for suffix in ("", "-1")]
    assert all((tmp_path / "schemawire" / name).exists() for name in names)


async def test_a_store_that_cannot_be_used_stops_nothing(tmp_path: Path) -> None:
    """A file that belongs to somebody else is named in the log and in the answer; the service serves."""
    with sqlite3.connect(tmp_path / "diary.db") as link:
        link.execute("CREATE TABLE diary (day TEXT)")
    link.close()
    environment = {"SCHEMAWIRE_METRICS_STORE": f"sqlite:///{tmp_path}/diary.db"}
    async with ServiceProcess(tmp_path / "s", environment=environment) as service:
        found = await figures(service)
        assert "another program" in found["history"]["problem"]
        async with Caller(service) as call:
            assert (await call("PUT", new_project(), json=BLOG)).status == 201
        log = await asyncio.to_thread(service.log_path.read_text)
    assert [line for line in log.splitlines() if json.loads(line)["event"] == "figures are not kept"]


async def test_a_malformed_store_is_refused_at_the_start(tmp_path: Path) -> None:
    """A setting that names no store ends the start with what there is to choose from, and no password in it."""
    environment = {"SCHEMAWIRE_METRICS_STORE": "graphite+http://user:hunter2@host"}
    with pytest.raises(RuntimeError, match="no metrics store") as caught:
        await ServiceProcess(tmp_path, environment=environment).__aenter__()
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("query", "fits"),
    [("window=0", True), ("window=60", True), ("window=86400&step=10", True), ("window=86400&step=1", False),
     ("window=-1", False), ("window=x", False), ("step=0", False), ("window=60&window=60", False),
     ("nonsense=1", False), ("metric=schemawire_store_writes_total", True), ("metric=up%7Bx%3D%221%22%7D", False),
     ("metric=", True),
     ("window=99999999999999", False)],
)  # fmt: skip
async def test_questions_are_checked(own_figures: ServiceProcess, query: str, fits: bool) -> None:
    """A window, step or metric that makes no sense is refused with what to do; every other is answered."""
    async with Caller(own_figures) as call:
        reply = await call("GET", f"metrics?{query}")
    if fits:
        assert reply.status == 200, reply.body
        assert ("history" in reply.json()) == (query != "window=0")
    else:
        assert (reply.status, reply.json()["code"]) == (400, "invalid_request")
        assert reply.json()["fix"]


@pytest.fixture(scope="module")
def own_figures(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One service for all tests that only ask."""
    with ServiceProcess(tmp_path_factory.mktemp("figures"), environment=QUICK) as service:
        yield service


async def test_one_metric_comes_by_its_labels(own_figures: ServiceProcess) -> None:
    """Every series of a metric that was recorded can be asked for by name."""
    async with Caller(own_figures) as call:
        await call("PUT", new_project(), json=BLOG)
    found: dict[str, Any] = {}
    for _ in range(50):
        query = "window=60&step=1&metric=http_server_request_duration_seconds_count"
        found = (await figures(own_figures, query))["history"]
        if any(each["labels"].get("http_response_status_code") == "201" for each in found["series"]):
            break
        await asyncio.sleep(0.1)
    assert found["kind"] == "growth"
    [created] = [each for each in found["series"] if each["labels"].get("http_response_status_code") == "201"]
    assert created["labels"]["http_route"] == "/api/domain-schema/{projectId}"


async def test_openmetrics_is_spoken_to_those_who_ask(own_figures: ServiceProcess) -> None:
    """By Accept a scraper gets OpenMetrics, which a strict parser reads; others get the older text."""
    async with Caller(own_figures) as call:
        reply = await call("GET", "/metrics", headers={"Accept": "application/openmetrics-text;version=1.0.0"})
        plain = await call("GET", "/metrics")
    families = parse_openmetrics(reply.body.decode())  # type: ignore[no-untyped-call]  # it has no types
    names = {family.name for family in families}
    assert {"http_server_request_duration_seconds", "schemawire_slo_burn_rate", "schemawire_healthy"} <= names
    assert reply.headers["Content-Type"].startswith("application/openmetrics-text")
    assert plain.headers["Content-Type"].startswith("text/plain")


async def test_hostile_requests_make_no_series(own_figures: ServiceProcess) -> None:
    """Methods, paths, queries, project ids and headers of any text leave the number of series as it is."""

    async def series() -> set[str]:
        async with Caller(own_figures) as call:
            text = (await call("GET", "/metrics")).body.decode()
        return {line.rpartition(" ")[0] for line in text.splitlines() if line and line[0] != "#"}

    async def attack() -> None:
        async with Caller(own_figures) as call:
            for number in range(20):
                await call("GET", f"/no{number}/%22%7D%20evil%201%0A")
                await call("GET", f"project{number}", headers={"X-Client": f'evil"}} {number}'})
                await call(f"EVIL{number}", "/health")

    await series()  # the scrape is a request too
    await attack()
    before = await series()
    await attack()
    assert await series() == before
    assert not [line for line in before if "evil" in line.lower()]


def test_objectives_count_what_they_are_about() -> None:
    """Checks and scrapes are not judged, failures are not timed, and what lasts by design is not slow."""
    recorder = Recorder()
    kept = Figures(recorder, FigureOptions(slow=0.5), clock=lambda: 1_800_000_000.0)
    for route, status, duration in (
        ("GET /health/ready", 503, 9.0),
        ("GET /metrics", 200, 9.0),
        ("unmatched", 404, 9.0),
        ("GET /api/domain-schema/{projectId}", 200, 0.1),
        ("GET /api/domain-schema/{projectId}", 500, 9.0),
        ("GET /api/domain-schema/{projectId}/stream", 200, 9.0),
        ("PUT /api/domain-schema/{projectId}", 200, 0.6),
    ):
        recorder.record(route, status, duration)
    availability, latency = kept.objectives()
    assert (availability.windows["5m"].total, availability.windows["5m"].bad) == (4, 1)
    assert (latency.windows["5m"].total, latency.windows["5m"].bad) == (2, 1)
    assert kept.objectives()[0].windows["5m"].total == 4  # asked again, nothing is counted again


def test_exemplars_name_the_latest_trace() -> None:
    """A bucket of the request times carries the trace that was recorded in it last."""
    recorder = Recorder(trace_id=lambda: "ab" * 16)
    recorder.record("GET /x", 200, 0.03)
    text = "\n".join(
        str(sample.exemplar)
        for family in Figures(recorder).families()
        for sample in family.samples()
        if sample.exemplar
    )
    assert "ab" * 16 in text


@pytest.mark.parametrize("url", ["", "nonsense", "prometheus+http://"])
def test_options_are_checked(url: str) -> None:
    """A store that there is not is refused when the figures are made."""
    with pytest.raises(ConfigurationInvalid):
        Figures(Recorder(), FigureOptions(store_url=url, keeping=MetricStoreConfig()))
