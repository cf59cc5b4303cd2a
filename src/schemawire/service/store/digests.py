"""The digests of a project's elements in order, remembered between writes, so that a write hashes what it changes.

Knows nothing of what an element is.
"""

import threading
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Collection, Mapping

from schemawire.schema import Header, digest_of

RankedKey = tuple[int, str]

_SIZE = 32
_FEW = 32  # up to so many, moving the tail for each is cheaper than one pass over everything


class OrderedDigests:
    """Digests by rank of the kind, then key. Invariant: `packed` holds them end to end in the order of `keys`."""

    def __init__(self, keys: list[RankedKey], packed: bytearray) -> None:
        self._keys = keys
        self._packed = packed

    def __len__(self) -> int:
        return len(self._keys)

    def copy(self) -> "OrderedDigests":
        """Return one that can be changed without changing this one."""
        return OrderedDigests(self._keys.copy(), self._packed.copy())

    def put(self, key: RankedKey, digest: bytes) -> None:
        """Add the digest of an element, or replace it."""
        place = bisect_left(self._keys, key)
        at = place * _SIZE
        if place < len(self._keys) and self._keys[place] == key:
            self._packed[at : at + _SIZE] = digest
        else:
            self._keys.insert(place, key)
            self._packed[at:at] = digest

    def remove(self, key: RankedKey) -> None:
        """Take the digest of an element away, if it is there."""
        place = bisect_left(self._keys, key)
        if place < len(self._keys) and self._keys[place] == key:
            del self._keys[place]
            del self._packed[place * _SIZE : (place + 1) * _SIZE]

    def update(self, gone: Collection[RankedKey], come: Mapping[RankedKey, bytes]) -> None:
        """Take digests away and put others in; many at once are merged in one pass."""
        if len(gone) + len(come) > _FEW:
            self._merge(gone, come)
            return
        for key in gone:
            self.remove(key)
        for key, digest in come.items():
            self.put(key, digest)

    def _merge(self, gone: Collection[RankedKey], come: Mapping[RankedKey, bytes]) -> None:
        view = bytes(self._packed)
        merged = {key: view[at * _SIZE : (at + 1) * _SIZE] for at, key in enumerate(self._keys)}
        for key in gone:
            merged.pop(key, None)
        merged.update(come)
        self._keys = sorted(merged)
        self._packed = bytearray(b"".join(merged[key] for key in self._keys))

    def total(self, header: Header) -> str:
        """Return the digest of the whole schema."""
        return digest_of(header, (bytes(self._packed),))


class DigestMemory:
    """The last used digests, by the digest of the whole schema.

    What is remembered under a digest is decided by that digest, so it stays right whatever becomes of the transaction
    that remembered it. Bounded by the number of elements over all entries.
    """

    def __init__(self, max_elements: int = 500_000) -> None:
        self._max_elements = max_elements
        self._entries: OrderedDict[str, OrderedDigests] = OrderedDict()
        self._elements = 0
        self._gate = threading.Lock()

    def take(self, digest: str) -> OrderedDigests | None:
        """Return a copy of what is remembered for a schema, or `None`."""
        with self._gate:
            found = self._entries.get(digest)
            if found is None:
                return None
            self._entries.move_to_end(digest)
            return found.copy()

    def keep(self, digest: str, digests: OrderedDigests) -> None:
        """Remember the digests of a schema; they must not be changed afterwards."""
        with self._gate:
            former = self._entries.pop(digest, None)
            self._elements += len(digests) - (len(former) if former else 0)
            self._entries[digest] = digests
            while self._elements > self._max_elements or len(self._entries) > self._max_elements // 100:
                _, oldest = self._entries.popitem(last=False)
                self._elements -= len(oldest)
