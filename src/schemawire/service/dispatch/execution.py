"""One attempt at one operation, as the code that carries it out sees it; knows nothing of polling or claiming."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from sqlalchemy import Connection

from schemawire.service.operations import Operation, complete, renew
from schemawire.service.store.operations import require_lease, save_completed, save_operation
from schemawire.service.store.store import Store

T = TypeVar("T")

PROGRESS_INTERVAL = 0.5
"""Seconds between two notes of an operation's progress at least; each is a durable write."""


class Execution:
    """Carries one attempt: what to do, how far it is, and the one commit that both does it and marks it as done."""

    def __init__(self, store: Store, operation: Operation, *, owner: str, lease: float, clock: Callable[[], float]):
        self.operation = operation
        self._store = store
        self._owner = owner
        self._lease = lease
        self._clock = clock
        self._progress = operation.progress
        self._news = asyncio.Event()
        self._is_finishing = False
        self._is_finished = False
        self.has_successor = True
        """Whether another operation of the project may begin when this one has ended."""

    @property
    def is_finished(self) -> bool:
        """Whether `finish` has committed."""
        return self._is_finished

    def report(self, progress: float) -> None:
        """Note how far the work is, from 0 to 1; it becomes durable a little later."""
        if progress > self._progress:
            self._progress = min(progress, 1.0)
            self._news.set()

    def interrupt(self) -> None:
        """Have the lease looked at now, because the operation may have been cancelled."""
        self._news.set()

    async def finish(self, work: Callable[[Connection], T]) -> T:
        """Run `work` and mark the operation as succeeded with what it returns, in one commit: both or neither.

        Args:
            work: the effect; returns the operation's result, which must be JSON.

        Raises:
            LeaseLost: the operation was cancelled or taken over; nothing was kept.
            StoreUnavailable: nothing could be kept.

        *Cancelled:* as with `Store.write`: the effect and the completion are there together, or neither is.
        """
        self._is_finishing = True  # a renewal queued behind the completion would find the lease gone
        try:
            result = await self._store.write(partial(self._finish, work))
        finally:
            self._is_finishing = False
        self._is_finished = True
        return result

    def _finish(self, work: Callable[[Connection], T], conn: Connection) -> T:
        result = work(conn)  # undone where the lease turns out to be lost
        done = complete(self.operation, self._owner, now=self._clock(), result=result)
        self.has_successor = save_completed(conn, done, self.operation)
        return result

    async def keep_lease(self) -> None:
        """Renew the lease, and note progress, until cancelled.

        Raises:
            LeaseLost: the operation was cancelled or taken over.
        """
        while True:
            try:
                async with asyncio.timeout(self._lease / 3):
                    await self._news.wait()
            except TimeoutError:
                pass
            self._news.clear()
            if not self._is_finishing and not self._is_finished:
                await self._store.write(self._renew)
            await asyncio.sleep(min(PROGRESS_INTERVAL, self._lease / 10))

    def _renew(self, conn: Connection) -> None:
        held = require_lease(conn, self.operation.operation_id, self._owner)
        renewed = renew(held, self._owner, now=self._clock(), lease=self._lease, progress=self._progress)
        save_operation(conn, renewed)


Execute = Callable[[Execution], Awaitable[None]]
"""Carries out one operation, and ends with `Execution.finish`; what it raises decides whether it is tried again."""
