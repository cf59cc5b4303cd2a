"""A store in an SQLite file, which outlives the process and may be shared by several; knows nothing of HTTP.

Whatever goes wrong with the file counts as a miss: a cache may forget, but must not fail a call.
"""

import asyncio
import hashlib
import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from schemawire.transport.stores.record import Record, StoreStatistics

R = TypeVar("R")

APPLICATION_ID = 0x5343_4348
"""Written into the file's header, so that only a file of ours is ever replaced."""
_VERSION = 1
_DIGEST_BYTES = 16
_BUSY = 0.25
"""Seconds to wait for another process; beyond, the operation counts as a miss."""
_MAX_TOUCHED = 1024

_SCHEMA = f"""
    PRAGMA application_id = {APPLICATION_ID};
    PRAGMA user_version = {_VERSION};
    CREATE TABLE IF NOT EXISTS record (
        resource TEXT NOT NULL,
        variant TEXT NOT NULL,
        content BLOB NOT NULL,
        size INTEGER NOT NULL,
        written INTEGER NOT NULL,
        used INTEGER NOT NULL,
        PRIMARY KEY (resource, variant)
    );
    CREATE INDEX IF NOT EXISTS record_by_use ON record (used, size);
"""


class SqliteStore:
    """Keeps records in an SQLite file; the least recently used go first.

    All work is done in one thread of its own, in the order in which it was asked for. A write is one transaction, and
    every record carries a digest, so a torn or altered one is not there. A file of ours that SQLite cannot read is
    replaced by an empty one; a file of anybody else is left alone, and nothing is stored.

    Invariant: after each `put` the sizes of all records add up to at most `max_bytes`.

    Args:
        path: the file, made when it is first needed, readable by its owner alone; its folder must exist.
        max_bytes: of all records together, from 0.
    """

    name = "sqlite"

    def __init__(self, path: str | Path, *, max_bytes: int) -> None:
        self.path = Path(path)
        self.max_bytes = max_bytes
        self._connection: sqlite3.Connection | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._touched: set[tuple[str, str]] = set()
        self._closed = False
        self._entries = self._size_bytes = self._evicted = self._errors = 0

    async def find(self, resource: str) -> Sequence[Record]:
        """Return the records of a resource, the last written first."""
        return await self._run(lambda connection: self._found(connection, resource), [])

    def _found(self, connection: sqlite3.Connection, resource: str) -> list[Record]:
        rows = connection.execute(
            "SELECT variant, content FROM record WHERE resource = ? ORDER BY written DESC", (resource,)
        ).fetchall()
        records = [record for variant, content in rows if (record := _decoded(resource, variant, content)) is not None]
        self._errors += len(rows) - len(records)
        # Noted here and written with the next `put`: a hit must not cost a transaction.
        if len(self._touched) < _MAX_TOUCHED:
            self._touched.update((resource, record.variant) for record in records)
        return records

    async def put(self, resource: str, record: Record) -> bool:
        """Keep a record, unless it alone is larger than the whole store; see `CacheStore.put`."""
        size = record.size_bytes + len(resource)
        if size > self.max_bytes:
            await self.drop(resource, record.variant)
            return False
        return await self._run(lambda connection: self._kept(connection, resource, record, size), False)

    def _kept(self, connection: sqlite3.Connection, resource: str, record: Record, size: int) -> bool:
        content = _encoded(resource, record)
        with _transaction(connection):
            (now,) = connection.execute("SELECT COALESCE(MAX(used), 0) + 1 FROM record").fetchone()
            touched = [(now, *key) for key in self._touched]
            connection.executemany("UPDATE record SET used = ? WHERE resource = ? AND variant = ?", touched)
            connection.execute(
                "INSERT OR REPLACE INTO record VALUES (?, ?, ?, ?, ?, ?)",
                (resource, record.variant, content, size, now + 1, now + 1),
            )
            self._evicted += _make_room(connection, self.max_bytes)
        self._touched.clear()
        self._measure(connection)
        return True

    async def drop(self, resource: str, variant: str | None = None) -> int:
        """Forget one variant of a resource, or all of them, and return how many there were."""
        return await self._run(lambda connection: self._dropped(connection, resource, variant), 0)

    def _dropped(self, connection: sqlite3.Connection, resource: str, variant: str | None) -> int:
        with _transaction(connection):
            found = connection.execute(
                "DELETE FROM record WHERE resource = ? AND (? IS NULL OR variant = ?)", (resource, variant, variant)
            )
        if found.rowcount:
            self._measure(connection)
        return found.rowcount

    async def drop_below(self, prefix: str) -> int:
        """Forget every resource whose name begins with `prefix`, and return how many records there were."""
        return await self._run(lambda connection: self._dropped_below(connection, prefix), 0)

    def _dropped_below(self, connection: sqlite3.Connection, prefix: str) -> int:
        with _transaction(connection):
            found = connection.execute(
                "DELETE FROM record WHERE resource >= ? AND substr(resource, 1, ?) = ?", (prefix, len(prefix), prefix)
            )
        self._measure(connection)
        return found.rowcount

    async def clear(self) -> None:
        """Forget everything."""
        await self._run(self._cleared, None)

    def _cleared(self, connection: sqlite3.Connection) -> None:
        with _transaction(connection):
            connection.execute("DELETE FROM record")
        self._measure(connection)

    async def aclose(self) -> None:
        """Close the file and end the thread; later operations find nothing and keep nothing."""
        if self._thread is not None and not self._closed:
            await self._run(lambda _: self._disconnect(), None)
            self._thread.shutdown(wait=False)
        self._closed = True

    def statistics(self) -> StoreStatistics:
        """Return the state as of the last write, or of the opening."""
        return StoreStatistics(
            name=self.name,
            entries=self._entries,
            size_bytes=self._size_bytes,
            max_bytes=self.max_bytes,
            evicted=self._evicted,
            errors=self._errors,
        )

    async def _run(self, work: Callable[[sqlite3.Connection], R], otherwise: R) -> R:
        if self._closed:
            return otherwise
        if self._thread is None:
            self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="schemawire-cache")
        job = asyncio.get_running_loop().run_in_executor(self._thread, self._attempted, work, otherwise)
        # A cancelled caller leaves, but its work is done all the same: a lost invalidation would serve old content.
        return await asyncio.shield(job)

    def _attempted(self, work: Callable[[sqlite3.Connection], R], otherwise: R) -> R:
        try:
            return work(self._connected())
        except sqlite3.OperationalError:
            self._errors += 1
            return otherwise
        except (sqlite3.Error, OSError):
            self._errors += 1
            self._disconnect()
            self._discard_if_ours()
            return otherwise

    def _connected(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = _opened(self.path)
            self._measure(self._connection)
        return self._connection

    def _measure(self, connection: sqlite3.Connection) -> None:
        self._entries, self._size_bytes = connection.execute(
            "SELECT COUNT(*), COALESCE(SUM(size), 0) FROM record"
        ).fetchone()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def _discard_if_ours(self) -> None:
        with suppress(OSError):
            with self.path.open("rb") as file:
                header = file.read(72)
            if header[68:72] == APPLICATION_ID.to_bytes(4, "big"):
                for suffix in ("", "-wal", "-shm"):
                    Path(f"{self.path}{suffix}").unlink(missing_ok=True)


def _opened(path: Path) -> sqlite3.Connection:
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    connection = sqlite3.connect(path, timeout=_BUSY, isolation_level=None, check_same_thread=False)
    try:
        (owner,) = connection.execute("PRAGMA application_id").fetchone()
        (tables,) = connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
        if owner != APPLICATION_ID and (owner or tables):
            raise sqlite3.NotSupportedError(f"{path} is not a cache of ours")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.executescript(_SCHEMA)
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Run the block in a transaction that takes the write lock at once, so that it fails before anything is done."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _make_room(connection: sqlite3.Connection, max_bytes: int) -> int:
    """Delete the least recently used records until the rest fits, and return how many."""
    (size,) = connection.execute("SELECT COALESCE(SUM(size), 0) FROM record").fetchone()
    evicted = 0
    if size <= max_bytes:
        return 0
    for rowid, each in connection.execute("SELECT rowid, size FROM record ORDER BY used").fetchall():
        connection.execute("DELETE FROM record WHERE rowid = ?", (rowid,))
        size -= each
        evicted += 1
        if size <= max_bytes:
            break
    return evicted


def _encoded(resource: str, record: Record) -> bytes:
    head = json.dumps(record.head, ensure_ascii=True, separators=(",", ":")).encode()
    content = len(head).to_bytes(4, "big") + head + record.body
    return _digest(resource, record.variant, content) + content


def _decoded(resource: str, variant: str, content: Any) -> Record | None:
    if not isinstance(content, bytes) or len(content) < _DIGEST_BYTES + 4:
        return None
    digest, rest = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    if _digest(resource, variant, rest) != digest:
        return None
    end = 4 + int.from_bytes(rest[:4], "big")
    return Record(variant=variant, head=tuple(json.loads(rest[4:end])), body=rest[end:])


def _digest(resource: str, variant: str, content: bytes) -> bytes:
    key = f"{resource}\0{variant}\0".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(
        content, digest_size=_DIGEST_BYTES, key=hashlib.blake2b(key, digest_size=32).digest()
    ).digest()
