"""A project's settings, whether a change would be compatible, and forgetting a project for good.

Knows nothing of HTTP servers.
"""

import hashlib
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any

from pydantic import Field, StrictInt
from sqlalchemy import Connection

from schemawire.protocol.messages import MAX_BATCH_OPERATIONS, RequestBody
from schemawire.schema import Mode, apply, parse_operations, protected_by
from schemawire.service.backend import Backend
from schemawire.service.history import change_record
from schemawire.service.once import write_once
from schemawire.service.refusals import RequestRefused
from schemawire.service.replies import REVALIDATE, Answer, encode
from schemawire.service.store.compatibility import (
    MODE,
    VersionVerdict,
    mode_of,
    schema_after,
    verdict_of,
    verdicts_of,
)
from schemawire.service.store.elements import require_row
from schemawire.service.store.projects import require_project, save_settings
from schemawire.service.store.purging import purge_project
from schemawire.service.store.records import ProjectHead
from schemawire.service.store.view import SqlView
from schemawire.service.threads import in_proportion
from schemawire.service.write_request import WriteRequest
from schemawire.service.writes import read_schema_document

Operations = Annotated[tuple[dict[str, Any], ...], Field(min_length=1, max_length=MAX_BATCH_OPERATIONS)]


class SettingsRequest(RequestBody):
    """Settings to change; what is not given stays as it is, and null goes back to the service's default."""

    compatibility: Mode | None = None


class CompatibilityRequest(RequestBody):
    """A change to be judged: the whole schema as it would be, or operations on the newest version."""

    document: Annotated[dict[str, Any] | None, Field(alias="schema")] = None
    operations: Annotated[tuple[dict[str, Any], ...], Field(min_length=1, max_length=MAX_BATCH_OPERATIONS)] | None = (
        None
    )
    mode: Mode | None = None
    """The project's own if not given."""
    version: Annotated[StrictInt, Field(ge=1)] | None = None
    """Only against this version; else against the newest one, and with a transitive mode against all."""


async def read_settings(backend: Backend, project_id: str) -> Answer:
    """Return a project's settings.

    Raises:
        ProjectMissing: there is no such project.
    """
    head = await backend.store.read(partial(require_project, project_id=project_id))
    return _settings_answer(head.project_id, head.settings, backend.terms.compatibility)


async def change_settings(backend: Backend, write: WriteRequest, wanted: SettingsRequest) -> Answer:
    """Change a project's settings.

    Raises:
        ProjectMissing: there is no such project.
        RequestRefused: they have changed since the entity tag that the request names.
    """

    def work(conn: Connection) -> Answer:
        view = SqlView(conn, write.project_id, is_writing=True)
        settings = dict(require_project(conn, write.project_id).settings)
        _check_tag(write, settings)
        for name in wanted.model_fields_set:
            settings.pop(name, None)
            if getattr(wanted, name) is not None:
                settings[name] = getattr(wanted, name)
        assert view.head is not None  # noqa: S101  # required above, and locked since
        save_settings(conn, write.project_id, settings, now=time.time())
        return _settings_answer(write.project_id, settings, backend.terms.compatibility)

    return await write_once(backend, write, work)


def _check_tag(write: WriteRequest, settings: Mapping[str, Any]) -> None:
    wanted = write.if_match
    if wanted is None or wanted.strip() == "*":
        return
    if settings_tag(settings) not in [part.strip() for part in wanted.split(",")]:
        raise RequestRefused(
            "version_conflict", "The settings are not those that If-Match names.", fix="Read them, and send again."
        )


def settings_tag(settings: Mapping[str, Any]) -> str:
    """Return the strong entity tag of settings."""
    return f'"s-{hashlib.sha256(encode(dict(sorted(settings.items())))).hexdigest()[:32]}"'


def _settings_answer(project_id: str, settings: Mapping[str, Any], default: Mode) -> Answer:
    chosen = settings.get(MODE)
    record = {"compatibility": chosen, "effective": {"compatibility": chosen or default}}
    return Answer(
        message=f"settings of {project_id}",
        payload=encode(record),
        project_id=project_id,
        headers={"ETag": settings_tag(settings), "Cache-Control": REVALIDATE},
    )


async def judge_change(backend: Backend, project_id: str, wanted: CompatibilityRequest, size_bytes: int) -> Answer:
    """Return whether a change would be compatible, with the reasons for each version; nothing is stored.

    Raises:
        ProjectMissing: there is no such project.
        VersionMissing: it has no such version.
        SchemaInvalid: the schema or an operation is malformed, or cannot be carried out.
        RequestRefused: it says neither what the schema would be nor what would be done to it, or both.
    """
    if (wanted.document is None) == (wanted.operations is None):
        raise RequestRefused(
            "invalid_request", "Either schema or operations is wanted.", fix="Send exactly one of them."
        )
    document, operations = wanted.document, wanted.operations
    given = None
    if document is not None:
        given = await in_proportion(size_bytes, partial(read_schema_document, document, "/schema"))
    steps = () if operations is None else tuple(parse_operations(operations, "/operations"))

    def work(conn: Connection) -> Answer:
        head = require_project(conn, project_id)
        mode = wanted.mode or mode_of(head, backend.terms.compatibility)
        view = SqlView(conn, project_id)
        new = given or schema_after(view, apply(view, steps, pointer="/operations"))
        if wanted.version is None:
            verdicts = list(verdicts_of(conn, head, new, mode))
        else:
            verdicts = [verdict_of(conn, require_row(conn, project_id, wanted.version), new, mode)]
        return _verdict_answer(head, mode, verdicts)

    return await backend.store.read(work)


def _verdict_answer(head: ProjectHead, mode: Mode, verdicts: Sequence[VersionVerdict]) -> Answer:
    against = [
        {
            "version": verdict.version,
            "compatible": not verdict.found,
            "changes": [change_record(change) for change in verdict.changes],
            "reasons": [change.reason(mode) for change in verdict.found],
        }
        for verdict in verdicts
    ]
    is_fine = all(not verdict.found for verdict in verdicts)
    record = {"mode": mode, "protects": sorted(protected_by(mode)), "compatible": is_fine, "against": against}
    return Answer(
        message=f"{'compatible' if is_fine else 'not compatible'} ({mode})",
        payload=encode(record),
        project_id=head.project_id,
    )


async def purge(backend: Backend, write: WriteRequest, confirmation: str | None) -> Answer:
    """Forget a project with all its versions for good; the audit log keeps a line.

    Nobody sees anything of it from then on; its element rows are deleted in portions behind the reply.

    Raises:
        ProjectMissing: there never was such a project.
        RequestRefused: it was not confirmed, or operations on it are not finished.
    """
    if confirmation != write.project_id:
        raise RequestRefused(
            "invalid_request",
            "Purging cannot be undone, and was not confirmed.",
            fix="Send ?confirm= with the id of the project.",
        )

    def work(conn: Connection) -> Answer:
        rows = purge_project(conn, write.project_id)
        return Answer(
            message=f"purged {write.project_id}", project_id=write.project_id, payload=encode({"rowsDeleted": rows})
        )

    answer = await write_once(backend, write, work)
    backend.sweeping_due.set()
    return answer
