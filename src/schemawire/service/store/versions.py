"""Making the next version of a schema from changes, writing only what they change.

Knows nothing of how changes come about, nor of HTTP.
"""

import json
from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Connection, bindparam, insert, or_, select, update

from schemawire.schema import ELEMENT_KINDS, Change, Changes, DomainSchema, Key, kind_of
from schemawire.service.store import rows
from schemawire.service.store.compatibility import check_compatible
from schemawire.service.store.elements import assemble_schema, require_row
from schemawire.service.store.heads import note_touched
from schemawire.service.store.locks import has_parallel_writers
from schemawire.service.store.prepared import Prepared
from schemawire.service.store.records import VersionEntry, WriteNote, Written
from schemawire.service.store.refusals import ProjectExists, ProjectMissing, VersionMoved
from schemawire.service.store.step import VersionStep
from schemawire.service.store.tables import elements, projects, versions
from schemawire.service.store.view import SqlView, parse_element

MAX_CONFLICTS = 100
"""How many elements a refusal names at most."""

_ADD_VERSION = Prepared(insert(versions))
_VERSION_COLUMNS = tuple(column.name for column in versions.c)
_ADD_PROJECT = insert(projects)
_HEAD_COLUMNS = ("name", "version", "digest", "header", "counts", "next_ordinal", "updated_at", "deleted_at")
_MOVE = (
    update(projects)
    .where(projects.c.project_id == bindparam("p"))
    .values({name: bindparam(f"new_{name}") for name in _HEAD_COLUMNS})
)
_MOVE_HEAD = Prepared(_MOVE)
_ADD_AND_MOVE = _MOVE.add_cte(
    insert(versions).values({name: bindparam(f"made_{name}") for name in _VERSION_COLUMNS}).cte("made")
)
"""Both in one statement, where each statement is a journey and others wait for the project meanwhile."""

_ROWS_IDS = (
    select(versions.c.rows_id.label("then"), projects.c.rows_id.label("now"))
    .join(projects, projects.c.project_id == versions.c.project_id)
    .where(versions.c.project_id == bindparam("p"), versions.c.version == bindparam("v"))
)


def document_order(schema: DomainSchema) -> list[Key]:
    """Return kind and key of every element in the document's order, for `write_changes`."""
    return [(kind_of(element), element.key) for element in schema.elements()]


def changed_since(conn: Connection, project_id: str, version: int) -> list[Key]:
    """Return kind and key of every element that was written or removed after a version.

    Nothing where a large write has put all rows elsewhere since then: who changed what could not be told quickly.
    """
    row = conn.execute(_ROWS_IDS, {"p": project_id, "v": version}).one_or_none()
    if row is None or row.then != row.now:
        return []
    query = (
        select(elements.c.kind_rank, elements.c.key)
        .where(
            elements.c.project_id == (row.now or project_id),
            or_(elements.c.valid_from > version, elements.c.valid_to > version),
        )
        .distinct()
        .order_by(elements.c.kind_rank, elements.c.key)
    )
    return [(ELEMENT_KINDS[rank], key) for rank, key in conn.execute(query)]


def check_expected(view: SqlView, expected_version: int | None, *, touching: Collection[Key] | None = None) -> None:
    """Refuse a write that builds on another version than the newest one.

    Args:
        view: the project, seen to be written.
        expected_version: `None` for any; 0 for "the project must not be there".
        touching: the elements that the write changes; where the other side changed some of them, only those are named.

    Raises:
        VersionMoved: the newest version is another one.
    """
    if expected_version is None:
        return
    current = 0 if view.head is None else view.head.version
    if current == expected_version:
        return
    project_id = view.project_id
    changed = changed_since(view.conn, project_id, expected_version) if 0 < expected_version < current else []
    both = [key for key in changed if touching is not None and key in touching]
    raise VersionMoved(
        f"project {project_id!r} is at version {current}, not {expected_version}"
        if current
        else f"there is no project {project_id!r}, so it is not at version {expected_version}",
        expected_version=expected_version,
        current_version=current,
        current_digest=None if view.head is None else view.head.digest,
        conflicts=[f"{kind}:{key}" for kind, key in (both or changed)[:MAX_CONFLICTS]],
    )


def write_changes(
    view: SqlView,
    changes: Changes,
    note: WriteNote,
    *,
    order: Sequence[Key] | None = None,
    ready: Mapping[Key, tuple[bytes, bytes]] | None = None,
) -> Written:
    """Store the changes as the next version, or nothing if they are empty; a missing project is created.

    Args:
        view: the project, seen to be written.
        changes: what `schema.apply` returned for it.
        note: who writes, when, why, and on top of which version.
        order: the order of all elements where a whole document was written (`document_order`); otherwise elements
            keep their places and new ones come last.
        ready: digest and document of elements that are written, where they are known (`rows.ready_contents`).

    Raises:
        VersionMoved: the newest version is not the expected one; nothing is written.
        IncompatibleChange: the project's compatibility mode forbids the changes; nothing is written.
    """
    touching = {(change.kind, change.key) for change in changes.elements}
    check_expected(view, note.expected_version, touching=touching)
    check_compatible(view, changes, note, order)
    if view.head is not None and changes.is_empty:
        return Written(entry=require_row(view.conn, view.project_id, view.head.version), changed=False)
    note_touched(view.conn, view.project_id)
    step = VersionStep(view, changes, ready or {})
    touched = step.write_rows(order)
    entry = step.entry(note)
    _save(view.conn, step, entry, is_new=view.stored is None)
    return Written(entry=entry, changed=True, created=view.head is None, rows_touched=touched)


def _save(conn: Connection, step: VersionStep, entry: VersionEntry, *, is_new: bool) -> None:
    """Store a version and make it the newest."""
    version = {name: getattr(entry, name) for name in _VERSION_COLUMNS}
    values = {
        "name": step.changes.header_after.name,
        "version": entry.version,
        "digest": entry.digest,
        "header": entry.header,
        "counts": json.dumps(step.counts),
        "next_ordinal": step.next_ordinal,
        "updated_at": entry.created_at,
        "deleted_at": None,
    }
    fresh = {"p": entry.project_id} | {f"new_{name}": value for name, value in values.items()}
    if has_parallel_writers(conn) and not is_new:
        conn.execute(_ADD_AND_MOVE, fresh | {f"made_{name}": value for name, value in version.items()})
        return
    _ADD_VERSION.run(conn, version)
    if is_new:
        made = {"project_id": entry.project_id, "created_at": entry.created_at, "settings": "{}"}
        conn.execute(_ADD_PROJECT, values | made | {"rows_id": entry.rows_id})
    else:
        _MOVE_HEAD.run(conn, fresh)


def create_project(conn: Connection, project_id: str, schema: DomainSchema, note: WriteNote) -> Written:
    """Store a new project with its first schema, which has been checked.

    Raises:
        ProjectExists: it is there already.
    """
    view = SqlView(conn, project_id, is_writing=True)
    if view.head is not None:
        raise ProjectExists(f"there is a project {project_id!r} already, at version {view.head.version}")
    return replace_in_view(view, schema, note)


def replace_schema(conn: Connection, project_id: str, schema: DomainSchema, note: WriteNote) -> Written:
    """Make a whole schema, which has been checked, the newest version; an identical one makes no version.

    Raises:
        VersionMoved: the newest version is not the expected one; nothing is written.
    """
    return replace_in_view(SqlView(conn, project_id, is_writing=True), schema, note)


def replace_in_view(view: SqlView, schema: DomainSchema, note: WriteNote) -> Written:
    """Do as `replace_schema` does, with a project that has been looked at already.

    Raises:
        VersionMoved: the newest version is not the expected one; nothing is written.
    """
    return write_changes(view, changes_to(view, schema), note, order=document_order(schema))


def changes_to(view: SqlView, schema: DomainSchema) -> Changes:
    """Return what has to change so that the newest version becomes the given schema; equal bytes are not parsed."""
    stored = view.bodies()
    wanted = {(kind_of(element), element.key): element for element in schema.elements()}
    found = [
        Change(kind=kind, key=key, before=parse_element(kind, body), after=None)
        for (kind, key), body in stored.items()
        if (kind, key) not in wanted
    ]
    for (kind, key), element in wanted.items():
        body = stored.get((kind, key))
        before = None if body is None or body == rows.encode(element) else parse_element(kind, body)
        if body is None or (before is not None and before != element):
            found.append(Change(kind=kind, key=key, before=before, after=element))
    return Changes(header_before=view.header(), header_after=schema.header(), elements=tuple(found))


def restore_version(conn: Connection, project_id: str, version: int, note: WriteNote) -> Written:
    """Make an older version the newest again, as a version of its own; also brings a deleted project back.

    Raises:
        ProjectMissing: there never was such a project.
        VersionMissing: it has no such version.
        VersionMoved: the newest version is not the expected one; nothing is written.
    """
    view = SqlView(conn, project_id, is_writing=True)
    if view.stored is None:
        raise ProjectMissing(f"there is no project {project_id!r}")
    return replace_in_view(view, assemble_schema(conn, require_row(conn, project_id, version)), note)
