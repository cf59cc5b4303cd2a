"""Events while they happen: the versions of a project, and the progress of an operation. Knows nothing of HTTP servers.

A listener that reconnects says which event it had last, and gets everything behind that: versions are read from the
store, not remembered from what was announced, so that nothing is missed between two connections.
"""

import asyncio
from collections.abc import AsyncGenerator
from functools import partial

from sqlalchemy import Connection, or_, select

from schemawire.framing import encode_sse
from schemawire.protocol.messages import ChangeEvent, ChangeSummary
from schemawire.schema import ELEMENT_KINDS
from schemawire.service.access import Principal
from schemawire.service.backend import Backend
from schemawire.service.feeds import GONE, State
from schemawire.service.history import version_record
from schemawire.service.operations import Operation
from schemawire.service.refusals import RequestRefused
from schemawire.service.status import status_record
from schemawire.service.store.elements import to_entry
from schemawire.service.store.projects import find_project, require_project
from schemawire.service.store.records import VersionEntry
from schemawire.service.store.tables import elements, versions
from schemawire.service.submissions import find_status

LOOK_AGAIN = 1.0
"""Seconds after which a listener looks whether the service is about to stop."""
PROGRESS_INTERVAL = 0.25
"""Seconds between two looks at an operation."""
MAX_NAMED = 50
"""How many elements an event names at most."""
MAX_SUMMED_UP = 20_000
"""Elements up to which a version's changes are looked up: that reads the rows of the whole schema."""
_AT_ONCE = 100


async def follow_project(backend: Backend, project_id: str, *, after: int | None) -> AsyncGenerator[bytes, None]:
    """Return the events of a project: where it stands, then every version behind `after`, for ever.

    Args:
        backend: where to look.
        project_id: the project.
        after: the version that the listener knows; the newest one if not given.

    Raises:
        ProjectMissing: there is no such project.
        RequestRefused: `after` is a version that is not there yet.
    """
    head = await backend.store.read(partial(require_project, project_id=project_id))
    known = head.version if after is None else after
    if known > head.version:
        raise RequestRefused(
            "invalid_request", f"The project is at version {head.version}; there is no event behind version {known}.",
            fix="Send the id of the last event that came, or none.",
        )  # fmt: skip
    return _versions(backend, project_id, known)


async def _versions(backend: Backend, project_id: str, known: int) -> AsyncGenerator[bytes, None]:
    async with backend.feeds.listening(project_id):
        start = await backend.store.read(partial(_start_of, project_id=project_id, version=known))
        yield _event(start, retry=1.0)
        state: State = (known, False)
        while not backend.is_draining:
            events = await backend.store.read(partial(_events_behind, project_id=project_id, state=state))
            for event in events:
                yield _event(event)
            if events:
                state = (events[-1].version, events[-1].type == "deleted")
                continue
            seen = await backend.feeds.changed(project_id, state, within=LOOK_AGAIN)
            if seen == GONE:  # purged; if a project of that name is made again, it begins with version 1
                state = GONE


def _start_of(conn: Connection, project_id: str, version: int) -> ChangeEvent:
    mine = versions.c.project_id == project_id
    row = conn.execute(select(versions).where(mine, versions.c.version == version)).first()
    digest = "" if row is None else row.digest
    return ChangeEvent(type="start", project_id=project_id, version=version, digest=digest)


def _events_behind(conn: Connection, project_id: str, state: State) -> list[ChangeEvent]:
    """Return what happened to a project since a state: a portion of the versions, or that it was deleted."""
    version, was_deleted = state
    query = select(versions).where(versions.c.project_id == project_id, versions.c.version > version)
    rows = conn.execute(query.order_by(versions.c.version).limit(_AT_ONCE)).all()
    entries = [to_entry(row) for row in rows]
    events = [_version_event(conn, entry) for entry in entries]
    head = find_project(conn, project_id, include_deleted=True)
    if len(entries) < _AT_ONCE and not (was_deleted and not entries) and (head is None or head.is_deleted):
        newest = version if not entries else entries[-1].version
        events.append(ChangeEvent(type="deleted", project_id=project_id, version=newest, digest=""))
    return events


def _version_event(conn: Connection, entry: VersionEntry) -> ChangeEvent:
    return ChangeEvent(
        type="version", project_id=entry.project_id, changes=_summary(conn, entry), **version_record(entry).model_dump()
    )


def _summary(conn: Connection, entry: VersionEntry) -> ChangeSummary | None:
    if entry.element_count > MAX_SUMMED_UP:
        return None
    e = elements.c
    query = select(e.kind_rank, e.key, e.valid_from, e.valid_to).where(
        e.project_id == entry.rows_key, or_(e.valid_from == entry.version, e.valid_to == entry.version)
    )
    came: set[tuple[int, str]] = set()
    went: set[tuple[int, str]] = set()
    for rank, key, valid_from, _ in conn.execute(query.order_by(e.kind_rank, e.key)):
        (came if valid_from == entry.version else went).add((rank, key))
    if not came and not went and entry.rows_id is not None:
        return None  # all rows may have been put in place anew
    lists = [sorted(came - went), sorted(came & went), sorted(went - came)]
    shown = [[f"{ELEMENT_KINDS[rank]}:{key}" for rank, key in found[:MAX_NAMED]] for found in lists]
    more = sum(len(found) for found in lists) - sum(len(found) for found in shown)
    return ChangeSummary(added=tuple(shown[0]), changed=tuple(shown[1]), removed=tuple(shown[2]), more=more)


def _event(event: ChangeEvent, *, retry: float | None = None) -> bytes:
    return encode_sse(event.to_json().decode(), event=event.type, id=str(event.version), retry=retry)


async def follow_operation(
    backend: Backend, principal: Principal, operation_id: str, *, last_id: str | None
) -> AsyncGenerator[bytes, None] | None:
    """Return the events of an operation until it is final, or `None` if the listener has had the last one.

    Raises:
        OperationMissing: there is no such operation, or it is not the caller's to see.
    """
    operation = await find_status(backend.store, principal, operation_id)
    if operation.state.is_final and last_id == _mark(operation):
        return None
    return _progress(backend, principal, operation)


async def _progress(backend: Backend, principal: Principal, operation: Operation) -> AsyncGenerator[bytes, None]:
    async with backend.feeds.listening(operation.operation_id, is_project=False):
        mark = ""
        while not backend.is_draining:
            if _mark(operation) != mark:
                mark = _mark(operation)
                name = "final" if operation.state.is_final else "status"
                yield encode_sse(status_record(operation).to_json().decode(), event=name, id=mark)
            if operation.state.is_final:
                return
            await asyncio.sleep(PROGRESS_INTERVAL)
            operation = await find_status(backend.store, principal, operation.operation_id)


def _mark(operation: Operation) -> str:
    return f"{operation.attempts}-{operation.state.value}-{operation.progress:.6f}"
