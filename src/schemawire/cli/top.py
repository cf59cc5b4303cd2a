"""`top`: a live view of a service, and of the program that calls it; decides nothing about how it looks."""

import asyncio
import time
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.live import Live

from schemawire.cli.app import app
from schemawire.cli.connection import connected
from schemawire.cli.invocation import Invocation, command
from schemawire.cli.top_client import ClientView, own_view, scraped_view
from schemawire.cli.top_picture import Frame, picture
from schemawire.cli.visible import visible
from schemawire.errors import SchemawireError

WINDOW = 300
STEP = 5
"""Seconds of the lines that the view draws, and of each of their points."""

Every = Annotated[float, typer.Option("--interval", min=0.2, max=3600, metavar="SECONDS", help="Between two looks.")]
Once = Annotated[bool, typer.Option("--once", help="Look once, print and end; also without a terminal.")]
Scraped = Annotated[
    str | None,
    typer.Option("--client", metavar="URL", help="A program's Prometheus page: show its breakers and retries too."),
]


@command(app, "top", backend=True)
async def top(call: Invocation, *, interval: Every = 2.0, once: Once = False, client: Scraped = None) -> None:
    """Watch requests, latencies, objectives, operations, breakers and retries live; Ctrl-C ends it.

    Without a terminal, or with --once, one picture is printed; with --json one document per look.
    """
    async with connected(call) as handler:
        if call.as_json:
            await _as_lines(call, handler, interval, once=once)
            return
        if once or not call.screen.is_terminal:
            call.screen.show(picture(await _frame(handler, client, None)))
            return
        frame = await _frame(handler, client, None)
        with Live(picture(frame), console=call.screen.out, screen=True, auto_refresh=False) as live:
            while True:
                await asyncio.sleep(interval)
                frame = await _frame(handler, client, frame)
                live.update(picture(frame), refresh=True)


async def _as_lines(call: Invocation, handler: Any, interval: float, *, once: bool) -> None:
    while True:
        call.screen.json_line(await handler.get_metrics(window=WINDOW, step=STEP))
        if once:
            return
        await asyncio.sleep(interval)


async def _frame(handler: Any, client: str | None, before: Frame | None) -> Frame:
    """Look once; a service that does not answer leaves the last picture with the reason above it."""
    problem = ""
    found: Mapping[str, Any] = {} if before is None else before.figures
    try:
        found = await handler.get_metrics(window=WINDOW, step=STEP)
    except SchemawireError as error:
        if before is None:
            raise
        problem = f"{error.code}: {error.message}"
    view = await _client_view(client, found)
    return Frame(figures=found, before=before, at=time.monotonic(), clock=time.time(), client=view, problem=problem)


async def _client_view(url: str | None, found: Mapping[str, Any]) -> ClientView:
    if url is None:
        return own_view(found.get("client", {}))
    from schemawire.transport import Client

    base, slash, path = url.partition("://")
    host, _, rest = path.partition("/")
    try:
        async with Client(f"{base}{slash}{host}", name="top") as scraper:
            response = await scraper.request("GET", f"/{rest}", deadline=5.0)
    except SchemawireError as error:
        return ClientView(whose=f"{visible(url)} does not answer: {error.code}")
    if not response.is_success:
        return ClientView(whose=f"{visible(url)} answers {response.status}")
    return scraped_view(response.text())
