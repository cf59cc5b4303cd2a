"""Writing a whole schema, changing it by operations, deleting it, and going back. Knows nothing of HTTP servers."""

import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from sqlalchemy import Connection

from schemawire.protocol.messages import CreateRequest, RestoreRequest
from schemawire.schema import DomainSchema, apply, check, parse_operations, parse_part
from schemawire.schema.issues import refuse
from schemawire.service.backend import Backend
from schemawire.service.foreseen import changes_of, foresee
from schemawire.service.history import version_record
from schemawire.service.once import write_once
from schemawire.service.replies import Answer, encode
from schemawire.service.store import versions as store
from schemawire.service.store.projects import delete_project, lock_project
from schemawire.service.store.records import WriteNote, Written
from schemawire.service.store.refusals import ProjectMissing
from schemawire.service.store.view import SqlView
from schemawire.service.threads import in_proportion
from schemawire.service.write_request import WriteRequest, expected_version

MAX_MESSAGE_LENGTH = 2_000


async def create_project(backend: Backend, write: WriteRequest, wanted: CreateRequest) -> Answer:
    """Store the first schema of a project.

    Raises:
        SchemaInvalid: the schema breaks the rules.
        ProjectExists: the project is already there.
    """
    read = partial(read_schema_document, wanted.domain_schema, "/domainSchema")
    schema = await in_proportion(write.size_bytes, read)

    def work(conn: Connection) -> Answer:
        message = wanted.message or (wanted.domain_description or "")[:MAX_MESSAGE_LENGTH] or None
        note = note_of(write, None, session_id=wanted.session_id, message=message)
        return answer_of(write, store.create_project(conn, write.project_id, schema, note))

    return await write_once(backend, write, work)


async def store_schema(backend: Backend, write: WriteRequest, schema: DomainSchema) -> Answer:
    """Make a schema that has been judged the newest of a project, in one transaction.

    Raises:
        VersionMoved: a precondition fails.
    """

    def work(conn: Connection) -> Answer:
        view = SqlView(conn, write.project_id, is_writing=True)
        note = note_of(write, expected_version(write, view.head))
        return answer_of(write, store.replace_in_view(view, schema, note))

    return await write_once(backend, write, work)


async def change_project(backend: Backend, write: WriteRequest, documents: Sequence[Any]) -> Answer:
    """Apply operations to a project that exists, all or none.

    Raises:
        ProjectMissing: there is no such project.
        SchemaInvalid: an operation is malformed or cannot be carried out.
        VersionMoved: a precondition fails.
    """
    operations = await in_proportion(write.size_bytes, partial(parse_operations, documents, ""))
    carry = partial(apply, pointer="")
    seen = await foresee(backend.store, write.project_id, operations, carry)

    def work(conn: Connection) -> Answer:
        view = _view_of_existing(conn, write.project_id)
        note = note_of(write, expected_version(write, view.head))
        store.check_expected(view, note.expected_version)
        changes, ready = changes_of(view, operations, carry, seen)
        return answer_of(write, store.write_changes(view, changes, note, ready=ready))

    return await write_once(backend, write, work)


async def delete_whole_project(backend: Backend, write: WriteRequest) -> Answer:
    """Delete a project; its versions are kept.

    Raises:
        ProjectMissing: there is no such project.
        VersionMoved: a precondition fails.
    """

    def work(conn: Connection) -> Answer:
        view = _view_of_existing(conn, write.project_id)
        store.check_expected(view, expected_version(write, view.head))
        delete_project(conn, write.project_id, now=time.time())
        return Answer(message=f"deleted {write.project_id}", project_id=write.project_id)

    return await write_once(backend, write, work)


async def restore_project(backend: Backend, write: WriteRequest, wanted: RestoreRequest) -> Answer:
    """Make a new version with the content of an old one.

    Raises:
        ProjectMissing: there never was such a project.
        VersionMissing: it has no such version.
        VersionMoved: a precondition fails.
    """

    def work(conn: Connection) -> Answer:
        head = lock_project(conn, write.project_id)
        note = note_of(write, expected_version(write, head), session_id=wanted.session_id, message=wanted.message)
        return answer_of(write, store.restore_version(conn, write.project_id, wanted.version, note))

    return await write_once(backend, write, work)


def _view_of_existing(conn: Connection, project_id: str) -> SqlView:
    view = SqlView(conn, project_id, is_writing=True)
    if view.head is None:
        raise ProjectMissing(f"there is no project {project_id!r}")
    return view


def read_schema_document(document: object, pointer: str = "") -> DomainSchema:
    """Return a schema that obeys every rule.

    Raises:
        SchemaInvalid: it does not; the issues point into the request, below `pointer`.
    """
    schema = parse_part(DomainSchema, document, pointer)
    refuse(issue.under(pointer) for issue in check(schema))
    return schema


def note_of(
    write: WriteRequest, expected: int | None, *, session_id: str | None = None, message: str | None = None
) -> WriteNote:
    """Return what is kept about a write."""
    return WriteNote(
        now=time.time(),
        created_by=write.principal,
        session_id=session_id or write.session_id,
        message=message or write.message,
        expected_version=expected,
        default_mode=write.default_mode,
        override_compatibility=write.override_compatibility,
    )


def answer_of(write: WriteRequest, written: Written) -> Answer:
    """Return the answer to a write: the version that is now the newest."""
    entry = written.entry
    did = "created" if written.created else "stored" if written.changed else "unchanged:"
    record = {"changed": written.changed, "created": written.created, **version_record(entry).model_dump(by_alias=True)}
    return Answer(
        message=f"{did} version {entry.version} of {write.project_id}",
        payload=encode(record),
        project_id=write.project_id,
        version=entry.version,
        digest=entry.digest,
        status=201 if written.created else 200,
    )
