"""What the demo shows while it runs: lines that stay, and on a terminal one live bar below them; decides nothing."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from schemawire.cli.screen import Screen
from schemawire.cli.visible import visible

_STYLES = {"SIGKILL": "bold red", "failed": "red", "sabotage": "red", "breaker": "yellow", "stored": "green"}


class Stage:
    """One performance of the demo on one screen; with `--json`, the lines go to standard error.

    Args:
        screen: where to print.
        total: how many descriptions there are.
    """

    def __init__(self, screen: Screen, total: int) -> None:
        self._console = screen.notes if screen.as_json else screen.out
        self._started = time.monotonic()
        columns = (
            TextColumn("sent", markup=False),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[state]}", markup=False),
        )
        self._bar = Progress(*columns, console=self._console, disable=not self._console.is_terminal)
        self._task: TaskID = self._bar.add_task("sent", total=total, state="", visible=False)

    @property
    def elapsed(self) -> float:
        """Seconds since the demo began."""
        return time.monotonic() - self._started

    @contextmanager
    def running(self) -> Iterator[None]:
        """Show the bar while the block runs."""
        self._bar.update(self._task, visible=True)
        with self._bar:
            yield

    def heading(self, text: str) -> None:
        """Begin a new part."""
        self._console.print()
        self._console.print(Text(text, style="bold underline"))

    def says(self, text: str, *, style: str = "") -> None:
        """Print a line about the set-up or the outcome."""
        self._console.print(Text(visible(text, lines=True), style=style))

    def shows(self, renderable: RenderableType) -> None:
        """Print a table or a tree."""
        self._console.print(renderable)

    def happened(self, kind: str, text: str) -> None:
        """Print one thing that happened, with the time since the start."""
        when = (f"{self.elapsed:6.2f} s  ", "dim")
        self._console.print(Text.assemble(when, (f"{kind:<8}", _STYLES.get(kind, "cyan")), f"  {visible(text)}"))

    def advance(self) -> None:
        """Count one more description as sent."""
        self._bar.advance(self._task)

    def state(self, text: str) -> None:
        """Show the present state beside the bar."""
        self._bar.update(self._task, state=text)
