"""The proof from the store file alone: every schema once, with the digest that was sent; knows no service.

It opens the SQLite file itself, read-only, and computes each digest anew from the stored bytes, so that neither the
service nor the columns that it fills in have to be believed.
"""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from pydantic import ValidationError

from schemawire.schema import ELEMENT_KINDS, ELEMENT_TYPES, Header, digest_of, element_digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What was found in the store, compared with what was sent."""

    stored: Mapping[str, str]
    """The digest recomputed from the stored bytes, by project."""
    faults: tuple[str, ...]
    """Everything that is not as it should be; empty when the proof holds."""
    versions: int
    """Rows of history, over all projects."""
    replies: int
    """Remembered replies to keyed writes, over all projects."""

    @property
    def holds(self) -> bool:
        """Whether every schema is there exactly once, as it was sent."""
        return not self.faults


def prove(database: Path, sent: Mapping[str, str]) -> Proof:
    """Compare the store file with the digests that were sent.

    Args:
        database: the service's SQLite file.
        sent: the digest of each schema as it was before sending, by project.
    """
    with closing(_open(database)) as rows:
        stored: dict[str, str] = {}
        faults = [*_broken_file(rows), *_wrong_projects(rows, sent)]
        for project, digest in sent.items():
            faults += _wrong_history(rows, project, digest)
            faults += _wrong_elements(rows, project)
            stored[project] = _recomputed(rows, project)
            if stored[project] and stored[project] != digest:
                faults.append(f"{project}: the stored bytes give digest {stored[project][:12]}, sent was {digest[:12]}")
        return Proof(
            stored=stored,
            faults=tuple(faults),
            versions=_count(rows, "SELECT count(*) FROM versions"),
            replies=_count(rows, "SELECT count(*) FROM idempotency"),
        )


def drop_one(database: Path) -> str:
    """Remove one schema from the store file, to show that the proof notices; returns the project."""
    with closing(sqlite3.connect(database)) as rows, rows:
        project: str = rows.execute("SELECT project_id FROM projects ORDER BY project_id LIMIT 1").fetchone()[0]
        for table in ("projects", "versions", "elements"):
            rows.execute(f"DELETE FROM {table} WHERE project_id = ?", (project,))  # noqa: S608  # names from this line
    return project


def _open(database: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(database.absolute()))}?mode=ro", uri=True)


def _count(rows: sqlite3.Connection, query: str, *values: object) -> int:
    return int(rows.execute(query, values).fetchone()[0])


def _broken_file(rows: sqlite3.Connection) -> Iterator[str]:
    for (line,) in rows.execute("PRAGMA integrity_check"):
        if line != "ok":
            yield f"the store file is damaged: {line}"


def _wrong_projects(rows: sqlite3.Connection, sent: Mapping[str, str]) -> Iterator[str]:
    found = [project for (project,) in rows.execute("SELECT project_id FROM projects WHERE deleted_at IS NULL")]
    yield from (f"{project}: not in the store" for project in sent if project not in found)
    yield from (f"{project}: in the store, but never sent" for project in found if project not in sent)
    if len(set(found)) < len(found):
        yield "a project is in the store twice"


def _wrong_history(rows: sqlite3.Connection, project: str, digest: str) -> Iterator[str]:
    """One version, without a parent; one remembered reply, so one applied write, however often it was sent."""
    history = rows.execute("SELECT version, digest, parent FROM versions WHERE project_id = ?", (project,)).fetchall()
    if len(history) != 1:
        yield f"{project}: {len(history)} versions in the history, 1 was made"
    yield from (f"{project}: version {row[0]} has digest {row[1][:12]}" for row in history if row[1] != digest)
    yield from (f"{project}: version {row[0]} has a parent" for row in history if row[2] is not None)
    replies = _count(rows, "SELECT count(*) FROM idempotency WHERE project_id = ?", project)
    if replies != 1:
        yield f"{project}: {replies} applied writes are remembered, 1 was made"


def _wrong_elements(rows: sqlite3.Connection, project: str) -> Iterator[str]:
    query = "SELECT count(*), count(DISTINCT kind_rank || ':' || key) FROM elements WHERE project_id = ?"
    total, distinct = rows.execute(query, (project,)).fetchone()
    if total != distinct:
        yield f"{project}: {total - distinct} elements are stored more than once"
    replaced = _count(rows, "SELECT count(*) FROM elements WHERE project_id = ? AND valid_to IS NOT NULL", project)
    if replaced:
        yield f"{project}: {replaced} elements were written and then replaced"


def _recomputed(rows: sqlite3.Connection, project: str) -> str:
    """Return the digest of the stored bytes; empty where there are none, or where they cannot be read."""
    head = rows.execute("SELECT header FROM versions WHERE project_id = ? ORDER BY version DESC", (project,)).fetchone()
    query = "SELECT kind_rank, body FROM elements WHERE project_id = ? AND valid_to IS NULL ORDER BY kind_rank, key"
    try:
        elements = [
            ELEMENT_TYPES[ELEMENT_KINDS[rank]].model_validate_json(body)
            for rank, body in rows.execute(query, (project,))
        ]
        return "" if head is None else digest_of(Header.model_validate_json(head[0]), map(element_digest, elements))
    except ValidationError:
        return "unreadable"
