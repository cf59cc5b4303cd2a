"""A timer that ends the running task's step: what `asyncio.timeout` does, at a quarter of its cost; knows no policy."""

import asyncio
from weakref import WeakKeyDictionary, ref

_MOST_LANES = 4
"""Kinds of length that are told apart; a timer that fits into no lane has a handle of its own."""


class Timer:
    """Cancels the present task at a given time, and afterwards tells this cancellation from everybody else's.

    It follows `asyncio.timeout` step by step, without its two coroutines and its rescheduling, which cost more than
    all the rest of a policy. Start it directly before a `try`, and call `stop` on every way out.

    Invariants: a cancellation that this timer made is taken back exactly once, by `stop`; `_handle` is set exactly
    where there is no `_lane`.

    *Source:* CPython `asyncio/timeouts.py`, `Timeout.__aenter__` and `__aexit__`.
    """

    __slots__ = ("_cancelling", "_handle", "_lane", "_task", "expired")

    def __init__(self, loop: asyncio.AbstractEventLoop, at: float) -> None:
        """Start the timer.

        Args:
            loop: the running event loop.
            at: when to cancel, on its clock, seconds.

        Raises:
            RuntimeError: not inside a task, so there would be nothing to cancel.
        """
        task = asyncio.current_task(loop)
        if task is None:
            raise RuntimeError("a time limit needs a task to end; await it inside one")
        self._task = task
        self._cancelling = task.cancelling()
        self.expired = False
        self._handle: asyncio.TimerHandle | None = None
        for lane in _lanes(loop):
            if at >= lane.latest or not lane.due:
                lane.add(self, at)
                self._lane: _Lane | None = lane
                return
        self._lane = None
        self._handle = loop.call_at(at, self.expire)

    def stop(self, error: BaseException | None) -> bool:
        """Stop the timer and return whether `error` is its own cancellation, and so is no one else's to see.

        If the caller cancelled too, the answer is no: the caller's cancellation goes first.
        """
        if not self.expired:
            if self._lane is not None:
                self._lane.due.pop(self, None)
            elif self._handle is not None:
                self._handle.cancel()
            return False
        return self._task.uncancel() <= self._cancelling and isinstance(error, asyncio.CancelledError)

    def expire(self) -> None:
        """End the step."""
        self.expired = True
        self._task.cancel()


class _Lane:
    """Timers that are due one after the other, so that one handle of the event loop serves them all.

    Nearly every timer is stopped long before it is due, and most are of one length: a handle for each would cost more
    than the policy that it is for.

    Invariants: `due` stands in the order of its times, none of which is above `latest`; while it is not empty, a handle
    is set for its first entry or before, which may fire in vain.
    """

    __slots__ = ("_handle", "_loop", "due", "latest")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        # Weak, for the lanes are found by their loop and must not keep it alive.
        self._loop = ref(loop)
        self.due: dict[Timer, float] = {}
        self.latest = 0.0
        self._handle: asyncio.TimerHandle | None = None

    def add(self, timer: Timer, at: float) -> None:
        """Add a timer that is due no earlier than all others, or the only one."""
        if not self.due:
            handle = self._handle
            if handle is None:
                self._set(at)
            elif handle.when() > at:
                handle.cancel()
                self._set(at)
        self.due[timer] = self.latest = at

    def _set(self, at: float) -> None:
        loop = self._loop()
        self._handle = None if loop is None else loop.call_at(at, self._look)

    def _look(self) -> None:
        handle, self._handle = self._handle, None
        # What the event loop takes for the present may lie a tick before its clock.
        now = asyncio.get_running_loop().time()
        if handle is not None:
            now = max(now, handle.when())
        while self.due:
            timer, at = next(iter(self.due.items()))
            if at > now:
                self._set(at)
                return
            del self.due[timer]
            timer.expire()


_BY_LOOP: "WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[_Lane, ...]]" = WeakKeyDictionary()


class _Last:
    """The lanes of the loop that asked last: finding them through a weak dictionary takes as long as all the rest."""

    found: "tuple[ref[asyncio.AbstractEventLoop], tuple[_Lane, ...]] | None" = None


def _lanes(loop: asyncio.AbstractEventLoop) -> tuple[_Lane, ...]:
    found = _Last.found
    if found is not None and found[0]() is loop:
        return found[1]
    lanes = _BY_LOOP.get(loop)
    if lanes is None:
        lanes = _BY_LOOP[loop] = tuple(_Lane(loop) for _ in range(_MOST_LANES))
    _Last.found = (ref(loop), lanes)
    return lanes
