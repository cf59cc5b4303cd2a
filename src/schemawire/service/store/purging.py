"""Forgetting a project for good, every row of it; knows nothing of who may ask for that."""

from sqlalchemy import Connection, Table, delete, select

from schemawire.service.store.heads import note_touched
from schemawire.service.store.projects import lock_project
from schemawire.service.store.refusals import ProjectBusy, ProjectMissing
from schemawire.service.store.tables import (
    deliveries,
    element_references,
    elements,
    idempotency,
    operations,
    projects,
    stagings,
    versions,
)

_BY_PROJECT: tuple[Table, ...] = (versions, idempotency, deliveries, operations, stagings, projects)


def purge_project(conn: Connection, project_id: str) -> int:
    """Delete a project, deleted or not, with its versions, finished operations and kept replies; return how many rows.

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
    rows_keys = {project_id, *conn.execute(used.distinct()).scalars()}
    deleted = 0
    for table in (elements, element_references):
        deleted += conn.execute(delete(table).where(table.c.project_id.in_(sorted(rows_keys)))).rowcount
    for table in _BY_PROJECT:
        deleted += conn.execute(delete(table).where(table.c.project_id == project_id)).rowcount
    note_touched(conn, project_id)
    return deleted
