"""`logs`: reads our JSON lines from a file or from standard input and prints them for people."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from schemawire.cli.app import app
from schemawire.cli.invocation import Invocation, command
from schemawire.cli.log_lines import LEVELS, LONGEST_LINE, LogFilter, parsed, rendered
from schemawire.cli.visible import visible
from schemawire.errors import ConfigurationInvalid

FOLLOW_INTERVAL = 0.2
"""Seconds between two looks at a file that is followed."""

Source = Annotated[str, typer.Argument(metavar="[FILE]", help="The file, or - for standard input.")]
Level = Annotated[str, typer.Option("--level", metavar="NAME", help=f"The least severe: {', '.join(LEVELS)}.")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is added to the file.")]


@command(app, "logs")
def logs(
    call: Invocation,
    source: Source = "-",
    *,
    level: Level = "debug",
    request: Annotated[str, typer.Option("--request", metavar="ID", help="Only this request's lines.")] = "",
    trace: Annotated[str, typer.Option("--trace", metavar="ID", help="Only this trace's lines.")] = "",
    project: Annotated[str, typer.Option("--project", metavar="ID", help="Only this project's lines.")] = "",
    text: Annotated[str, typer.Option("--text", metavar="TEXT", help="Only lines that hold this.")] = "",
    follow: Follow = False,
) -> None:
    """Print log lines of ours for people: `schemawire serve 2>&1 | schemawire logs`.

    Ids may be given by their beginning. Lines that are none of ours pass as they are, unless an id is asked for. With
    --json the wanted lines are printed as they came.
    """
    if level.lower() not in LEVELS:
        raise ConfigurationInvalid(f"--level {level[:20]!r} is no level", fix=f"Use one of {', '.join(LEVELS)}.")
    wanted = LogFilter(level=level.lower(), request=request, trace=trace, project=project, text=text)
    lines = _read(sys.stdin.buffer, follow=False) if source == "-" else _file(Path(source), follow=follow)
    for line in lines:
        _print(call, line, wanted)


def _print(call: Invocation, line: str, wanted: LogFilter) -> None:
    record = parsed(line)
    if record is None:
        if wanted.wants_all and wanted.text in line and not call.as_json and line:
            call.screen.line(line, style="dim")
    elif wanted.wants(record):
        if call.as_json:
            call.screen.json_line(record)
        else:
            call.screen.out.print(rendered(record), soft_wrap=True)


def _file(path: Path, *, follow: bool) -> Iterator[str]:
    try:
        with path.open("rb") as file:
            yield from _read(file, follow=follow, path=path)
    except OSError as error:
        reason = error.strerror or str(error)
        fix = "Name the file that the service's log is written to."
        raise ConfigurationInvalid(f"{visible(path)!r} cannot be read: {reason}", fix=fix) from error


def _read(file: BinaryIO, *, follow: bool, path: Path | None = None) -> Iterator[str]:
    """Yield whole lines, a last one without its end included; of a line without end only its beginning."""
    rest = b""
    while True:
        chunk = file.readline(LONGEST_LINE)
        rest += chunk
        if rest.endswith(b"\n") or len(rest) >= LONGEST_LINE:
            yield rest.decode("utf-8", "replace").rstrip("\r\n")
            rest = b""
        if chunk:
            continue
        if not follow:
            break
        if path is not None and _was_cut(file, path):
            file.seek(0)
        time.sleep(FOLLOW_INTERVAL)
    if rest:
        yield rest.decode("utf-8", "replace")


def _was_cut(file: BinaryIO, path: Path) -> bool:
    """Tell whether the file is shorter than what was read of it, as after a rotation by copying."""
    try:
        return path.stat().st_size < file.tell()
    except OSError:
        return False
