"""A whole schema sent as a stream: put in place portion by portion while others write, then switched over to.

Knows nothing of HTTP servers.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

from sqlalchemy import Connection

from schemawire.protocol.messages import UploadHeader
from schemawire.schema import ELEMENT_KINDS, DomainSchema, Header
from schemawire.service.backend import Backend
from schemawire.service.element_lines import ElementLines, twice
from schemawire.service.intake import Intake
from schemawire.service.once import write_once
from schemawire.service.refusals import RequestRefused
from schemawire.service.replies import Answer
from schemawire.service.staged_check import judge_staged
from schemawire.service.store import staging
from schemawire.service.store.compatibility import check_compatible, mode_of
from schemawire.service.store.refusals import DuplicateInFlight, StoreUnavailable
from schemawire.service.store.staging import Place, StagedRow, StagedSchema
from schemawire.service.store.store import Store
from schemawire.service.store.versions import changes_to, check_expected
from schemawire.service.store.view import SqlView, parse_element
from schemawire.service.threads import in_background
from schemawire.service.write_request import WriteRequest, expected_version, hash_request
from schemawire.service.writes import answer_of, note_of

T = TypeVar("T")

MAX_AT_ONCE = 4
"""Large writes that one process works on at the same time."""
MAX_JUDGED_WHOLE = 20_000
"""Elements up to which a project's compatibility mode is applied to a large write: that takes both schemas whole."""
PATIENCE = 10
"""How often a portion waits for a busy store before the whole write is given up."""
CLEANUP = 5.0
"""Seconds for giving staged rows back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """A schema that is in place and judged, with what goes with its version."""

    schema: StagedSchema
    stated: UploadHeader
    on_top_of: int | None = None
    """The version that a compatibility mode was held against."""


async def upload_schema(backend: Backend, write: WriteRequest, intake: Intake) -> Answer:
    """Make a schema that comes as lines the newest version of a project, as a whole or not at all.

    Args:
        backend: where to write.
        write: whose key, precondition and deadline apply; the body is added to its hash here.
        intake: the lines.

    Raises:
        RequestRefused: the lines are not what they must be, or too many large writes are under way.
        SchemaInvalid: the schema breaks the rules.
        VersionMoved: a precondition fails.
        IncompatibleChange: the project's compatibility mode forbids it.

    *Cancelled:* nothing is kept, unless the switch-over had begun; repeating it with its key tells.
    """
    with _one_of_few(backend), _claimed(backend, write):
        await backend.store.read(partial(_check_precondition, write=write))
        rows_key = await backend.store.write(
            partial(staging.open_staging, project_id=write.project_id, now=time.time())
        )
        try:
            lines = await _take_in(backend.store, write, intake, rows_key)
            asked = replace(write, request_hash=hash_request(write.request_hash, intake.seen.digest()))
            stated, header, _ = lines.finish()
            staged = await _judged(backend.store, asked, rows_key, stated, header)
            _compare_digests(lines, staged.schema)
            return await _switch(backend, asked, staged)
        finally:
            await _give_back(backend.store, rows_key)


async def _take_in(store: Store, write: WriteRequest, intake: Intake, rows_key: str) -> ElementLines:
    lines = ElementLines(rows_key)
    async with aclosing(intake.portions()) as portions:
        async for portion in portions:
            write.check_deadline()
            rows, doubtful = await in_background(partial(lines.take, portion))
            for start in range(0, len(rows), staging.ROWS_AT_ONCE):
                some = rows[start : start + staging.ROWS_AT_ONCE]
                await patiently(store, partial(_stage, rows_key=rows_key, rows=some, doubtful=doubtful))
                doubtful = []
            if not rows:
                await patiently(store, partial(staging.touch_staging, rows_key=rows_key, now=time.time()))
    return lines


def _stage(conn: Connection, rows_key: str, rows: list[StagedRow], doubtful: list[Place]) -> None:
    for start in range(0, len(doubtful), 400):
        known = staging.known_keys(conn, rows_key, doubtful[start : start + 400])
        if known:
            raise twice(min(known))
    staging.stage_rows(conn, rows_key, rows, now=time.time())


async def _judged(store: Store, write: WriteRequest, rows_key: str, stated: UploadHeader, header: Header) -> Staged:
    staged = await judge_staged(store, rows_key, header, each_page=write.check_deadline)
    version = await store.read(partial(_check_mode, write=write, staged=staged))
    return Staged(schema=staged, stated=stated, on_top_of=version)


def _check_mode(conn: Connection, write: WriteRequest, staged: StagedSchema) -> int | None:
    """Hold a staged schema against the project's compatibility mode; return the version that it was held against."""
    view = SqlView(conn, write.project_id)
    note = note_of(write, None)
    if view.head is None or mode_of(view.head, note.default_mode) == "NONE" or note.override_compatibility:
        return None
    if max(sum(staged.counts), view.head.element_count) > MAX_JUDGED_WHOLE:
        raise RequestRefused(
            "incompatible", f"A schema of more than {MAX_JUDGED_WHOLE} elements cannot be held against a mode.",
            fix="Set the project's compatibility mode to NONE, or change it by operations.",
        )  # fmt: skip
    check_compatible(view, changes_to(view, _whole(conn, staged)), note)
    return view.head.version


def _whole(conn: Connection, staged: StagedSchema) -> DomainSchema:
    rows = staging.staged_page(conn, staged.rows_key, after=staging.BEGINNING, limit=MAX_JUDGED_WHOLE + 1)
    in_order = sorted(rows, key=lambda row: (row[0], row[2]))
    return DomainSchema.assemble(staged.header, (parse_element(ELEMENT_KINDS[row[0]], row[4]) for row in in_order))


def _compare_digests(lines: ElementLines, staged: StagedSchema) -> None:
    stated, _, trailer = lines.finish()
    for place, digest in (("header", stated.digest), ("trailer", trailer.digest)):
        if digest is not None and digest != staged.digest:
            raise RequestRefused(
                "invalid_request", f"The {place} promises the digest {digest[:80]!r}; what came has {staged.digest}.",
                fix="Send exactly the schema that the digest was made from, or leave the digest out.",
            )  # fmt: skip


async def _switch(backend: Backend, write: WriteRequest, staged: Staged) -> Answer:
    def work(conn: Connection) -> Answer:
        view = SqlView(conn, write.project_id, is_writing=True)
        expected = expected_version(write, view.head)
        note = note_of(write, expected, session_id=staged.stated.session_id, message=staged.stated.message)
        if staged.on_top_of is not None:
            check_expected(view, staged.on_top_of)
        return answer_of(write, staging.switch_over(view, staged.schema, note))

    return await write_once(backend, write, work)


def _check_precondition(conn: Connection, write: WriteRequest) -> None:
    """Refuse at once what the switch-over would refuse after everything has been sent; a replay is no refusal."""
    view = SqlView(conn, write.project_id)
    if write.key is None:
        check_expected(view, expected_version(write, view.head))


async def patiently(store: Store, work: Callable[[Connection], T]) -> T:
    """Run a portion of a large write, waiting while the store is busy.

    Raises:
        StoreUnavailable: it stays so.
    """
    for _ in range(PATIENCE):
        with suppress(StoreUnavailable):
            return await store.write(work)
        await asyncio.sleep(0.2)
    return await store.write(work)


async def _give_back(store: Store, rows_key: str) -> None:
    """Leave what was not switched over to the sweep; after a crash it is found by its age."""
    with suppress(StoreUnavailable, TimeoutError):
        async with asyncio.timeout(CLEANUP):
            await asyncio.shield(store.write(partial(staging.abandon_staging, rows_key=rows_key)))


@contextmanager
def _one_of_few(backend: Backend) -> Iterator[None]:
    if backend.large_writes >= MAX_AT_ONCE:
        raise RequestRefused("overloaded", "Too many large writes are under way.", retry_after=2.0)
    backend.large_writes += 1
    try:
        yield
    finally:
        backend.large_writes -= 1


@contextmanager
def _claimed(backend: Backend, write: WriteRequest) -> Iterator[None]:
    """Refuse a second request with the same key while the first one is still sending."""
    if write.key is None:
        yield
        return
    mark = (write.principal, write.project_id, write.route, write.key)
    if mark in backend.arriving:
        raise DuplicateInFlight(retry_after=1.0)
    backend.arriving.add(mark)
    try:
        yield
    finally:
        backend.arriving.discard(mark)
