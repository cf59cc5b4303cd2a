"""The past of a project: its versions, what changed between two, and going back. Knows nothing of HTTP servers."""

from dataclasses import asdict
from functools import partial
from typing import Any

from sqlalchemy import Connection

from schemawire.protocol.messages import VersionRecord
from schemawire.schema import DomainSchema, JudgedChange, Mode, judge
from schemawire.service.replies import IMMUTABLE, Answer, encode
from schemawire.service.store.elements import find_version, list_versions, read_schema
from schemawire.service.store.records import VersionEntry, timestamp
from schemawire.service.store.store import Store


def version_record(entry: VersionEntry) -> VersionRecord:
    """Return the form in which a version travels."""
    return VersionRecord(
        version=entry.version,
        digest=entry.digest,
        parent=entry.parent,
        created_at=timestamp(entry.created_at),
        created_by=entry.created_by,
        session_id=entry.session_id,
        message=entry.message,
        element_count=entry.element_count,
    )


async def page_of_versions(store: Store, project_id: str, *, before: int | None, limit: int) -> dict[str, Any]:
    """Return the versions below `before`, newest first; `next` continues the list.

    Raises:
        ProjectMissing: there is no such project.
    """
    entries = await store.read(partial(list_versions, project_id=project_id, before=before, limit=limit))
    following = entries[-1].version if len(entries) == limit and entries[-1].version > 1 else None
    records = [version_record(entry).model_dump(by_alias=True) for entry in entries]
    return {"versions": records, "next": following}


async def diff_versions(store: Store, project_id: str, first: int, second: int | None) -> Answer:
    """Return what changed from one version to another (the newest one if not given), in domain terms.

    Raises:
        ProjectMissing: there is no such project.
        VersionMissing: it has no such version.
    """

    def work(conn: Connection) -> tuple[VersionEntry, VersionEntry, dict[str, Any]]:
        older, newer = find_version(conn, project_id, first), find_version(conn, project_id, second)
        before = read_schema(conn, project_id, older.version)
        return older, newer, judged_record(before, read_schema(conn, project_id, newer.version))

    older, newer, found = await store.read(work)
    record = {
        "from": version_record(older).model_dump(by_alias=True),
        "to": version_record(newer).model_dump(by_alias=True),
        **found,
    }
    return Answer(
        message=f"{len(found['changes'])} changes from version {older.version} to {newer.version}",
        payload=encode(record),
        project_id=project_id,
        version=newer.version,
        digest=newer.digest,
        headers={"Cache-Control": IMMUTABLE} if second is not None else {},
    )


def change_record(change: JudgedChange) -> dict[str, Any]:
    """Return the form in which a judged change travels."""
    return {**asdict(change.difference), "breaks": dict(change.breaks)}


def judged_record(old: DomainSchema, new: DomainSchema) -> dict[str, Any]:
    """Return what differs between two schemas, whom each change breaks, and which modes allow the step."""
    found = judge(old, new)
    modes: tuple[Mode, ...] = ("BACKWARD", "FORWARD", "FULL")
    return {
        "changes": [change_record(change) for change in found],
        "compatibility": {mode: not any(change.violates(mode) for change in found) for mode in modes},
    }
