"""What a store keeps, and what every store promises; knows nothing of HTTP."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

OVERHEAD_BYTES = 256
"""Counted for each record besides its content, so that many small ones are bounded too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One kept thing: a variant of a resource.

    Args:
        variant: tells it from other variants of the same resource.
        head: plain values (numbers, strings, tuples of them) that describe the body.
        body: the bytes.
        value: what the record was made from, where the store keeps objects; nobody else's business.
    """

    variant: str
    head: tuple[Any, ...]
    body: bytes = field(repr=False)
    value: object = field(default=None, repr=False, compare=False)

    @property
    def size_bytes(self) -> int:
        """What it counts for: the text and bytes in it, and a fixed overhead."""
        return OVERHEAD_BYTES + len(self.body) + len(self.variant) + _text_bytes(self.head)


def _text_bytes(value: object) -> int:
    if isinstance(value, str):
        return len(value.encode("utf-8", "surrogatepass"))
    return sum(_text_bytes(each) for each in value) + 16 if isinstance(value, tuple | list) else 8


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreStatistics:
    """How full a store is and what became of its content."""

    name: str
    entries: int
    size_bytes: int
    max_bytes: int
    evicted: int
    """Records that made room for newer ones."""
    errors: int = 0
    """Operations that failed and counted as a miss."""


class CacheStore(Protocol):
    """Keeps records by resource, at most so many bytes; the least recently used go first.

    No method raises because of what is stored or of the medium: what cannot be read is not there, and what cannot be
    written is not kept. A record is there as a whole or not at all.
    """

    async def find(self, resource: str) -> Sequence[Record]:
        """Return the records of a resource, the last written first."""

    async def put(self, resource: str, record: Record) -> bool:
        """Keep a record in place of an equal variant, and return whether it is now kept.

        *Cancelled:* it is kept as a whole or not at all.
        """

    async def drop(self, resource: str, variant: str | None = None) -> int:
        """Forget one variant of a resource, or all of them, and return how many there were."""

    async def drop_below(self, prefix: str) -> int:
        """Forget every resource whose name begins with `prefix`, and return how many records there were."""

    async def clear(self) -> None:
        """Forget everything."""

    async def aclose(self) -> None:
        """Let go of files and threads; safe to call twice."""

    def statistics(self) -> StoreStatistics:
        """Return the present state."""
