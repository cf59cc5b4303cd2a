"""One version in the making: which rows end with it, which begin, where they stand, and the digest of it all.

Knows nothing of who asked for it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

from sqlalchemy import select

from schemawire.schema import ELEMENT_KINDS, Change, Changes, Key
from schemawire.service.store import rows
from schemawire.service.store.digests import DigestMemory, OrderedDigests, RankedKey
from schemawire.service.store.elements import valid_at
from schemawire.service.store.ordering import STRIDE, place
from schemawire.service.store.records import VersionEntry, WriteNote
from schemawire.service.store.rows import RANK, RowContent
from schemawire.service.store.tables import elements
from schemawire.service.store.view import SqlView

_remembered = DigestMemory()
_NOTHING: Mapping[Key, tuple[bytes, bytes]] = MappingProxyType({})


class VersionStep:
    """Writes the element rows of one new version of a project.

    Invariant: `head` is the project where it is there, else the schema so far is empty and no row is current.
    """

    def __init__(self, view: SqlView, changes: Changes, ready: Mapping[Key, tuple[bytes, bytes]] = _NOTHING) -> None:
        self.changes = changes
        self._ready = ready
        self.version = 1 if view.stored is None else view.stored.version + 1
        self.parent = None if view.stored is None else view.stored.digest
        self._conn = view.conn
        self._project_id = view.project_id
        self._rows_key = view.rows_key
        self._rows_id = None if view.rows_key == view.project_id else view.rows_key
        self._head = view.head
        if view.stored is not None and view.head is None:
            rows.close_everything(self._conn, self._rows_key, self.version)
        self.next_ordinal = STRIDE if self._head is None else self._head.next_ordinal
        self.counts = [0] * len(ELEMENT_KINDS) if self._head is None else list(self._head.counts)
        self._digest = ""

    def write_rows(self, order: Sequence[Key] | None) -> int:
        """Close and add rows as the changes say, and return how many were touched."""
        leaving = [change for change in self.changes.elements if change.before is not None]
        stored = rows.current_rows(self._conn, self._rows_key, [(change.kind, change.key) for change in leaving])
        places = self._kept_places(stored) if order is None else self._ordered_places(order)
        written = {_ranked(change) for change in self.changes.elements}
        moved = self._moved([key for key in places if key not in written])
        fresh = [*self._fresh(places, stored), *(row._replace(ordinal=places[key]) for key, row in moved.items())]
        touched = rows.close_rows(self._conn, self._rows_key, [*stored, *moved], self.version)
        touched += rows.insert_rows(self._conn, self._rows_key, fresh, self.version)
        rows.update_references(self._conn, self._rows_key, self.changes.elements)
        self._count()
        self._digest = self._total(fresh)
        return touched

    def entry(self, note: WriteNote) -> VersionEntry:
        """Return the record of this version, once its rows are written."""
        return VersionEntry(
            project_id=self._project_id,
            version=self.version,
            digest=self._digest,
            parent=self.parent,
            header=self.changes.header_after.model_dump_json(by_alias=True, exclude_unset=True).encode(),
            element_count=sum(self.counts),
            created_at=note.now,
            created_by=note.created_by,
            session_id=note.session_id,
            message=note.message,
            rows_id=self._rows_id,
        )

    def _fresh(self, places: dict[RankedKey, int], stored: dict[RankedKey, RowContent]) -> Iterator[RowContent]:
        for change in self.changes.elements:
            if change.after is not None:
                key = _ranked(change)
                ordinal = places[key] if key in places else stored[key].ordinal
                known = self._ready.get((change.kind, change.key))
                yield (
                    rows.content_of(change.after, key[0], ordinal)
                    if known is None
                    else RowContent(*key, ordinal, *known)
                )

    def _moved(self, keys: list[RankedKey]) -> dict[RankedKey, RowContent]:
        return rows.current_rows(self._conn, self._rows_key, [(ELEMENT_KINDS[rank], key) for rank, key in keys])

    def _kept_places(self, stored: dict[RankedKey, RowContent]) -> dict[RankedKey, int]:
        """Return a place for each new element: that of its former name, or else the next one at the end."""
        places: dict[RankedKey, int] = {}
        for change in self.changes.elements:
            if change.before is None and change.after is not None:
                former = stored.get((RANK[change.kind], change.after.renamed_from or ""))
                if former is None:
                    self.next_ordinal += STRIDE
                places[_ranked(change)] = self.next_ordinal if former is None else former.ordinal
        return places

    def _ordered_places(self, order: Sequence[Key]) -> dict[RankedKey, int]:
        """Return a place for each element that cannot keep its own, so that the given order holds."""
        current = self._ordinals()
        wanted: list[list[str]] = [[] for _ in ELEMENT_KINDS]
        for kind, key in order:
            wanted[RANK[kind]].append(key)
        places = {
            (rank, key): ordinal
            for rank, keys in enumerate(wanted)
            for key, ordinal in place(current[rank], keys).items()
        }
        self.next_ordinal = max([self.next_ordinal, *places.values()])
        return places

    def _ordinals(self) -> list[dict[str, int]]:
        found: list[dict[str, int]] = [{} for _ in ELEMENT_KINDS]
        query = select(elements.c.kind_rank, elements.c.key, elements.c.ordinal)
        before = query.where(valid_at(self._rows_key, self.version - 1))
        for rank, key, ordinal in self._conn.execute(before) if self._head is not None else ():
            found[rank][key] = ordinal
        return found

    def _count(self) -> None:
        for change in self.changes.elements:
            self.counts[RANK[change.kind]] += (change.after is not None) - (change.before is not None)

    def _total(self, fresh: Iterable[RowContent]) -> str:
        gone = [_ranked(change) for change in self.changes.elements if change.after is None]
        digests = self._digests_before()
        digests.update(gone, {(row.rank, row.key): row.digest for row in fresh})
        total = digests.total(self.changes.header_after)
        _remembered.keep(total, digests)
        return total

    def _digests_before(self) -> OrderedDigests:
        if self._head is None:
            return OrderedDigests([], bytearray())
        known = _remembered.take(self._head.digest)
        if known is not None:
            return known
        query = (
            select(elements.c.kind_rank, elements.c.key, elements.c.digest)
            .where(valid_at(self._rows_key, self.version - 1))
            .order_by(elements.c.kind_rank, elements.c.key)
        )
        found = self._conn.execute(query).all()
        return OrderedDigests(
            [(row.kind_rank, row.key) for row in found], bytearray(b"".join(row.digest for row in found))
        )


def _ranked(change: Change) -> RankedKey:
    return RANK[change.kind], change.key
