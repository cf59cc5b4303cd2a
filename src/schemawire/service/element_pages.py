"""Pages of a version's elements as bytes that can be sent: one read, one string, nothing parsed.

Runs on the threads that read. Knows nothing of who is sent the bytes, nor of how slowly.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Connection, bindparam, or_, select

from schemawire.schema import ELEMENT_KINDS
from schemawire.service.store.elements import MAX_CHUNK_SIZE
from schemawire.service.store.keyset import behind
from schemawire.service.store.prepared import Prepared
from schemawire.service.store.records import VersionEntry
from schemawire.service.store.staging import BEGINNING, Place
from schemawire.service.store.store import Store
from schemawire.service.store.tables import elements

_FIRST = 200
"""Rows of the first page at most, before it is known how large they are."""
PAGE_BYTES = 4_000_000
"""A page has fewer rows where the page before shows that they are large."""

_PAGE = Prepared(
    select(elements.c.kind_rank, elements.c.key, elements.c.body)
    .where(
        elements.c.project_id == bindparam("p"),
        elements.c.valid_from <= bindparam("v"),
        or_(elements.c.valid_to.is_(None), elements.c.valid_to > bindparam("v")),
        behind((elements.c.kind_rank, elements.c.key), (bindparam("r"), bindparam("k"))),
    )
    .order_by(elements.c.kind_rank, elements.c.key)
    .limit(bindparam("n"))
    .offset(bindparam("o"))  # SQLite gets one in any case
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some elements, ready to be sent."""

    body: bytes
    count: int
    """How many elements there are; fewer than were asked for means that they are the last ones."""
    last: Place
    size_bytes: int


Frame = Callable[[Sequence[Sequence[Any]], Sequence[bytes]], bytes]
"""Returns what is sent of some rows, whose lines are given."""


class Pages:
    """The pages of one version in order.

    Invariants: `seen` has hashed the lines of all pages returned, `count` is the number of their elements.

    Args:
        store: where to read.
        entry: the version.
        after: the place to begin behind.
        size: elements per page at most.
        frame: what becomes of a page's lines.
    """

    def __init__(self, store: Store, entry: VersionEntry, *, after: Place | None, size: int, frame: Frame) -> None:
        self._store = store
        self._entry = entry
        self._after = after or BEGINNING
        self._size = max(1, min(size, MAX_CHUNK_SIZE))
        self._limit = min(self._size, _FIRST)
        self._frame = frame
        self._is_over = False
        self.seen = hashlib.sha256()
        self.count = 0

    async def next(self) -> bytes | None:
        """Return the bytes of the next page, or `None` behind the last one.

        Raises:
            StoreUnavailable: the database cannot be read.
        """
        if self._is_over:
            return None
        limit = self._limit
        page = await self._store.read(partial(self._read, limit=limit))
        self._is_over = page.count < limit
        if not page.count:
            return None
        self.count += page.count
        self._after = page.last
        self._limit = max(1, min(self._size, PAGE_BYTES * page.count // max(1, page.size_bytes)))
        return page.body

    def _read(self, conn: Connection, limit: int) -> Page:
        where = {"p": self._entry.rows_key, "v": self._entry.version, "r": self._after[0], "k": self._after[1]}
        rows = _PAGE.every(conn, {**where, "n": limit, "o": 0})
        lines = [element_line(rank, key, body) for rank, key, body in rows]
        whole = b"".join(lines)
        self.seen.update(whole)
        body = self._frame(rows, lines) if self._frame is not joined else whole
        last = (rows[-1][0], rows[-1][1]) if rows else self._after
        return Page(body=body, count=len(rows), last=last, size_bytes=len(whole))


_PREFIXES = tuple(b'{"type":"element","kind":"%b","cursor":"%b:' % (k.encode(), k.encode()) for k in ELEMENT_KINDS)
_CURSORS = tuple(f"{kind}:" for kind in ELEMENT_KINDS)


def element_line(rank: int, key: str, body: bytes) -> bytes:
    """Return the line of one element."""
    if key.isidentifier():  # as nearly every key is, and then nothing in it needs an escape
        return b'%b%b","element":%b}\n' % (_PREFIXES[rank], key.encode(), body)
    escaped = json.dumps(key, ensure_ascii=False)[1:-1].encode()
    return b'%b%b","element":%b}\n' % (_PREFIXES[rank], escaped, body)


def joined(rows: Sequence[Sequence[Any]], lines: Sequence[bytes]) -> bytes:
    """Return lines as they are."""
    return b"".join(lines)


def as_events(version: int) -> Frame:
    """Return what turns lines into server-sent events whose ids say where to resume."""
    start = b"event: element\nid: %d/" % version

    def frame(rows: Sequence[Sequence[Any]], lines: Sequence[bytes]) -> bytes:
        return b"".join(
            b"%b%b\ndata: %b\n" % (start, (_CURSORS[row[0]] + row[1]).encode(), line)
            for row, line in zip(rows, lines, strict=True)
        )

    return frame
