"""The demo from end to end, as a user starts it."""

import json
import re
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest
from tests.cli.command_line import CommandLine

from schemawire.cli.demo.cases import MINIMUM
from schemawire.cli.exit_codes import ExitCode

LIMIT = 60
pytestmark = pytest.mark.timeout(LIMIT + 5)


def children_of(process_id: int) -> list[int]:
    """Return the processes that a process has started and that still run."""
    listed = Path(f"/proc/{process_id}/task/{process_id}/children").read_text()
    return [int(word) for word in listed.split()]


def is_alive(process_id: int) -> bool:
    """Return whether a process runs; one that waits to be collected does not."""
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_the_demo_proves_that_every_schema_is_stored_once(cli: CommandLine) -> None:
    """Faults, a SIGKILL with committed but unacknowledged writes, a breaker that opens and closes; exit code 0."""
    done = cli("demo", timeout=LIMIT)
    assert done.returncode == 0, done.stdout + done.stderr
    shown = done.stdout
    for part in (
        "max_retries=8", "opens after 3 failures in a row",  # the settings in use
        "SIGKILL", "restart", "closed → open", "→ closed",  # what happened
        "faults injected by the proxy", "totalRequests",  # the metrics
        "├──", "same",  # a tree, and the table
        "each once, each with the digest sent",  # the proof
    ):  # fmt: skip
        assert part in shown, shown
    assert len(re.findall(r"^ *\S+ .*[0-9a-f]{8} +same *$", shown, re.MULTILINE)) >= MINIMUM
    assert "\x1b" not in shown


def test_sabotage_makes_the_demo_fail(cli: CommandLine) -> None:
    """A dropped schema is found by the proof: exit code 1, and the report names it."""
    done = cli("demo", "--sabotage", "--json", timeout=LIMIT)
    assert done.returncode == ExitCode.NOT_SO, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["holds"] is False
    missing = [row for row in report["descriptions"] if row["storedDigest"] != row["sentDigest"]]
    assert len(missing) == 1
    assert report["shortcomings"] == [
        f"{missing[0]['projectId']}: not in the store",
        f"{missing[0]['projectId']}: 0 versions in the history, 1 was made",
    ]


def test_keep_leaves_the_database_and_the_log(cli: CommandLine) -> None:
    """What the report says can be looked up in the file that it leaves."""
    done = cli("demo", "--keep", "kept", "--json", "--seed", "3", timeout=LIMIT)
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert sum(report["faults"].values()) > 0
    assert report["retries"] > 0
    assert report["repliesSwallowed"] > 0
    with closing(sqlite3.connect(cli.folder / "kept" / "schemas.db")) as rows:
        stored = dict(rows.execute("SELECT project_id, digest FROM projects"))
    assert stored == {row["projectId"]: row["sentDigest"] for row in report["descriptions"]}
    assert (cli.folder / "kept" / "service.log").stat().st_size > 0
    assert cli("demo", "--keep", "kept").returncode == ExitCode.USAGE


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_no_process_behind(number: signal.Signals, cli: CommandLine) -> None:
    """Ctrl-C and SIGTERM end the service too, and remove the temporary folder."""
    environment = {**cli.environment, "TMPDIR": str(cli.folder)}
    process = subprocess.Popen(
        cli.words("demo"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=cli.folder, env=environment
    )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if b" stored  " in line:
                break
        children = children_of(process.pid)
        assert children
        process.send_signal(number)
        process.stdout.read()
        assert process.wait(15) == 128 + number
    finally:
        process.kill()
        process.stdout.close()
        process.wait()
    end = time.monotonic() + 5
    while any(is_alive(child) for child in children) and time.monotonic() < end:
        time.sleep(0.02)
    assert not [child for child in children if is_alive(child)]
    assert not list(cli.folder.glob("schemawire-demo-*"))
