"""A thread with an event loop and a few database connections of its own, on which works run in turn.

The loop that serves requests stays free while a work computes. Knows nothing of what a work does, nor which database
it works on.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncEngine

from schemawire.errors import Closed
from schemawire.service.loops import new_loop
from schemawire.service.store.refusals import StoreUnavailable

T = TypeVar("T")
_LAST_WORDS = 2.0
"""Seconds that cancelled jobs get to undo what they did."""


class Lane:
    """Runs jobs on its own loop, as many at once as there are connections, the others in the order of their coming.

    Invariants: everything below is touched on the lane's loop alone, apart from `_is_closing`, which only ever
    becomes true; a free slot is a free connection, so that the pool itself never waits; `_running` holds exactly the
    jobs that have a slot.

    Args:
        name: of the thread.
        make_engine: makes the engine.
        connections: jobs at once.
        max_waiting: jobs that wait for a slot at most; further ones are refused.
    """

    def __init__(self, name: str, make_engine: Callable[[], AsyncEngine], *, connections: int, max_waiting: int):
        self.engine = make_engine()
        self._max_waiting = max_waiting
        self._slots = asyncio.Semaphore(connections)
        self._waiting = 0
        self._running: set[asyncio.Task[Any]] = set()
        self._is_closing = False
        self._loop = new_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=name, daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many jobs wait for a connection."""
        return self._waiting

    @property
    def running(self) -> int:
        """How many jobs have one."""
        return len(self._running)

    async def run(self, job: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a job once there is a connection for it, and return what it returns.

        Raises:
            Closed: the lane is closed.
            StoreUnavailable: too many jobs are waiting.

        *Cancelled:* a job that has not begun never runs; one that has begun goes on to its end, unheard.
        """
        if self._is_closing:
            raise Closed("the store is closed")
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._in_turn(job), self._loop))

    async def _in_turn(self, job: Callable[[], Coroutine[Any, Any, T]]) -> T:
        if self._slots.locked() and self._waiting >= self._max_waiting:
            raise StoreUnavailable("too many requests are waiting for the database", retry_after=0.1)
        self._waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1
        task = self._loop.create_task(job())
        self._running.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        self._slots.release()
        if not task.cancelled():
            task.exception()  # heard, also where the caller has gone

    def close(self, timeout: float = 30.0) -> None:
        """Finish what was accepted, let go of every connection, and end the thread; blocks, harmless when repeated.

        What has not ended within `timeout` seconds is cancelled.
        """
        if self._is_closing:
            return
        self._is_closing = True
        with suppress(TimeoutError):  # a database that does not answer must not keep the process from ending
            asyncio.run_coroutine_threadsafe(self._finish(timeout), self._loop).result(timeout + 5.0)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _finish(self, timeout: float) -> None:
        try:
            async with asyncio.timeout(timeout):
                while self._waiting or self._running:
                    await asyncio.sleep(0.005) if self._waiting else await asyncio.wait(self._running)
        except TimeoutError:
            for task in self._running:
                task.cancel()
            if self._running:
                await asyncio.wait(self._running, timeout=_LAST_WORDS)
        finally:
            await self._quietly(self.engine.dispose())

    async def _quietly(self, closing: Awaitable[None]) -> None:
        with suppress(Exception):  # connections to a database that has gone are gone too
            await closing
