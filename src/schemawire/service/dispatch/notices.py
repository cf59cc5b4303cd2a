"""LISTEN and NOTIFY: processes that share a PostgreSQL database tell one another of work and of cancellations.

Sent after the commit and many at once, not by the transaction itself: a transaction that notifies takes a lock that
every other such transaction of the server waits for. A notice that is lost costs one polling interval.
"""

import asyncio
from contextlib import suppress
from typing import Any

import asyncpg  # type: ignore[import-untyped]  # it ships no types
from sqlalchemy import Connection

from schemawire.service.dispatch.engine import Ears, EngineStatistics
from schemawire.service.logs import log
from schemawire.service.operations import Operation

CHANNEL = "schemawire_operations"
WORK = "work"
CANCEL = "cancel:"
CONNECT_TIMEOUT = 5.0
CHECK_INTERVAL = 5.0
GATHERING = 0.002
"""Seconds that a notice waits for others to travel with it."""
RECONNECT_PAUSE = 1.0
MAX_WAITING = 1_000
"""Cancellations that wait to be told; further ones are found when their workers renew their leases."""


class PostgresNotices:
    """Listens and notifies on one connection of its own.

    Invariant: `_listening` is set exactly while the connection is believed to be good.

    Args:
        url: the database's address.
    """

    name = "postgres"
    poll_interval = 1.0

    def __init__(self, url: str) -> None:
        self._url = "postgresql" + url[url.index("://") :]
        self._ears: Ears | None = None
        self._task: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._has_work = False
        self._cancelled: list[str] = []
        self._is_connected = False
        self._announced = self._heard = self._failures = 0
        self._was_told = False
        self._hearing: set[asyncio.Task[bool]] = set()

    def note(self, conn: Connection, operation: Operation) -> None:
        """Do nothing: a notice is sent after the commit."""

    async def start(self, ears: Ears | None) -> None:
        """Begin to connect. Harmless when repeated."""
        if self._task is None:
            self._ears = ears
            self._news = asyncio.Event()
            self._task = asyncio.create_task(self._run(), name="schemawire-notices")

    async def stop_listening(self) -> None:
        """Hear nothing any more."""
        self._ears = None

    async def stop(self) -> None:
        """Disconnect. Harmless when repeated."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task, *self._hearing])

    def announce(self, operation_id: str) -> None:
        """Tell every process that there is work."""
        self._has_work = True
        self._news.set()

    def announce_cancelled(self, operation_id: str) -> None:
        """Tell every process that an operation was cancelled."""
        if len(self._cancelled) < MAX_WAITING:
            self._cancelled.append(operation_id)
            self._news.set()

    def statistics(self) -> EngineStatistics:
        """Return the counters as they are now."""
        return EngineStatistics(
            is_connected=self._is_connected, announced=self._announced, heard=self._heard, failures=self._failures
        )

    async def _run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT):
                    connection = await asyncpg.connect(self._url, statement_cache_size=0)
                try:
                    await self._serve(connection)
                finally:
                    self._is_connected = False
                    connection.terminate()
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
                self._failures += 1
                self._tell_once(error)
            await asyncio.sleep(RECONNECT_PAUSE)

    def _tell_once(self, error: Exception) -> None:
        if not self._was_told:
            self._was_told = True
            log.warning("notices away", reason=f"{type(error).__name__}: {str(error)[:200]}")

    async def _serve(self, connection: "asyncpg.Connection[Any]") -> None:
        await connection.add_listener(CHANNEL, self._on_notice)
        self._is_connected, self._was_told = True, False
        self._hear(WORK)  # what was announced while nobody listened
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(CHECK_INTERVAL):
                    await self._news.wait()
            await asyncio.sleep(GATHERING)
            self._news.clear()
            await self._send(connection)

    async def _send(self, connection: "asyncpg.Connection[Any]") -> None:
        cancelled, self._cancelled = self._cancelled, []
        has_work, self._has_work = self._has_work, False
        payloads = [*([WORK] if has_work else []), *(CANCEL + each for each in cancelled)]
        async with asyncio.timeout(CONNECT_TIMEOUT):
            if not payloads:
                await connection.execute("SELECT 1")  # a connection that is gone is noticed even without news
            for payload in payloads:
                await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, payload)
                self._announced += 1

    def _on_notice(self, connection: object, pid: int, channel: str, payload: object) -> None:
        self._heard += 1
        self._hear(str(payload))

    def _hear(self, payload: str) -> None:
        ears = self._ears
        if ears is None:
            return
        if payload.startswith(CANCEL):
            ears.cancelled(payload.removeprefix(CANCEL))
        elif not self._hearing:
            task = asyncio.ensure_future(ears.work())
            self._hearing.add(task)
            task.add_done_callback(self._hearing.discard)
