"""Reading elements: one by one, as a whole document, and page by page at a fixed version.

Bytes go out as they came in; nothing is parsed on the way. Knows nothing of writing.
"""

from collections.abc import AsyncGenerator, Iterator
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, bindparam, or_, select

from schemawire.schema.model import ELEMENT_KINDS, DomainSchema, ElementKind
from schemawire.service.store.keyset import behind
from schemawire.service.store.projects import require_project
from schemawire.service.store.records import ElementRow, StoredDocument, VersionEntry, parse_cursor
from schemawire.service.store.refusals import VersionMissing
from schemawire.service.store.store import Store
from schemawire.service.store.tables import elements, versions

CHUNK_SIZE = 1_000
MAX_CHUNK_SIZE = 10_000

_FIND_VERSION = select(versions).where(versions.c.project_id == bindparam("p"), versions.c.version == bindparam("v"))


def to_entry(row: Row[Any]) -> VersionEntry:
    """Return the record of a row of `versions`."""
    return VersionEntry(**row._mapping)


def find_version(conn: Connection, project_id: str, version: int | None = None) -> VersionEntry:
    """Return one version of a project, the newest one unless a number is given; its elements are not read.

    Raises:
        ProjectMissing: there is no such project, or it was deleted.
        VersionMissing: it has no such version.
    """
    head = require_project(conn, project_id)
    return require_row(conn, project_id, head.version if version is None else version)


def find_version_at(conn: Connection, project_id: str, moment: float) -> VersionEntry:
    """Return the version that was the newest one of a project at a time; its elements are not read.

    Raises:
        ProjectMissing: there is no such project, or it was deleted.
        VersionMissing: it had no version yet.
    """
    require_project(conn, project_id)
    query = (
        select(versions)
        .where(versions.c.project_id == project_id, versions.c.created_at <= moment)
        .order_by(versions.c.version.desc())
        .limit(1)
    )
    row = conn.execute(query).one_or_none()
    if row is None:
        raise VersionMissing(f"project {project_id!r} had no version at that time")
    return to_entry(row)


def require_row(conn: Connection, project_id: str, version: int) -> VersionEntry:
    """Return one version of a project that may have been deleted.

    Raises:
        VersionMissing: there is no such version.
    """
    row = conn.execute(_FIND_VERSION, {"p": project_id, "v": version}).one_or_none()
    if row is None:
        raise VersionMissing(f"project {project_id!r} has no version {version}")
    return to_entry(row)


def list_versions(
    conn: Connection, project_id: str, *, before: int | None = None, limit: int = 100
) -> list[VersionEntry]:
    """Return the versions of a project, newest first, below `before`.

    Raises:
        ProjectMissing: there is no such project, or it was deleted.
    """
    require_project(conn, project_id)
    query = select(versions).where(versions.c.project_id == project_id).order_by(versions.c.version.desc())
    if before is not None:
        query = query.where(versions.c.version < before)
    return [to_entry(row) for row in conn.execute(query.limit(max(1, min(limit, 1_000))))]


def valid_at(rows_key: str, version: int) -> ColumnElement[bool]:
    """Return the condition for the element rows that make up one version.

    Args:
        rows_key: the `rows_key` of the version.
        version: its number.
    """
    return and_(
        elements.c.project_id == rows_key,
        elements.c.valid_from <= version,
        or_(elements.c.valid_to.is_(None), elements.c.valid_to > version),
    )


def element_page(
    conn: Connection, rows_key: str, version: int, *, after: str | None = None, limit: int = CHUNK_SIZE
) -> list[ElementRow]:
    """Return the elements of a version behind a cursor, by kind and key; fewer than `limit` means that is all.

    Args:
        conn: a connection.
        rows_key: the `rows_key` of the version.
        version: its number.
        after: a cursor to go on behind.
        limit: how many at most.

    Raises:
        ValueError: `after` is not a cursor.
    """
    query = _ordered_page(rows_key, version, after, max(1, min(limit, MAX_CHUNK_SIZE)))
    return [ElementRow(kind=ELEMENT_KINDS[rank], key=key, body=body) for rank, key, body in conn.execute(query)]


def _ordered_page(rows_key: str, version: int, after: str | None, limit: int) -> Select[Any]:
    query = select(elements.c.kind_rank, elements.c.key, elements.c.body).where(valid_at(rows_key, version))
    if after is not None:
        query = query.where(behind((elements.c.kind_rank, elements.c.key), parse_cursor(after)))
    return query.order_by(elements.c.kind_rank, elements.c.key).limit(limit)


async def stream_elements(
    store: Store, rows_key: str, version: int, *, after: str | None = None, chunk_size: int = CHUNK_SIZE
) -> AsyncGenerator[list[ElementRow], None]:
    """Yield the elements of one version behind a cursor, in chunks, by kind and key.

    A version's rows never change, so each chunk is a short read of its own: a slow reader holds no connection and
    pins no snapshot, nothing is read ahead of what was asked for, and an abandoned stream leaves nothing behind.

    Args:
        store: where to read.
        rows_key: the `rows_key` of the version.
        version: which version; find it with `find_version` first.
        after: a cursor to resume behind.
        chunk_size: elements per chunk, 1 to 10,000.

    Raises:
        ValueError: `after` is not a cursor.
        StoreUnavailable: the database cannot be read.
    """
    while True:
        page = partial(element_page, rows_key=rows_key, version=version, after=after, limit=chunk_size)
        chunk = await store.read(page)
        if chunk:
            yield chunk
        if len(chunk) < max(1, min(chunk_size, MAX_CHUNK_SIZE)):
            return
        after = chunk[-1].cursor


def read_document(conn: Connection, project_id: str, version: int | None = None) -> StoredDocument:
    """Return a whole schema, the newest version unless a number is given, put together from the stored bytes.

    Raises:
        ProjectMissing: there is no such project, or it was deleted.
        VersionMissing: it has no such version.
    """
    return assemble_document(conn, find_version(conn, project_id, version))


def assemble_document(
    conn: Connection, entry: VersionEntry, *, kinds: frozenset[ElementKind] = frozenset(ELEMENT_KINDS)
) -> StoredDocument:
    """Return the schema of a version that was found before: whole, or the elements of some kinds alone."""
    query = (
        select(elements.c.kind_rank, elements.c.body)
        .where(valid_at(entry.rows_key, entry.version))
        .order_by(elements.c.kind_rank, elements.c.ordinal)
    )
    if len(kinds) < len(ELEMENT_KINDS):
        query = query.where(elements.c.kind_rank.in_([ELEMENT_KINDS.index(kind) for kind in kinds]))
    lists: list[list[bytes]] = [[] for _ in ELEMENT_KINDS]
    for rank, body in conn.execute(query):
        lists[rank].append(body)
    return StoredDocument(entry=entry, body=b"".join(_assemble(entry.header, lists, kinds)))


def _assemble(header: bytes, lists: list[list[bytes]], kinds: frozenset[ElementKind]) -> Iterator[bytes]:
    yield header[:-1]  # without its closing brace; a header is never empty
    for kind, bodies in zip(ELEMENT_KINDS, lists, strict=True):
        if kind not in kinds:
            continue
        yield b',"' + DomainSchema.COLLECTIONS[kind].encode() + b'":['
        yield b",".join(bodies)
        yield b"]"
    yield b"}"


def read_schema(conn: Connection, project_id: str, version: int | None = None) -> DomainSchema:
    """Return a whole schema as a value, to compare it or to export it.

    Raises:
        ProjectMissing: there is no such project, or it was deleted.
        VersionMissing: it has no such version.
    """
    return assemble_schema(conn, find_version(conn, project_id, version))


def assemble_schema(conn: Connection, entry: VersionEntry) -> DomainSchema:
    """Return the whole schema of a version that was found before, as a value."""
    return DomainSchema.model_validate_json(assemble_document(conn, entry).body)
