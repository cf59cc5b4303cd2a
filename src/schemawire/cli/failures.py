"""Errors turned into one panel (code, cause, fix) and an exit code; knows no command."""

import traceback
from asyncio import CancelledError
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from rich.console import Group
from rich.panel import Panel
from rich.text import Text

from schemawire.cli.exit_codes import exit_code_of
from schemawire.cli.extras import SERVER_PACKAGES, server_missing
from schemawire.cli.screen import Screen
from schemawire.cli.visible import visible
from schemawire.errors import SchemawireError

MAX_ISSUES_SHOWN = 10


@contextmanager
def failures_shown(screen: Screen) -> Iterator[None]:
    """End the process with the right code, and say why in one panel, whatever the block raises."""
    try:
        yield
    except typer.Exit:
        raise
    except (typer.BadParameter, BrokenPipeError):
        raise  # typer answers these itself: usage line, quiet end
    except (KeyboardInterrupt, CancelledError) as ending:
        screen.note("interrupted" if isinstance(ending, KeyboardInterrupt) else "terminated")
        raise typer.Exit(exit_code_of(ending)) from None
    except Exception as error:
        known = _known(error)
        show_failure(screen, known)
        raise typer.Exit(exit_code_of(known)) from error


def show_failure(screen: Screen, error: Exception) -> None:
    """Print an error: a JSON document where a machine reads, else a panel on standard error."""
    if screen.as_json:
        screen.json_line({"error": failure_document(error)})
        return
    parts = [Text(visible(_cause(error), lines=True))]
    parts += [Text(f"· {visible(line)}") for line in _issue_lines(error)]
    parts.append(Text.assemble(("fix  ", "bold green"), visible(_fix(error), lines=True)))
    screen.notes.print(Panel(Group(*parts), title=Text(_code(error)), title_align="left", border_style="red"))


def failure_document(error: Exception) -> dict[str, Any]:
    """Return an error as the JSON that `--json` prints."""
    document: dict[str, Any] = {"code": _code(error), "message": _cause(error), "fix": _fix(error)}
    document["retryable"] = isinstance(error, SchemawireError) and error.retryable
    if isinstance(error, SchemawireError) and error.retry_after is not None:
        document["retryAfter"] = error.retry_after
    issues = [{"pointer": pointer, "message": message} for pointer, message in _issues(error)]
    return document | ({"issues": issues} if issues else {})


def _known(error: Exception) -> Exception:
    """Translate a missing server package into what to install, and take the first of a group; the rest stays."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    missing = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    return server_missing(missing) if missing in SERVER_PACKAGES else error


def _code(error: Exception) -> str:
    return error.code if isinstance(error, SchemawireError) else "internal_error"


def _cause(error: Exception) -> str:
    if isinstance(error, SchemawireError):
        return error.message
    frames = traceback.extract_tb(error.__traceback__)
    where = f" (in {Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{where}"


def _fix(error: Exception) -> str:
    if isinstance(error, SchemawireError):
        return error.fix
    return "This is a fault of schemawire: please report it with the command that led to it."


def _issues(error: Exception) -> list[tuple[str, str]]:
    """The places that an error names, from our own rules or from the backend's problem document."""
    found = getattr(error, "issues", None) or getattr(getattr(error, "problem", None), "errors", None) or ()
    return [(str(getattr(issue, "pointer", "")), str(getattr(issue, "message", issue))) for issue in found]


def _issue_lines(error: Exception) -> list[str]:
    issues = _issues(error)
    if len(issues) == 1 and issues[0][1] in _cause(error):
        return []  # the cause says it already
    lines = [f"{pointer}: {message}" if pointer else message for pointer, message in issues[:MAX_ISSUES_SHOWN]]
    more = len(issues) - len(lines)
    return [*lines, f"and {more} more"] if more > 0 else lines
