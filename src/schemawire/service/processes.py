"""Several processes that serve one address and one database, kept going by a parent that does nothing else.

The parent listens; whichever process is free takes the next connection, so a connection that waits survives the death
of any of them. A process that dies is replaced. When the parent dies, however it dies, the others drain and end.
Prints nothing.
"""

import asyncio
import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, cast

from schemawire.errors import ConfigurationInvalid
from schemawire.service.app import open_store
from schemawire.service.backend import DRAIN_TIMEOUT
from schemawire.service.logs import log, log_to_stream
from schemawire.service.loops import run
from schemawire.service.server import listen, serve
from schemawire.service.upkeep import migrate_store
from schemawire.settings.service import ServiceSettings

MOST = 64
SOON = 5.0
"""Seconds within which a process that ends has failed at its start."""
PATIENCE = 5
"""Starts that may fail in a row before the parent gives up."""
_KILL_AFTER = DRAIN_TIMEOUT + 10.0


@dataclass(slots=True)
class _Child:
    """One process. Invariant: `lifeline` is closed exactly when the process has been let go."""

    process: SpawnProcess
    lifeline: Connection
    started_at: float
    is_ready: bool = False


def serve_with_processes(settings: ServiceSettings, count: int, *, on_ready: Callable[[], None] | None = None) -> None:
    """Serve from several processes until SIGTERM or SIGINT, then let them finish what runs, and return.

    Args:
        settings: where to listen and what to work with.
        count: how many processes, 1 to 64.
        on_ready: called once, when all of them accept requests.

    Raises:
        ConfigurationInvalid: the database is a SQLite file, nobody can listen at that address, or the processes end
            again as soon as they are started.
        StoreUnavailable: the database cannot be opened.
    """
    if not 1 <= count <= MOST:
        raise ConfigurationInvalid(f"{count} processes cannot be started", fix=f"Use 1 to {MOST}.")
    if open_store(settings).is_exclusive:
        raise ConfigurationInvalid(
            "a SQLite file belongs to one process, so it cannot be served by several",
            fix="Leave --workers out, or name a PostgreSQL database in SCHEMAWIRE_DATABASE_URL.",
        )
    asyncio.run(migrate_store(settings))
    listener = listen(settings.host, settings.port)
    try:
        with _signals() as (told_to_stop, woken):
            _Parent(settings, listener, count, on_ready).run(told_to_stop, woken)
    finally:
        listener.close()


class _Parent:
    """Starts, replaces and ends the processes."""

    def __init__(
        self, settings: ServiceSettings, listener: socket.socket, count: int, on_ready: Callable[[], None] | None
    ) -> None:
        self._settings = settings
        self._listener = listener
        self._on_ready = on_ready
        self._context = multiprocessing.get_context("spawn")
        self._failures = 0
        self._children = [self._start() for _ in range(count)]

    def run(self, told_to_stop: Callable[[], bool], woken: socket.socket) -> None:
        """Keep the processes going until told to stop."""
        try:
            while not told_to_stop():
                self._look(woken)
        finally:
            self._end()

    def _start(self) -> _Child:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=_child, args=(self._settings, self._listener, theirs), name="schemawire-service"
        )  # fmt: skip
        process.start()
        theirs.close()
        return _Child(process=process, lifeline=ours, started_at=time.monotonic())

    def _look(self, woken: socket.socket) -> None:
        waited = [child.process.sentinel for child in self._children]
        waited += [child.lifeline for child in self._children if not child.is_ready]  # type: ignore[misc]  # both can be waited for
        for found in wait([woken, *waited]):
            if found is woken:
                woken.recv(1_024)
        for place, child in enumerate(self._children):
            if not child.is_ready and child.lifeline.poll():
                self._note_ready(child)
            if not child.process.is_alive():
                self._children[place] = self._replaced(child)

    def _note_ready(self, child: _Child) -> None:
        with suppress(EOFError, OSError):  # it has ended, which is seen next
            child.lifeline.recv()
            child.is_ready, self._failures = True, 0
        if self._on_ready is not None and all(each.is_ready for each in self._children):
            self._on_ready()
            self._on_ready = None

    def _replaced(self, child: _Child) -> _Child:
        child.lifeline.close()
        log.error("a service process has ended", pid=child.process.pid, exitCode=child.process.exitcode)
        if time.monotonic() - child.started_at < SOON and not child.is_ready:
            self._failures += 1
            if self._failures >= PATIENCE:
                raise ConfigurationInvalid(
                    "the service processes end as soon as they are started", fix="Read their log lines above this one."
                )
            time.sleep(0.2 * self._failures)
        return self._start()

    def _end(self) -> None:
        for child in self._children:
            if child.process.is_alive():
                child.process.terminate()  # SIGTERM: it drains
        until = time.monotonic() + _KILL_AFTER
        for child in self._children:
            child.process.join(max(0.0, until - time.monotonic()))
            if child.process.is_alive():
                child.process.kill()
                child.process.join()
            child.lifeline.close()


def _child(settings: ServiceSettings, listener: socket.socket, lifeline: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the parent passes it on as SIGTERM
    log_to_stream()
    with suppress(KeyboardInterrupt):
        run(_serve(settings, listener, lifeline))


async def _serve(settings: ServiceSettings, listener: socket.socket, lifeline: Connection) -> None:
    def parent_died() -> None:
        asyncio.get_running_loop().remove_reader(lifeline.fileno())
        os.kill(os.getpid(), signal.SIGTERM)

    def ready() -> None:
        with suppress(OSError):
            lifeline.send(os.getpid())

    asyncio.get_running_loop().add_reader(lifeline.fileno(), parent_died)  # nothing is ever sent: it can only close
    await serve(settings, on_ready=ready, listener=listener)


@contextmanager
def _signals() -> Iterator[tuple[Callable[[], bool], socket.socket]]:
    """Note SIGTERM and SIGINT instead of dying of them, and make a socket readable when one comes."""
    seen: list[int] = []
    woken, waker = socket.socketpair()
    waker.setblocking(False)
    former = {number: signal.signal(number, lambda number, _: seen.append(number))
              for number in (signal.SIGTERM, signal.SIGINT)}  # fmt: skip
    descriptor = signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
    try:
        yield lambda: bool(seen), woken
    finally:
        signal.set_wakeup_fd(descriptor)
        for number, handler in former.items():
            signal.signal(number, cast(Any, handler))
        woken.close()
        waker.close()
