"""Dashboards and alerts: they load, ask only for figures that there are, and raise when they should."""

import asyncio
import json
import re
import subprocess
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse_text
from tests.service.caller import Caller
from tests.telemetry.stores import program, prometheus, running

from schemawire.errors import ConnectFailed
from schemawire.events import BreakerChanged, CallRefused, EndpointEjected, RetryGivenUp, RetryScheduled
from schemawire.telemetry import MetricsListener
from schemawire.testing import Reply, ScriptedWire
from schemawire.testing.service_process import ServiceProcess
from schemawire.transport import Client

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "rules.yml"
DASHBOARDS = sorted((DEPLOY / "grafana").glob("*.json"))
_NAME = re.compile(r"\b(?:schemawire[a-z0-9_:]*|http_client_[a-z_]+)\b")


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


async def client_names() -> set[str]:
    """Return every name that the client's metrics can have in a query."""
    metrics = MetricsListener()
    wire = ScriptedWire(Reply(status=503), ConnectFailed(), Reply(), Reply())
    client = Client("http://a.test", wire=wire, listener=metrics)
    metrics.watch("client", client.statistics)
    await client.request("GET", "/x")
    for event in (
        RetryScheduled(name="r", attempt=2, delay=0.1, reason="x"),
        RetryGivenUp(name="r", attempt=2, reason="x"),
        BreakerChanged(name="b", before="closed", after="open", reason="x"),
        CallRefused(name="b", policy="breaker", reason="x"),
        EndpointEjected(name="b", endpoint="http://a", ejected_for=1.0, reason="x"),
    ):
        metrics.on_event(event)
    return {sample.name for sample in metrics.samples()}


async def service_names(service: ServiceProcess) -> set[str]:
    """Return every name that a running service shows."""
    async with Caller(service) as call:
        await call("GET", "/health")
        text = (await call("GET", "/metrics")).body.decode()
    return {sample.name for family in parse_text(text) for sample in family.samples}


async def test_every_figure_that_is_asked_for_exists(tmp_path: Path) -> None:
    """No query of a dashboard or rule names a metric that neither client nor service has."""
    async with ServiceProcess(tmp_path) as service:
        shown = await client_names() | await service_names(service)
    asked = {name for text in [*expressions(), *_rule_expressions()] for name in _NAME.findall(text)}
    assert asked
    assert not asked - shown - recorded()


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
