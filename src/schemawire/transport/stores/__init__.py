"""Where cached responses are kept: in memory or in an SQLite file; knows nothing of HTTP."""

from pathlib import Path

from schemawire.transport.stores.memory import MemoryStore
from schemawire.transport.stores.record import CacheStore, Record, StoreStatistics
from schemawire.transport.stores.sqlite import SqliteStore

__all__ = ["CacheStore", "MemoryStore", "Record", "SqliteStore", "StoreStatistics", "open_store"]


def open_store(path: str | Path | None, max_bytes: int) -> CacheStore:
    """Return a store in the file at `path`, or in memory without one."""
    return MemoryStore(max_bytes=max_bytes) if path is None else SqliteStore(path, max_bytes=max_bytes)
