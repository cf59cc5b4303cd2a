"""The bulkhead: how many calls run at once, and a fair, bounded queue for the others; knows nothing of what they do."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from types import TracebackType
from typing import TypeVar

from schemawire.errors import DeadlineExceeded, QueueFull
from schemawire.events import CallRefused, Listener
from schemawire.resilience.alone import Standalone
from schemawire.resilience.call import Context, Handler
from schemawire.resilience.deadline import current_deadline
from schemawire.resilience.ranges import require_count, require_number, show
from schemawire.resilience.timer import Timer

R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkheadConfig:
    """How many calls run at once, and how many wait how long.

    Args:
        max_concurrent: calls that run at once, 1 to 100 000.
        max_queue: calls that may wait, 0 to 1 000 000.
        max_wait: how long one may wait, seconds, 0 to 86 400.

    Raises:
        ConfigurationInvalid: a value is out of range.
    """

    max_concurrent: int = 100
    max_queue: int = 1000
    max_wait: float = 10.0

    def __post_init__(self) -> None:
        require_count(self, "max_concurrent", low=1, high=100_000)
        require_count(self, "max_queue")
        require_number(self, "max_wait", low=0, high=86_400)


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkheadStatistics:
    """How full the bulkhead is, and how many calls it turned away."""

    in_flight: int
    waiting: int
    admitted: int
    refused: int
    timed_out: int
    """Calls that waited longer than they may."""


class Bulkhead(Standalone):
    """Admits a bounded number of calls at once, first come, first served.

    Invariants: `_in_flight` ≤ `max_concurrent`, unless the options were lowered while calls run; a future with a result
    *is* a place, counted in `_in_flight` from the moment it is handed over, so nobody can overtake its owner; nobody
    waits while there is room.

    Args:
        options: the room and the queue.
        listener: hears `CallRefused`.
        name: what events, errors and `describe()` call it.
    """

    def __init__(
        self, options: BulkheadConfig | None = None, *, listener: Listener | None = None, name: str = "bulkhead"
    ) -> None:
        self.name = name
        self._options = options or BulkheadConfig()
        self._listener = listener
        self._in_flight = 0
        # An ordered dictionary, for it gives up its first and any other entry in constant time.
        self._waiters: OrderedDict[asyncio.Future[None], None] = OrderedDict()
        self._admitted = self._refused = self._timed_out = 0

    @property
    def options(self) -> BulkheadConfig:
        """The options in force."""
        return self._options

    def replace_options(self, options: BulkheadConfig) -> None:
        """Put other options in force; more room admits waiters at once, less room lets running calls end."""
        self._options = options
        self._admit_waiters()

    def bind(self, inner: Handler[R]) -> Handler[R]:
        """Return `inner` admitted by this bulkhead; under streaming the place is held until the scope closes.

        Raises:
            QueueFull: the queue is full, or the call waited in it longer than it may.
            DeadlineExceeded: the deadline of the call came while it waited.

        *Cancelled:* the place, or the place in the queue, is given back.
        """

        async def admitted(context: Context) -> R:
            if self._in_flight >= self._options.max_concurrent:
                await self._wait(context.deadline, context)
            else:
                self._in_flight += 1
            self._admitted += 1
            try:
                result = await inner(context)
            except BaseException:
                self._release()
                raise
            if context.scope is None:
                self._release()
            else:
                context.scope.keep(self._release_at_close)
            return result

        return admitted

    async def __aenter__(self) -> None:
        """Take a place for the block.

        Raises:
            QueueFull: the queue is full, or waiting in it took too long.
            DeadlineExceeded: the inherited deadline came first.
        """
        if self._in_flight >= self._options.max_concurrent:
            await self._wait(current_deadline(), None)
        else:
            self._in_flight += 1
        self._admitted += 1

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()

    def describe(self) -> str:
        """Return one line that names the bulkhead and its options."""
        return f"{self.name}: {show(self._options)}"

    def statistics(self) -> BulkheadStatistics:
        """Return how full it is."""
        return BulkheadStatistics(
            in_flight=self._in_flight,
            waiting=len(self._waiters),
            admitted=self._admitted,
            refused=self._refused,
            timed_out=self._timed_out,
        )

    async def _wait(self, deadline: float, context: Context | None) -> None:
        """Wait in the queue until a place is handed over; whoever hands it over has already counted it."""
        options = self._options
        if len(self._waiters) >= options.max_queue:
            self._refuse("the queue is full")
        loop = asyncio.get_running_loop()
        started = loop.time()
        waiter = loop.create_future()
        self._waiters[waiter] = None
        timer = Timer(loop, min(deadline, started + options.max_wait))
        try:
            await waiter
        except BaseException as error:
            self._leave(waiter)
            if timer.stop(error):
                self._run_out(options.max_wait, error, for_good=deadline <= started + options.max_wait)
            raise
        timer.stop(None)
        if context is not None:
            context.state["pool"] = context.state.get("pool", 0.0) + loop.time() - started

    def _leave(self, waiter: "asyncio.Future[None]") -> None:
        """Leave the queue, or give back the place that was handed over in the very tick in which the wait ended."""
        if self._waiters.pop(waiter, self) is self and waiter.done() and not waiter.cancelled():
            self._release()

    def _run_out(self, max_wait: float, error: BaseException, *, for_good: bool) -> None:
        self._timed_out += 1
        if for_good:
            raise DeadlineExceeded(f"The deadline came while the call waited in the queue of {self.name!r}") from error
        self._refuse(f"no place became free within {max_wait:g} s")

    def _refuse(self, reason: str) -> None:
        self._refused += 1
        if self._listener is not None:
            self._listener.on_event(CallRefused(name=self.name, policy="bulkhead", reason=reason))
        options = self._options
        raise QueueFull(
            f"The bulkhead {self.name!r} refused the call: {reason} "
            f"({self._in_flight} of {options.max_concurrent} run, {len(self._waiters)} of {options.max_queue} wait)"
        )

    def _release(self) -> None:
        self._in_flight -= 1
        if self._waiters:
            self._admit_waiters()

    def _release_at_close(self, error: BaseException | None) -> None:
        self._release()

    def _admit_waiters(self) -> None:
        while self._waiters and self._in_flight < self._options.max_concurrent:
            waiter, _ = self._waiters.popitem(last=False)
            # A loop that was closed under its waiters can wake none of them.
            if not waiter.done() and not waiter.get_loop().is_closed():
                self._in_flight += 1
                waiter.set_result(None)
