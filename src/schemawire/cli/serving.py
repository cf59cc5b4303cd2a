"""`dev` and `serve`: the service in this process, until it is told to stop."""

import asyncio
import secrets
import signal
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from schemawire.cli.app import app
from schemawire.cli.invocation import Invocation, command
from schemawire.errors import ConfigurationInvalid

if TYPE_CHECKING:
    from collections.abc import Callable

    from schemawire.settings.service import ServiceSettings

DEV_HOST = "127.0.0.1"
"""`dev` is for this machine alone; `serve` listens where its settings say."""

Port = Annotated[int | None, typer.Option("--port", min=1, max=65535, metavar="N", help="[SCHEMAWIRE_PORT]")]
Database = Annotated[str | None, typer.Option("--database", metavar="URL", help="[SCHEMAWIRE_DATABASE_URL]")]


@command(app, "dev")
def dev(call: Invocation, *, port: Port = None, database: Database = None) -> None:
    """Run the service on this machine, with SQLite and its own key.

    The key is made once, printed, and kept where the other commands and DomainSchemaHandler() find it. Ctrl-C ends it.
    """
    from schemawire.settings.keyfile import read_key, write_key
    from schemawire.settings.service import ServiceSettings

    found = ServiceSettings.load(host=DEV_HOST, port=port, database_url=database)
    url = f"http://{DEV_HOST}:{found.port}"
    kept = read_key(url)
    key = found.admin_key or (kept[0] if kept else secrets.token_urlsafe(32))
    settings = found.replace(admin_key=key)

    def announce() -> None:
        place = write_key(DEV_HOST, settings.port, key)
        if call.as_json:
            call.screen.json_line({"url": url, "key": key, "keyFile": str(place), "database": settings.database_url})
            return
        call.screen.line(f"schemawire is ready at {url}", style="bold green")
        call.screen.line(f"  key       {key}")
        call.screen.line(f"  kept in   {place}, for you alone: commands and DomainSchemaHandler() find it there")
        call.screen.line(f"  database  {settings.database_url}")
        call.screen.line('  try       schemawire analyze "A library has books." --project library --send')

    _serve(settings, announce)


@command(app, "serve")
def serve(
    call: Invocation,
    *,
    host: Annotated[str | None, typer.Option("--host", metavar="ADDRESS", help="[SCHEMAWIRE_HOST]")] = None,
    port: Port = None,
    database: Database = None,
) -> None:
    """Run the service with the settings of the environment.

    It refuses to start without a key: set SCHEMAWIRE_ADMIN_KEY.
    """
    from schemawire.settings.service import ServiceSettings

    settings = ServiceSettings.load(host=host, port=port, database_url=database)
    url = f"http://{settings.host}:{settings.port}"
    _serve(
        settings, lambda: call.screen.json_line({"url": url}) if call.as_json else call.screen.line(f"ready at {url}")
    )


def _serve(settings: "ServiceSettings", on_ready: "Callable[[], None]") -> None:
    from schemawire.service.server import serve as run

    _require_free(settings.host, settings.port)
    # uvicorn drains on SIGTERM and then raises the signal once more; a server that ends when told to has not failed.
    signal.signal(signal.SIGTERM, lambda *_: None)
    with suppress(KeyboardInterrupt):
        asyncio.run(run(settings, on_ready=on_ready))


def _require_free(host: str, port: int) -> None:
    """Find out before the store is opened, so that a second start says what is wrong and touches nothing."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigurationInvalid(
                f"The service cannot listen on {host} port {port}: {error.strerror}.",
                fix="Stop what listens there, or choose another port with --port.",
            ) from error
