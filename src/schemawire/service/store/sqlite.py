"""The store in one SQLite file: one writer thread, a few readers, one process; the only SQLite-specific code.

Write-ahead log with `synchronous=FULL`, no memory map. The restriction to one writing connection is what keeps SQLite
before 3.51.3 from its WAL-reset defect. Knows nothing of what is stored.
"""

import asyncio
import fcntl
import os
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import QueuePool

from schemawire.errors import Closed, ConfigurationInvalid
from schemawire.service.store.heads import HeadMemory, take_touched
from schemawire.service.store.migrate import migrate
from schemawire.service.store.refusals import StoreLocked, StoreUnavailable
from schemawire.service.store.store import StoreStatistics
from schemawire.service.store.writer import GroupWriter, WriterCounts, translated

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class SqliteOptions:
    """How much the store does at once."""

    readers: int = 4
    """Reading threads, 1 to 64."""
    max_waiting_reads: int = 1_000
    max_waiting_writes: int = 1_000
    max_group: int = 256
    """Writes that share one commit at most."""

    def __post_init__(self) -> None:
        for name, most in (("readers", 64), ("max_waiting_reads", 10**6), ("max_waiting_writes", 10**6),
                           ("max_group", 10**4)):  # fmt: skip
            value = getattr(self, name)
            if not 1 <= value <= most:
                raise ValueError(f"{name} is {value!r}; use 1 to {most}")


class SqliteStore:
    """A store in one SQLite file, which one process owns while it is open.

    Args:
        path: the database file; its folder is made where it is missing.
        options: how much the store does at once.
        clock: seconds since 1970-01-01 UTC.

    Raises:
        ConfigurationInvalid: the path names no file.
    """

    is_exclusive = True

    def __init__(
        self, path: str | Path, *, options: SqliteOptions | None = None, clock: Callable[[], float] = time.time
    ) -> None:
        if str(path).startswith(":memory:") or not str(path):
            raise ConfigurationInvalid(
                f"{str(path)!r} is not a database file", fix="Name a file: connections cannot share one in memory."
            )
        self.path = Path(path).absolute()
        self._options = options or SqliteOptions()
        self._clock = clock
        self._open: _OpenFile | None = None
        self._store_id = ""
        self._reads = 0
        self._active_reads = 0
        self._last_counts = WriterCounts()

    @property
    def store_id(self) -> str:
        """The identity of the stored rows; empty before the first start."""
        return self._store_id

    @property
    def heads(self) -> HeadMemory | None:
        """The newest documents in memory; `None` while the store is not open."""
        return None if self._open is None else self._open.heads

    async def start(self) -> None:
        """Open the file and bring its tables up to date. Harmless when repeated.

        Raises:
            StoreLocked: another process has it open.
            StoreUnavailable: it cannot be opened or migrated; nothing was changed.
        """
        if self._open is not None:
            return
        with ThreadPoolExecutor(1, thread_name_prefix="schemawire-opener") as opener:
            opening = asyncio.get_running_loop().run_in_executor(opener, self._open_file)
            try:
                self._open = await asyncio.shield(opening)
            except asyncio.CancelledError:
                with suppress(Exception):  # nobody waits for the reason any more
                    (await opening).close()  # the thread cannot be stopped half-way, but what it opened can be closed
                raise
        self._store_id = self._open.store_id

    def _open_file(self) -> "_OpenFile":
        lock = _FileLock(self.path)
        try:
            _make_private(self.path)
            return _OpenFile(self.path, self._options, lock, self._clock())
        except BaseException:
            lock.release()
            raise

    async def close(self) -> None:
        """Finish what was accepted, refuse the rest, and let go of every thread and file. Harmless when repeated."""
        opened, self._open = self._open, None
        if opened is None:
            return
        with ThreadPoolExecutor(1, thread_name_prefix="schemawire-closer") as closer:
            await asyncio.shield(asyncio.get_running_loop().run_in_executor(closer, opened.close))
        self._last_counts = opened.writer.counts

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` on one consistent snapshot that it cannot change, and return what it returns.

        Raises:
            Closed: the store is not open.
            StoreUnavailable: the database cannot be read, or too many reads are waiting.

        *Cancelled:* the work may run on to its end, unheard.
        """
        opened = self._require_open()
        if self._active_reads >= self._options.max_waiting_reads:
            raise StoreUnavailable("too many reads are waiting for the database", retry_after=0.1)
        self._active_reads += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(opened.threads, opened.read, work)
        finally:
            self._active_reads -= 1
            self._reads += 1

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a savepoint of its own and return what it returns, once that is durably committed.

        Raises:
            Closed: the store is not open.
            StoreUnavailable: too many writes are waiting, or the database cannot keep the work: nothing of it was kept.

        *Cancelled:* a work that has not begun never runs; one that has begun is committed or undone as a whole.
        """
        return await self._require_open().writer.run(work)

    async def peek(self, work: Callable[[Connection], T]) -> T:
        """Run `work` on one snapshot of a store that need not be started; nothing is migrated, made or locked.

        The connection can neither write nor fold the log back, so it may stand beside a process that does.

        Raises:
            StoreUnavailable: there is no such file, or it cannot be read.
        """
        return await asyncio.to_thread(self._peek, work)

    def _peek(self, work: Callable[[Connection], T]) -> T:
        address = URL.create(
            "sqlite+pysqlite", database=f"file:{quote(str(self.path))}", query={"mode": "ro", "uri": "true"}
        )
        engine = create_engine(address, hide_parameters=True, connect_args={"timeout": 5.0})
        event.listen(engine, "connect", lambda raw, _: _tune_reader(raw))
        try:
            with engine.connect() as conn:
                conn.exec_driver_sql("BEGIN")
                return work(conn)
        except (SQLAlchemyError, sqlite3.Error) as error:
            reason = getattr(error, "orig", error)
            raise StoreUnavailable(f"{str(self.path)!r} cannot be read: {reason}") from error
        finally:
            engine.dispose()

    def _require_open(self) -> "_OpenFile":
        if self._open is None:
            raise Closed("the store is not open", fix="Call `start()` first.")
        return self._open

    def statistics(self) -> StoreStatistics:
        """Return the counters as they are now."""
        counts = self._open.writer.counts if self._open else self._last_counts
        return StoreStatistics(
            writes=counts.writes,
            failed_writes=counts.failed_writes,
            commits=counts.commits,
            failed_commits=counts.failed_commits,
            largest_group=counts.largest_group,
            waiting_writes=self._open.writer.waiting if self._open else 0,
            reads=self._reads,
            active_reads=self._active_reads,
            is_open=self._open is not None,
        )


def _make_private(path: Path) -> None:
    """Make the file, if it is missing, for its owner alone; SQLite gives the files beside it the same mode."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StoreUnavailable(f"{str(path)!r} cannot be opened: {error.strerror}") from error


class _FileLock:
    """Holds `FILE.lock` for this process; the system lets go of it when the process dies, however it dies."""

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreUnavailable(f"{str(path)!r} cannot be opened: {error.strerror}") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._descriptor, 32, 0).decode("ascii", "replace").strip()
            os.close(self._descriptor)
            raise StoreLocked(f"{str(path)!r} is open in another process (pid {holder or 'unknown'})") from error
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, str(os.getpid()).encode(), 0)

    def release(self) -> None:
        os.close(self._descriptor)


class _OpenFile:
    """Everything that exists only while the file is open: the writer, the readers and the lock."""

    def __init__(self, path: Path, options: SqliteOptions, lock: _FileLock, now: float) -> None:
        self._lock = lock
        self._write_engine = _engine(path, "BEGIN IMMEDIATE", _tune_writer, size=1)
        self._read_engine = _engine(path, "BEGIN", _tune_reader, size=options.readers)
        try:
            self._conn, self.store_id = self._connect_writer(now)
        except SQLAlchemyError as error:
            reason = getattr(error, "orig", error)
            raise StoreUnavailable(f"{str(path)!r} cannot be used as a database: {reason}") from error
        self.threads = ThreadPoolExecutor(options.readers, thread_name_prefix="schemawire-reader")
        self.heads = HeadMemory()
        self.writer = GroupWriter(
            self._conn,
            max_waiting=options.max_waiting_writes,
            max_group=options.max_group,
            on_commit=lambda conn: self.heads.forget(take_touched(conn)),
        )

    def _connect_writer(self, now: float) -> tuple[Connection, str]:
        with ExitStack() as undo:
            undo.callback(self._write_engine.dispose)
            conn = undo.enter_context(self._write_engine.connect())
            with conn.begin():
                store_id = migrate(conn, now=now)
            undo.pop_all()
        return conn, store_id

    def read(self, work: Callable[[Connection], T]) -> T:
        try:
            with self._read_engine.connect() as conn, conn.begin():
                return work(conn)
        except (SQLAlchemyError, sqlite3.Error) as error:
            raise translated(error) from error.__cause__

    def close(self) -> None:
        self.writer.stop()
        self.threads.shutdown(wait=True)
        self._read_engine.dispose()
        with suppress(SQLAlchemyError):  # a full disk must not keep the process from ending; the log is replayed later
            self._conn.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        self._conn.close()
        self._write_engine.dispose()
        self._lock.release()


def _engine(path: Path, begin: str, tune: Callable[[Any], None], *, size: int) -> Engine:
    engine = create_engine(
        URL.create("sqlite+pysqlite", database=str(path)),
        poolclass=QueuePool,
        pool_size=size,
        max_overflow=0,
        hide_parameters=True,  # they are what users wrote, and errors end in logs
        connect_args={"check_same_thread": False, "timeout": 5.0},
    )

    @event.listens_for(engine, "connect")
    def _connected(raw: Any, _record: object) -> None:
        raw.isolation_level = None  # the driver's own BEGIN is deferred and not sent before every statement
        tune(raw)

    @event.listens_for(engine, "begin")
    def _begun(conn: Connection) -> None:
        conn.exec_driver_sql(begin)

    return engine


def _tune_writer(raw: Any) -> None:
    raw.execute("PRAGMA journal_mode=WAL")
    raw.execute("PRAGMA synchronous=FULL")
    raw.execute("PRAGMA mmap_size=0")
    raw.execute("PRAGMA cache_size=-16000")
    raw.execute("PRAGMA journal_size_limit=67108864")


def _tune_reader(raw: Any) -> None:
    raw.execute("PRAGMA query_only=ON")
    raw.execute("PRAGMA mmap_size=0")
    raw.execute("PRAGMA cache_size=-2000")
