"""`health` and `metrics`: how the backend is; changes nothing."""

import asyncio
import time
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from schemawire.cli.app import app
from schemawire.cli.connection import connected
from schemawire.cli.exit_codes import ExitCode
from schemawire.cli.invocation import Invocation, command

LONGEST_LIST = 8
"""Entries up to which a list is shown; the history of the metrics is longer and for `--json`."""


@command(app, "health", backend=True)
async def health(call: Invocation) -> ExitCode:
    """Ask the backend how it is.

    Exit code 1 when it is not healthy, 4 when it cannot be reached.
    """
    async with connected(call) as handler:
        status = await handler.health_check()
    if call.as_json:
        call.screen.document(_health_document(status))
    else:
        style = "green" if status.is_healthy else "red"
        call.screen.line(f"{status.status}  in {status.response_time:.3f} s  {status.detail}".rstrip(), style=style)
        rows = [(part.name, "yes" if part.healthy else "no", part.detail) for part in status.dependencies]
        if rows:
            call.screen.show(call.screen.table("needs", ("dependency", "healthy", "detail"), rows))
    if status.is_healthy:
        return ExitCode.OK
    return ExitCode.UNREACHABLE if status.status == "unreachable" else ExitCode.NOT_SO


def _health_document(status: Any) -> dict[str, Any]:
    return {
        "isHealthy": status.is_healthy,
        "status": status.status,
        "responseTime": status.response_time,
        "detail": status.detail,
        "serviceVersion": status.service_version,
        "storeId": status.store_id,
        "dependencies": [part.model_dump(mode="json", by_alias=True) for part in status.dependencies],
    }


Window = Annotated[int, typer.Option("--window", min=0, metavar="SECONDS", help="Of history; 0 for none.")]
Step = Annotated[int | None, typer.Option("--step", min=1, metavar="SECONDS", help="Of each point of the history.")]
Name = Annotated[str | None, typer.Option("--metric", metavar="NAME", help="Every series of one metric, over time.")]


@command(app, "metrics", backend=True)
async def metrics(
    call: Invocation,
    *,
    window: Window = 3600,
    step: Step = None,
    metric: Name = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on, and show what changed.")] = False,
    interval: Annotated[float, typer.Option("--interval", min=0.2, metavar="SECONDS", help="Of --watch.")] = 2.0,
) -> None:
    """Show the request counts, latencies and history of the backend.

    With --watch the figures that changed are printed at each interval, until Ctrl-C; with --json one document per line.
    """
    async with connected(call) as handler:
        found = await handler.get_metrics(window=window, step=step, metric=metric)
        if call.as_json and not watch:
            call.screen.document(found)
            return
        if not call.as_json:
            call.screen.show(call.screen.table("metrics", ("name", "value"), flattened(found)))
        while watch:
            if call.as_json:
                call.screen.json_line(found)
            await asyncio.sleep(interval)
            before, found = found, await handler.get_metrics(window=window, step=step, metric=metric)
            if not call.as_json:
                call.screen.show(call.screen.table(_now(), ("name", "value", "change"), changed(before, found)))


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[tuple[str, str | int | float, str]]:
    """Yield every leaf that differs, with by how much where it is a number; times that merely pass are left out."""
    known = dict(flattened(before))
    for name, value in flattened(after):
        earlier = known.get(name)
        if value == earlier or name.endswith("uptime") or name.startswith(("history.", "client.")):
            continue
        grew = isinstance(value, int | float) and isinstance(earlier, int | float)
        yield name, value, f"{value - earlier:+.6g}" if grew else "new" if earlier is None else ""  # type: ignore[operator]  # both are numbers


def _now() -> str:
    return time.strftime("%H:%M:%S")


def flattened(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str | int | float]]:
    """Yield every leaf of nested objects as a dotted name and its value; of long lists only the length."""
    for name, member in value.items():
        path = f"{prefix}{name}"
        match member:
            case Mapping():
                yield from flattened(member, f"{path}.")
            case list() | tuple() if len(member) <= LONGEST_LIST:
                yield from flattened({str(position): entry for position, entry in enumerate(member)}, f"{path}.")
            case list() | tuple():
                yield f"{path} (entries)", len(member)
            case float():
                yield path, round(member, 6)
            case _:
                yield path, member if isinstance(member, str | int) else str(member)
