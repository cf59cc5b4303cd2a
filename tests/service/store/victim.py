"""A process that writes without end until it is killed, and says what was acknowledged: one line per answered write.

Run as `python victim.py DATABASE ROUND`.
"""

import asyncio
import sys
from functools import partial
from hashlib import sha256

from sqlalchemy import Connection
from tests.service.store.samples import create, edit

from schemawire.service.store import IdempotencyScope, SqliteStore, StoredReply, find_reply, store_reply

CALLERS = 8


async def main(path: str, turn: str) -> None:
    """Write from several callers at once, each write with its own idempotency key."""
    store = SqliteStore(path)
    await store.start()

    async def caller(number: int) -> None:
        for step in range(100_000):
            name = f"E{turn}_{number}_{step}"
            version = await store.write(partial(write, name=name))
            sys.stdout.write(f"{name} {version}\n")
            sys.stdout.flush()

    await asyncio.gather(*(caller(number) for number in range(CALLERS)))


def write(conn: Connection, name: str) -> int:
    """Create one entity and keep the reply."""
    scope = IdempotencyScope(principal="victim", project_id="p", route="batch", key=name)
    hashed = sha256(name.encode()).digest()
    assert find_reply(conn, scope, hashed) is None
    version = edit("p", create(name))(conn).entry.version
    store_reply(conn, scope, hashed, StoredReply(status=200, headers={}, body=str(version).encode()), now=1.0)
    return version


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
