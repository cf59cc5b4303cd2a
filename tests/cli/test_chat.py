"""`chat` from a pipe and in a real terminal, and the options of `analyze`, as processes of their own."""

import json
import os
import pty
import select
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from tests.cli.command_line import CommandLine

from schemawire.cli.exit_codes import ExitCode

BLOG = "A post has a title and a body. A comment has a body. Each comment belongs to one post."


@pytest.fixture
def project(online: CommandLine) -> str:
    """A stored blog."""
    name = f"chat-{uuid.uuid4().hex[:8]}"
    done = online("analyze", BLOG, "--project", name, "--send")
    assert done.returncode == 0, done.stderr
    return name


def test_a_pipe_is_a_conversation(online: CommandLine, project: str) -> None:
    """One sentence per line; the second answers what the first asked, and yes stores it."""
    done = online(
        "chat", project, stdin="make body optional\n2\nyes\nwhy is there a Comment?\nquit\nmake title unique\n"
    )
    assert done.returncode == 0, done.stderr
    assert "Which body do you mean?" in done.stdout
    assert "2  Comment.body" in done.stdout
    assert f"stored as {project} version 2" in done.stdout
    assert "“A comment has a body.”" in done.stdout
    assert "unique" not in done.stdout


def test_json_is_one_line_per_reply(online: CommandLine, project: str) -> None:
    """Machines get every reply as one JSON line, with its operations."""
    done = online("chat", project, "--json", "--apply", stdin="add a rating from 1 to 5 to posts\nundo that\n")
    first, second = map(json.loads, done.stdout.splitlines())
    assert (first["applied"], first["version"], first["operations"][0]["operation"]) == (True, 2, "create_field")
    assert (second["kind"], second["version"]) == ("undo", 3)


def test_a_session_is_gone_on_with(online: CommandLine, project: str) -> None:
    """What one run proposed another one of the same session applies."""
    online("chat", project, "--session", "s-7", stdin="make title unique\n")
    done = online("chat", project, "--session", "s-7", "--json", stdin="yes\n")
    assert json.loads(done.stdout)["applied"]


def test_a_conversation_is_shown_again(online: CommandLine, project: str) -> None:
    """What was said, what came of it and which version it made; with --json one line per turn."""
    online("chat", project, "--session", "s-8", stdin="make title unique\nyes\n")
    shown = online("chat", project, "--session", "s-8", "--history").stdout
    assert shown.index("make title unique") < shown.index("yes") < shown.index("stored as version 2")
    rows = [
        json.loads(line)
        for line in online("chat", project, "--session", "s-8", "--history", "--json").stdout.splitlines()
    ]
    assert [(row["number"], row["said"], row["version"]) for row in rows] == [
        (1, "make title unique", None),
        (2, "yes", 2),
    ]
    assert online("chat", project, "--history").returncode == ExitCode.USAGE
    assert online("chat", project, "--session", "nobody", "--history").returncode == ExitCode.REJECTED


def test_a_refusal_ends_a_script(online: CommandLine, project: str) -> None:
    """What the backend refuses ends a piped conversation with its exit code; nothing after it is said."""
    done = online("chat", project, stdin="undo\nmake title unique\n")
    assert done.returncode == ExitCode.REJECTED
    assert "made in this" in done.stderr
    assert "unique" not in done.stdout


def test_no_backend_is_unreachable(cli: CommandLine) -> None:
    """Without a backend there is no conversation."""
    assert cli("chat", "blog", stdin="make title unique\n").returncode == ExitCode.UNREACHABLE


@contextmanager
def terminal(command: CommandLine, *arguments: str) -> Iterator[tuple[int, "subprocess.Popen[bytes]"]]:
    """Run a command in a terminal of its own."""
    outer, inner = pty.openpty()
    environment = {**command.environment, "TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen(
        command.words(*arguments), stdin=inner, stdout=inner, stderr=inner, env=environment, cwd=command.folder,
        start_new_session=True,
    )  # fmt: skip
    os.close(inner)
    try:
        yield outer, process
    finally:
        process.kill()
        process.wait()
        os.close(outer)


def read_until(outer: int, wanted: str) -> str:
    """Everything the terminal shows up to some words."""
    seen, end = "", time.monotonic() + 15
    while wanted not in seen:
        ready, _, _ = select.select([outer], [], [], max(0.0, end - time.monotonic()))
        assert ready, f"{wanted!r} did not appear:\n{seen}"
        seen += os.read(outer, 4096).decode(errors="replace")
    return seen


def test_a_person_sees_the_schema_the_diff_and_a_prompt(online: CommandLine, project: str) -> None:
    """In a terminal the schema is drawn first, changes are coloured, a refusal does not end it, and Ctrl-D does."""
    with terminal(online, "chat", project) as (outer, process):
        assert "Comment" in read_until(outer, f"{project} v1> ")
        os.write(outer, b"undo\n")
        read_until(outer, "made in this")
        read_until(outer, f"{project} v1> ")
        os.write(outer, b"add a rating from 1 to 5 to posts\n")
        shown = read_until(outer, "nothing stored yet")
        assert "\x1b[" in shown
        assert "+ " in shown
        os.write(outer, b"yes\n")
        read_until(outer, f"{project} v2> ")
        os.write(outer, b"\x04")
        assert process.wait(timeout=10) == 0


def test_analyze_adds_what_the_options_say(cli: CommandLine) -> None:
    """Case, keys, timestamps and enums follow their options."""
    text = "A post has a working title and a status (draft or published)."
    done = cli("analyze", text, "--json", "--field-case", "camel", "--no-keys", "--no-timestamps", "--no-enums")
    document = json.loads(done.stdout)
    assert [field["name"] for field in document["entities"][0]["fields"]] == ["workingTitle", "status"]
    assert document["enums"] == []
    assert cli("analyze", text, "--field-case", "kebab").returncode == ExitCode.USAGE
    assert cli("analyze", text, "--tier", "magic").returncode == ExitCode.USAGE


def test_analyze_explains(cli: CommandLine) -> None:
    """Each element with its tier, rule and sentence; with --json beside the schema."""
    text = "Users write posts. A post has a title."
    shown = cli("analyze", text, "--explain", "--tier", "patterns").stdout
    assert "Users write posts." in shown
    assert "patterns" in shown
    told = json.loads(cli("analyze", text, "--explain", "--json").stdout)
    assert {row["path"]: row["sentence"] for row in told["explanations"]}["Post.title"] == "A post has a title."


def test_a_model_that_is_not_set_is_a_configuration_fault(cli: CommandLine) -> None:
    """Asking for a model without naming one says which settings are missing."""
    done = cli("analyze", "A post has a title.", settings={"SCHEMAWIRE_LLM_PROVIDER": "openai"})
    assert done.returncode == ExitCode.CONFIGURATION
    assert "SCHEMAWIRE_LLM_MODEL" in done.stderr
