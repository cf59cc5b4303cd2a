"""The store of a client's cache, exchanged while the client lives; knows no rule of HTTP."""

from pathlib import Path

from schemawire.transport.cache_config import CacheConfig
from schemawire.transport.stores import CacheStore, open_store


class StoreKeeper:
    """Opens the store that options ask for, and closes every one that it has opened.

    A store that is no longer wanted stays open until the end, for calls under way may still use it.

    Args:
        options: the cache's options; `None`: no store.
    """

    def __init__(self, options: CacheConfig | None) -> None:
        self._options: CacheConfig | None = None
        self._opened: list[CacheStore] = []
        self.store: CacheStore | None = None
        self.take(options, self.wanted(options))

    def wanted(self, options: CacheConfig | None) -> CacheStore | None:
        """Return the store for these options: the present one where it fits. Takes no other into use."""
        present = self._options
        if options is None:
            return None
        if present is not None and _place(present) == _place(options):
            return self.store
        return open_store(*_place(options))

    def take(self, options: CacheConfig | None, store: CacheStore | None) -> None:
        """Use a store that `wanted` returned."""
        if store is not None and store not in self._opened:
            self._opened.append(store)
        self._options, self.store = options, store

    async def aclose(self) -> None:
        """Close every store. Safe to call twice."""
        opened, self._opened = self._opened, []
        for store in opened:
            await store.aclose()


def _place(options: CacheConfig) -> tuple[str | Path | None, int, float]:
    return options.path, options.max_bytes, options.front
