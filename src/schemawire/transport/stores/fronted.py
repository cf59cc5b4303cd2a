"""A store in memory in front of one on disk: what was just read or written is not read again; knows nothing of HTTP."""

import asyncio
from collections.abc import Sequence

from schemawire.transport.stores.memory import MemoryStore
from schemawire.transport.stores.record import CacheStore, Record, StoreStatistics

LARGEST_FRONT = 16 << 20
"""Bytes of all records in memory."""
_MOST_SEEN = 4096


class FrontedStore:
    """Answers from memory for a moment what the store behind it holds.

    Everything is written through at once. Another process that changes the store behind it is noticed once the moment
    is over; the one that changes it through this object, at once.

    Args:
        back: where everything is kept.
        seconds: how long what was read is answered from memory, above 0.
    """

    # Invariant: `_seen` holds when each resource was last read from behind; until so long after that the front holds
    # exactly its records, an empty set of them included. Nothing is awaited between reading behind and noting it.

    def __init__(self, back: CacheStore, *, seconds: float) -> None:
        self._back = back
        self._front = MemoryStore(max_bytes=min(LARGEST_FRONT, back.statistics().max_bytes))
        self._seconds = seconds
        self._seen: dict[str, float] = {}
        self._evicted = 0

    async def find(self, resource: str) -> Sequence[Record]:
        """Return the records of a resource, the last written first."""
        now = asyncio.get_running_loop().time()
        if 0.0 <= now - self._seen.get(resource, -self._seconds - 1.0) <= self._seconds:
            return await self._front.find(resource)
        records = await self._back.find(resource)
        await self._front.drop(resource)
        if len(self._seen) >= _MOST_SEEN:
            await self._forget_all()
        self._seen[resource] = now
        for record in reversed(records):
            await self._hold(resource, record)
        return records

    async def put(self, resource: str, record: Record) -> bool:
        """Keep a record; see `CacheStore.put`."""
        self._seen.pop(resource, None)
        kept = await self._back.put(resource, record)
        self._seen.pop(resource, None)
        return kept

    async def drop(self, resource: str, variant: str | None = None) -> int:
        """Forget one variant of a resource, or all of them, and return how many there were."""
        self._seen.pop(resource, None)
        dropped = await self._back.drop(resource, variant)
        self._seen.pop(resource, None)
        return dropped

    async def drop_below(self, prefix: str) -> int:
        """Forget every resource whose name begins with `prefix`, and return how many records there were."""
        self._unsee(prefix)
        dropped = await self._back.drop_below(prefix)
        self._unsee(prefix)
        return dropped

    def _unsee(self, prefix: str) -> None:
        self._seen = {resource: at for resource, at in self._seen.items() if not resource.startswith(prefix)}

    async def _hold(self, resource: str, record: Record) -> None:
        kept = await self._front.put(resource, record)
        evicted = self._front.statistics().evicted
        if not kept or evicted != self._evicted:
            # What made room is no longer complete here, so nothing counts as seen.
            self._evicted = evicted
            await self._forget_all()

    async def _forget_all(self) -> None:
        self._seen.clear()
        await self._front.clear()

    async def clear(self) -> None:
        """Forget everything."""
        await self._forget_all()
        await self._back.clear()
        await self._forget_all()

    async def aclose(self) -> None:
        """Let go of everything; safe to call twice."""
        await self._forget_all()
        await self._back.aclose()

    def statistics(self) -> StoreStatistics:
        """Return the state of the store behind."""
        return self._back.statistics()
