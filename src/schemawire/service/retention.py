"""Forgetting what has been kept long enough: replies under idempotency keys, and finished operations."""

import asyncio
import time
from functools import partial

from sqlalchemy import Connection

from schemawire.service.logs import log
from schemawire.service.store import Store, StoreError, sweep_operations, sweep_replies

INTERVAL = 600.0
"""Seconds between two sweeps."""


def sweep(conn: Connection, *, now: float) -> int:
    """Forget what is over its time, and return how many rows that were."""
    return sweep_replies(conn, now=now) + sweep_operations(conn, now=now)


async def keep_swept(store: Store) -> None:
    """Sweep at once and then now and again, until cancelled; a store that cannot do it now is asked again later.

    *Cancelled:* a sweep that has begun is committed or undone as a whole.
    """
    while True:
        try:
            forgotten = await store.write(partial(sweep, now=time.time()))
        except StoreError as error:
            log.warning("nothing could be swept", code=error.code, reason=error.message)
        else:
            if forgotten:
                log.info("swept", rows=forgotten)
        await asyncio.sleep(INTERVAL)
