"""A write that may be repeated: done once, answered every time. Knows nothing of what the write does.

The reply is stored under the caller's key in the transaction of the write itself, so there is no moment at which the
one is there without the other. Refusals are not stored: a request that was refused may be repeated, and judged anew.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from sqlalchemy import Connection

from schemawire.service.auditing import line_of
from schemawire.service.backend import Backend
from schemawire.service.replies import Answer
from schemawire.service.store.audit import add_audit
from schemawire.service.store.idempotency import find_reply, store_reply
from schemawire.service.store.locks import try_lock
from schemawire.service.store.records import IdempotencyScope, StoredReply
from schemawire.service.store.refusals import DuplicateInFlight
from schemawire.service.write_request import WriteRequest

RETRY_AFTER = 1.0
"""Seconds after which a duplicate may ask again."""


async def write_once(backend: Backend, write: WriteRequest, work: Callable[[Connection], Answer]) -> Answer:
    """Run `work` in a transaction and return its answer; with a key that was used before, the answer of that time.

    Args:
        backend: where to write.
        write: whose key and deadline apply.
        work: what to do; it may run on another thread, and is undone if it raises.

    Raises:
        DuplicateInFlight: a request with the same key is being worked on.
        KeyReused: the key belongs to another request.
        RequestRefused: the deadline passed; nothing was done.

    *Cancelled:* the write is done as a whole or not at all; repeating it with its key tells which.
    """
    if write.is_dry_run:
        return await _rehearsed(backend, write, work)
    scope = _scope_of(write)

    def job(conn: Connection) -> Answer:
        write.check_deadline()
        if scope is not None and not try_lock(conn, "reply", scope.principal, scope.project_id, scope.route, scope.key):
            raise DuplicateInFlight(retry_after=RETRY_AFTER)  # in another process
        stored = None if scope is None else find_reply(conn, scope, write.request_hash)
        if stored is not None:
            return _replay(stored)
        answer = work(conn)
        add_audit(conn, [line_of(write, version=answer.version, detail=write.message)])
        if scope is not None:
            reply = StoredReply(status=answer.status, headers=answer.all_headers(), body=answer.body())
            store_reply(conn, scope, write.request_hash, reply, now=time.time())
        write.check_deadline()  # the last moment: raising here undoes the work
        return answer

    with _claimed(backend.claimed, scope):
        return await backend.store.write(job)


class _Rehearsal(Exception):
    """Carries the outcome of a dry run past the store, which undoes what raises."""

    def __init__(self, answer: Answer) -> None:
        super().__init__("dry run")
        self.answer = answer


async def _rehearsed(backend: Backend, write: WriteRequest, work: Callable[[Connection], Answer]) -> Answer:
    """Return the answer that a write would get, and store nothing."""

    def job(conn: Connection) -> Answer:
        write.check_deadline()
        raise _Rehearsal(work(conn))

    try:
        return await backend.store.write(job)
    except _Rehearsal as rehearsal:
        return replace(rehearsal.answer, is_dry_run=True)


def _scope_of(write: WriteRequest) -> IdempotencyScope | None:
    if write.key is None:
        return None
    return IdempotencyScope(
        principal=write.principal, project_id=write.project_id, route=write.route, key=write.key
    )  # fmt: skip


def _replay(stored: StoredReply) -> Answer:
    return Answer(message="", status=stored.status, headers=stored.headers, finished=stored.body, is_replay=True)


@contextmanager
def _claimed(claimed: set[IdempotencyScope], scope: IdempotencyScope | None) -> Iterator[None]:
    if scope is None:
        yield
        return
    if scope in claimed:
        raise DuplicateInFlight(retry_after=RETRY_AFTER)
    claimed.add(scope)
    try:
        yield
    finally:
        claimed.discard(scope)
