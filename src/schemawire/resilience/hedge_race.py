"""One hedged call as a race between attempts, and the watch that starts its hedges; knows neither delay nor budget."""

import asyncio
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import Any, Generic, Protocol

from schemawire.resilience.call import Context, Handler, R

_CLEAN_UP = 5.0
"""Seconds that cancelled losers may take to end before the call goes on without them."""


class Referee(Protocol):
    """Decides what a race may do and what counts as winning it."""

    name: str

    def is_good(self, context: Context, result: Any, error: BaseException | None) -> bool:
        """Whether an outcome ends the race."""

    def pay(self, delay: float) -> bool:
        """Pay for one hedge; return whether it may start."""

    def own(self, race: "Race[Any]", task: "asyncio.Task[Any]") -> None:
        """Keep a hedge's task until it has ended."""

    def note_win(self) -> None:
        """Count a call that a hedge answered."""

    def note_loss(self) -> None:
        """Take note of a call that its first attempt answered although it was hedged."""

    async def discard(self, result: Any) -> None:
        """Close the result of a loser."""

    def discard_later(self, result: Any) -> None:
        """Close the result of a loser for which nobody can wait any more."""


class Watch:
    """One timer for all calls that may become slow, so that a fast one pays for an entry in a dictionary and no more.

    Invariants: `_due` holds who has not been served, in order of arrival; unless `_mixed`, that is the order of time
    too. A timer is set whenever `_due` is not empty, for its earliest entry or before; it may fire in vain.
    """

    __slots__ = ("_due", "_latest", "_loop", "_mixed", "_timer")

    def __init__(self) -> None:
        self._due: dict[Race[Any], float] = {}
        self._latest = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._mixed = False
        self._timer: asyncio.TimerHandle | None = None

    def add(self, race: "Race[Any]", at: float, loop: asyncio.AbstractEventLoop) -> None:
        """Have `race` start a hedge at `at` unless it is removed before."""
        if loop is not self._loop:
            self._due, self._loop, self._timer, self._latest, self._mixed = {}, loop, None, at, False
        race.watch = self
        self._due[race] = at
        if at < self._latest:
            self._mixed = True
        self._latest = at
        if self._timer is None:
            self._timer = loop.call_at(at, self._look)
        elif at < self._timer.when():
            self._timer.cancel()
            self._timer = loop.call_at(at, self._look)

    def remove(self, race: "Race[Any]") -> None:
        """Forget `race`."""
        self._due.pop(race, None)

    def _look(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        now = loop.time()
        ripe = []
        for race, at in self._due.items():
            if at <= now:
                ripe.append(race)
            elif not self._mixed:
                break
        for race in ripe:
            del self._due[race]
        self._mixed = self._mixed and bool(self._due)
        for race in ripe:
            race.start_hedge(loop)
        if self._due and self._timer is None:
            first = min(self._due.values()) if self._mixed else next(iter(self._due.values()))
            self._timer = loop.call_at(first, self._look)


class Race(Generic[R]):
    """One hedged call: the first attempt in the caller's task, the hedges in tasks of their own.

    Invariants: until `finish` the caller's task is inside the first attempt, and a good hedge interrupts it exactly
    once by cancelling the task, as `asyncio.timeout` does; `finish` takes that cancellation back. Every attempt's
    scope hangs on the caller's from the moment it is made, so none can outlive it.
    """

    __slots__ = (
        "_caller",
        "_cancels",
        "_context",
        "_in_first",
        "_inner",
        "_interrupted",
        "_referee",
        "_variables",
        "delay",
        "first",
        "hedges",
        "watch",
    )

    def __init__(self, referee: Referee, inner: Handler[R], context: Context, delay: float) -> None:
        caller = asyncio.current_task()
        self._referee = referee
        self._inner = inner
        self._context = context
        self._caller = caller
        self._cancels = 0 if caller is None else caller.cancelling()
        # The watch's timer runs in whoever set it; a hedge must see the caller's deadline and span.
        self._variables = copy_context()
        self._in_first = True
        self._interrupted = False
        self.delay = delay
        # A body that outlives the call needs a scope per attempt; otherwise the caller's own context serves the first.
        self.first = context if context.scope is None else self._fork(context)
        self.hedges: dict[asyncio.Task[R], Context] = {}
        self.watch: Watch | None = None

    def start_hedge(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start a further attempt, if it is paid for; it avoids the endpoints of the others."""
        if not self._in_first or not self._referee.pay(self.delay):
            return
        twin = self._fork(self.first)
        for attempt in (self.first, *self.hedges.values()):
            if attempt.endpoint is not None:
                twin.excluded.add(attempt.endpoint)
        task = loop.create_task(
            _attempt(self._inner, twin), name=f"{self._referee.name}-hedge", context=self._variables.copy()
        )
        self.hedges[task] = twin
        task.add_done_callback(self._hedge_ended)
        self._referee.own(self, task)

    async def finish(self, result: Any, error: BaseException | None) -> R:
        """End the race after the first attempt: return the winner's result, or raise.

        *Cancelled:* every hedge is cancelled, and its scope closes with it.
        """
        self._in_first = False
        if self.watch is not None:
            self.watch.remove(self)
        winner: asyncio.Task[R] | None = None
        try:
            try:
                self._take_back(error)
                if self.hedges and not self._first_is_good(result, error):
                    winner = await self._best_hedge(error)
            finally:
                await self._end_losers(winner)
        except BaseException:
            if error is None:
                self._referee.discard_later(result)
            if winner is not None:
                self._discard_later(winner)
            raise
        if winner is not None:
            return await self._adopt_hedge(winner, result, error)
        self._adopt(self.first)
        if error is not None:
            raise error
        if self.hedges:
            self._referee.note_loss()
        return result  # type: ignore[no-any-return]  # set where `error` is not

    def abandon(self) -> None:
        """Let go of everything without awaiting: the coroutine is being closed, perhaps after its event loop."""
        self._in_first = False
        if self.watch is not None:
            self.watch.remove(self)
        for task, twin in self.hedges.items():
            if not task.get_loop().is_closed():
                task.add_done_callback(partial(_close_loser, twin))
                task.add_done_callback(self._discard_later)
                task.cancel()
            elif twin.scope is not None:
                twin.scope.close(asyncio.CancelledError())

    def _fork(self, context: Context) -> Context:
        """Return a context for one attempt, whose scope ends with the caller's at the latest."""
        twin = context.fork()
        if self._context.scope is not None and twin.scope is not None:
            self._context.scope.keep(twin.scope.close)
        return twin

    def _hedge_ended(self, task: "asyncio.Task[R]") -> None:
        if self._in_first and not self._interrupted and self._is_good_task(task) and self._caller is not None:
            self._interrupted = True
            self._caller.cancel()

    def _take_back(self, error: BaseException | None) -> None:
        """Undo our own interruption; let a cancellation from outside, or the end of the process, go on its way."""
        if self._interrupted and self._caller is not None:
            if self._caller.uncancel() > self._cancels:
                raise asyncio.CancelledError
            if isinstance(error, asyncio.CancelledError):
                return
        if error is not None and not isinstance(error, Exception):
            raise error

    async def _best_hedge(self, error: BaseException | None) -> "asyncio.Task[R] | None":
        """Return the first good hedge; without one, a bad result is still better than the first attempt's error."""
        pending = set(self.hedges)
        while pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if self._is_good_task(task):
                    return task
        return None if error is None else next(filter(_has_result, self.hedges), None)

    async def _end_losers(self, winner: "asyncio.Task[R] | None") -> None:
        """Cancel every hedge but the winner, wait for their end, and close what they have come to all the same."""
        losers = {task: twin for task, twin in self.hedges.items() if task is not winner}
        if not losers:
            return
        for task, twin in losers.items():
            # Closes the scope even if this very wait is cancelled or runs out of time.
            task.add_done_callback(partial(_close_loser, twin))
            task.cancel()
        left = set(losers)
        try:
            await asyncio.wait(losers, timeout=_CLEAN_UP)
            for task in filter(asyncio.Task.done, losers):
                left.discard(task)
                if _has_result(task):
                    await self._referee.discard(task.result())
        finally:
            # A result that nobody closes would hold its connection for ever.
            for task in left:
                task.add_done_callback(self._discard_later)

    def _discard_later(self, task: "asyncio.Task[R]") -> None:
        if _has_result(task):
            self._referee.discard_later(task.result())

    async def _adopt_hedge(self, winner: "asyncio.Task[R]", result: Any, error: BaseException | None) -> R:
        self._referee.note_win()
        self._adopt(self.hedges[winner])
        if self.first.scope is not None:
            self.first.scope.close(asyncio.CancelledError())
        if error is None:
            try:
                await self._referee.discard(result)
            except BaseException:
                self._discard_later(winner)
                raise
        return winner.result()

    def _adopt(self, attempt: Context) -> None:
        """Hand the winner's notes to the caller's context."""
        context = self._context
        if attempt is context:
            return
        context.attempt, context.endpoint = attempt.attempt, attempt.endpoint
        context.errors, context.excluded = attempt.errors, attempt.excluded
        context.state.update(attempt.state)

    def _is_good_task(self, task: "asyncio.Task[R]") -> bool:
        if task.cancelled():
            return False
        error = task.exception()
        return self._referee.is_good(self.hedges[task], None if error else task.result(), error)

    def _first_is_good(self, result: Any, error: BaseException | None) -> bool:
        return not isinstance(error, asyncio.CancelledError) and self._referee.is_good(self.first, result, error)


async def _attempt(inner: Callable[[Context], Any], context: Context) -> Any:
    return await inner(context)


def _has_result(task: "asyncio.Task[Any]") -> bool:
    return not task.cancelled() and task.exception() is None


def _close_loser(twin: Context, task: "asyncio.Task[Any]") -> None:
    if not task.cancelled():
        task.exception()  # looked at, so that the event loop does not report it as lost
    if twin.scope is not None:
        twin.scope.close(asyncio.CancelledError())
