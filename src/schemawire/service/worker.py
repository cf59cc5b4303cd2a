"""Carries out operations in a process of its own, without the HTTP interface, until it is told to stop."""

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from schemawire.errors import ConfigurationInvalid
from schemawire.protocol.paths import HEALTH, HEALTH_LIVE, HEALTH_READY, PROMETHEUS_METRICS
from schemawire.service.app import build_app, build_backend
from schemawire.service.logs import log
from schemawire.service.server import Server, listen, serve_until_told
from schemawire.service.signals import StopSignals, stop_signals
from schemawire.service.tracing import traced
from schemawire.settings.service import ServiceSettings

OPEN_PATHS = frozenset({HEALTH, HEALTH_LIVE, HEALTH_READY, PROMETHEUS_METRICS})


async def work(
    settings: ServiceSettings,
    *,
    health_port: int | None = None,
    ready_file: Path | None = None,
    on_ready: Callable[[], None] | None = None,
) -> None:
    """Work operations off until SIGTERM or SIGINT, then end what runs, put the rest back, and return.

    One that comes before it works ends it too.

    Args:
        settings: which database and broker, and how many operations at once.
        health_port: where the health checks and the metrics are served, at the settings' host; nowhere if not given.
        ready_file: a file that is there exactly while operations are worked off, with the process id in it.
        on_ready: called once, when operations are worked off.

    Raises:
        ConfigurationInvalid: the database is SQLite, or nobody can listen at that port.
        StoreUnavailable: the database cannot be opened.

    *Cancelled:* the worker drains as it does on SIGTERM.
    """
    if settings.database_url.startswith("sqlite"):
        raise ConfigurationInvalid(
            "a SQLite file belongs to the one process that serves it, so no worker can join in",
            fix="Set SCHEMAWIRE_DATABASE_URL to postgresql://…; `schemawire serve` works off its operations itself.",
        )
    backend = build_backend(settings.replace(run_operations=True))
    with ExitStack() as stack:
        listener = None if health_port is None else stack.enter_context(listen(settings.host, health_port))
        stack.enter_context((signals := stop_signals()).caught())
        async with backend.running(), traced(_only_open(build_app(backend)), settings) as app:
            stack.enter_context(_kept(ready_file))
            log.info("worker started", owner=backend.dispatcher.owner, concurrency=settings.operation_concurrency)
            if listener is None:
                await _until_told(signals, on_ready)
            else:
                await serve_until_told(Server(app, backend, on_ready), signals, listener)


async def _until_told(signals: StopSignals, on_ready: Callable[[], None] | None) -> None:
    told = asyncio.Event()
    with signals.taken_over(told.set):
        if on_ready is not None:
            on_ready()
        await told.wait()


def _only_open(app: ASGIApp) -> ASGIApp:
    """Serve the health checks and the metrics, and nothing else."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in OPEN_PATHS:
            await PlainTextResponse("This is a worker; it serves /health and /metrics alone.\n", 404)(
                scope, receive, send
            )
        else:
            await app(scope, receive, send)

    return serve


@contextmanager
def _kept(ready_file: Path | None) -> Iterator[None]:
    if ready_file is None:
        yield
        return
    try:
        ready_file.write_text(f"{os.getpid()}\n", "utf-8")
    except OSError as error:
        raise ConfigurationInvalid(
            f"{str(ready_file)!r} cannot be written: {error.strerror or error}",
            fix="Name a file in a folder that is there and that this user may write.",
        ) from error
    try:
        yield
    finally:
        with suppress(OSError):
            ready_file.unlink()
