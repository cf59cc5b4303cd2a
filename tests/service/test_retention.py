"""What is kept only for a time is forgotten after it, and not before."""

import asyncio
import time
from pathlib import Path

from schemawire.service.retention import keep_swept, sweep
from schemawire.service.store import (
    OPERATION_RETENTION,
    REPLY_RETENTION,
    IdempotencyScope,
    SqliteStore,
    StoredReply,
    find_reply,
    store_reply,
)

SCOPE = IdempotencyScope(principal="a", project_id="p", route="PUT /p", key="k")
REPLY = StoredReply(status=200, headers={}, body=b"{}")


async def test_replies_are_forgotten_after_their_time(tmp_path: Path) -> None:
    """A reply is repeated for a day; after that the key is free again."""
    store = SqliteStore(tmp_path / "schemas.db")
    await store.start()
    try:
        await store.write(lambda conn: store_reply(conn, SCOPE, b"h" * 32, REPLY, now=1_000.0))
        assert await sweep(store, 1_000.0 + REPLY_RETENTION - 1) == 0
        assert await store.read(lambda conn: find_reply(conn, SCOPE, b"h" * 32)) == REPLY
        assert await sweep(store, 1_000.0 + REPLY_RETENTION + 1) == 1
        assert await store.read(lambda conn: find_reply(conn, SCOPE, b"h" * 32)) is None
        assert OPERATION_RETENTION >= REPLY_RETENTION  # a replayed promise still leads to a status
    finally:
        await store.close()


async def test_sweeping_begins_at_once_and_ends_when_cancelled(tmp_path: Path) -> None:
    """A service that is restarted every few minutes forgets, too."""
    store = SqliteStore(tmp_path / "schemas.db")
    await store.start()
    try:
        old = time.time() - 2 * REPLY_RETENTION
        await store.write(lambda conn: store_reply(conn, SCOPE, b"h" * 32, REPLY, now=old))
        sweeping = asyncio.create_task(keep_swept(store))
        async with asyncio.timeout(5):
            while await store.read(lambda conn: find_reply(conn, SCOPE, b"h" * 32)) is not None:
                pass
        sweeping.cancel()
        await asyncio.wait([sweeping])
        assert sweeping.cancelled()
    finally:
        await store.close()
