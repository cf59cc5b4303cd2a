"""Writing element rows: closing the ones that end with a version, adding the ones that begin with it.

Knows nothing of digests of whole schemas, nor of who is allowed to write.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, and_, bindparam, delete, insert, select, update

from schemawire.schema import ELEMENT_KINDS, Change, Element, Key, element_digest, references_of
from schemawire.service.store.prepared import Prepared
from schemawire.service.store.tables import element_references, elements

RANK = {kind: rank for rank, kind in enumerate(ELEMENT_KINDS)}
KEYS_AT_ONCE = 400
"""Keys per look-up: below every engine's limit of parameters."""

_CURRENT = and_(elements.c.project_id == bindparam("p"), elements.c.valid_to.is_(None))
_CLOSE = Prepared(
    update(elements)
    .where(_CURRENT, elements.c.kind_rank == bindparam("r"), elements.c.key == bindparam("k"))
    .values(valid_to=bindparam("v"))
)
_CLOSE_ALL = update(elements).where(_CURRENT).values(valid_to=bindparam("v"))
_INSERT = Prepared(insert(elements))
_ROWS = select(
    elements.c.kind_rank, elements.c.key, elements.c.ordinal, elements.c.digest, elements.c.body
).where(
    _CURRENT, elements.c.kind_rank == bindparam("r"), elements.c.key.in_(bindparam("keys", expanding=True))
)  # fmt: skip
_FORGET = Prepared(
    delete(element_references).where(
        element_references.c.project_id == bindparam("p"),
        element_references.c.refers_to == bindparam("n"),
        element_references.c.kind_rank == bindparam("r"),
        element_references.c.key == bindparam("k"),
    )
)
_FORGET_ALL = delete(element_references).where(element_references.c.project_id == bindparam("p"))
_REMEMBER = Prepared(insert(element_references))


class RowContent(NamedTuple):
    """What a new row of an element holds, apart from since when it is valid."""

    rank: int
    key: str
    ordinal: int
    digest: bytes
    body: bytes


def encode(element: Element) -> bytes:
    """Return the element's document as it was submitted, as compact JSON."""
    return element.__pydantic_serializer__.to_json(element, by_alias=True, exclude_unset=True)


def content_of(element: Element, rank: int, ordinal: int) -> RowContent:
    """Return the row of an element that is written."""
    return RowContent(rank, element.key, ordinal, element_digest(element), encode(element))


def ready_contents(changes: Iterable[Change]) -> dict[Key, tuple[bytes, bytes]]:
    """Return digest and document of each element that is written, worked out before they are needed."""
    return {(each.kind, each.key): (element_digest(each.after), encode(each.after)) for each in changes if each.after}


def current_rows(conn: Connection, project_id: str, keys: Iterable[Key]) -> dict[tuple[int, str], RowContent]:
    """Return the current rows of these elements, by rank and key."""
    by_rank: dict[int, list[str]] = {}
    for kind, key in keys:
        by_rank.setdefault(RANK[kind], []).append(key)
    found: dict[tuple[int, str], RowContent] = {}
    for rank, names in by_rank.items():
        for start in range(0, len(names), KEYS_AT_ONCE):
            chunk = {"p": project_id, "r": rank, "keys": names[start : start + KEYS_AT_ONCE]}
            found.update(((row.kind_rank, row.key), RowContent(*row)) for row in conn.execute(_ROWS, chunk))
    return found


def close_rows(conn: Connection, project_id: str, keys: Iterable[tuple[int, str]], version: int) -> int:
    """End the current rows of these elements with a version, and return how many they are."""
    values = [{"p": project_id, "r": rank, "k": key, "v": version} for rank, key in keys]
    _CLOSE.run_each(conn, values)
    return len(values)


def close_everything(conn: Connection, project_id: str, version: int) -> None:
    """End every current row of a project with a version."""
    conn.execute(_CLOSE_ALL, {"p": project_id, "v": version})
    conn.execute(_FORGET_ALL, {"p": project_id})


def insert_rows(conn: Connection, project_id: str, rows: Iterable[RowContent], version: int) -> int:
    """Add rows that are valid from a version on, and return how many they are."""
    values = [(project_id, row.rank, row.key, version, None, row.ordinal, row.digest, row.body) for row in rows]
    _INSERT.run_rows(conn, values)
    return len(values)


def update_references(conn: Connection, project_id: str, changes: Iterable[Change]) -> None:
    """Keep the index of who refers to whom in step with what changed."""
    gone: list[Mapping[str, Any]] = []
    come: list[tuple[str, str, int, str]] = []
    for change in changes:
        before = references_of(change.before) if change.before else set()
        after = references_of(change.after) if change.after else set()
        rank = RANK[change.kind]
        gone.extend({"p": project_id, "n": name, "r": rank, "k": change.key} for name in before - after)
        come.extend((project_id, name, rank, change.key) for name in after - before)
    _FORGET.run_each(conn, gone)
    _REMEMBER.run_rows(conn, come)
