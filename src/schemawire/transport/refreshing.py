"""Owns the background tasks that bring stored responses up to date; knows nothing of responses."""

import asyncio
from collections.abc import Awaitable, Callable

_CLEAN_UP = 5.0
"""Seconds that closing waits for cancelled tasks."""


class Refreshing:
    """Runs at most one refresh per key and at most so many at once; further ones are not started.

    Invariant: every task that runs is in `_tasks` under its key, and leaves it when it ends.

    Args:
        limit: refreshes at once, from 0.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._tasks: dict[str, asyncio.Task[None]] = {}

    @property
    def running(self) -> int:
        """How many refreshes run now."""
        return len(self._tasks)

    def start(self, key: str, refresh: Callable[[], Awaitable[None]]) -> bool:
        """Start a refresh unless one runs under `key` or there are enough, and return whether it was started."""
        if key in self._tasks or len(self._tasks) >= self._limit:
            return False
        task = asyncio.get_running_loop().create_task(_quietly(refresh), name="cache-refresh")
        self._tasks[key] = task
        task.add_done_callback(lambda _: self._tasks.pop(key, None))
        return True

    async def aclose(self) -> None:
        """Cancel every refresh and wait for its end."""
        loop = asyncio.get_running_loop()
        tasks = [task for task in self._tasks.values() if task.get_loop() is loop]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_CLEAN_UP)


async def _quietly(refresh: Callable[[], Awaitable[None]]) -> None:
    try:
        await refresh()
    except Exception:  # The stale response stays; the next call that needs the service hears of it
        return
