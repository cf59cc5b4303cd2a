"""What every large write shares: a place for its rows, patience with a busy store, and the switch-over at the end.

Knows nothing of how the rows come about.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from sqlalchemy import Connection

from schemawire.schema import ELEMENT_KINDS, DomainSchema
from schemawire.service.backend import Backend
from schemawire.service.once import write_once
from schemawire.service.refusals import RequestRefused
from schemawire.service.replies import Answer
from schemawire.service.store import staging
from schemawire.service.store.compatibility import check_compatible, mode_of
from schemawire.service.store.records import Written
from schemawire.service.store.refusals import StoreUnavailable
from schemawire.service.store.staging import StagedRow, StagedSchema
from schemawire.service.store.store import Store
from schemawire.service.store.versions import changes_to, check_expected
from schemawire.service.store.view import SqlView, parse_element
from schemawire.service.write_request import WriteRequest, expected_version
from schemawire.service.writes import note_of

T = TypeVar("T")

MAX_AT_ONCE = 4
"""Large writes that one process works on at the same time."""
WAIT = 10.0
"""Seconds that a further one waits for its turn."""
MAX_JUDGED_WHOLE = 20_000
"""Elements up to which a project's compatibility mode is applied to a large write: that takes both schemas whole."""
PATIENCE = 25
"""How often a portion waits for a busy store before the whole write is given up."""
_PAUSE = 0.2
_CLEANUP = 5.0
"""Seconds for giving staged rows back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """A schema that is in place and judged, with what goes with its version."""

    schema: StagedSchema
    session_id: str | None = None
    message: str | None = None
    expected: int | None = None
    """The version that the body of the request expects."""
    on_top_of: int | None = None
    """The version that it was made from, or that a compatibility mode was held against."""


@asynccontextmanager
async def staging_area(backend: Backend, project_id: str) -> AsyncIterator[str]:
    """Give an id to stage rows under; what was not switched over at the end is left to the sweep.

    Raises:
        RequestRefused: too many large writes are under way.
    """
    async with _one_of_few(backend):
        opening = partial(staging.open_staging, project_id=project_id, now=time.time())
        rows_key = await patiently(backend.store, opening)
        try:
            yield rows_key
        finally:
            await _give_back(backend.store, rows_key)


async def put_in_place(store: Store, rows_key: str, rows: Sequence[StagedRow]) -> None:
    """Stage rows that are not there yet, a few at a time."""
    for start in range(0, len(rows), staging.ROWS_AT_ONCE):
        some = rows[start : start + staging.ROWS_AT_ONCE]
        await patiently(store, partial(staging.stage_rows, rows_key=rows_key, rows=some, now=time.time()))


async def switch(
    backend: Backend, write: WriteRequest, staged: Staged, answer_of: Callable[[WriteRequest, Written], Answer]
) -> Answer:
    """Make what is in place the newest version, in one short transaction with the stored reply.

    Raises:
        VersionMoved: a precondition fails, or the project has moved on from what the schema was made of.
        IncompatibleChange: the project's compatibility mode forbids it.
    """
    held_against = await backend.store.read(partial(_check_mode, write=write, staged=staged.schema))
    base = held_against if staged.on_top_of is None else staged.on_top_of

    def work(conn: Connection) -> Answer:
        view = SqlView(conn, write.project_id, is_writing=True)
        expected = expected_version(write, view.head, staged.expected)
        note = note_of(write, expected, session_id=staged.session_id, message=staged.message)
        check_expected(view, expected)
        check_expected(view, base)
        return answer_of(write, staging.switch_over(view, staged.schema, note))

    return await write_once(backend, write, work)


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


async def patiently(store: Store, work: Callable[[Connection], T]) -> T:
    """Run a portion of a large write, waiting while the store is busy.

    Raises:
        StoreUnavailable: it stays so.
    """
    for _ in range(PATIENCE):
        with suppress(StoreUnavailable):
            return await store.write(work)
        await asyncio.sleep(_PAUSE)
    return await store.write(work)


async def _give_back(store: Store, rows_key: str) -> None:
    """Leave what was not switched over to the sweep; after a crash it is found by its age."""
    with suppress(Exception):  # whatever keeps it from being marked, its age will tell
        async with asyncio.timeout(_CLEANUP):
            await asyncio.shield(store.write(partial(staging.abandon_staging, rows_key=rows_key)))


@asynccontextmanager
async def _one_of_few(backend: Backend) -> AsyncIterator[None]:
    """Take a place, waiting a while for one; looking again and again is no burden, for only large writes do."""
    until = time.monotonic() + WAIT
    while backend.large_writes >= MAX_AT_ONCE:
        if time.monotonic() > until:
            raise RequestRefused("overloaded", "Too many large writes are under way.", retry_after=2.0)
        await asyncio.sleep(_PAUSE / 4)
    backend.large_writes += 1
    try:
        yield
    finally:
        backend.large_writes -= 1
