"""Who is let in now: a rate for each key, and a bounded number of requests at work, the urgent ones first.

Work that cannot begin soon is refused at once with the time after which to come back, so that what is let in is
finished in time. Knows nothing of what requests do.
"""

import asyncio
import math
from collections import OrderedDict, deque
from dataclasses import dataclass
from enum import IntEnum

from schemawire.resilience.gcra import Gcra, Pace
from schemawire.service.refusals import RequestRefused

MAX_KEYS = 10_000
"""Keys whose rates are remembered; one that was forgotten starts afresh, with its burst."""
LAG_INTERVAL = 0.05
"""Seconds between two looks at how late the event loop is."""
LAG_WEIGHT = 0.3
"""How much the newest look counts."""


class Priority(IntEnum):
    """How urgent a request is; health checks never wait and have none."""

    INTERACTIVE = 0
    BATCH = 1
    BACKGROUND = 2


_SHARE = {Priority.INTERACTIVE: 1.0, Priority.BATCH: 0.75, Priority.BACKGROUND: 0.5}
"""The part of all places that a priority and the ones below it may take together, so that the urgent find room."""
_PATIENCE = {Priority.INTERACTIVE: 1.0, Priority.BATCH: 0.5, Priority.BACKGROUND: 0.25}
"""The part of the longest wait that a priority waits."""


_LATENESS = {Priority.INTERACTIVE: 4.0, Priority.BATCH: 2.0, Priority.BACKGROUND: 1.0}
"""How late the event loop may be, in longest waits, for a priority still to be let in: on a machine that is busy with
other things it is late now and then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionStatistics:
    """How many requests are at work and wait, and how many were let in and refused since the start."""

    active: int
    waiting: int
    admitted: int
    shed: int
    lag: float
    """Seconds that the event loop is late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RateState:
    """What a key may still send: for the RateLimit headers."""

    quota: int
    window: int
    remaining: int
    reset: int

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return the header fields.

        *Source:* draft-ietf-httpapi-ratelimit-headers-10, sections 3 and 4.
        """
        return [
            (b"ratelimit-policy", b'"key";q=%d;w=%d' % (self.quota, self.window)),
            (b"ratelimit", b'"key";r=%d;t=%d' % (self.remaining, self.reset)),
        ]


class KeyRates:
    """A rate for each key; in each process, for asking others would cost more than the request.

    Args:
        rate: requests per second in the long run, of a key that has no rate of its own; 0 sets no limit.
        burst: requests at once after a pause; a key with a rate of its own has the same number of seconds' worth.
    """

    def __init__(self, *, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._known: OrderedDict[str, tuple[Gcra, float, int]] = OrderedDict()

    def take(self, principal: str, own_rate: float | None, now: float) -> RateState | None:
        """Count one request of a caller, and return what is left; `None` where no limit holds.

        Raises:
            RequestRefused: it sends too fast; nothing was counted.
        """
        rate = self._rate if own_rate is None else own_rate
        if not rate:
            return None
        cells, rate, burst = self._cells(principal, rate)
        if cells.try_take(now):
            return _state(cells, rate, burst, now)
        state = _state(cells, rate, burst, now)
        raise RequestRefused(
            "throttled",
            f"This key may send {rate:g} requests per second and {burst} at once.",
            retry_after=max(0.001, cells.due(now) - now),
            headers={name.decode(): value.decode() for name, value in state.headers()},
        )

    def _cells(self, principal: str, rate: float) -> tuple[Gcra, float, int]:
        found = self._known.get(principal)
        if found is not None and found[1] == rate:
            self._known.move_to_end(principal)
            return found
        burst = self._burst if rate == self._rate or not self._rate else max(1, round(self._burst * rate / self._rate))
        fresh = (Gcra(Pace(rate=rate, burst=burst, warm_up=0.0, cold_factor=1.0)), rate, burst)
        self._known[principal] = fresh
        if len(self._known) > MAX_KEYS:
            self._known.popitem(last=False)
        return fresh


def _state(cells: Gcra, rate: float, burst: int, now: float) -> RateState:
    left = cells.available(now)
    return RateState(
        quota=burst,
        window=max(1, math.ceil(burst / rate)),
        remaining=math.floor(left + 1e-6),
        reset=max(0, math.ceil((burst - left) / rate)),
    )


class Gate:
    """Lets a bounded number of requests work at once, and the others wait by priority, for a bounded time.

    Invariants: `active` is the number of permits out; nobody waits while a place is free for them; a request that was
    refused or cancelled while it waited holds no place.

    Args:
        concurrency: requests at work at once; 0 lets in all.
        queue_delay: seconds that an interactive request waits at most; less urgent ones wait less.
    """

    def __init__(self, *, concurrency: int, queue_delay: float) -> None:
        self._concurrency = concurrency
        self._queue_delay = queue_delay
        self._limits = {priority: max(1, math.floor(concurrency * share)) for priority, share in _SHARE.items()}
        self._queues: dict[Priority, deque[asyncio.Future[None]]] = {priority: deque() for priority in Priority}
        self._active = 0
        self._admitted = 0
        self._shed = 0
        self._lag = 0.0

    def statistics(self) -> AdmissionStatistics:
        """Return the counters as they are now."""
        waiting = sum(len(queue) for queue in self._queues.values())
        return AdmissionStatistics(
            active=self._active, waiting=waiting, admitted=self._admitted, shed=self._shed, lag=self._lag
        )

    async def enter(self, priority: Priority) -> None:
        """Take a place; `leave` gives it back.

        Raises:
            RequestRefused: the service is so busy that it would not be this request's turn in time.

        *Cancelled:* no place is held.
        """
        if not self._concurrency:
            return
        if self._lag > self._queue_delay * _LATENESS[priority] and self._active:
            raise self._refusal(priority)
        if self._active < self._limits[priority] and not self._has_waiting(priority):
            self._take()
            return
        await self._wait(priority)

    def leave(self) -> None:
        """Give a place back; whoever is most urgent gets it."""
        if self._concurrency:
            self._active -= 1
            self._wake()

    def observe_lag(self, lag: float) -> None:
        """Note how late the event loop was just now."""
        self._lag += (max(0.0, lag) - self._lag) * LAG_WEIGHT

    async def watch_lag(self) -> None:
        """Look at the event loop's lag until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LAG_INTERVAL
            await asyncio.sleep(LAG_INTERVAL)
            self.observe_lag(loop.time() - due)

    def _has_waiting(self, priority: Priority) -> bool:
        return any(queue for other, queue in self._queues.items() if other <= priority)

    def _take(self) -> None:
        self._active += 1
        self._admitted += 1

    async def _wait(self, priority: Priority) -> None:
        queue = self._queues[priority]
        if len(queue) >= 4 * self._limits[priority]:
            raise self._refusal(priority)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            async with asyncio.timeout(self._queue_delay * _PATIENCE[priority]):
                await turn
        except BaseException as error:
            self._give_up(queue, turn)
            if isinstance(error, TimeoutError):
                raise self._refusal(priority) from None
            raise

    def _give_up(self, queue: deque[asyncio.Future[None]], turn: asyncio.Future[None]) -> None:
        if turn in queue:
            queue.remove(turn)
        elif turn.done() and not turn.cancelled():  # its turn came in the same moment: the place goes on to the next
            self.leave()

    def _wake(self) -> None:
        for priority, queue in self._queues.items():
            while queue and self._active < self._limits[priority]:
                turn = queue.popleft()
                if not turn.done():
                    self._take()
                    turn.set_result(None)

    def _refusal(self, priority: Priority) -> RequestRefused:
        self._shed += 1
        waiting = sum(len(queue) for other, queue in self._queues.items() if other <= priority)
        delay = self._queue_delay * (1 + waiting / max(1, self._limits[priority])) + self._lag
        return RequestRefused(
            "overloaded",
            f"The service is busy, and requests of priority {priority.name.lower()} have to come back later.",
            retry_after=max(1.0, math.ceil(delay)),
        )
