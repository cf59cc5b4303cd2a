"""A whole schema sent as a stream: put in place portion by portion while others write, then switched over to.

Knows nothing of HTTP servers.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import replace
from functools import partial

from sqlalchemy import Connection

from schemawire.service.backend import Backend
from schemawire.service.body_lines import Intake
from schemawire.service.element_lines import ElementLines, twice
from schemawire.service.refusals import RequestRefused
from schemawire.service.replies import Answer
from schemawire.service.staged_check import judge_staged
from schemawire.service.staged_writes import Staged, patiently, put_in_place, staging_area, switch
from schemawire.service.store import staging
from schemawire.service.store.idempotency import find_reply
from schemawire.service.store.records import IdempotencyScope
from schemawire.service.store.refusals import DuplicateInFlight, KeyReused
from schemawire.service.store.staging import Place, StagedSchema
from schemawire.service.store.store import Store
from schemawire.service.store.versions import check_expected
from schemawire.service.store.view import SqlView
from schemawire.service.threads import in_background
from schemawire.service.write_request import WriteRequest, expected_version, hash_request
from schemawire.service.writes import answer_of

_LOOKED_UP_AT_ONCE = 400


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
    with arriving(backend, write):
        await check_early(backend.store, write)
        async with staging_area(backend, write.project_id) as rows_key:
            lines = await _take_in(backend.store, write, intake, rows_key)
            stated, header, _ = lines.finish()
            staged = await judge_staged(backend.store, rows_key, header, each_page=write.check_deadline)
            _compare_digests(lines, staged)
            asked = replace(write, request_hash=hash_request(write.request_hash, intake.seen.digest()))
            whole = Staged(schema=staged, session_id=stated.session_id, message=stated.message)
            return await switch(backend, asked, whole, answer_of)


async def _take_in(store: Store, write: WriteRequest, intake: Intake, rows_key: str) -> ElementLines:
    lines = ElementLines(rows_key)
    async with aclosing(intake.portions()) as portions:
        async for portion in portions:
            write.check_deadline()
            rows, doubtful = await in_background(partial(lines.take, portion))
            await _refuse_known(store, rows_key, doubtful)
            if rows:
                await put_in_place(store, rows_key, rows)
            else:
                await patiently(store, partial(staging.touch_staging, rows_key=rows_key, now=time.time()))
    return lines


async def _refuse_known(store: Store, rows_key: str, places: Sequence[Place]) -> None:
    """Refuse elements that came before; where lines come in order there is nothing to look up."""
    for start in range(0, len(places), _LOOKED_UP_AT_ONCE):
        some = places[start : start + _LOOKED_UP_AT_ONCE]
        known = await store.read(partial(staging.known_keys, rows_key=rows_key, places=some))
        if known:
            raise twice(min(known))


def _compare_digests(lines: ElementLines, staged: StagedSchema) -> None:
    stated, _, trailer = lines.finish()
    for place, digest in (("header", stated.digest), ("trailer", trailer.digest)):
        if digest is not None and digest != staged.digest:
            raise RequestRefused(
                "invalid_request", f"The {place} promises the digest {digest[:80]!r}; what came has {staged.digest}.",
                fix="Send exactly the schema that the digest was made from, or leave the digest out.",
            )  # fmt: skip


async def check_early(store: Store, write: WriteRequest) -> None:
    """Refuse at once what the switch-over would refuse after everything has been sent.

    A request that was done before goes on: its precondition fails only because it was done, and it has its reply.

    Raises:
        VersionMoved: a precondition fails.
    """

    def look(conn: Connection) -> None:
        if not _was_done(conn, write):
            view = SqlView(conn, write.project_id)
            check_expected(view, expected_version(write, view.head))

    await store.read(look)


def _was_done(conn: Connection, write: WriteRequest) -> bool:
    if write.key is None:
        return False
    scope = IdempotencyScope(
        principal=write.principal, project_id=write.project_id, route=write.route, key=write.key
    )  # fmt: skip
    try:
        return find_reply(conn, scope, b"") is not None
    except KeyReused:  # the body has not come yet, so nobody can tell whether it is the same request
        return True


@contextmanager
def arriving(backend: Backend, write: WriteRequest) -> Iterator[None]:
    """Refuse a second request with the same key while the first one is still sending.

    Raises:
        DuplicateInFlight: there is one.
    """
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
