"""Forgetting a project for good, every row of it; knows nothing of who may ask for that.

The project and all that tells of it go at once. Its element rows, which may be millions, are handed over to the
sweeper, who deletes them in portions: nothing names them any more, and a new project of that name stands elsewhere.
"""

from collections.abc import Iterable
from uuid import uuid4

from sqlalchemy import Connection, Table, bindparam, delete, func, insert, select, update

from schemawire.service.store.heads import note_touched
from schemawire.service.store.prepared import Prepared
from schemawire.service.store.projects import lock_project
from schemawire.service.store.refusals import ProjectBusy, ProjectMissing
from schemawire.service.store.tables import (
    conversation_turns,
    conversations,
    deliveries,
    element_references,
    elements,
    idempotency,
    operations,
    projects,
    stagings,
    undone_versions,
    versions,
)

_AT_ONCE: tuple[Table, ...] = (
    versions, undone_versions, idempotency, deliveries, operations, conversation_turns, conversations, projects
)  # fmt: skip
_IS_BEING_FORGOTTEN = Prepared(select(stagings.c.rows_id).where(stagings.c.rows_id == bindparam("p")))


def purge_project(conn: Connection, project_id: str) -> int:
    """Delete a project, deleted or not, with its versions, finished operations and kept replies; return how many rows.

    Its element rows are counted, and deleted by the next sweep.

    Raises:
        ProjectMissing: there never was such a project.
        ProjectBusy: an operation on it is not finished.
    """
    head = lock_project(conn, project_id)
    if head is None:
        raise ProjectMissing(f"there is no project {project_id!r}")
    unfinished = select(operations.c.operation_id).where(
        operations.c.project_id == project_id, operations.c.finished_at.is_(None)
    )
    if conn.execute(unfinished.limit(1)).first() is not None:
        raise ProjectBusy(f"operations on {project_id!r} are not finished")
    used = select(versions.c.rows_id).where(versions.c.project_id == project_id, versions.c.rows_id.is_not(None))
    deleted = _hand_over(conn, project_id, {project_id, *conn.execute(used.distinct()).scalars()})
    for table in _AT_ONCE:
        deleted += conn.execute(delete(table).where(table.c.project_id == project_id)).rowcount
    note_touched(conn, project_id)
    return deleted


def fresh_rows_key(conn: Connection, project_id: str) -> str:
    """Return the id that the rows of a new project stand under: its own, unless a purged one's are still there."""
    return project_id if _IS_BEING_FORGOTTEN.first(conn, {"p": project_id}) is None else f"~{uuid4().hex}"


def _hand_over(conn: Connection, project_id: str, rows_keys: Iterable[str]) -> int:
    """Make all rows of a project, also half-staged ones, garbage; return how many element rows its versions had."""
    mine = stagings.c.project_id == project_id
    known = dict(conn.execute(select(stagings.c.rows_id, stagings.c.what).where(mine)).all())
    conn.execute(update(stagings).where(mine).values(what="garbage", touched_at=0.0))
    count = 0
    for rows_key in sorted(rows_keys):
        if known.get(rows_key) == "garbage":  # of an earlier project of that name
            continue
        count += sum(_rows_of(conn, table, rows_key) for table in (elements, element_references))
        if rows_key not in known:
            left = {"rows_id": rows_key, "project_id": project_id, "what": "garbage", "touched_at": 0.0}
            conn.execute(insert(stagings), left)
    return count


def _rows_of(conn: Connection, table: Table, rows_key: str) -> int:
    count: int = conn.execute(select(func.count()).where(table.c.project_id == rows_key)).scalar_one()
    return count
