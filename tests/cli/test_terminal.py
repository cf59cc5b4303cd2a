"""What a person at a terminal sees: bars, colour, and a quick end on Ctrl-C."""

import os
import pty
import select
import subprocess
import time

import pytest
from tests.cli.command_line import CommandLine

CASES = '[{"id": "a", "text": "A shop has products."}, {"id": "b", "text": "A zoo has animals."}]'


def on_a_terminal(cli: CommandLine, *arguments: str, settings: dict[str, str] | None = None) -> tuple[int, str]:
    """Run a command whose input and outputs are a terminal; return its exit code and what the terminal saw."""
    leader, follower = pty.openpty()
    environment = {**cli.environment, "TERM": "xterm-256color", "COLUMNS": "100", **(settings or {})}
    process = subprocess.Popen(
        cli.words(*arguments), stdin=follower, stdout=follower, stderr=follower, cwd=cli.folder, env=environment
    )
    os.close(follower)
    try:
        return _collect(process, leader)
    finally:
        process.kill()
        process.wait()
        os.close(leader)


def _collect(process: subprocess.Popen[bytes], leader: int) -> tuple[int, str]:
    seen, end = b"", time.monotonic() + 18
    while time.monotonic() < end:
        ready, _, _ = select.select([leader], [], [], 0.2)
        if ready:
            try:
                chunk = os.read(leader, 65536)
            except OSError:  # the other side has closed: this is how Linux says so
                chunk = b""
            if not chunk:
                break
            seen += chunk
    return process.wait(5), seen.decode(errors="replace")


def test_long_work_shows_a_bar_on_a_terminal(cli: CommandLine) -> None:
    """A bar with a count appears, and the cursor is given back."""
    (cli.folder / "cases.json").write_text(CASES, "utf-8")
    code, seen = on_a_terminal(cli, "analyze", "--cases", "cases.json", "--out", "out.json")
    assert code == 0, seen
    assert "analysing" in seen
    assert "━" in seen
    assert seen.count("\x1b[?25l") == seen.count("\x1b[?25h")


def test_no_bar_where_nobody_watches(cli: CommandLine) -> None:
    """Neither bar nor colour in a pipe."""
    (cli.folder / "cases.json").write_text(CASES, "utf-8")
    done = cli("analyze", "--cases", "cases.json", "--out", "out.json")
    assert "━" not in done.stdout + done.stderr
    assert "\x1b" not in done.stdout + done.stderr


@pytest.mark.parametrize(("settings", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_colour_is_for_terminals_that_want_it(settings: dict[str, str], coloured: bool, cli: CommandLine) -> None:
    """A tree is coloured on a terminal, and not with NO_COLOR."""
    code, seen = on_a_terminal(cli, "analyze", "A shop has products. Each product has a name.", settings=settings)
    assert code == 0, seen
    assert ("\x1b[1;36m" in seen or "\x1b[32m" in seen) is coloured
