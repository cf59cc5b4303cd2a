"""Errors on the screen and in the exit code."""

import asyncio
import json
from collections.abc import Callable

import pytest
import typer

from schemawire import errors
from schemawire.cli.exit_codes import ExitCode, exit_code_of
from schemawire.cli.failures import failures_shown
from schemawire.cli.screen import Screen
from schemawire.errors import (
    CircuitOpen,
    ConfigurationInvalid,
    ConnectFailed,
    Invalid,
    NotFound,
    SchemaInvalid,
    SchemawireError,
)
from schemawire.protocol.problems import Problem, ProblemIssue


def every_error() -> list[type[SchemawireError]]:
    """Every public error class but the root."""
    found = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, SchemawireError)]
    return [kind for kind in found if kind is not SchemawireError]


def run(error: BaseException, *, as_json: bool = False) -> int:
    """Return the exit code that a command which raises `error` ends with."""
    with pytest.raises(typer.Exit) as exit_, failures_shown(Screen(as_json=as_json)):
        raise error
    return int(exit_.value.exit_code)


@pytest.mark.parametrize("kind", every_error())
def test_every_error_has_an_exit_code_of_its_branch(kind: type[SchemawireError]) -> None:
    """No error of ours ends as an internal one."""
    assert exit_code_of(kind()) in {ExitCode.REJECTED, ExitCode.UNREACHABLE, ExitCode.CONFIGURATION}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NotFound(), 3),
        (SchemaInvalid(), 3),
        (ConnectFailed(), 4),
        (CircuitOpen(), 4),
        (ConfigurationInvalid(), 5),
        (KeyError("x"), 70),
        (KeyboardInterrupt(), 130),
        (asyncio.CancelledError(), 143),
        (ExceptionGroup("both", [ConnectFailed(), KeyError("x")]), 4),
    ],
)
def test_the_branch_of_the_error_tree_decides_the_exit_code(error: BaseException, code: int) -> None:
    """Rejected 3, failed or refused 4, configuration 5, our own fault 70."""
    assert run(error) == code


def test_an_error_is_one_panel_with_code_cause_and_fix(capsys: pytest.CaptureFixture[str]) -> None:
    """The panel goes to standard error and holds no traceback."""
    run(NotFound("There is no project 'x'.", fix="Make it first."))
    out, err = capsys.readouterr()
    assert out == ""
    assert all(part in err for part in ("not_found", "There is no project 'x'.", "Make it first."))
    assert "Traceback" not in err


def test_the_backends_issues_stand_in_the_panel(capsys: pytest.CaptureFixture[str]) -> None:
    """Where the backend named places, they are shown; a long list is cut and counted."""
    issues = tuple(ProblemIssue(code="c", pointer=f"/entities/{at}", message="wrong") for at in range(12))
    problem = Problem(title="Invalid", status=422, code="schema_invalid", detail="12 issues", errors=issues)
    run(Invalid("12 issues", problem=problem))
    err = capsys.readouterr().err
    assert "/entities/9: wrong" in err
    assert "/entities/10" not in err
    assert "and 2 more" in err


def test_a_hostile_message_cannot_write_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Control characters are shown, markup is text."""
    run(Invalid("\x1b[2J[bold]x[/bold]\u202e"))
    err = capsys.readouterr().err
    assert "\x1b" not in err
    assert "\u202e" not in err
    assert "[bold]x[/bold]" in err


def test_with_json_an_error_is_a_document_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    """A machine finds code, message, fix and whether to try again."""
    run(CircuitOpen(retry_after=1.5), as_json=True)
    error = json.loads(capsys.readouterr().out)["error"]
    assert error["code"] == "circuit_open"
    assert error["retryable"] is True
    assert error["retryAfter"] == 1.5


def test_a_missing_server_package_says_what_to_install(capsys: pytest.CaptureFixture[str]) -> None:
    """The message is the command to run, not an import error."""
    assert run(ModuleNotFoundError("No module named 'fastapi'", name="fastapi.routing")) == ExitCode.CONFIGURATION
    assert 'pip install "schemawire[server]"' in capsys.readouterr().err


@pytest.mark.parametrize("ending", [lambda: typer.Exit(0), lambda: BrokenPipeError()])
def test_ordinary_endings_pass_through(ending: Callable[[], BaseException], capsys: pytest.CaptureFixture[str]) -> None:
    """A command's own exit and a reader that went away are not failures to show."""
    error = ending()
    with pytest.raises(type(error)), failures_shown(Screen()):
        raise error
    assert capsys.readouterr().err == ""
