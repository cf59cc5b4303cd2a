"""Where a command prints: results to standard output, everything about them to standard error; knows no command."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich import box
from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from schemawire.cli.visible import to_json, visible

PLAIN_WIDTH = 160
"""Columns where there is no terminal to ask; wide, so that lines stay whole for `grep`."""

Cell = str | int | float | Text | None


class Screen:
    """The two streams of one command.

    With `as_json`, standard output carries JSON alone, one document, or one per line for streams; notes and progress
    go to standard error in any case. Colour follows the terminal and NO_COLOR.

    Args:
        as_json: whether results are for a machine.
    """

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json
        self.out = _console(stderr=False)
        self.notes = _console(stderr=True)

    @property
    def is_terminal(self) -> bool:
        """Whether a person watches standard output."""
        return self.out.is_terminal and not self.as_json

    def document(self, value: Any) -> None:
        """Print a JSON document; the whole result of a `--json` command."""
        sys.stdout.write(to_json(value) + "\n")

    def json_line(self, value: Any) -> None:
        """Print one line of a JSON stream, at once: who reads it may wait for it."""
        sys.stdout.write(to_json(value, indent=None) + "\n")
        sys.stdout.flush()

    def raw(self, text: str) -> None:
        """Print a file's content as it is, with a line end behind it."""
        sys.stdout.write(text if text.endswith("\n") else text + "\n")

    def show(self, renderable: RenderableType) -> None:
        """Print a result for people."""
        self.out.print(renderable)

    def line(self, text: object = "", *, style: str = "") -> None:
        """Print one line of a result; what cannot be seen is written out."""
        self.out.print(Text(visible(text, lines=True), style=style))

    def note(self, text: object, *, style: str = "dim") -> None:
        """Print something about the result, to standard error."""
        self.notes.print(Text(visible(text, lines=True), style=style))

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Table:
        """Return a table whose cells are data and never markup; numbers are set to the right."""
        body = [tuple(_cell(value) for value in row) for row in rows]
        table = Table(title=visible(title) or None, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
        table.padding, table.pad_edge = (0, 1, 0, 0), False  # eighty columns are soon used up
        numeric = [bool(body) and all(_is_figure(row[at].plain) for row in body) for at in range(len(columns))]
        for name, right in zip(columns, numeric, strict=True):
            table.add_column(name, justify="right" if right else "left", overflow="fold")
        for row in body:
            table.add_row(*row)
        return table

    @contextmanager
    def progress(self, title: str, total: int | None) -> Iterator[Progress]:
        """Show a bar with rate and remaining time while the block runs; silent without a terminal on standard error."""
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=32),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        bar = Progress(*columns, console=self.notes, disable=not self.notes.is_terminal, transient=True)
        bar.add_task(title, total=total)
        with bar:
            yield bar


def _console(*, stderr: bool) -> Console:
    """Markup, emoji codes and highlighting stay off: what is printed is data, and data must not format itself."""
    console = Console(stderr=stderr, markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, PLAIN_WIDTH)
    return console


def _cell(value: Cell) -> Text:
    if isinstance(value, Text):
        return value
    return Text("–" if value is None else visible(value))


def _is_figure(text: str) -> bool:
    return text.replace(".", "", 1).replace(",", "").removeprefix("-").isdigit() or text == "–"
