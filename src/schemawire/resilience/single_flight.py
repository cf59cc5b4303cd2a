"""Lets equal calls that run at the same time share one: the first starts it, the others join; knows no cache."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any

from schemawire.errors import AttemptTimeout, DeadlineExceeded, Failed, Refused
from schemawire.resilience.alone import Standalone
from schemawire.resilience.call import Context, Handler, R
from schemawire.resilience.deadline import current_deadline
from schemawire.resilience.ranges import require_count, require_number, show

_DEADLINE_BOUND = (DeadlineExceeded, AttemptTimeout, Refused)
"""Errors that may come from the first caller's shortage of time, so that one with more time left tries again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SingleFlightConfig:
    """How calls are shared.

    Args:
        max_waiters: the most callers of one flight, from 1 up; a further one flies alone.
        clean_up: how long the last caller to leave waits for the cancelled flight to end, seconds from 0 to 60.

    Raises:
        ConfigurationInvalid: a value is out of range.
    """

    max_waiters: int = 100_000
    clean_up: float = 5.0

    def __post_init__(self) -> None:
        require_count(self, "max_waiters", low=1)
        require_number(self, "clean_up", low=0.0, high=60.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class SingleFlightStatistics:
    """What was shared; `flying` and `waiting` are zero when nobody uses it."""

    flights: int
    joined: int
    abandoned: int
    """Flights that were cancelled because their last waiter left."""
    flying: int
    waiting: int


class _Flight:
    """One shared call: its own task and the futures of those who wait for it.

    Invariant: while the task runs, `waiters` is not empty, or the task has been cancelled and the flight is no longer
    to be found under its key.
    """

    __slots__ = ("context", "deadline", "key", "task", "waiters")

    def __init__(self, key: tuple[int, str], context: Context, deadline: float) -> None:
        self.key = key
        self.context = context
        self.deadline = deadline
        self.task: asyncio.Task[Any]  # made right after, and before the flight can be found
        self.waiters: set[asyncio.Future[None]] = set()


class SingleFlight(Standalone):
    """Shares one running call among all callers with the same `Context.key`.

    The shared call is a task of its own, owned here, so no caller's cancellation ends it for the others; it is
    cancelled when its last waiter leaves. All callers get the same result object, so it must not be changed. An error
    is shared too, unless it may come from the first caller's deadline and the one who joined has a later one: that one
    tries again. Calls without a key, or whose body outlives the call, are never shared.

    Args:
        options: limits.
        name: what errors call it.

    *Cancelled:* the caller leaves alone; if it was the last, the flight has been cancelled and, unless it takes longer
    than `clean_up`, has ended.
    """

    def __init__(self, options: SingleFlightConfig | None = None, *, name: str = "single_flight") -> None:
        self.name = name
        self._task_name = f"{name}-flight"
        self.options = options or SingleFlightConfig()
        self._flights: dict[tuple[int, str], _Flight] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._bindings = count()
        self._alone_binding = next(self._bindings)
        self._started = self._joined = self._abandoned = 0

    def bind(self, inner: Handler[R]) -> Handler[R]:
        """Return `inner` shared among equal calls through this binding."""
        binding = next(self._bindings)

        async def shared(context: Context) -> R:
            if not context.key or context.scope is not None:
                return await inner(context)
            return await self._fly((binding, context.key), context, inner)

        return shared

    async def run(self, key: str, call: Callable[[], Awaitable[R]]) -> R:
        """Run `call`, or join the one that already runs under `key`.

        Args:
            key: what makes two calls equal; not empty.
            call: an async callable without arguments.

        Raises:
            Exception: whatever the shared call raises.

        *Cancelled:* the caller leaves; the last one to leave ends the flight.
        """

        async def alone(context: Context) -> R:
            return await call()

        if not key:
            raise ValueError(f"the key of a shared call must not be empty, not {key!r}")
        return await self._fly((self._alone_binding, key), Context(deadline=current_deadline(), key=key), alone)

    def replace_options(self, options: SingleFlightConfig) -> None:
        """Go on with other options at once."""
        self.options = options

    def describe(self) -> str:
        """Return one line that names the policy and its options."""
        return f"{self.name}: single flight {show(self.options)}"

    def statistics(self) -> SingleFlightStatistics:
        """Return how many calls were shared, and how many fly now."""
        return SingleFlightStatistics(
            flights=self._started,
            joined=self._joined,
            abandoned=self._abandoned,
            flying=len(self._tasks),
            waiting=sum(len(flight.waiters) for flight in self._flights.values()),
        )

    async def _fly(self, key: tuple[int, str], context: Context, inner: Handler[R]) -> R:
        while True:
            flight = self._flights.get(key)
            if flight is None:
                flight = self._take_off(key, context, inner)
            elif len(flight.waiters) >= self.options.max_waiters:
                return await inner(context)
            else:
                self._joined += 1
            task = await self._wait(flight)
            if task.cancelled():
                raise Failed(f"{self.name}: the shared call was cancelled from within")
            error = task.exception()
            if error is None:
                _adopt(context, flight.context)
                return task.result()  # type: ignore[no-any-return]  # the task of this very `inner`
            if not (isinstance(error, _DEADLINE_BOUND) and flight.deadline < context.deadline):
                _adopt(context, flight.context)
                raise error

    def _take_off(self, key: tuple[int, str], context: Context, inner: Handler[R]) -> _Flight:
        flight = _Flight(key, context.fork(), context.deadline)
        task = asyncio.get_running_loop().create_task(self._fly_alone(flight, inner), name=self._task_name)
        flight.task = task
        self._flights[key] = flight
        self._tasks.add(task)
        self._started += 1
        # For a task that is cancelled before its first step, and so lands nothing itself.
        task.add_done_callback(partial(self._landed, flight))
        return flight

    async def _fly_alone(self, flight: _Flight, inner: Handler[R]) -> R:
        try:
            return await inner(flight.context)
        finally:
            # From within the last step: whoever waits wakes a pass of the event loop earlier than by a callback.
            self._land(flight)

    def _land(self, flight: _Flight) -> None:
        if self._flights.get(flight.key) is flight:
            del self._flights[flight.key]
        for waiter in flight.waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _landed(self, flight: _Flight, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        self._land(flight)
        if not task.cancelled():
            task.exception()  # looked at, so that a flight everyone has left is not reported as lost

    async def _wait(self, flight: _Flight) -> "asyncio.Task[Any]":
        """Wait for a flight to land and return its task, which has ended by then."""
        task = flight.task
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        flight.waiters.add(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            flight.waiters.discard(waiter)
            if not flight.waiters and not task.done():
                await self._abandon(flight, task)
            raise
        finally:
            flight.waiters.discard(waiter)
        self._tasks.discard(task)
        return task

    async def _abandon(self, flight: _Flight, task: "asyncio.Task[Any]") -> None:
        """Cancel a flight that nobody waits for; whoever comes now starts a new one."""
        if self._flights.get(flight.key) is flight:
            del self._flights[flight.key]
        self._abandoned += 1
        task.cancel()
        await asyncio.wait({task}, timeout=self.options.clean_up)


def _adopt(context: Context, flown: Context) -> None:
    context.attempt, context.endpoint = flown.attempt, flown.endpoint
    if flown.errors:
        context.errors = list(flown.errors)
