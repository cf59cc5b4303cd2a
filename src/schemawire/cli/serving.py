"""`dev` and `serve`: the service in this process, until it is told to stop."""

import secrets
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from schemawire.cli.app import app
from schemawire.cli.invocation import Invocation, command
from schemawire.errors import ConfigurationInvalid

if TYPE_CHECKING:
    from collections.abc import Coroutine

DEV_HOST = "127.0.0.1"
"""`dev` is for this machine alone; `serve` listens where its settings say."""

Port = Annotated[int | None, typer.Option("--port", min=1, max=65535, metavar="N", help="[SCHEMAWIRE_PORT]")]
Database = Annotated[str | None, typer.Option("--database", metavar="URL", help="[SCHEMAWIRE_DATABASE_URL]")]


@command(app, "dev")
def dev(call: Invocation, *, port: Port = None, database: Database = None) -> None:
    """Run the service on this machine, with SQLite and its own key.

    The key is made once, printed, and kept where the other commands and DomainSchemaHandler() find it. Ctrl-C ends it.
    """
    from schemawire.service.logs import log_to_stream
    from schemawire.service.server import serve as run
    from schemawire.settings.keyfile import read_key, write_key
    from schemawire.settings.service import ServiceSettings
    from schemawire.testing.service_process import free_port

    found = ServiceSettings.load(host=DEV_HOST, port=port, database_url=database)
    address = next(row.value for row in found.explain() if row.name == "SCHEMAWIRE_DATABASE_URL")  # no password in it
    number = found.port or free_port()
    url = f"http://{DEV_HOST}:{number}"
    kept = read_key(url)
    key = found.admin_key or (kept[0] if kept else secrets.token_urlsafe(32))

    def announce() -> None:
        place = write_key(DEV_HOST, number, key)
        if call.as_json:
            call.screen.json_line({"url": url, "key": key, "keyFile": str(place), "database": address})
            return
        call.screen.line(f"schemawire is ready at {url}", style="bold green")
        call.screen.line(f"  key       {key}")
        call.screen.line(f"  kept in   {place}, for you alone: commands and DomainSchemaHandler() find it there")
        call.screen.line(f"  database  {address}")
        call.screen.line('  try       schemawire analyze "A library has books." --project library --send')

    log_to_stream("WARNING")
    _run_to_the_end(run(found.replace(admin_key=key, port=number), on_ready=announce))


@command(app, "serve")
def serve(
    call: Invocation,
    *,
    host: Annotated[str | None, typer.Option("--host", metavar="ADDRESS", help="[SCHEMAWIRE_HOST]")] = None,
    port: Port = None,
    database: Database = None,
    workers: Annotated[
        int, typer.Option("--workers", min=1, max=64, metavar="N", help="Processes; more than one on PostgreSQL alone.")
    ] = 1,
    certificate: Annotated[str | None, typer.Option("--tls-certificate", metavar="FILE", help="Speak HTTPS.")] = None,
    certificate_key: Annotated[
        str | None, typer.Option("--tls-key", metavar="FILE", help="Of the certificate.")
    ] = None,
    client_ca: Annotated[
        str | None, typer.Option("--tls-client-ca", metavar="FILE", help="Whose clients come in.")
    ] = None,
    tls_minimum: Annotated[str | None, typer.Option("--tls-minimum", metavar="VERSION", help="1.2 or 1.3.")] = None,
) -> None:
    """Run the service with the settings of the environment.

    It refuses to start without a key: set SCHEMAWIRE_ADMIN_KEY. Requests are logged to standard error.
    """
    from schemawire.service.signals import end_when_told

    end_when_told()
    from schemawire.service.logs import log_to_stream
    from schemawire.service.server import serve as run
    from schemawire.settings.service import ServiceSettings
    from schemawire.testing.service_process import free_port

    tls = {"tls_certificate": certificate, "tls_key": certificate_key, "tls_client_ca": client_ca}
    settings = ServiceSettings.load(host=host, port=port, database_url=database, tls_minimum=tls_minimum, **tls)
    if not settings.admin_key:
        raise ConfigurationInvalid(
            "The service has no key, so nobody could use it.",
            fix="Set SCHEMAWIRE_ADMIN_KEY to 32 or more random characters, or try it out with `schemawire dev`.",
        )
    number = settings.port or free_port()
    url = f"{'https' if settings.tls_certificate else 'http'}://{settings.host}:{number}"

    def announce() -> None:
        if call.as_json:
            call.screen.json_line({"url": url})
        else:
            call.screen.line(f"schemawire is ready at {url}")

    log_to_stream()
    if workers > 1:
        from schemawire.service.processes import serve_with_processes

        serve_with_processes(settings.replace(port=number), workers, on_ready=announce)
        return
    _run_to_the_end(run(settings.replace(port=number), on_ready=announce))


def _run_to_the_end(service: "Coroutine[Any, Any, None]") -> None:
    """Run until SIGINT or SIGTERM; a server that ends when it is told to has not failed."""
    from schemawire.service.loops import run as run_loop

    with suppress(KeyboardInterrupt):
        run_loop(service)
