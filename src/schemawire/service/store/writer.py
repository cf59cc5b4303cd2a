"""The one thread that writes a SQLite file: waiting works share a transaction, each in a savepoint of its own.

Knows nothing of what a work does, nor of how the database was opened.
"""

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError

from schemawire.errors import Closed
from schemawire.service.store.refusals import StoreUnavailable

T = TypeVar("T")

GROUP_TIME = 0.02
"""Seconds after which a group takes no further work, so that the first one's answer does not wait for a long queue."""


@dataclass(slots=True, eq=False)
class _Job:
    """One work and whoever waits for it. Invariant: the future is touched on its own loop alone."""

    work: Callable[[Connection], Any]
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    abandoned: bool = False
    """Set when the caller was cancelled; a work that has not begun by then never runs."""
    result: Any = None
    error: BaseException | None = None

    def abandon(self, future: asyncio.Future[Any]) -> None:
        self.abandoned = future.cancelled()

    def run(self, conn: Connection, raw: sqlite3.Connection) -> None:
        try:
            with _savepoint(raw):
                self.result = self.work(conn)
        except BaseException as error:  # whatever it is, it is for this caller: the thread and its neighbours go on
            self.error = translated(error)

    def deliver(self) -> None:
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


_FAULTS = (IntegrityError, ProgrammingError, sqlite3.IntegrityError, sqlite3.ProgrammingError)
"""What no waiting mends: the statement is wrong, or breaks a promise of the tables."""


@contextmanager
def _savepoint(raw: sqlite3.Connection) -> Iterator[None]:
    """Undo what the block did if it raises; by hand, because a new name for each would empty the statement cache."""
    raw.execute("SAVEPOINT work")
    try:
        yield
    except BaseException:
        if raw.in_transaction:  # a full disk ends the whole transaction
            raw.execute("ROLLBACK TO work")
            raw.execute("RELEASE work")
        raise
    raw.execute("RELEASE work")


def translated(error: BaseException) -> BaseException:
    """Return the store's own error for one of the database that says "not now"; others stay as they are."""
    is_ours = isinstance(error, _FAULTS)
    if isinstance(error, DBAPIError | sqlite3.Error) and not is_ours:
        reason = getattr(error, "orig", error)
        refusal = StoreUnavailable(f"the database cannot do this: {reason}", retry_after=1.0)
        refusal.__cause__ = error
        return refusal
    return error


@dataclass(slots=True)
class WriterCounts:
    """What the writer has done; changed by its thread alone."""

    writes: int = 0
    failed_writes: int = 0
    commits: int = 0
    failed_commits: int = 0
    largest_group: int = 0


class _TransactionLost(Exception):
    """The database has undone the whole transaction by itself, as it does when the disk is full."""


class GroupWriter:
    """Runs works one after another on its own thread and answers them once their shared commit is durable.

    `on_commit` runs on the thread between a commit (or its failure) and the answers, and must not raise.

    Invariants: only the thread touches the connection; each accepted job is answered exactly once, after its commit
    or undoing; behind the stop mark nothing is queued. The semaphore counts the free places of the queue.
    """

    def __init__(
        self,
        conn: Connection,
        *,
        max_waiting: int,
        max_group: int,
        on_commit: Callable[[Connection], None] = lambda _: None,
    ) -> None:
        self.counts = WriterCounts()
        self._conn = conn
        self._raw = cast(sqlite3.Connection, conn.connection.dbapi_connection)
        self._max_group = max_group
        self._on_commit = on_commit
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._places = threading.Semaphore(max_waiting)
        self._gate = threading.Lock()
        self._is_closing = False
        self._stop_seen = False
        self._thread = threading.Thread(target=self._run, name="schemawire-writer", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many works wait for their turn."""
        return self._queue.qsize()

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in the next group and return what it returns, once it is committed.

        Raises:
            Closed: the writer has been stopped.
            StoreUnavailable: too many works are waiting, or nothing can be committed.
        """
        loop = asyncio.get_running_loop()
        job = _Job(work=work, future=loop.create_future(), loop=loop)
        job.future.add_done_callback(job.abandon)
        self._accept(job)
        result: T = await job.future
        return result

    def _accept(self, job: _Job) -> None:
        if not self._places.acquire(blocking=False):
            raise StoreUnavailable("too many writes are waiting for the database", retry_after=0.1)
        with self._gate:
            if self._is_closing:
                self._places.release()
                raise Closed("the store is closed")
            self._queue.put(job)

    def stop(self) -> None:
        """Finish what was accepted, refuse what comes later, and end the thread."""
        with self._gate:
            if not self._is_closing:
                self._is_closing = True
                self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (job := self._queue.get()) is not None:
            self._places.release()
            if self._commit_group(job):
                return

    def _commit_group(self, first: _Job) -> bool:
        """Work off the waiting jobs in one transaction; tell whether the stop mark came up."""
        group: list[_Job] = []
        upcoming: _Job | None = first
        until = time.monotonic() + GROUP_TIME
        try:
            with self._conn.begin():
                while upcoming is not None:
                    group.append(upcoming)
                    self._run_job(upcoming)
                    is_full = len(group) >= self._max_group or time.monotonic() > until
                    upcoming = None if is_full else self._next_waiting()
        except BaseException as error:  # nobody may believe what was not kept, nor a refusal that was read from it
            self._fail(group or [first], error)
        else:
            self.counts.commits += 1
        self._on_commit(self._conn)  # also after a failure: what it cost is one look too many
        self._answer(group or [first])
        return self._stop_seen

    def _next_waiting(self) -> _Job | None:
        try:
            job = self._queue.get_nowait()
        except queue.Empty:
            return None
        if job is None:
            self._stop_seen = True
        else:
            self._places.release()
        return job

    def _run_job(self, job: _Job) -> None:
        if job.abandoned:
            return
        job.run(self._conn, self._raw)
        if not self._raw.in_transaction:  # the next statement would commit by itself
            raise _TransactionLost

    def _fail(self, group: list[_Job], error: BaseException) -> None:
        self.counts.failed_commits += 1
        self._roll_back()
        reasons = [job.error.message for job in group if isinstance(job.error, StoreUnavailable)]
        reason = reasons[-1] if reasons else str(getattr(error, "orig", error))
        for job in group:
            refusal = StoreUnavailable(f"the write could not be made durable: {reason}", retry_after=1.0)
            refusal.__cause__ = error
            job.error = refusal

    def _roll_back(self) -> None:
        """End a transaction that a failed COMMIT has left open, of which SQLAlchemy no longer knows."""
        if self._raw.in_transaction:
            with suppress(sqlite3.Error):  # the next BEGIN fails then, and says why to whoever comes next
                self._raw.rollback()

    def _answer(self, group: list[_Job]) -> None:
        self.counts.writes += len(group)
        self.counts.failed_writes += sum(job.error is not None for job in group)
        self.counts.largest_group = max(self.counts.largest_group, len(group))
        for loop in {job.loop for job in group}:
            mine = [job for job in group if job.loop is loop]
            try:
                loop.call_soon_threadsafe(_deliver, mine)
            except RuntimeError:  # the loop is closed: nobody waits there any more
                continue


def _deliver(jobs: list[_Job]) -> None:
    for job in jobs:
        job.deliver()
