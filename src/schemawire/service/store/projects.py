"""Projects: finding, listing, deleting them, and their settings; knows nothing of elements."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from schemawire.schema.model import Header
from schemawire.service.store.heads import note_touched
from schemawire.service.store.locks import has_parallel_writers, wait_for_lock
from schemawire.service.store.prepared import Prepared
from schemawire.service.store.records import JsonValue, ProjectHead
from schemawire.service.store.refusals import ProjectMissing
from schemawire.service.store.tables import projects

MAX_PAGE = 1_000

_COLUMNS = tuple(column.name for column in projects.c)

# Statements that run with every request are built once: building one costs as much as running it.
_FIND_STATEMENT = select(projects).where(projects.c.project_id == bindparam("p"))
_FIND = Prepared(_FIND_STATEMENT)
_LOCK = Prepared(_FIND_STATEMENT.with_for_update())


def to_head(row: Sequence[Any]) -> ProjectHead:
    """Return the record of a row of `projects`."""
    values = dict(zip(_COLUMNS, row, strict=True))
    values["counts"] = tuple(json.loads(values["counts"]))
    values["settings"] = json.loads(values["settings"])
    return ProjectHead(**values)


def lock_project(conn: Connection, project_id: str) -> ProjectHead | None:
    """Return the project, deleted or not; on engines with parallel writers it stays ours until the commit.

    One that is not there yet has no row to lock: its name is locked then, and another look tells who came first.
    """
    row = _LOCK.first(conn, {"p": project_id})
    if row is None and has_parallel_writers(conn):
        wait_for_lock(conn, "project", project_id)
        row = _LOCK.first(conn, {"p": project_id})
    return None if row is None else to_head(row)


def find_project(conn: Connection, project_id: str, *, include_deleted: bool = False) -> ProjectHead | None:
    """Return the project as it is now, without its elements, or `None`."""
    row = _FIND.first(conn, {"p": project_id})
    head = None if row is None else to_head(row)
    return None if head is None or (head.is_deleted and not include_deleted) else head


def require_project(conn: Connection, project_id: str, *, include_deleted: bool = False) -> ProjectHead:
    """Return the project as it is now.

    Raises:
        ProjectMissing: there is none, or it was deleted.
    """
    head = find_project(conn, project_id, include_deleted=include_deleted)
    if head is None:
        raise ProjectMissing(f"there is no project {project_id!r}")
    return head


def list_projects(
    conn: Connection,
    *,
    after: str | None = None,
    limit: int = 100,
    only: frozenset[str] | None = None,
    include_deleted: bool = False,
    are_deleted: bool = False,
) -> list[ProjectHead]:
    """Return the projects behind `after` in the order of their ids.

    Args:
        conn: a connection.
        after: the id that the page starts behind.
        limit: how many at most, 1 to 1,000. A full page may have a successor: ask again behind its last id.
        only: the ids that the caller may see; all where it is not given.
        include_deleted: whether deleted ones are listed too.
        are_deleted: whether only deleted ones are listed.
    """
    query = select(projects).order_by(projects.c.project_id).limit(max(1, min(limit, MAX_PAGE)))
    if after is not None:
        query = query.where(projects.c.project_id > after)
    if only is not None:
        query = query.where(projects.c.project_id.in_(sorted(only)))
    if are_deleted:
        query = query.where(projects.c.deleted_at.is_not(None))
    elif not include_deleted:
        query = query.where(projects.c.deleted_at.is_(None))
    return [to_head(row) for row in conn.execute(query)]


def delete_project(conn: Connection, project_id: str, *, now: float) -> ProjectHead:
    """Mark a project as deleted; its versions stay, and `restore_version` brings it back.

    Raises:
        ProjectMissing: there is none, or it was deleted before.
    """
    head = require_project(conn, project_id)
    conn.execute(update(projects).where(projects.c.project_id == project_id).values(deleted_at=now, updated_at=now))
    note_touched(conn, project_id)
    return head


def save_settings(conn: Connection, project_id: str, settings: Mapping[str, JsonValue], *, now: float) -> None:
    """Replace a project's settings.

    Raises:
        ProjectMissing: there is no such project.
    """
    require_project(conn, project_id)
    conn.execute(
        update(projects)
        .where(projects.c.project_id == project_id)
        .values(settings=json.dumps(dict(settings)), updated_at=now)
    )


def default_header(project_id: str) -> Header:
    """Return the header of a project that has no schema yet: its name is the id, made into a name.

    >>> default_header("my-blog.v2").name
    'my_blog_v2'
    """
    name = re.sub(r"\W", "_", project_id)
    return Header(name=name if not name[0].isdigit() else f"_{name}"[:128])
