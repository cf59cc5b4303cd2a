"""Where cached responses are kept: in memory or in an SQLite file; knows nothing of HTTP."""

from pathlib import Path

from schemawire.transport.stores.fronted import FrontedStore
from schemawire.transport.stores.memory import MemoryStore
from schemawire.transport.stores.record import CacheStore, Record, StoreStatistics
from schemawire.transport.stores.sqlite import SqliteStore

__all__ = ["CacheStore", "FrontedStore", "MemoryStore", "Record", "SqliteStore", "StoreStatistics", "open_store"]


def open_store(path: str | Path | None, max_bytes: int, front: float = 0.0) -> CacheStore:
    """Return a store in the file at `path`, with memory in front of it for `front` seconds, or in memory alone."""
    if path is None:
        return MemoryStore(max_bytes=max_bytes)
    store = SqliteStore(path, max_bytes=max_bytes)
    return FrontedStore(store, seconds=front) if front > 0 else store
