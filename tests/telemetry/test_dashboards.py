"""Dashboards and alerts: they load, ask only for figures that there are, and raise when they should."""

import asyncio
import json
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode

import pytest
from tests.service.caller import BLOG, Caller, new_project
from tests.telemetry.stores import Store, program, prometheus, running

from schemawire.errors import ConnectFailed
from schemawire.events import (
    BreakerChanged,
    CallRefused,
    DiscoveryFailed,
    EndpointEjected,
    EndpointHealthChanged,
    EndpointsChanged,
    FallbackUsed,
    FaultInjected,
    HedgeStarted,
    RetryGivenUp,
    RetryScheduled,
)
from schemawire.telemetry import OPENMETRICS_TYPE, PROMETHEUS_TYPE, MetricsListener
from schemawire.testing import Reply, ScriptedWire
from schemawire.testing.service_process import ServiceProcess
from schemawire.transport import CacheConfig, Client

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "rules.yml"
DASHBOARDS = sorted((DEPLOY / "grafana").glob("*.json"))
_NAME = re.compile(r"\b(?:schemawire[a-z0-9_:]*|http_(?:client|server)_[a-z_]+)\b")


def panels(path: Path) -> list[dict[str, Any]]:
    """Return the panels of a dashboard."""
    found: list[dict[str, Any]] = json.loads(path.read_text("utf-8"))["panels"]
    return found


def expressions() -> list[str]:
    """Return every query of every dashboard, its variables filled in."""
    found = [target["expr"] for path in DASHBOARDS for panel in panels(path) for target in panel["targets"]]
    return [text.replace("$__rate_interval", "1m") for text in found]


def recorded() -> set[str]:
    """Return the names that the recording rules make."""
    return set(re.findall(r"- record: (\S+)", RULES.read_text("utf-8")))


async def used_client(folder: Path) -> MetricsListener:
    """Return the metrics of a client to which everything has happened that a dashboard shows."""
    metrics = MetricsListener()
    wire = ScriptedWire(Reply(status=503), ConnectFailed(), Reply(), Reply(), then=Reply())
    client = Client("http://a.test", wire=wire, listener=metrics, cache=CacheConfig())
    metrics.watch("client", client.statistics)
    await client.request("GET", "/x")
    for event in (
        RetryScheduled(name="r", attempt=2, delay=0.1, reason="x"),
        RetryGivenUp(name="r", attempt=2, reason="x"),
        BreakerChanged(name="b", before="closed", after="open", reason="x"),
        CallRefused(name="b", policy="breaker", reason="x"),
        EndpointEjected(name="b", endpoint="http://a", ejected_for=1.0, reason="x"),
        EndpointHealthChanged(name="b", endpoint="http://a", healthy=False, reason="x"),
        EndpointsChanged(name="d", added=("http://b",), removed=(), total=2),
        DiscoveryFailed(name="d", reason="x", kept=2),
        HedgeStarted(name="h", delay=0.1),
        FallbackUsed(name="f", error=None),
        FaultInjected(name="c", kind="latency"),
    ):
        metrics.on_event(event)
    return metrics


@contextmanager
def shown(metrics: MetricsListener) -> Iterator[int]:
    """Serve a client's metrics as a program would, and give the port."""

    class Showing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wants = "openmetrics" in self.headers.get("Accept", "")
            text = metrics.openmetrics_text() if wants else metrics.prometheus_text()
            self.send_response(200)
            self.send_header("Content-Type", OPENMETRICS_TYPE if wants else PROMETHEUS_TYPE)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Showing) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


async def names_in(store: Store, wanted: set[str]) -> set[str]:
    """Return which of the names a Prometheus has series of; it scrapes every second."""
    found: set[str] = set()
    for _ in range(150):
        found = set(json.loads(await asyncio.to_thread(store.get, "/api/v1/label/__name__/values"))["data"])
        if wanted <= found:
            break
        await asyncio.sleep(0.1)
    return found


async def test_every_figure_that_is_asked_for_exists(tmp_path: Path) -> None:
    """A real Prometheus that scrapes the real service and a client has every metric that a panel or rule names."""
    asked = {name for text in [*expressions(), *_rule_expressions()] for name in _NAME.findall(text)} - recorded()
    assert len(asked) > 40
    store = await asyncio.to_thread(prometheus, tmp_path / "store")
    metrics = await used_client(tmp_path)
    async with ServiceProcess(tmp_path / "service") as service:
        with shown(metrics) as port:
            await asyncio.to_thread(scrape, tmp_path / "store", service, port)
            with running(store):
                async with Caller(service) as call:
                    await call("PUT", new_project(), json=BLOG)
                found = await names_in(store, asked)
                rules = json.loads(await asyncio.to_thread(store.get, "/api/v1/rules"))["data"]["groups"]
    assert not asked - found
    assert {rule["health"] for group in rules for rule in group["rules"]} <= {"ok", "unknown"}


def scrape(folder: Path, service: ServiceProcess, port: int) -> None:
    """Tell a Prometheus that is not started yet what to scrape, with the key and the rules of a real installation."""
    job = {"scrape_interval": "1s", "scrape_timeout": "1s"}
    jobs = [
        {"job_name": "schemawire", "static_configs": [{"targets": [f"127.0.0.1:{service.port}"]}],
         "authorization": {"credentials": service.admin_key}, **job},
        {"job_name": "engine", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}], **job},
    ]  # fmt: skip
    # JSON is YAML.
    (folder / "prometheus.yml").write_text(json.dumps({"scrape_configs": jobs, "rule_files": [str(RULES)]}))


def _rule_expressions() -> list[str]:
    text = RULES.read_text("utf-8")
    return re.findall(r"expr: (?:>-\n)?((?:.+\n)(?: {10}.+\n)*)", text)


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_a_dashboard_can_be_imported(path: Path) -> None:
    """It has an id of its own, asks for its data source, and its panels neither share an id nor lie on one another."""
    board = json.loads(path.read_text("utf-8"))
    assert board["uid"] == f"schemawire-{path.stem}"
    assert board["templating"]["list"][0]["type"] == "datasource"
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


def test_rules_are_valid_and_raise_when_they_should(tmp_path: Path) -> None:
    """Prometheus' own tool accepts the rules, and alerts fire on the series of our test file and on no others."""
    tool = program("promtool")
    cases = tmp_path / "alerts_test.yml"
    cases.write_text((Path(__file__).parent / "alerts_test.yml").read_text("utf-8").replace("RULES", str(RULES)))
    for arguments in (["check", "rules", str(RULES)], ["test", "rules", str(cases)]):
        done = subprocess.run([tool, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


async def test_prometheus_understands_every_query(tmp_path: Path) -> None:
    """Each query of each dashboard is valid PromQL to a real Prometheus."""
    store = await asyncio.to_thread(prometheus, tmp_path / "store")
    with running(store):
        for text in expressions():
            try:
                store.get(f"/api/v1/query?{urlencode({'query': text})}")
            except HTTPError as error:
                pytest.fail(f"{text}: {error.read().decode()}")
