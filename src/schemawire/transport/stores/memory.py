"""A store in memory, bounded by bytes; knows nothing of HTTP."""

from collections import OrderedDict
from collections.abc import Sequence

from schemawire.transport.stores.record import Record, StoreStatistics


class MemoryStore:
    """Keeps records in this process; the least recently used go first.

    Invariants: `_size_bytes` is the sum over all records and never above `max_bytes`; `_resources` lists exactly the
    variants that are in `_records`, the last written last.

    Args:
        max_bytes: of all records together, from 0.
    """

    name = "memory"

    def __init__(self, *, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._records: OrderedDict[tuple[str, str], tuple[Record, int]] = OrderedDict()
        self._resources: dict[str, list[str]] = {}
        self._size_bytes = 0
        self._evicted = 0

    async def find(self, resource: str) -> Sequence[Record]:
        """Return the records of a resource, the last written first."""
        variants = self._resources.get(resource, ())
        for variant in variants:
            self._records.move_to_end((resource, variant))
        return [self._records[resource, variant][0] for variant in reversed(variants)]

    async def put(self, resource: str, record: Record) -> bool:
        """Keep a record, unless it alone is larger than the whole store."""
        size = record.size_bytes + len(resource)
        self._forget(resource, record.variant)
        if size > self.max_bytes:
            return False
        while self._size_bytes + size > self.max_bytes:
            self._forget(*next(iter(self._records)))
            self._evicted += 1
        self._records[resource, record.variant] = (record, size)
        self._resources.setdefault(resource, []).append(record.variant)
        self._size_bytes += size
        return True

    async def drop(self, resource: str, variant: str | None = None) -> int:
        """Forget one variant of a resource, or all of them, and return how many there were."""
        variants = list(self._resources.get(resource, ())) if variant is None else [variant]
        return sum(self._forget(resource, each) for each in variants)

    async def drop_below(self, prefix: str) -> int:
        """Forget every resource whose name begins with `prefix`, and return how many records there were."""
        resources = [resource for resource in self._resources if resource.startswith(prefix)]
        return sum([await self.drop(resource) for resource in resources])

    def _forget(self, resource: str, variant: str) -> bool:
        found = self._records.pop((resource, variant), None)
        if found is None:
            return False
        self._size_bytes -= found[1]
        variants = self._resources[resource]
        variants.remove(variant)
        if not variants:
            del self._resources[resource]
        return True

    async def clear(self) -> None:
        """Forget everything."""
        self._records.clear()
        self._resources.clear()
        self._size_bytes = 0

    async def aclose(self) -> None:
        """Do nothing: what is in memory goes with the process."""

    def statistics(self) -> StoreStatistics:
        """Return the present state."""
        return StoreStatistics(
            name=self.name,
            entries=len(self._records),
            size_bytes=self._size_bytes,
            max_bytes=self.max_bytes,
            evicted=self._evicted,
        )
