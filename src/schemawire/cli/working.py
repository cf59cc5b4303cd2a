"""`worker`: operations are carried out in this process, until it is told to stop."""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from schemawire.cli.app import app
from schemawire.cli.extras import require_server
from schemawire.cli.invocation import Invocation, command


@command(app, "worker")
def worker(
    call: Invocation,
    *,
    concurrency: Annotated[
        int | None,
        typer.Option("--concurrency", min=1, max=1000, metavar="N", help="[SCHEMAWIRE_OPERATION_CONCURRENCY]"),
    ] = None,
    database: Annotated[str | None, typer.Option("--database", metavar="URL", help="[SCHEMAWIRE_DATABASE_URL]")] = None,
    health_port: Annotated[
        int | None,
        typer.Option("--health-port", min=1, max=65535, metavar="N", help="Serve /health and /metrics here."),
    ] = None,
    ready_file: Annotated[
        Path | None, typer.Option("--ready-file", metavar="FILE", help="A file that is there while it works.")
    ] = None,
) -> None:
    """Carry out the operations that services on the same PostgreSQL database take in.

    Start as many as you like, on any host. SIGTERM ends what runs and puts the rest back.
    """
    require_server()
    from schemawire.service.signals import end_when_told

    end_when_told()
    from schemawire.service.logs import log_to_stream
    from schemawire.service.worker import work
    from schemawire.settings.service import ServiceSettings

    settings = ServiceSettings.load(operation_concurrency=concurrency, database_url=database)

    def announce() -> None:
        if call.as_json:
            call.screen.json_line({"worker": "ready"})
        else:
            call.screen.line("schemawire works off operations")

    log_to_stream()
    with suppress(KeyboardInterrupt):
        asyncio.run(work(settings, health_port=health_port, ready_file=ready_file, on_ready=announce))
