"""Element rows put in place while others write, under an id that no version names yet; then one short switch-over.

Each function here is one short transaction, whatever the size of the whole: a portion of rows, or the switch-over,
which writes one row of `projects` and one of `versions`. Rows that nobody comes back for are swept. Knows nothing of
who asked for them.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import uuid4

from sqlalchemy import Connection, Table, and_, bindparam, delete, insert, literal, select, update

from schemawire.schema import Element, Header, element_digest, kind_of, references_of
from schemawire.service.store.elements import require_row, valid_at
from schemawire.service.store.heads import note_touched
from schemawire.service.store.keyset import behind, up_to
from schemawire.service.store.ordering import STRIDE
from schemawire.service.store.portions import PORTION
from schemawire.service.store.prepared import Prepared
from schemawire.service.store.records import ProjectHead, VersionEntry, WriteNote, Written
from schemawire.service.store.refusals import StoreUnavailable
from schemawire.service.store.rows import RANK, encode
from schemawire.service.store.tables import element_references, elements, projects, stagings, versions
from schemawire.service.store.versions import check_expected
from schemawire.service.store.view import SqlView

EXPIRY = 900.0
"""Seconds after the last touch at which staged rows are taken for abandoned."""
ROWS_AT_ONCE = 2_000
"""Rows that one transaction puts in place at most: a few hundredths of a second of the one who writes."""
FIRST = 0
"""The version that staged rows are valid from: below every version that will ever name them."""

_INSERT = Prepared(insert(elements))
_REFER = Prepared(insert(element_references))
_TOUCH = (
    update(stagings)
    .where(stagings.c.rows_id == bindparam("r"), stagings.c.what == "everything")
    .values(touched_at=bindparam("t"))
)
_PAGE = Prepared(
    select(elements.c.kind_rank, elements.c.key, elements.c.ordinal, elements.c.digest, elements.c.body)
    .where(
        elements.c.project_id == bindparam("p"),
        behind((elements.c.kind_rank, elements.c.key), (bindparam("r"), bindparam("k"))),
        elements.c.valid_to.is_(None),
    )
    .order_by(elements.c.kind_rank, elements.c.key)
    .limit(bindparam("n"))
    .offset(bindparam("o"))  # SQLite gets one in any case
)

_REMOVE = Prepared(
    delete(elements).where(
        elements.c.project_id == bindparam("p"),
        elements.c.kind_rank == bindparam("r"),
        elements.c.key == bindparam("k"),
    )
)
_UNREFER = Prepared(
    delete(element_references).where(
        element_references.c.project_id == bindparam("p"),
        element_references.c.refers_to == bindparam("n"),
        element_references.c.kind_rank == bindparam("r"),
        element_references.c.key == bindparam("k"),
    )
)

Values = Mapping[str, Any]
Place = tuple[int, str]
"""The rank of a kind, and a key: what a page goes on behind."""
BEGINNING: Place = (-1, "")


class StagedRow(NamedTuple):
    """One element on its way into the tables."""

    rank: int
    key: str
    values: Values
    references: Sequence[Values]


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedSchema:
    """A whole schema whose rows are in place: what is left to write down."""

    rows_key: str
    header: Header
    digest: str
    counts: tuple[int, ...]
    next_ordinal: int


def staged_row(rows_key: str, element: Element, ordinal: int) -> StagedRow:
    """Return the rows of an element; `ordinal` is its place in the document."""
    rank, key = RANK[kind_of(element)], element.key
    values = {
        "project_id": rows_key,
        "kind_rank": rank,
        "key": key,
        "valid_from": FIRST,
        "valid_to": None,
        "ordinal": ordinal,
        "digest": element_digest(element),
        "body": encode(element),
    }
    references = [
        {"project_id": rows_key, "refers_to": name, "kind_rank": rank, "key": key} for name in references_of(element)
    ]
    return StagedRow(rank, key, values, references)


def open_staging(conn: Connection, project_id: str, *, now: float) -> str:
    """Return a new id to stage rows under; project ids never begin as it does."""
    rows_key = f"~{uuid4().hex}"
    values = {"rows_id": rows_key, "project_id": project_id, "what": "everything", "touched_at": now}
    conn.execute(insert(stagings), values)
    return rows_key


def touch_staging(conn: Connection, rows_key: str, *, now: float) -> None:
    """Note that somebody still works on these rows.

    Raises:
        StoreUnavailable: they were taken for abandoned and swept.
    """
    if conn.execute(_TOUCH, {"r": rows_key, "t": now}).rowcount != 1:
        raise StoreUnavailable("the staged rows were taken for abandoned", retry_after=1.0)


def stage_rows(conn: Connection, rows_key: str, rows: Sequence[StagedRow], *, now: float) -> None:
    """Put a portion of rows in place; none of them may be there already.

    Raises:
        StoreUnavailable: the rows staged so far were taken for abandoned and swept.
    """
    touch_staging(conn, rows_key, now=now)
    _INSERT.run_each(conn, [row.values for row in rows])
    _REFER.run_each(conn, [reference for row in rows for reference in row.references])


def unstage_rows(conn: Connection, rows_key: str, gone: Iterable[Element]) -> None:
    """Take away what was staged of some elements."""
    there = [(RANK[kind_of(element)], element) for element in gone]
    _REMOVE.run_each(conn, [{"p": rows_key, "r": rank, "k": element.key} for rank, element in there])
    _UNREFER.run_each(
        conn,
        [
            {"p": rows_key, "n": name, "r": rank, "k": element.key}
            for rank, element in there
            for name in references_of(element)
        ],
    )


def known_keys(conn: Connection, rows_key: str, places: Iterable[Place]) -> set[Place]:
    """Return those of some elements that have rows already; at most a few hundred at a time."""
    by_rank: dict[int, list[str]] = {}
    for rank, key in places:
        by_rank.setdefault(rank, []).append(key)
    found: set[Place] = set()
    for rank, keys in by_rank.items():
        query = select(elements.c.key).where(
            elements.c.project_id == rows_key, elements.c.kind_rank == rank, elements.c.key.in_(keys)
        )
        found.update((rank, key) for key in conn.scalars(query))
    return found


def staged_page(conn: Connection, rows_key: str, *, after: Place, limit: int) -> Sequence[Sequence[Any]]:
    """Return rank, key, ordinal, digest and body of the current rows behind a place, in order."""
    return _PAGE.every(conn, {"p": rows_key, "r": after[0], "k": after[1], "n": limit, "o": 0})


def clone_elements(conn: Connection, entry: VersionEntry, rows_key: str, *, after: Place, limit: int) -> Place | None:
    """Copy a portion of a version's element rows; return where to go on, or `None` when that was all."""
    e = elements.c
    wanted = and_(valid_at(entry.rows_key, entry.version), behind((e.kind_rank, e.key), after))
    edge = conn.execute(
        select(e.kind_rank, e.key).where(wanted).order_by(e.kind_rank, e.key).offset(limit - 1).limit(1)
    ).one_or_none()
    if edge is not None:
        wanted = and_(wanted, up_to((e.kind_rank, e.key), tuple(edge)))
    columns = (literal(rows_key), e.kind_rank, e.key, literal(FIRST), literal(None), e.ordinal, e.digest, e.body)
    names = ("project_id", "kind_rank", "key", "valid_from", "valid_to", "ordinal", "digest", "body")
    conn.execute(insert(elements).from_select(names, select(*columns).where(wanted)))
    return None if edge is None else (edge[0], edge[1])


def clone_references(
    conn: Connection, source: str, rows_key: str, *, after: tuple[str, int, str], limit: int
) -> tuple[str, int, str] | None:
    """Copy a portion of the references of current rows; return where to go on, or `None` when that was all."""
    r = element_references.c
    order = (r.refers_to, r.kind_rank, r.key)
    wanted = and_(r.project_id == source, behind(order, after))
    edge = conn.execute(select(*order).where(wanted).order_by(*order).offset(limit - 1).limit(1)).one_or_none()
    if edge is not None:
        wanted = and_(wanted, up_to(order, tuple(edge)))
    names = ("project_id", "refers_to", "kind_rank", "key")
    conn.execute(insert(element_references).from_select(names, select(literal(rows_key), *order).where(wanted)))
    return None if edge is None else (edge[0], edge[1], edge[2])


class StagedView(SqlView):
    """A staged schema to look things up in, as if it were a project's newest version.

    Args:
        conn: the transaction's connection.
        rows_key: the id that the rows stand under.
        header: the schema without its elements.
        counts: how many elements of each kind there are.
    """

    def __init__(self, conn: Connection, rows_key: str, header: Header, counts: Sequence[int]) -> None:
        super().__init__(conn, rows_key)
        self._staged_header = header
        self._head = ProjectHead(
            project_id=rows_key, name=header.name, version=1, digest="", header=b"", counts=tuple(counts),
            created_at=0.0, updated_at=0.0, next_ordinal=0,
        )  # fmt: skip

    def header(self) -> Header:
        """Return the schema without its elements."""
        return self._staged_header


def switch_over(view: SqlView, staged: StagedSchema, note: WriteNote) -> Written:
    """Make staged rows the newest version of a project, which is made if it is missing; an equal one makes none.

    Args:
        view: the project, seen to be written.
        staged: the schema, which has been checked.
        note: who writes, when, why, and on top of which version.

    Raises:
        VersionMoved: the newest version is not the expected one; nothing is written.
        StoreUnavailable: the rows were taken for abandoned and swept.
    """
    check_expected(view, note.expected_version)
    if view.head is not None and view.head.digest == staged.digest:
        return Written(entry=require_row(view.conn, view.project_id, view.head.version), changed=False)
    mine = and_(stagings.c.rows_id == staged.rows_key, stagings.c.what == "everything")
    if view.conn.execute(delete(stagings).where(mine)).rowcount != 1:
        raise StoreUnavailable("the staged rows were taken for abandoned", retry_after=1.0)
    if view.stored is not None:
        left = {"rows_id": view.rows_key, "project_id": view.project_id, "what": "references", "touched_at": 0.0}
        view.conn.execute(insert(stagings), left)
    note_touched(view.conn, view.project_id)
    entry = _entry(view, staged, note)
    view.conn.execute(insert(versions), {column.name: getattr(entry, column.name) for column in versions.c})
    _move_head(view, entry, staged)
    return Written(entry=entry, changed=True, created=view.head is None, rows_touched=entry.element_count)


def _entry(view: SqlView, staged: StagedSchema, note: WriteNote) -> VersionEntry:
    return VersionEntry(
        project_id=view.project_id,
        version=1 if view.stored is None else view.stored.version + 1,
        digest=staged.digest,
        parent=None if view.stored is None else view.stored.digest,
        header=staged.header.model_dump_json(by_alias=True, exclude_unset=True).encode(),
        element_count=sum(staged.counts),
        created_at=note.now,
        created_by=note.created_by,
        session_id=note.session_id,
        message=note.message,
        rows_id=staged.rows_key,
    )


def _move_head(view: SqlView, entry: VersionEntry, staged: StagedSchema) -> None:
    values = {
        "name": staged.header.name,
        "version": entry.version,
        "digest": entry.digest,
        "header": entry.header,
        "counts": json.dumps(staged.counts),
        "next_ordinal": max(STRIDE, staged.next_ordinal),
        "updated_at": entry.created_at,
        "deleted_at": None,
        "rows_id": staged.rows_key,
    }
    if view.stored is None:
        made = {"project_id": entry.project_id, "created_at": entry.created_at, "settings": "{}"}
        view.conn.execute(insert(projects), values | made)
    else:
        view.conn.execute(update(projects).where(projects.c.project_id == entry.project_id).values(values))


def abandon_staging(conn: Connection, rows_key: str) -> None:
    """Give staged rows to the next sweep; those that a version names by now are none."""
    mine = and_(stagings.c.rows_id == rows_key, stagings.c.what == "everything")
    conn.execute(update(stagings).where(mine).values(what="garbage", touched_at=0.0))


def sweep_stagings(conn: Connection, *, now: float) -> int:
    """Delete a portion of abandoned rows; fewer than `PORTION` means that nothing is left to delete."""
    query = select(stagings).where(stagings.c.touched_at < now - EXPIRY).order_by(stagings.c.touched_at).limit(1)
    due = conn.execute(query).one_or_none()
    if due is None:
        return 0
    e, r = elements, element_references
    if due.what == "everything":
        abandon_staging(conn, due.rows_id)  # from here on nobody can add to them, or switch over to what is left
    count = _delete_first(conn, r, due.rows_id, (r.c.refers_to, r.c.kind_rank, r.c.key))
    if count < PORTION and due.what != "references":
        count += _delete_first(conn, e, due.rows_id, (e.c.kind_rank, e.c.key))
    if count < PORTION:
        conn.execute(delete(stagings).where(stagings.c.rows_id == due.rows_id))
    return PORTION  # whatever it was: there may be another one


def _delete_first(conn: Connection, table: Table, rows_key: str, order: Sequence[Any]) -> int:
    mine = table.c.project_id == rows_key
    edge = conn.execute(select(*order).where(mine).order_by(*order).offset(PORTION - 1).limit(1)).one_or_none()
    wanted = mine if edge is None else and_(mine, up_to(order, tuple(edge)))
    return conn.execute(delete(table).where(wanted)).rowcount
