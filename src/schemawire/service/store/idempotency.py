"""Replies kept with the writes that they answer, so that a repeated request is answered and not done again.

Everything here runs in the transaction of the write itself. Knows nothing of what was written.
"""

import json
import sqlite3
from collections.abc import Mapping

from sqlalchemy import Connection, bindparam, insert, select
from sqlalchemy.exc import IntegrityError

from schemawire.service.store.portions import delete_oldest
from schemawire.service.store.prepared import Prepared
from schemawire.service.store.records import IdempotencyScope, StoredReply
from schemawire.service.store.refusals import DuplicateInFlight, KeyReused
from schemawire.service.store.tables import idempotency

RETENTION = 24 * 3600.0
"""Seconds for which a reply is kept."""

_HERE = ("principal", "project_id", "route", "key")
_FIND = Prepared(
    select(idempotency.c.request_hash, idempotency.c.status, idempotency.c.headers, idempotency.c.body).where(
        *(idempotency.c[name] == bindparam(name) for name in _HERE)
    )
)
_ADD = Prepared(insert(idempotency))


def find_reply(conn: Connection, scope: IdempotencyScope, request_hash: bytes) -> StoredReply | None:
    """Return the reply to an earlier request with the same key, or `None` if this is the first.

    Raises:
        KeyReused: the earlier request was another one.
    """
    row = _FIND.first(conn, {name: getattr(scope, name) for name in _HERE})
    if row is None:
        return None
    known_hash, status, headers, body = row
    if known_hash != request_hash:
        raise KeyReused(f"the idempotency key {scope.key[:80]!r} was used before, for another request")
    return StoredReply(status=status, headers=json.loads(headers), body=body)


def store_reply(
    conn: Connection, scope: IdempotencyScope, request_hash: bytes, reply: StoredReply, *, now: float
) -> None:
    """Keep the reply to a request; it comes into being together with what the request wrote, or not at all.

    Raises:
        DuplicateInFlight: another process has just answered the same request; nothing of this write is kept.
    """
    values: Mapping[str, object] = {
        **{name: getattr(scope, name) for name in _HERE},
        "request_hash": request_hash,
        "status": reply.status,
        "headers": json.dumps(dict(reply.headers)),
        "body": reply.body,
        "created_at": now,
    }
    try:
        _ADD.run(conn, values)
    except (IntegrityError, sqlite3.IntegrityError) as error:
        raise DuplicateInFlight(retry_after=0.1) from error


def sweep_replies(conn: Connection, *, now: float, keep: float = RETENTION) -> int:
    """Forget a portion of the replies older than `keep` seconds, and return how many they were."""
    return delete_oldest(conn, idempotency.c.created_at, before=now - keep)
