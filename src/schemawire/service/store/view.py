"""The newest version of a stored schema as `schema.SchemaView`: each look-up is one indexed query.

Knows nothing of what the looking is for.
"""

from collections.abc import Iterable
from functools import partial

from sqlalchemy import Connection, bindparam, select

from schemawire.schema.model import ELEMENT_KINDS, ELEMENT_TYPES, Element, ElementKind, Header
from schemawire.service.store.prepared import Prepared
from schemawire.service.store.projects import default_header, find_project, lock_project
from schemawire.service.store.purging import fresh_rows_key
from schemawire.service.store.records import ProjectHead
from schemawire.service.store.rows import KEYS_AT_ONCE, RANK, current_rows
from schemawire.service.store.tables import element_references, elements

_BODY = Prepared(
    select(elements.c.body).where(
        elements.c.project_id == bindparam("p"),
        elements.c.kind_rank == bindparam("r"),
        elements.c.key == bindparam("k"),
        elements.c.valid_to.is_(None),
    )
)
_REFERRERS = (
    select(element_references.c.kind_rank, element_references.c.key)
    .where(element_references.c.project_id == bindparam("p"), element_references.c.refers_to == bindparam("n"))
    .order_by(element_references.c.kind_rank, element_references.c.key)
)
_REFERRERS_OF_MANY = (
    select(element_references.c.refers_to, element_references.c.kind_rank, element_references.c.key)
    .where(
        element_references.c.project_id == bindparam("p"),
        element_references.c.refers_to.in_(bindparam("names", expanding=True)),
    )
    .order_by(element_references.c.refers_to, element_references.c.kind_rank, element_references.c.key)
)
_MANY = 8
"""Below so many elements, fetching them ahead costs more than it saves."""


def parse_element(kind: ElementKind, body: bytes) -> Element:
    """Return the element that a stored document describes."""
    return ELEMENT_TYPES[kind].model_validate_json(body)


class SqlView:
    """Looks things up in the newest version of a project; a missing or deleted project looks empty.

    Valid within one transaction. Elements are parsed once and remembered.

    Args:
        conn: the transaction's connection.
        project_id: the project.
        is_writing: whether the project is to be written, so that on engines with parallel writers it stays ours.
    """

    def __init__(self, conn: Connection, project_id: str, *, is_writing: bool = False) -> None:
        self._conn = conn
        self._project_id = project_id
        find = lock_project if is_writing else partial(find_project, include_deleted=True)
        self.stored = find(conn, project_id)
        """The project as it was at the beginning, even if it was deleted."""
        self.rows_key = project_id
        """The id that the rows of its elements stand under."""
        if self.stored is not None:
            self.rows_key = self.stored.rows_key
        elif is_writing:
            self.rows_key = fresh_rows_key(conn, project_id)
        self._head = None if self.stored is None or self.stored.is_deleted else self.stored
        self._seen: dict[tuple[ElementKind, str], Element | None] = {}
        self._fetched: dict[ElementKind, dict[str, bytes]] = {}
        self._ahead: dict[tuple[ElementKind, str], bytes | None] = {}
        self._referrers_ahead: dict[str, list[tuple[ElementKind, str]]] = {}
        self._header: Header | None = None

    @property
    def conn(self) -> Connection:
        """The transaction's connection."""
        return self._conn

    @property
    def project_id(self) -> str:
        """The project."""
        return self._project_id

    @property
    def head(self) -> ProjectHead | None:
        """The project, or `None` if it is not there (any more)."""
        return self._head

    def header(self) -> Header:
        """Return the schema without its elements."""
        if self._head is None:
            return default_header(self._project_id)
        if self._header is None:
            self._header = Header.model_validate_json(self._head.header)
        return self._header

    def look_ahead(self, keys: Iterable[tuple[ElementKind, str]]) -> None:
        """Fetch elements, and who refers to them, by few queries, so that asking for them later costs none.

        For what is read before anything is written in this transaction.
        """
        wanted = set(keys) if self._head is not None else set()
        if len(wanted) < _MANY:
            return
        found = current_rows(self._conn, self.rows_key, wanted)
        for kind, key in wanted:
            row = found.get((RANK[kind], key))
            self._ahead[kind, key] = None if row is None else row.body
        names = sorted({key for kind, key in wanted if kind in ("entity", "enum")})
        self._referrers_ahead.update((name, []) for name in names)
        for start in range(0, len(names), KEYS_AT_ONCE):
            chunk = {"p": self.rows_key, "names": names[start : start + KEYS_AT_ONCE]}
            for name, rank, key in self._conn.execute(_REFERRERS_OF_MANY, chunk):
                self._referrers_ahead[name].append((ELEMENT_KINDS[rank], key))

    def get(self, kind: ElementKind, key: str) -> Element | None:
        """Return the element of that kind and key, or `None`."""
        if self._head is None:
            return None
        if (kind, key) not in self._seen:
            self._seen[kind, key] = self._fetch(kind, key)
        return self._seen[kind, key]

    def _fetch(self, kind: ElementKind, key: str) -> Element | None:
        if (kind, key) in self._ahead:
            body = self._ahead[kind, key]
        elif kind in self._fetched:
            body = self._fetched[kind].get(key)
        else:
            where = {"p": self.rows_key, "r": RANK[kind], "k": key}
            row = _BODY.first(self._conn, where)
            body = None if row is None else row[0]
        return None if body is None else parse_element(kind, body)

    def referrers(self, name: str) -> Iterable[tuple[ElementKind, str]]:
        """Return kind and key of every element whose `references_of` holds this name."""
        if self._head is None:
            return []
        if name in self._referrers_ahead:
            return self._referrers_ahead[name]
        where = {"p": self.rows_key, "n": name}
        return [(ELEMENT_KINDS[rank], key) for rank, key in self._conn.execute(_REFERRERS, where)]

    def keys(self, kind: ElementKind) -> Iterable[str]:
        """Return the keys of all elements of a kind, in the document's order; `get` then knows them all."""
        if self._head is None:
            return []
        query = (
            select(elements.c.key, elements.c.body)
            .where(
                elements.c.project_id == self.rows_key,
                elements.c.kind_rank == RANK[kind],
                elements.c.valid_to.is_(None),
            )
            .order_by(elements.c.ordinal)
        )
        found = {row.key: row.body for row in self._conn.execute(query)}
        self._fetched[kind] = found
        return list(found)

    def bodies(self) -> dict[tuple[ElementKind, str], bytes]:
        """Return the stored document of every element, to compare a whole schema with."""
        if self._head is None:
            return {}
        query = select(elements.c.kind_rank, elements.c.key, elements.c.body).where(
            elements.c.project_id == self.rows_key, elements.c.valid_to.is_(None)
        )
        return {(ELEMENT_KINDS[rank], key): body for rank, key, body in self._conn.execute(query)}

    def count(self, kind: ElementKind) -> int:
        """Return how many elements of a kind there are."""
        return 0 if self._head is None else self._head.counts[RANK[kind]]
