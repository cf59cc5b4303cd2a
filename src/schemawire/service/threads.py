"""Work in proportion to a body: short at once, long on a thread, so that one large request does not stop all others."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

SHORT_BYTES = 64 * 1024
"""Bodies up to this size are worked on at once: handing work to a thread costs as much as reading some kilobytes."""

_LARGE = ThreadPoolExecutor(2, thread_name_prefix="large-bodies")
"""Two, so that a very large body does not hold up every other; more would only fight for the interpreter's lock."""


async def in_proportion(size_bytes: int, work: Callable[[], T]) -> T:
    """Return what `work` returns, run at once for a small body and on a thread for a large one.

    Args:
        size_bytes: the size of the body that the work is about.
        work: reads or judges it; must not touch what belongs to the event loop.

    *Cancelled:* the work runs on to its end, unheard.
    """
    if size_bytes <= SHORT_BYTES:
        return work()
    return await in_background(work)


async def in_background(work: Callable[[], T]) -> T:
    """Return what `work` returns, run on one of the threads for large bodies.

    *Cancelled:* the work runs on to its end, unheard.
    """
    return await asyncio.get_running_loop().run_in_executor(_LARGE, work)
