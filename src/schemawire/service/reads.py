"""Reading: one schema, and the list of projects; stored bytes go out unparsed. Knows nothing of HTTP servers."""

from collections.abc import Callable
from functools import partial

from sqlalchemy import Connection

from schemawire.protocol.headers import format_etag
from schemawire.protocol.messages import ProjectPage, ProjectRecord
from schemawire.schema import DomainSchema
from schemawire.service.access import Principal
from schemawire.service.replies import IMMUTABLE, REVALIDATE, Answer
from schemawire.service.store.elements import assemble_document, find_version, read_schema
from schemawire.service.store.heads import HeadMemory
from schemawire.service.store.projects import list_projects
from schemawire.service.store.records import ProjectHead, StoredDocument, VersionEntry, timestamp
from schemawire.service.store.store import Store


async def read_project(
    store: Store, project_id: str, *, version: int | None = None, known_tags: str | None = None
) -> Answer:
    """Return a whole schema, or that the caller's copy is still good.

    Args:
        store: where to read.
        project_id: the project.
        version: which version; the newest one if not given.
        known_tags: the caller's `If-None-Match`.

    Raises:
        ProjectMissing: there is no such project.
        VersionMissing: it has no such version.
    """
    cache_control = REVALIDATE if version is None else IMMUTABLE

    def is_known(entry: VersionEntry) -> bool:
        return known_tags is not None and is_tag_in(known_tags, format_etag(entry.version, entry.digest))

    def work(conn: Connection) -> StoredDocument:
        entry = find_version(conn, project_id, version)
        return StoredDocument(entry=entry, body=b"") if is_known(entry) else assemble_document(conn, entry)

    if version is None and store.heads is not None:
        document = await _read_head(store, store.heads, project_id, work)
    else:
        document = await store.read(work)
    entry, body = document.entry, None if is_known(document.entry) else document.body
    return Answer(
        message=f"version {entry.version} of {project_id}",
        payload=body or b"",
        project_id=project_id,
        version=entry.version,
        digest=entry.digest,
        status=200 if body is not None else 304,
        headers={"Cache-Control": cache_control},
    )


async def _read_head(
    store: Store, heads: HeadMemory, project_id: str, work: Callable[[Connection], StoredDocument]
) -> StoredDocument:
    """Return the newest document from memory; else what `work` reads, which is then kept if it is whole."""
    found = heads.find(project_id)
    if found is not None:
        return found
    ticket = heads.begin(project_id)
    document: StoredDocument | None = None
    try:
        document = await store.read(work)
        return document
    finally:
        heads.keep(ticket, document if document is not None and document.body else None, project_id)


def is_tag_in(header: str, tag: str) -> bool:
    """Tell whether an `If-Match` or `If-None-Match` header names a tag, or any (`*`).

    *Source:* RFC 9110, section 13.1.2: `If-None-Match` compares weakly, so the mark `W/` does not count.
    """
    named = (part.strip().removeprefix("W/") for part in header.split(","))
    return header.strip() == "*" or tag in named


async def read_schema_value(store: Store, project_id: str) -> DomainSchema:
    """Return the newest version of a schema as a value, for what needs to look inside.

    Raises:
        ProjectMissing: there is no such project.
    """
    return await store.read(partial(read_schema, project_id=project_id))


async def page_of_projects(
    store: Store, principal: Principal, *, after: str | None, limit: int, deleted: bool = False
) -> ProjectPage:
    """Return the projects (or the deleted ones) that the caller may see, in the order of their ids, behind `after`."""
    wanted = partial(list_projects, after=after, limit=limit, only=principal.projects, are_deleted=deleted)
    heads = await store.read(wanted)
    following = heads[-1].project_id if len(heads) == limit else None
    return ProjectPage(projects=tuple(_to_record(head) for head in heads), next=following)


def _to_record(head: ProjectHead) -> ProjectRecord:
    return ProjectRecord(
        project_id=head.project_id,
        version=head.version,
        digest=head.digest,
        name=head.name,
        updated_at=timestamp(head.updated_at),
        element_count=head.element_count,
        deleted_at=None if head.deleted_at is None else timestamp(head.deleted_at),
    )
