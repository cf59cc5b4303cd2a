"""Lets calls pass at a steady rate, first come first served, and tells those it refuses when to come back."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from types import TracebackType

from schemawire.errors import RateLimited
from schemawire.events import CallRefused, Listener
from schemawire.resilience.alone import Standalone
from schemawire.resilience.call import Context, Handler, R
from schemawire.resilience.deadline import current_deadline
from schemawire.resilience.gcra import Gcra, Pace
from schemawire.resilience.ranges import require_count, require_number, show

_Ticket = asyncio.Future[None]


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimitConfig:
    """How many calls may pass.

    Args:
        rate: calls per second in the long run, above 0; may be a fraction (0.1 is one call in ten seconds).
        burst: calls that may pass at once after a pause, from 1 up; 1 spaces all calls evenly.
        max_wait: the longest wait for a permit, seconds from 0 up; who would wait longer is refused at once.
        max_waiting: the most calls that may wait, from 0 up.
        warm_up: seconds in which an idle limiter comes up to its rate, 0 for none; needs a burst of 1.
        cold_factor: how much farther apart the first calls of a cold limiter are, from 1 to 100.

    Raises:
        ConfigurationInvalid: a value is out of range, or `warm_up` is combined with a burst.

    *Source:* GCRA, ITU-T I.371; warm-up and its factor 3 as in Guava and Sentinel.
    """

    rate: float = 100.0
    burst: int = 1
    max_wait: float = 5.0
    max_waiting: int = 10_000
    warm_up: float = 0.0
    cold_factor: float = 3.0

    def __post_init__(self) -> None:
        require_number(self, "rate", low=0.0, high=1e9, above=True)
        require_count(self, "burst", low=1, high=1 if self.warm_up else 1_000_000)
        require_number(self, "max_wait", low=0.0)
        require_count(self, "max_waiting")
        require_number(self, "warm_up", low=0.0, high=86_400.0)
        require_number(self, "cold_factor", low=1.0, high=100.0)

    def pace(self) -> Pace:
        """Return the part of the options that is arithmetic."""
        return Pace(rate=self.rate, burst=self.burst, warm_up=self.warm_up, cold_factor=self.cold_factor)


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimitStatistics:
    """What a rate limit has done; `waiting` is zero when nobody uses it."""

    passed: int
    refused: int
    waiting: int
    available: float
    """Permits that could be taken at once, with fractions."""


class RateLimit(Standalone):
    """A rate limiter with burst, a fair queue, a wait limit and a retry hint.

    One timer serves the head of the queue, so a thousand waiters never wake together, and a waiter that leaves costs
    constant time and moves everyone behind it up.

    Args:
        options: rate, burst and limits.
        name: what events and errors call it.
        listener: hears each refusal.

    *Cancelled:* a waiting call leaves the queue; a permit granted in the same tick is given back.
    """

    # Invariants: `_queue` holds the waiters in order of arrival, none of them granted; `_timer` is set exactly while
    # the queue is not empty. Nothing here awaits between reading and changing that state.

    def __init__(
        self,
        options: RateLimitConfig | None = None,
        *,
        name: str = "rate_limit",
        listener: Listener | None = None,
    ) -> None:
        self.name = name
        self.options = options or RateLimitConfig()
        self._listener = listener
        self._gcra = Gcra(self.options.pace())
        self._queue: OrderedDict[_Ticket, None] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None
        self._passed = 0
        self._refused = 0

    def bind(self, inner: Handler[R]) -> Handler[R]:
        """Return `inner` behind this limit; each call through it takes one permit."""

        async def limited(context: Context) -> R:
            if not self._queue and self._gcra.try_take(asyncio.get_running_loop().time()):
                self._passed += 1
            else:
                clock = asyncio.get_running_loop().time
                started = clock()
                await self.acquire(deadline=context.deadline)
                context.state["queue"] = context.state.get("queue", 0.0) + clock() - started
            return await inner(context)

        return limited

    def try_acquire(self) -> bool:
        """Take a permit if one is due and nobody waits for it; never waits, never refuses aloud."""
        if self._queue or not self._gcra.try_take(asyncio.get_running_loop().time()):
            return False
        self._passed += 1
        return True

    async def acquire(self, *, deadline: float = float("inf")) -> None:
        """Take a permit, waiting for it in turn.

        Args:
            deadline: an absolute time of the event loop's clock; a permit that comes later is refused at once.

        Raises:
            RateLimited: the wait would pass `max_wait` or the deadline, or too many wait; `retry_after` says how long
                the wait would have been.

        *Cancelled:* nothing is taken.
        """
        if self.try_acquire():
            return
        loop = asyncio.get_running_loop()
        self._require_room(loop.time(), deadline)
        ticket: _Ticket = loop.create_future()
        self._queue[ticket] = None
        if self._timer is None:
            self._serve(loop)
        try:
            await ticket
        except asyncio.CancelledError:
            self._leave(ticket, loop)
            raise

    async def __aenter__(self) -> None:
        """Take a permit, within the inherited deadline; leaving the block gives nothing back, as time does that."""
        if not self._queue and self._gcra.try_take(asyncio.get_running_loop().time()):
            self._passed += 1
        else:
            await self.acquire(deadline=current_deadline())

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def replace_options(self, options: RateLimitConfig) -> None:
        """Go on with other options at once; who waits keeps its place."""
        self.options = options
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            # Without a running loop nobody waits and there is no clock: what was owed has been paid by then.
            self._gcra = Gcra(options.pace())
            return
        self._gcra.change(options.pace(), loop.time())
        self._reset_timer(loop)

    def describe(self) -> str:
        """Return one line that names the policy and its options."""
        return f"{self.name}: rate limit {show(self.options)}"

    def statistics(self) -> RateLimitStatistics:
        """Return what has passed, been refused, and waits now."""
        try:
            now = asyncio.get_running_loop().time()
        except RuntimeError:
            now = float("inf")
        return RateLimitStatistics(
            passed=self._passed,
            refused=self._refused,
            waiting=len(self._queue),
            available=self._gcra.available(now),
        )

    def _require_room(self, now: float, deadline: float) -> None:
        waiting = len(self._queue)
        wait = self._gcra.due(now, ahead=waiting) - now
        if waiting >= self.options.max_waiting:
            raise self._refusal(wait, f"{waiting} calls already wait")
        if wait > self.options.max_wait:
            raise self._refusal(wait, f"the wait of {wait:.3f} s is above max_wait={self.options.max_wait:g} s")
        if now + wait > deadline:
            raise self._refusal(wait, f"the wait of {wait:.3f} s passes the deadline")

    def _refusal(self, wait: float, why: str) -> RateLimited:
        self._refused += 1
        if self._listener is not None:
            self._listener.on_event(CallRefused(name=self.name, policy="rate_limit", reason=why, retry_after=wait))
        return RateLimited(f"{self.name} allows {self.options.rate:g} calls per second: {why}", retry_after=wait)

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        """Grant every permit that is due to the head of the queue, and set the timer for the next one."""
        self._timer = None
        now = loop.time()
        while self._queue:
            ticket = next(iter(self._queue))
            # One that was cancelled in this very tick has yet to wake and leave.
            if not ticket.done() and not self._gcra.try_take(now):
                break
            del self._queue[ticket]
            if not ticket.done():
                self._passed += 1
                ticket.set_result(None)
        if self._queue:
            self._timer = loop.call_at(self._gcra.due(now), self._serve, loop)

    def _leave(self, ticket: _Ticket, loop: asyncio.AbstractEventLoop) -> None:
        if not ticket.cancelled():
            self._gcra.give_back()
            self._passed -= 1
            self._reset_timer(loop)
            return
        self._queue.pop(ticket, None)
        if not self._queue:
            self._reset_timer(loop)

    def _reset_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._queue:
            self._serve(loop)
