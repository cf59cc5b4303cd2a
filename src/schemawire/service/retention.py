"""Forgetting what has been kept long enough: replies under idempotency keys, finished operations, staged rows that
nobody came back for, and the rows of purged projects.

In portions, so that other writes get their turn in between.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from sqlalchemy import Connection

from schemawire.service.logs import log
from schemawire.service.store import Store, StoreError, sweep_operations, sweep_replies
from schemawire.service.store.audit import sweep_audit
from schemawire.service.store.conversations import sweep_conversations
from schemawire.service.store.deliveries import sweep_deliveries
from schemawire.service.store.portions import PORTION
from schemawire.service.store.staging import sweep_stagings

INTERVAL = 600.0
"""Seconds between two sweeps."""
AUDIT_RETENTION = 365 * 86_400.0
"""Seconds for which a line of the audit log is kept, unless the settings say otherwise."""


async def sweep(store: Store, now: float, *, audit_retention: float = AUDIT_RETENTION) -> int:
    """Forget everything that is over its time, and return how many rows that were.

    *Cancelled:* a portion that has begun is deleted or kept as a whole.
    """
    total = 0
    forgetting = (
        sweep_replies, sweep_operations, sweep_deliveries, sweep_stagings, sweep_conversations,
        partial(sweep_audit, keep=audit_retention),
    )  # fmt: skip
    for forget in forgetting:
        work: Callable[[Connection], int] = partial(forget, now=now)
        while (count := await store.write(work)) >= PORTION:
            total += count
        total += count
    return total


async def keep_swept(
    store: Store,
    *,
    clock: Callable[[], float] = time.time,
    interval: float = INTERVAL,
    audit_retention: float = AUDIT_RETENTION,
    due: asyncio.Event | None = None,
) -> None:
    """Sweep at once and then every `interval` seconds, until cancelled; what cannot be swept is tried again then.

    Args:
        store: what is swept.
        clock: seconds since 1970-01-01 UTC.
        interval: seconds between two sweeps.
        audit_retention: seconds for which a line of the audit log is kept.
        due: set by whoever has left much behind, so that it is swept now.
    """
    due = due or asyncio.Event()
    while True:
        due.clear()
        try:
            forgotten = await sweep(store, clock(), audit_retention=audit_retention)
        except StoreError as error:
            log.warning("nothing could be swept", code=error.code, reason=error.message)
        else:
            if forgotten:
                log.info("swept", rows=forgotten)
        with suppress(TimeoutError):
            async with asyncio.timeout(interval):
                await due.wait()
