"""What every command shares: the common options, the screen, and the way a coroutine runs; knows no command.

A command is a function whose first parameter is its `Invocation`; `command` adds the common options to its signature,
so that each is declared once and can stand behind any command.
"""

import asyncio
import inspect
import signal
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import wraps
from typing import Annotated, Any, get_type_hints

import typer

from schemawire.cli.exit_codes import ExitCode
from schemawire.cli.failures import failures_shown
from schemawire.cli.screen import Screen

Outcome = ExitCode | None
Command = Callable[..., Outcome | Coroutine[Any, Any, Outcome]]

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]
Url = Annotated[
    str | None, typer.Option("--url", metavar="URL", help="The backend; several with commas. [BACKEND_SERVICE_URL]")
]
Key = Annotated[str | None, typer.Option("--key", metavar="KEY", help="The API key. [BACKEND_API_KEY]")]
Env = Annotated[
    str | None,
    typer.Option("--env", metavar="NAME", help="development, test, staging or production. [BACKEND_ENVIRONMENT]"),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """One run of one command: where it prints and which backend it was pointed at; `None` leaves it to the settings."""

    screen: Screen
    url: str | None = None
    key: str | None = field(default=None, repr=False)
    env: str | None = None

    @property
    def as_json(self) -> bool:
        """Whether a machine reads the result."""
        return self.screen.as_json


def command(app: typer.Typer, name: str, *, backend: bool = False) -> Callable[[Command], Command]:
    """Register a function as the command `name` of `app`.

    Args:
        app: the application or group that the command joins.
        name: what the user types.
        backend: whether the command talks to the backend, and so takes `--url`, `--key` and `--env`.
    """
    common = {"as_json": AsJson} | ({"url": Url, "key": Key, "env": Env} if backend else {})

    def register(function: Command) -> Command:
        app.command(name)(_with_common_options(function, common))
        return function

    return register


def _with_common_options(function: Command, common: dict[str, Any]) -> Callable[..., None]:
    @wraps(function)
    def run(**arguments: Any) -> None:
        given = {option: arguments.pop(option) for option in common}
        call = Invocation(screen=Screen(as_json=given.pop("as_json")), **given)
        with failures_shown(call.screen):
            raise typer.Exit(_finish(function(call, **arguments)) or ExitCode.OK)

    own = list(inspect.signature(function).parameters.values())[1:]
    hints = get_type_hints(function, include_extras=True)
    added = [_option(option, kind) for option, kind in common.items()]
    parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own] + added
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # read by typer
    run.__annotations__ = {parameter.name: hints[parameter.name] for parameter in own} | common
    return run


def _finish(outcome: Outcome | Coroutine[Any, Any, Outcome]) -> Outcome:
    return asyncio.run(_until_told_to_end(outcome)) if isinstance(outcome, Coroutine) else outcome


async def _until_told_to_end(outcome: Coroutine[Any, Any, Outcome]) -> Outcome:
    """Run a command; SIGTERM and a closed terminal cancel it as Ctrl-C does, so that it can clean up."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101  # a coroutine that runs has one
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return await outcome


def _option(name: str, kind: Any) -> inspect.Parameter:
    default = False if name == "as_json" else None
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
