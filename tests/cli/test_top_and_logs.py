"""The live view and the log printer: real figures, real lines, a real terminal, and whatever else comes in."""

import asyncio
import json
import os
import pty
import re
import select
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from tests.cli.command_line import CommandLine

from schemawire.cli.log_lines import LogFilter, parsed, rendered
from schemawire.cli.looking import changed
from schemawire.cli.top_client import own_view, scraped_view
from schemawire.cli.top_picture import Frame, picture, spark
from schemawire.events import BreakerChanged, EndpointHealthChanged
from schemawire.handler import DomainSchemaHandler
from schemawire.telemetry import MetricsListener
from schemawire.testing import Reply, ScriptedWire
from schemawire.testing.service_process import ServiceProcess
from schemawire.transport import Client

LINE = {
    "event": "request",
    "level": "info",
    "timestamp": "2026-11-23T02:34:18.560Z",
    "requestId": "ab12",
    "status": 200,
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A service that keeps its figures ten times a second, and has been used."""
    environment = {"SCHEMAWIRE_METRICS_INTERVAL": "0.1"}
    with ServiceProcess(tmp_path_factory.mktemp("top"), environment=environment) as process:
        asyncio.run(use(process))
        time.sleep(1.5)
        yield process


async def use(service: ServiceProcess) -> None:
    """Store a schema and ask for one that is not there."""
    async with DomainSchemaHandler(service.base_url, service.admin_key) as handler:
        await handler.analyze_and_send_domain("A library has books.", "library")


@pytest.fixture
def run(service: ServiceProcess, tmp_path: Path) -> CommandLine:
    """The command line, pointed at the service."""
    return CommandLine(
        tmp_path, {"BACKEND_SERVICE_URL": service.base_url, "BACKEND_API_KEY": service.admin_key, "COLUMNS": "160"}
    )


def shown(frame: Frame, width: int = 120) -> str:
    """Return a picture as plain text."""
    console = Console(width=width, color_system=None, file=open(os.devnull, "w"), record=True)  # noqa: SIM115  # closed with the test
    console.print(picture(frame))
    console.file.close()
    return console.export_text()


def test_one_look_shows_the_service(run: CommandLine) -> None:
    """Without a terminal one picture is printed: routes, percentiles, objectives, operations and breakers."""
    done = run("top")
    assert done.returncode == 0, done.stderr
    for words in ("POST /api/domain-schema/batch", "availability", "latency < 500 ms", "succeeded", "requests/s", "p99",
                  "budget left", "healthy", "closed"):  # fmt: skip
        assert words in done.stdout, words


def test_a_program_that_does_not_answer_is_named(run: CommandLine) -> None:
    """The view of the service stays; in place of the program stands why it cannot be seen."""
    done = run("top", "--once", "--client", "http://127.0.0.1:9/metrics")
    assert done.returncode == 0, done.stderr
    assert "http://127.0.0.1:9/metrics does not answer: connect_failed" in done.stdout
    assert "availability" in done.stdout


def test_json_is_one_document_per_look(run: CommandLine) -> None:
    """For machines the view is what the service said, history included."""
    done = run("top", "--json", "--once")
    found = json.loads(done.stdout)
    assert found["service"]["totalRequests"] >= 1
    assert found["history"]["lines"]["requests"]


def read_terminal(command: list[str], environment: dict[str, str], until: str) -> str:
    """Run a command in a terminal until it has shown some words twice, press Ctrl-C, and return all it wrote."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe(
            command[0], command, {**environment, "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"}
        )  # ours
    text, end = "", time.monotonic() + 15
    while time.monotonic() < end and text.count(until) < 2:
        if select.select([terminal], [], [], 0.1)[0]:
            text += os.read(terminal, 65536).decode("utf-8", "replace")
    os.kill(pid, signal.SIGINT)
    while select.select([terminal], [], [], 2.0)[0]:
        try:
            text += os.read(terminal, 65536).decode("utf-8", "replace")
        except OSError:
            break
    os.waitpid(pid, 0)
    os.close(terminal)
    return text


def test_the_view_lives_in_a_terminal(run: CommandLine) -> None:
    """It is drawn again at each interval on a screen of its own, which Ctrl-C gives back."""
    text = read_terminal(run.words("top", "--interval", "0.3"), run.environment, "objective")
    assert text.count("objective") >= 2
    assert "\x1b[?1049h" in text
    assert "\x1b[?1049l" in text
    assert "Traceback" not in text


def test_watched_metrics_show_what_changed(run: CommandLine) -> None:
    """`metrics --watch` prints all figures once, and then those that changed, with by how much."""
    text = read_terminal(run.words("metrics", "--watch", "--interval", "0.3", "--window", "0"), run.environment,
                            "change")  # fmt: skip
    plain = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)
    assert "service.totalRequests" in plain
    assert re.search(r"service\.totalRequests\s+\d+\s+\+1", plain)


def test_the_history_of_one_metric_can_be_asked_for(run: CommandLine) -> None:
    """`metrics --metric` hands over every series of it; a name that is none is refused."""
    done = run("metrics", "--json", "--window", "60", "--step", "1", "--metric", "schemawire_store_writes_total")
    assert json.loads(done.stdout)["history"]["kind"] == "growth"
    assert run("metrics", "--metric", "no such thing").returncode == 3


def test_a_restart_makes_no_negative_rate() -> None:
    """Counters that began again count from 0."""
    before = Frame(figures={"store": {"writes": 100}}, at=1.0)
    assert Frame(figures={"store": {"writes": 30}}, before=before, at=3.0).rate("store", "writes") == 15.0
    assert Frame(figures={"store": {}}, before=before, at=3.0).rate("store", "writes") is None


@pytest.mark.parametrize("width", [20, 40, 80, 200])
@pytest.mark.parametrize(
    "figures",
    [{}, {"service": {}, "routes": {"GET /x": {}}}, {"history": {"problem": "away"}},
     {"routes": {"GET /\x1b[2J": {"requests": 1, "failed": 1, "latency": {"p50": 1.0}}},
      "objectives": [{"name": "a\nb", "alert": "page"}], "health": {"unhealthy": ["x\x07"], "changes": [{"at": "t"}]}}],
)  # fmt: skip
def test_any_figures_can_be_drawn(figures: dict[str, Any], width: int) -> None:
    """A service that says less, or something hostile, still makes a picture without control characters."""
    text = shown(Frame(figures=figures, problem="gone\x1b"), width)
    assert "\x1b" not in text
    assert "\x07" not in text


@given(st.lists(st.floats(0, 1e9), max_size=200))
def test_bars_are_one_per_value(values: list[float]) -> None:
    """The latest values show as bars, the highest as the highest."""
    bars = spark(values)
    assert len(bars) == min(48, len(values))
    assert not values or max(values[-48:]) == 0 or "█" in bars


async def test_a_program_shows_its_breakers_by_its_page() -> None:
    """What a client's Prometheus page says is read back: calls, retries, breakers, health and budget."""
    metrics = MetricsListener()
    client = Client("http://a.test", wire=ScriptedWire(Reply(status=503), Reply(), then=Reply()), listener=metrics)
    metrics.watch("client", client.statistics)
    await client.request("GET", "/x")
    metrics.on_event(BreakerChanged(name="http://b.test", before="CLOSED", after="OPEN", reason="x"))
    metrics.on_event(EndpointHealthChanged(name="c", endpoint="http://b.test", healthy=False, reason="x"))
    view = scraped_view(metrics.prometheus_text())
    assert (view.calls, view.attempts, view.retries) == (1, 2, 1)
    assert {each.url: each.state for each in view.endpoints} == {"http://a.test": "closed", "http://b.test": "open"}
    assert {each.url: each.healthy for each in view.endpoints}["http://b.test"] is False
    assert view.budget is not None
    assert scraped_view("<html>").endpoints == ()
    assert own_view({}).endpoints == ()


def test_lines_become_readable(run: CommandLine, service: ServiceProcess) -> None:
    """Lines of the real service show time, level, event and fields; filters leave only what is asked for."""
    log = service.log_path.read_text()
    done = run("logs", stdin=log + "not ours\n")
    assert re.search(r"\d\d:\d\d:\d\d\.\d{3} info     request  requestId=\S+  method=POST", done.stdout)
    assert "not ours" in done.stdout
    wanted = next(json.loads(line)["requestId"] for line in log.splitlines() if "requestId" in line)
    only = run("logs", str(service.log_path), "--request", wanted[:12])
    assert len(only.stdout.splitlines()) == 1
    assert run("logs", "--level", "error", stdin=log).stdout == ""
    machine = run("logs", "--json", "--project", "library", stdin=log)
    assert all(json.loads(line)["projectId"] == "library" for line in machine.stdout.splitlines())


def test_what_is_added_is_followed(run: CommandLine, tmp_path: Path) -> None:
    """With --follow lines appear as they are written, a file that was cut included."""
    path = tmp_path / "log"
    path.write_text(json.dumps({**LINE, "requestId": "first"}) + "\n")
    process = subprocess.Popen(
        run.words("logs", str(path), "--follow"), env=run.environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        assert "first" in process.stdout.readline()
        with path.open("a") as file:
            file.write(json.dumps({**LINE, "requestId": "second"}) + "\n")
        assert "second" in process.stdout.readline()
        path.write_text(json.dumps({**LINE, "requestId": "cut"}) + "\n")
        assert "cut" in process.stdout.readline()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_file_that_is_not_there_is_named(run: CommandLine) -> None:
    """A missing file and an unknown level end with what to do."""
    assert "nowhere.log" in run("logs", "nowhere.log").stderr
    assert "no level" in run("logs", "--level", "loud").stderr


@given(st.text(max_size=60), st.dictionaries(st.text(max_size=8), st.text(max_size=20) | st.integers() | st.none()))
def test_any_line_can_be_printed(line: str, record: dict[str, Any]) -> None:
    """No line raises, and nothing that a line holds reaches the terminal as a control character."""
    parsed(line)
    text = rendered({**LINE, **record}).plain
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", text)


@pytest.mark.parametrize("line", ["", "{", "[]", "{}", '{"event": 1', '{"a":' * 100_000, "\x00", "null", '"event"'])
def test_what_is_no_line_of_ours_is_told_apart(line: str) -> None:
    """Broken, deep and foreign JSON is no record."""
    assert parsed(line) is None


@pytest.mark.parametrize(
    ("options", "wanted"),
    [({}, True), ({"level": "warning"}, False), ({"request": "ab"}, True), ({"request": "b"}, False),
     ({"trace": "ab"}, False), ({"text": "200"}, True), ({"text": "500"}, False), ({"project": "x"}, False)],
)  # fmt: skip
def test_filters_let_through_what_is_asked_for(options: dict[str, str], wanted: bool) -> None:
    """Level, ids by their beginning, project and text each decide."""
    assert LogFilter(**options).wants(LINE) is wanted


def test_changes_leave_out_what_only_passes() -> None:
    """Uptime, history and the view's own calls are no change; new figures are."""
    before = {"service": {"totalRequests": 1, "uptime": 1.0}, "history": {"x": 1}}
    after = {"service": {"totalRequests": 3, "uptime": 2.0, "new": 1}, "history": {"x": 2}}
    assert list(changed(before, after)) == [("service.totalRequests", 3, "+2"), ("service.new", 1, "new")]
