"""SIGTERM and SIGINT from the first line of a process to its last; knows nothing of what the process does.

A container's first process has no default for them: a signal that comes while nobody listens would be lost, and the
process killed half a minute later.
"""

import asyncio
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

NUMBERS = (signal.SIGTERM, signal.SIGINT)


def end_when_told() -> None:
    """Let SIGTERM end this process in order while it still loads what it needs: nothing is open yet."""
    signal.signal(signal.SIGTERM, _exit)


def _exit(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(0)


class StopSignals:
    """What SIGTERM and SIGINT do: they cancel a task, unless somebody who can drain has taken them over.

    Args:
        task: the one that opens, serves and closes.
    """

    def __init__(self, task: "asyncio.Task[object]") -> None:
        self._task = task
        self._react: Callable[[], None] = self._cancel
        self._cancels = 0

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Hear the signals as long as the block lasts; one that cancels it ends it without an error.

        *Cancelled:* by anybody else, it passes that on.
        """
        loop = asyncio.get_running_loop()
        for number in NUMBERS:
            loop.add_signal_handler(number, self._heard)
        try:
            yield
        except asyncio.CancelledError:
            if not self._cancels or self._forget_cancels() > 0:
                raise
        finally:
            for number in NUMBERS:
                loop.remove_signal_handler(number)

    @contextmanager
    def taken_over(self, react: Callable[[], None]) -> Iterator[None]:
        """Have `react` called for each signal as long as the block lasts."""
        self._react = react
        try:
            yield
        finally:
            self._react = self._cancel

    def _heard(self) -> None:
        self._react()

    def _cancel(self) -> None:
        self._cancels += 1
        self._task.cancel()

    def _forget_cancels(self) -> int:
        left = 0
        for _ in range(self._cancels):
            left = self._task.uncancel()
        self._cancels = 0
        return left


def stop_signals() -> StopSignals:
    """Return the signals for the running task."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101  # a coroutine runs in one
    return StopSignals(task)
