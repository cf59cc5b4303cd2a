"""Forgets, now and then, what was promised for a limited time: replies and finished operations."""

import asyncio
from collections.abc import Callable
from functools import partial

from sqlalchemy import Connection

from schemawire.service.logs import log
from schemawire.service.store.idempotency import sweep_replies
from schemawire.service.store.operations import sweep_operations
from schemawire.service.store.portions import PORTION
from schemawire.service.store.refusals import StoreError
from schemawire.service.store.store import Store

INTERVAL = 600.0
"""Seconds between two sweeps."""


async def sweep_regularly(store: Store, clock: Callable[[], float], *, interval: float = INTERVAL) -> None:
    """Sweep now and every `interval` seconds, until cancelled; a store that does not answer is asked again then."""
    while True:
        try:
            await sweep(store, clock())
        except StoreError as error:
            log.warning("nothing could be swept", code=error.code, reason=error.message)
        await asyncio.sleep(interval)


async def sweep(store: Store, now: float) -> int:
    """Delete everything that is out of date, in portions, and return how many rows that were."""
    total = 0
    for forget in (sweep_replies, sweep_operations):
        work: Callable[[Connection], int] = partial(forget, now=now)
        while (count := await store.write(work)) >= PORTION:
            total += count
        total += count
    return total
