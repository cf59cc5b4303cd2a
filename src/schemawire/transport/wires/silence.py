"""Notices silence on many exchanges with one timer; knows neither a library nor a protocol."""

import asyncio
from typing import Protocol


class Silenced(Protocol):
    """Something that waits for bytes."""

    def give_up(self) -> None:
        """Take note that nothing has come for the whole timeout."""


class SilenceWatch:
    """Ends those that have waited for bytes for too long; a timer of its own for each would cost more than all else.

    Invariants: entries stand in the order of their limits, for all share one timeout; while there are entries a timer
    is set, and it is due no later than the first of them.

    Args:
        loop: the running event loop.
        timeout: seconds without a byte, above 0.
    """

    __slots__ = ("_limits", "_loop", "_timer", "timeout")

    def __init__(self, loop: asyncio.AbstractEventLoop, timeout: float) -> None:
        self._loop = loop
        self.timeout = timeout
        self._limits: dict[Silenced, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def start(self, waiting: Silenced) -> None:
        """Watch `waiting` from now on; it must not be watched already."""
        at = self._limits[waiting] = self._loop.time() + self.timeout
        if self._timer is None:
            self._timer = self._loop.call_at(at, self._look)

    def stop(self, waiting: Silenced) -> None:
        """Watch `waiting` no longer, if it was watched."""
        self._limits.pop(waiting, None)

    def cancel(self) -> None:
        """Watch nothing any more."""
        self._limits.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        now = self._loop.time()
        self._timer = None
        while self._limits:
            waiting, at = next(iter(self._limits.items()))
            if at > now:
                self._timer = self._loop.call_at(at, self._look)
                return
            del self._limits[waiting]
            waiting.give_up()
