"""`chat`: a conversation about a project's schema, in a terminal or from a pipe, and what was said before."""

import asyncio
import secrets
import sys
import threading
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from schemawire.cli.app import app
from schemawire.cli.connection import connected
from schemawire.cli.draw import figures_of, schema_tree
from schemawire.cli.failures import show_failure
from schemawire.cli.invocation import Invocation, command
from schemawire.cli.parameters import Project
from schemawire.cli.visible import visible
from schemawire.errors import NotFound, Rejected, SchemaInvalid

if TYPE_CHECKING:
    from schemawire.handler import DomainSchemaHandler, RefineResult
    from schemawire.protocol.messages import TurnRecord

_LEAVING = frozenset({"quit", "exit", "bye", "/quit", "/exit", ":q"})
_HELP = """Say what to change: "add a rating from 1 to 5 to posts", "rename author to writer", "a comment belongs to one
post", "posts can be tagged", "make title required", "split name into first name and last name", "remove comments".
Then "yes" applies it and "no" forgets it; "undo that" takes the last change back; "why is there a Tag?" explains.
/show draws the schema · /help · quit"""
_MARKS = {"added": ("+", "green"), "removed": ("-", "red"), "renamed": ("~", "cyan")}


@command(app, "chat", backend=True)
async def chat(
    call: Invocation,
    project: Project,
    *,
    session: Annotated[
        str | None, typer.Option("--session", metavar="ID", help="Go on with an earlier conversation.")
    ] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Store each change at once, without a yes.")] = False,
    history: Annotated[bool, typer.Option("--history", help="Show what was said in --session, and end.")] = False,
) -> None:
    """Talk about a schema: say what to change, look at it, apply it.

    Reads one sentence per line from a pipe; with --json each reply is a line of JSON.
    """
    if history and (session is None or apply):
        raise typer.BadParameter("--history shows the conversation of --session ID, and goes with no --apply")
    async with connected(call) as handler:
        if history and session is not None:
            await _show_history(call, handler, project, session)
            return
        talk = _Talk(call, handler, project, session or f"chat-{secrets.token_hex(4)}", apply=apply)
        await talk.reach()
        await talk.greet()
        async for line in _lines(call, lambda: talk.prompt):
            if line.strip().lower() in _LEAVING:
                break
            if line.strip():
                await talk.answer(line.strip())


async def _show_history(call: Invocation, handler: "DomainSchemaHandler", project: str, session: str) -> None:
    """Show every turn of a conversation; a page is shown before the next one is asked for."""
    after: int | None = 0
    while after is not None:
        page = await handler.conversation(project, session, after=after)
        for turn in page.turns:
            _show_turn(call, turn)
        after = page.next


def _show_turn(call: Invocation, turn: "TurnRecord") -> None:
    if call.as_json:
        call.screen.json_line(turn.model_dump(mode="json", by_alias=True))
        return
    said = Text.assemble((f"{turn.number}  ", "bold cyan"), (visible(turn.said), "bold"))
    call.screen.show(said.append(f"  {visible(turn.created_by)}, {turn.created_at}", style="dim"))
    for line in turn.explanation.splitlines():
        call.screen.line(f"   {line}")
    if turn.version is not None:
        call.screen.line(f"   stored as version {turn.version}", style="green")


class _Talk:
    """One conversation on one screen."""

    def __init__(
        self, call: Invocation, handler: "DomainSchemaHandler", project: str, session: str, *, apply: bool
    ) -> None:
        self._call, self._handler, self._project, self._session = call, handler, project, session
        self._apply = apply
        self._version = 0

    @property
    def prompt(self) -> str:
        """What stands before the cursor."""
        return f"{self._project} v{self._version}> " if self._version else f"{self._project}> "

    async def reach(self) -> None:
        """Make sure that somebody answers, before anything is said.

        Raises:
            SchemawireError: nobody does.
        """
        health = await self._handler.health_check()
        if health.status == "unreachable" and health.error is not None:
            raise health.error

    async def greet(self) -> None:
        """Tell a person what there is, and how to begin."""
        if not self._call.screen.is_terminal:
            return
        await self._show()
        self._call.screen.note(f'conversation {self._session} · "quit" ends it, /help says what can be said')

    async def _show(self) -> None:
        from schemawire.schema import DomainSchema

        try:
            stored = await self._handler.get_schema(self._project)
        except NotFound:
            self._call.screen.note(f"{self._project} is not there yet; the first change makes it")
            return
        self._version = stored.version
        schema = DomainSchema.model_validate(stored.document)
        self._call.screen.show(schema_tree(schema, caption=f"{self._project} v{stored.version}"))
        self._call.screen.line(figures_of(schema), style="dim")

    async def answer(self, line: str) -> None:
        """Answer one line; a person sees a refusal and goes on, a script ends with it."""
        if line in ("/show", "/help"):
            await self._show() if line == "/show" else self._call.screen.note(_HELP)
            return
        try:
            result = await self._handler.refine(self._project, line, self._session, apply=self._apply)
        except (Rejected, SchemaInvalid) as error:
            if not self._call.screen.is_terminal:
                raise
            show_failure(self._call.screen, error)
            return
        self._version = result.version or self._version
        self._tell(result)

    def _tell(self, result: "RefineResult") -> None:
        if self._call.as_json:
            self._call.screen.json_line(_document(result))
            return
        screen = self._call.screen
        screen.line(result.explanation, style="bold" if result.kind == "change" else "")
        for change in result.changes:
            screen.show(_change_line(change))
        for number, choice in enumerate(result.choices, 1):
            screen.show(Text.assemble((f"  {number}  ", "bold cyan"), visible(choice)))
        if result.applied:
            screen.line(f"stored as {self._project} version {result.version}", style="green")
        elif result.kind == "change":
            screen.note('nothing stored yet: say "yes" to apply it, "no" to forget it')


def _document(result: "RefineResult") -> dict[str, Any]:
    rows = asdict(result)
    names = {"project_id": "projectId", "session_id": "sessionId"}
    return {names.get(name, name): value for name, value in rows.items()}


def _change_line(change: dict[str, Any]) -> Text:
    """Return one difference as a coloured line: what was added, removed, renamed or changed from what to what."""
    code, path = str(change.get("code", "")), str(change.get("path", ""))
    mark, style = _MARKS.get(code.rpartition("_")[2], ("~", "yellow"))
    line = Text(f"  {mark} ", style=f"bold {style}").append(visible(path), style=style)
    what = code.replace("_", " ")
    before, after = change.get("before"), change.get("after")
    if mark in "+-":
        thing = after if mark == "+" else before
        kind = thing.get("type") if isinstance(thing, dict) else None
        return line.append(f"  {what.rpartition(' ')[0]}{' ' + visible(kind) if kind else ''}", style="dim")
    return line.append(
        f"  {what.removesuffix(' changed')}: {visible(_short(before))} → {visible(_short(after))}", "dim"
    )


def _short(value: Any) -> str:
    text = "none" if value is None else ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


async def _lines(call: Invocation, prompt: Any) -> AsyncIterator[str]:
    """Yield what is typed or piped, line by line, until its end; reading blocks no other work.

    *Cancelled:* the thread that waits for a line ends with the process.
    """
    is_typed = sys.stdin.isatty() and call.screen.is_terminal
    if is_typed:
        _use_history()
    while True:
        line = await _next_line(prompt() if is_typed else None)
        if line is None:
            return
        yield line


def _use_history() -> None:
    try:
        import readline  # noqa: F401  # gives `input` its line editing
    except ImportError:  # not on every platform
        return


async def _next_line(prompt: str | None) -> str | None:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[str | None] = loop.create_future()

    def read() -> None:
        try:
            line = input(prompt) if prompt is not None else sys.stdin.readline()
        except (EOFError, KeyboardInterrupt, ValueError):
            line = ""
            ended = True
        else:
            ended = prompt is None and line == ""
        loop.call_soon_threadsafe(_settle, future, None if ended else line)

    threading.Thread(target=read, name="schemawire-chat", daemon=True).start()
    return await future


def _settle(future: "asyncio.Future[str | None]", line: str | None) -> None:
    if not future.done():
        future.set_result(line)
