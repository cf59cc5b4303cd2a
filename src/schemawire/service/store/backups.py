"""A whole store as one file, read on one snapshot and restored on either engine: compressed lines of JSON.

    {"schemawireBackup": 1, "revision": "0002", "storeId": …, "createdAt": …, "tables": {TABLE: [[COLUMN, IS_BYTES] …]}}
    [TABLE_NUMBER, VALUE, VALUE …]          one line for each row; bytes as base64
    {"rows": 123, "sha256": …}              over every byte before it

Memory stays flat whatever the size. Knows nothing of files' names, nor of who asks.
"""

import base64
import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import IO, Any, cast

from sqlalchemy import Column, Connection, LargeBinary, MetaData, Table, func, insert, select, text

from schemawire.schema import Header, digest_of, element_digest
from schemawire.schema.model import ELEMENT_KINDS
from schemawire.service.store.migrate import HEAD, current_revision, upgrade
from schemawire.service.store.refusals import StoreError
from schemawire.service.store.tables import elements, metadata, projects, store_meta
from schemawire.service.store.view import parse_element

FORMAT = 1
_PORTION = 1_000
_LONGEST_LINE = 256 * 1024 * 1024


class BackupInvalid(StoreError):
    """The back-up cannot be used, and nothing was restored from it."""

    code = "backup_invalid"
    default_fix = "Use another back-up; this one is cut short, was changed, or is none."


class StoreNotEmpty(StoreError):
    """The store holds something, and a back-up is restored into an empty one alone."""

    code = "store_not_empty"
    default_fix = "Name a database that holds nothing yet; nothing was changed in this one."


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupSummary:
    """What a back-up holds."""

    store_id: str
    revision: str
    created_at: float
    rows: Mapping[str, int]
    """By table."""
    sha256: str

    @property
    def total(self) -> int:
        """All rows."""
        return sum(self.rows.values())


@dataclass(slots=True)
class _Seal:
    """Counts rows and hashes bytes on their way."""

    rows: dict[str, int] = field(default_factory=dict)
    digest: Any = field(default_factory=sha256)


def write_backup(conn: Connection, out: IO[bytes], *, now: float) -> BackupSummary:
    """Write everything that a snapshot shows, and return what that was.

    Args:
        conn: a connection whose reads all see one moment.
        out: where the bytes go.
        now: noted in the file.

    Raises:
        StoreError: the database is not at the step that this release knows.
    """
    revision = current_revision(conn)
    if revision != HEAD:
        raise StoreError(
            f"the database is at migration {revision!r}, this release knows {HEAD!r}",
            fix="Run `schemawire migrate` first, or make the back-up with the release that uses this database.",
        )
    store_id: str = conn.execute(select(store_meta.c.store_id)).scalar_one()
    seal = _Seal()
    with gzip.GzipFile(fileobj=out, mode="wb", compresslevel=5, mtime=0) as packed:
        for line in _lines(conn, revision, store_id, now, seal):
            seal.digest.update(line)
            packed.write(line)
        trailer = {"rows": sum(seal.rows.values()), "sha256": seal.digest.hexdigest()}
        packed.write(json.dumps(trailer).encode() + b"\n")
    return BackupSummary(
        store_id=store_id, revision=revision, created_at=now, rows=seal.rows, sha256=trailer["sha256"]
    )  # fmt: skip


def _lines(conn: Connection, revision: str, store_id: str, now: float, seal: _Seal) -> Iterator[bytes]:
    tables = metadata.sorted_tables
    header = {
        "schemawireBackup": FORMAT,
        "revision": revision,
        "storeId": store_id,
        "createdAt": now,
        "tables": {table.name: [[column.name, _holds_bytes(column)] for column in table.c] for table in tables},
    }
    yield json.dumps(header).encode() + b"\n"
    for number, table in enumerate(tables):
        packed = [position for position, column in enumerate(table.c) if _holds_bytes(column)]
        count = 0
        query = select(table).order_by(*table.primary_key.columns)
        for row in conn.execution_options(stream_results=True, yield_per=_PORTION).execute(query):
            values = list(row)
            for position in packed:
                values[position] = None if values[position] is None else base64.b64encode(values[position]).decode()
            count += 1
            yield json.dumps([number, *values], ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        seal.rows[table.name] = count


def _holds_bytes(column: Column[Any]) -> bool:
    return isinstance(column.type, LargeBinary)


class BackupReader:
    """Reads a back-up a line at a time.

    Args:
        source: the bytes of the file, from its beginning.

    Raises:
        BackupInvalid: it does not begin like a back-up, or one of a format that this release does not know.
    """

    def __init__(self, source: IO[bytes]) -> None:
        self._lines = gzip.GzipFile(fileobj=source, mode="rb")
        self._seal = _Seal()
        line = self._next()
        self._seal.digest.update(line)
        header = _decoded(line)
        known = header.get("schemawireBackup") if isinstance(header, dict) else None
        if known != FORMAT:
            raise BackupInvalid(f"the file is no back-up of format {FORMAT}")
        try:
            self.revision, self.store_id = str(header["revision"]), str(header["storeId"])
            self.created_at = float(header["createdAt"])
            self.tables = [(str(name), [(str(at), bool(is_bytes)) for at, is_bytes in columns])
                           for name, columns in header["tables"].items()]  # fmt: skip
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BackupInvalid("the first line of the back-up is not complete") from error

    def portions(self) -> Iterator[tuple[str, list[dict[str, Any]]]]:
        """Yield rows of one table at a time; the whole is right only if this ends without an error.

        Raises:
            BackupInvalid: the file is cut short, or was changed.
        """
        name, portion = "", list[dict[str, Any]]()
        while True:
            line = self._next()
            document = _decoded(line)
            if isinstance(document, dict):
                self._check(document)
                break
            self._seal.digest.update(line)
            table, row = self._row(document)
            if portion and (table != name or len(portion) >= _PORTION):
                yield name, portion
                portion = []
            name = table
            portion.append(row)
            self._seal.rows[name] = self._seal.rows.get(name, 0) + 1
        if portion:
            yield name, portion

    def summary(self) -> BackupSummary:
        """Return what was read, once `portions` has ended."""
        rows = {name: self._seal.rows.get(name, 0) for name, _ in self.tables}
        return BackupSummary(
            store_id=self.store_id, revision=self.revision, created_at=self.created_at, rows=rows,
            sha256=self._seal.digest.hexdigest(),
        )  # fmt: skip

    def _next(self) -> bytes:
        try:
            line = self._lines.readline(_LONGEST_LINE)
        except (OSError, EOFError, ValueError) as error:  # zlib's own error is among them
            raise BackupInvalid(f"the file is damaged or no back-up: {error}") from error
        except Exception as error:
            raise BackupInvalid("the compressed data is damaged") from error
        if not line.endswith(b"\n"):
            raise BackupInvalid("the back-up is cut short")
        return line

    def _row(self, document: object) -> tuple[str, dict[str, Any]]:
        try:
            number, *values = cast(list[Any], document)
            name, columns = self.tables[number]
            pairs = zip(columns, values, strict=True)
            return name, {
                column: base64.b64decode(value, validate=True) if is_bytes and value is not None else value
                for (column, is_bytes), value in pairs
            }
        except (TypeError, ValueError, IndexError) as error:
            raise BackupInvalid("a row of the back-up does not have its columns") from error

    def _check(self, trailer: Mapping[str, Any]) -> None:
        said = (trailer.get("rows"), trailer.get("sha256"))
        if said != (sum(self._seal.rows.values()), self._seal.digest.hexdigest()):
            raise BackupInvalid("the back-up was changed: its rows are not those that its last line counts")


def _decoded(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError as error:
        raise BackupInvalid("a line of the back-up is not JSON") from error


def check_backup(source: IO[bytes]) -> BackupSummary:
    """Read a back-up to its end and return what it holds.

    Raises:
        BackupInvalid: it is cut short, was changed, or is none.
    """
    reader = BackupReader(source)
    for _ in reader.portions():
        pass
    return reader.summary()


def restore_backup(conn: Connection, source: IO[bytes]) -> BackupSummary:
    """Fill an empty store from a back-up, bring it up to date, and verify every schema in it; all or nothing.

    Args:
        conn: a connection inside a write transaction of an empty store.
        source: the bytes of the file.

    Raises:
        BackupInvalid: the file cannot be used, or a schema in it does not have its digest.
        StoreNotEmpty: the store holds something.
    """
    _require_empty(conn)
    reader = BackupReader(source)
    if reader.revision > HEAD:
        raise BackupInvalid(f"the back-up is of migration {reader.revision!r}, this release knows up to {HEAD!r}",
                            fix="Restore it with the release that made it, or a newer one.")  # fmt: skip
    metadata.drop_all(conn)  # the tables as they were when the back-up was made, and then every later step
    conn.execute(text("DROP TABLE alembic_version"))
    upgrade(conn, reader.revision)
    tables = {name: _as_it_was(name, columns) for name, columns in reader.tables}
    for name, portion in reader.portions():
        conn.execute(insert(tables[name]), portion)
    upgrade(conn, HEAD)
    verify(conn)
    return reader.summary()


def _require_empty(conn: Connection) -> None:
    for table in metadata.sorted_tables:
        if table is not store_meta and conn.execute(select(func.count()).select_from(table)).scalar_one():
            raise StoreNotEmpty(f"the database holds rows of {table.name} already")


def _as_it_was(name: str, columns: list[tuple[str, bool]]) -> Table:
    """Return a table with these columns; apart from bytes, the drivers take every value as it is."""
    now = metadata.tables.get(name)
    known = {} if now is None else {column.name: column.type for column in now.c}
    return Table(
        name, MetaData(), *(Column(column, known.get(column, LargeBinary() if is_bytes else None))
                            for column, is_bytes in columns),
    )  # fmt: skip


def verify(conn: Connection) -> int:
    """Check that every project's newest schema has the digest that stands with it; return how many were checked.

    Raises:
        BackupInvalid: an element or a schema is not what its digest says.
    """
    heads = conn.execute(select(projects).where(projects.c.deleted_at.is_(None))).mappings().all()
    for head in heads:
        rows_key = head.get("rows_id") or head["project_id"]
        found = digest_of(Header.model_validate_json(head["header"]), _digests(conn, rows_key))
        if found != head["digest"]:
            raise BackupInvalid(f"the schema of project {head['project_id']!r} is not the one that was written")
    return len(heads)


def _digests(conn: Connection, rows_key: str) -> Iterator[bytes]:
    """Yield the digests of the current elements in order, each computed from what is stored."""
    query = (
        select(elements.c.kind_rank, elements.c.key, elements.c.body, elements.c.digest)
        .where(elements.c.project_id == rows_key, elements.c.valid_to.is_(None))
        .order_by(elements.c.kind_rank, elements.c.key)
    )
    for rank, key, body, known in conn.execution_options(yield_per=_PORTION).execute(query):
        computed = element_digest(parse_element(ELEMENT_KINDS[rank], body))
        if computed != known:
            raise BackupInvalid(f"the element {key!r} is not the one that was written")
        yield computed
