"""An event loop whose clock jumps to the next timer: an hour's backoff costs a test nothing; knows no policy."""

import asyncio
import functools
import selectors
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ParamSpec, TypeVar, TypeVarTuple, Unpack, overload

T = TypeVar("T")
A = TypeVarTuple("A")
P = ParamSpec("P")

_REAL_WAIT = 5.0
"""Seconds of real time that a thread or a socket may take before the loop calls it a deadlock."""


class VirtualDeadlock(AssertionError):
    """Nothing can happen any more: no callback is ready, no timer is set, and no thread or socket is under way."""


class VirtualTimeExceeded(AssertionError):
    """The virtual clock passed its limit, so something keeps setting timers without ever ending."""


class _JumpingSelector(selectors.DefaultSelector):
    """Stands where the loop would sleep: polls for real events, and turns the remaining sleep into a jump."""

    def __init__(self) -> None:
        super().__init__()
        self.loop: VirtualTimeLoop | None = None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        loop = self.loop
        if loop is None:
            return super().select(timeout)
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if loop.threads_under_way:
            return self._wait_for_real(loop)
        if timeout is not None:
            loop.advance(timeout)
            return ready
        # The loop's own wake-up pipe is always registered; anything beyond it is a real socket worth waiting for.
        if len(self.get_map()) > 1:
            return self._wait_for_real(loop)
        raise VirtualDeadlock(_explain(loop))

    def _wait_for_real(self, loop: "VirtualTimeLoop") -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(_REAL_WAIT)
        if not ready:
            raise VirtualDeadlock(f"A thread or socket gave no sign for {_REAL_WAIT} real seconds. {_explain(loop)}")
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop that never sleeps: when nothing is ready, its clock jumps to the next timer.

    Time stands still while a thread of `run_in_executor` runs. Real sockets work, but a timer always wins against a
    peer that has not answered yet: keep virtual time for code whose every wait is a timer or another task.

    Args:
        start: What the clock shows at first, seconds.
        limit: How far the clock may go beyond `start`, seconds, before `VirtualTimeExceeded` is raised.
    """

    def __init__(self, *, start: float = 0.0, limit: float = 86_400.0) -> None:
        selector = _JumpingSelector()
        super().__init__(selector)
        self._now = start
        self._end = start + limit
        self.threads_under_way = 0
        selector.loop = self

    def time(self) -> float:
        """Return the virtual time, seconds."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move the clock forward by `seconds`.

        Raises:
            VirtualTimeExceeded: The clock would pass its limit.
        """
        if self._now + seconds > self._end:
            raise VirtualTimeExceeded(f"The virtual clock would pass its limit of {self._end:g} s. {_explain(self)}")
        self._now += seconds

    def run_in_executor(self, executor: Any, func: Callable[[Unpack[A]], T], *args: *A) -> "asyncio.Future[T]":
        """Run `func` in a thread; the virtual clock stands still until it is done."""
        future = super().run_in_executor(executor, func, *args)
        self.threads_under_way += 1
        future.add_done_callback(self._thread_done)
        return future

    async def shutdown_default_executor(self) -> None:
        """Wait for the threads in real time, as the virtual clock cannot hurry them."""
        self.threads_under_way += 1
        try:
            await super().shutdown_default_executor()
        finally:
            self.threads_under_way -= 1

    def _thread_done(self, future: "asyncio.Future[T]") -> None:
        self.threads_under_way -= 1


def where_waiting(coroutine: Any) -> str:
    """Return `file:line` of the innermost `await` in which `coroutine` is suspended, or a note that it is not."""
    place = "not suspended"
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "gi_frame", None)
        if frame is not None:
            place = f"{frame.f_code.co_filename.rsplit('/', 1)[-1]}:{frame.f_lineno} in {frame.f_code.co_name}"
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "gi_yieldfrom", None)
    return place


def _explain(loop: asyncio.AbstractEventLoop) -> str:
    waiting = [f"{task.get_name()} at {where_waiting(task.get_coro())}" for task in asyncio.all_tasks(loop)]
    return f"At {loop.time():g} s these tasks wait: " + ("; ".join(sorted(waiting)) or "none")


def run_virtual(main: Coroutine[Any, Any, T], *, limit: float = 86_400.0) -> T:
    """Run `main` to its end on a fresh virtual-time loop and return its result.

    Args:
        main: The coroutine to run.
        limit: Virtual seconds after which the run is given up.

    Raises:
        VirtualDeadlock: Every task waits and no timer is left; the message says who waits where.
        VirtualTimeExceeded: The clock passed `limit`.

    Tasks that are still running when `main` ends are cancelled and awaited, as by `asyncio.run`.
    """
    with asyncio.Runner(loop_factory=lambda: VirtualTimeLoop(limit=limit)) as runner:
        return runner.run(main)


@overload
def virtual_time(function: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]: ...


@overload
def virtual_time(*, limit: float) -> Callable[[Callable[P, Coroutine[Any, Any, T]]], Callable[P, T]]: ...


def virtual_time(
    function: Callable[P, Coroutine[Any, Any, T]] | None = None, *, limit: float = 86_400.0
) -> Callable[P, T] | Callable[[Callable[P, Coroutine[Any, Any, T]]], Callable[P, T]]:
    """Turn an async test into a plain one that runs on virtual time: `@virtual_time` or `@virtual_time(limit=60.0)`.

    The result is an ordinary function, so it needs no plug-in and goes together with `hypothesis.given` and plain
    fixtures; async fixtures belong to another event loop and do not.
    """

    def decorate(test: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]:
        @functools.wraps(test)
        def run(*args: P.args, **kwargs: P.kwargs) -> T:
            return run_virtual(test(*args, **kwargs), limit=limit)

        return run

    return decorate if function is None else decorate(function)


async def settle(*awaitables: Awaitable[object]) -> None:
    """Let every other task run until all of them wait for a timer or for each other, without moving the clock.

    Any `awaitables` given are awaited first, for a line less in a test.
    """
    for awaitable in awaitables:
        await awaitable
    loop = asyncio.get_running_loop()
    # A zero-delay timer runs one pass after what is ready now; as long as passes find other work, go on.
    ready: Any = getattr(loop, "_ready", ())
    for _ in range(10_000):
        await asyncio.sleep(0)
        if not ready:
            return
    raise VirtualDeadlock(f"Tasks keep each other awake without end. {_explain(loop)}")
