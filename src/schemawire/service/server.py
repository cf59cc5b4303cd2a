"""Runs the service in a process of its own until it is told to stop; prints nothing."""

import asyncio
import socket
import ssl
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from schemawire.errors import ConfigurationInvalid
from schemawire.service.app import build_app, build_backend
from schemawire.service.backend import DRAIN_TIMEOUT, Backend
from schemawire.service.collector import ease_collector
from schemawire.service.http_protocol import cut_overdue, protocol_class
from schemawire.service.signals import StopSignals, stop_signals
from schemawire.service.store import list_keys
from schemawire.service.tls import tls_context
from schemawire.service.tracing import traced
from schemawire.settings.service import ServiceSettings

KEEP_ALIVE = 75
"""Seconds that an idle connection is kept; longer than clients keep theirs, so that it is the client that closes."""
BACKLOG = 2_048
SWITCH_INTERVAL = 0.0005
"""Seconds after which a busy thread lets another one run. While a large body is being read, a small write changes
threads a dozen times; at Python's own 5 ms each turn, it waited 150 ms instead of 40."""


async def serve(
    settings: ServiceSettings, *, on_ready: Callable[[], None] | None = None, listener: socket.socket | None = None
) -> None:
    """Serve until SIGTERM or SIGINT, then finish what runs and return; one that comes before it serves ends it too.

    Args:
        settings: where to listen and what to work with.
        on_ready: called once, when requests are accepted.
        listener: a socket that listens already, perhaps for other processes too; it is left open.

    Raises:
        ConfigurationInvalid: nobody can listen at that address and port, there is no key to use the service with, or
            the TLS files cannot be used.
        StoreLocked: another process has the database open.
        StoreUnavailable: the database cannot be opened.

    *Cancelled:* the service drains as it does on SIGTERM.
    """
    tls = tls_context(settings)
    sys.setswitchinterval(SWITCH_INTERVAL)
    backend = build_backend(settings)
    accepting = listen(settings.host, settings.port) if listener is None else listener
    try:
        # Not in uvicorn's lifespan: that would turn the reason why a store does not open into an exit code.
        with (signals := stop_signals()).caught():
            async with backend.running(), traced(build_app(backend), settings) as app:
                await _require_a_key(settings, backend)
                ease_collector()
                await serve_until_told(Server(app, backend, on_ready, tls=tls), signals, accepting)
    finally:
        if listener is None:
            accepting.close()


async def serve_until_told(server: "Server", signals: StopSignals, listener: socket.socket) -> None:
    """Serve until a signal, then finish what runs."""
    with signals.taken_over(server.drain):
        await server.serve(sockets=[listener])


async def _require_a_key(settings: ServiceSettings, backend: Backend) -> None:
    if settings.admin_key is None and not await backend.store.read(list_keys):
        raise ConfigurationInvalid(
            "there is no API key, so nobody could use the service",
            fix="Set SCHEMAWIRE_ADMIN_KEY to 32 random characters.",
        )


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that accepts connections.

    Raises:
        ConfigurationInvalid: nobody can listen there.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # With its protocol named: asyncio switches Nagle's algorithm off only then, and on it costs 40 ms a reply.
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
        return listener
    except OSError as error:
        raise ConfigurationInvalid(
            f"cannot listen at {host}:{port}: {error.strerror or error}",
            fix="Choose another SCHEMAWIRE_PORT or SCHEMAWIRE_HOST, or stop whatever listens there.",
        ) from error


class Server(uvicorn.Server):
    """uvicorn, with a backend that knows when it drains, and without signals raised again after the end."""

    def __init__(
        self,
        app: ASGIApp,
        backend: Backend,
        on_ready: Callable[[], None] | None,
        *,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
            http=protocol_class(),
            ws="none",
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=int(DRAIN_TIMEOUT),
            proxy_headers=False,
            ssl_context_factory=None if tls is None else lambda config, default: tls,
        )
        super().__init__(config)
        self._backend = backend
        self._on_ready = on_ready
        self._watch: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets)
        self._watch = asyncio.create_task(cut_overdue(self.server_state.connections), name="schemawire-connections")
        if self._on_ready is not None:
            self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish what runs; requests that do not come to an end are not waited for."""
        await super().shutdown(sockets)
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait([self._watch])

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to whoever runs this."""
        yield

    def drain(self) -> None:
        """Finish what runs and end; called again, end now."""
        self.force_exit = self.should_exit
        self._backend.is_draining = True
        self.should_exit = True
