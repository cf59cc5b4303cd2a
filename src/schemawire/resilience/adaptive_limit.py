"""Lets through as many calls at once as the backend proves able to take, the important ones first."""

import asyncio
import heapq
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from types import MappingProxyType, TracebackType
from typing import NamedTuple

from schemawire.errors import AttemptTimeout, ConfigurationInvalid, LoadShed
from schemawire.events import CallRefused, Listener
from schemawire.resilience.alone import Standalone
from schemawire.resilience.call import Context, Handler, Judge, Judgement, R, RetryClass, is_neutral, judge_exceptions
from schemawire.resilience.limit_algorithms import LimitAlgorithm, LimitRange, Sample, algorithm
from schemawire.resilience.ranges import require_count, require_kind, require_number, require_order, show
from schemawire.resilience.timer import Timer


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptiveLimitConfig:
    """How the limit is learned and who may use it.

    Args:
        algorithm: what the limit is learned from.
        initial: the first limit, calls at once.
        lowest: the limit never goes below this, from 1 up.
        highest: the limit never goes above this.
        loss_factor: what one loss (throttled or timed out) leaves of the limit, above 0 and below 1.
        priority_reserve: share of the limit, 0 to 0.5, that each step of priority leaves to more important calls:
            priority p is let in while fewer than (1 − p × reserve) × limit calls are in flight.
        partitions: share of the limit, by `Context.partition`, that a partition gets even when others would fill it;
            shares add up to 1 at most. Unnamed partitions have no share of their own.
        max_waiting: the most calls that may wait for room, from 0 up; 0 sheds at once.
        max_wait: the longest wait for room, seconds from 0 up.

    Raises:
        ConfigurationInvalid: a value is out of range.

    *Source:* start 20, at most 200, factor 0.9: Netflix concurrency-limits. Its lower bound of 20 is not taken over:
    a client that may not go below 20 cannot react to a loss at the start.
    """

    algorithm: LimitAlgorithm = LimitAlgorithm.GRADIENT2
    initial: int = 20
    lowest: int = 1
    highest: int = 200
    loss_factor: float = 0.9
    priority_reserve: float = 0.1
    partitions: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    max_waiting: int = 0
    max_wait: float = 1.0

    def __post_init__(self) -> None:
        require_kind(self, "algorithm", LimitAlgorithm)
        for name in ("initial", "lowest", "highest"):
            require_count(self, name, low=1)
        require_order(self, "lowest", "initial")
        require_order(self, "initial", "highest")
        require_number(self, "loss_factor", low=0.0, high=0.999, above=True)
        require_number(self, "priority_reserve", low=0.0, high=0.5)
        require_count(self, "max_waiting")
        require_number(self, "max_wait", low=0.0, high=86_400.0)
        require_kind(self, "partitions", Mapping)
        shares = list(self.partitions.values())
        if any(not 0.0 < share <= 1.0 for share in shares) or math.fsum(shares) > 1.0 + 1e-9:
            raise ConfigurationInvalid(
                f"AdaptiveLimitConfig.partitions={dict(self.partitions)!r} must be shares above 0, 1 at most together"
            )

    def span(self) -> LimitRange:
        """Return the range of the limit."""
        return LimitRange(initial=self.initial, lowest=self.lowest, highest=self.highest, loss_factor=self.loss_factor)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdaptiveLimitStatistics:
    """The learned limit and its use; `in_flight` and `waiting` are zero when nobody uses it."""

    limit: int
    in_flight: int
    waiting: int
    admitted: int
    shed: int
    lost: int
    partitions: Mapping[str, int]
    """Calls in flight by partition, without those at zero."""


class _Waiter(NamedTuple):
    priority: int
    order: int
    partition: str
    ready: "asyncio.Future[None]"


class AdaptiveLimit(Standalone):
    """A concurrency limit that adapts to the backend, with priorities and partitions.

    The limit grows only while at least half of it is used, so a quiet hour does not open it wide. Throttled and timed
    out calls are its loss signal. Other failures teach nothing: a fast error says little about room.

    Args:
        options: algorithm, range, priorities, partitions and waiting.
        name: what events and errors call it.
        judge: decides what an outcome means.
        listener: hears each refusal.

    Where a body outlives its call (`Context.scope`), the place is held until the body has been read.

    *Cancelled:* a waiting call leaves the queue, a running one gives its place back; neither teaches the limit.
    """

    # Invariants: `_by_partition` counts the calls of `_in_flight` that name a partition; `_waiting` counts the waiters
    # whose future is open. Entries of waiters that left stay in the heap until they come to its head.

    def __init__(
        self,
        options: AdaptiveLimitConfig | None = None,
        *,
        name: str = "adaptive_limit",
        judge: Judge = judge_exceptions,
        listener: Listener | None = None,
    ) -> None:
        self.name = name
        self.options = options or AdaptiveLimitConfig()
        self._judge = judge
        self._listener = listener
        self._algorithm = algorithm(self.options.algorithm, self.options.span())
        self._in_flight = 0
        self._by_partition: Counter[str] = Counter()
        self._queue: list[_Waiter] = []
        self._order = count()
        self._waiting = 0
        self._admitted = 0
        self._shed = 0
        self._lost = 0

    def bind(self, inner: Handler[R]) -> Handler[R]:
        """Return `inner` behind this limit."""

        async def limited(context: Context) -> R:
            if not self._enter(context.priority, context.partition):
                await self._wait(context)
            began, in_flight = asyncio.get_running_loop().time(), self._in_flight
            try:
                result = await inner(context)
            except Exception as error:
                self._release(context.partition)
                if not is_neutral(context, error, asyncio.get_running_loop().time()):
                    self._learn(self._judge(context, None, error), error, began, in_flight)
                raise
            except BaseException:
                # Without the clock: a coroutine that is closed after its event loop has none.
                self._release(context.partition)
                raise
            # A long body is no slow answer, but it keeps its place at the backend until it has been read.
            if context.scope is None:
                self._release(context.partition)
            else:
                context.scope.keep(partial(self._body_ended, context.partition))
            self._learn(self._judge(context, result, None), None, began, in_flight)
            return result

        return limited

    async def __aenter__(self) -> None:
        """Take a place; the block's time teaches nothing, as its outcome is not known here."""
        if not self._enter(0, ""):
            await self._wait(Context())

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the place back."""
        self._release("")

    def replace_options(self, options: AdaptiveLimitConfig) -> None:
        """Go on with other options at once; the learned limit is kept, brought into the new range."""
        learned, span = self._algorithm.limit, options.span()
        if options.algorithm is not self.options.algorithm:
            self._algorithm = algorithm(options.algorithm, span)
        self._algorithm.span = span
        self._algorithm.limit = span.hold(learned)
        self.options = options
        self._admit_waiting()

    def describe(self) -> str:
        """Return one line that names the policy and its options."""
        return f"{self.name}: adaptive limit {show(self.options)}"

    def statistics(self) -> AdaptiveLimitStatistics:
        """Return the limit and its use."""
        return AdaptiveLimitStatistics(
            limit=int(self._algorithm.limit),
            in_flight=self._in_flight,
            waiting=self._waiting,
            admitted=self._admitted,
            shed=self._shed,
            lost=self._lost,
            partitions=MappingProxyType({name: used for name, used in self._by_partition.items() if used}),
        )

    def _has_room(self, priority: int, partition: str) -> bool:
        options, limit = self.options, int(self._algorithm.limit)
        if priority > 0 and options.priority_reserve:
            # Even the least important call gets through an idle client.
            limit = max(1, int(limit * (1.0 - priority * options.priority_reserve)))
        if self._in_flight < limit:
            return True
        share = options.partitions.get(partition)
        return share is not None and self._by_partition[partition] < max(1, math.ceil(self._algorithm.limit * share))

    def _enter(self, priority: int, partition: str) -> bool:
        if self._waiting or not self._has_room(priority, partition):
            return False
        self._take(partition)
        return True

    def _take(self, partition: str) -> None:
        self._in_flight += 1
        self._admitted += 1
        if partition:
            self._by_partition[partition] += 1

    def _release(self, partition: str) -> None:
        self._in_flight -= 1
        if partition:
            self._by_partition[partition] -= 1
            if not self._by_partition[partition]:
                del self._by_partition[partition]
        if self._waiting:
            self._admit_waiting()

    def _body_ended(self, partition: str, error: BaseException | None) -> None:
        self._release(partition)

    def _admit_waiting(self) -> None:
        """Let in the most important waiters, oldest first, as long as there is room for the one at the head."""
        while self._queue and self._let_in(self._queue[0]):
            heapq.heappop(self._queue)
        if self._waiting and self.options.partitions:
            # A partition may use its own share even while the head, without one, finds everything taken.
            for waiter in sorted(self._queue):
                self._let_in(waiter)

    def _let_in(self, waiter: _Waiter) -> bool:
        """Give a waiter its place if there is room; return whether it waits no longer."""
        if waiter.ready.done():
            return True
        if not self._has_room(waiter.priority, waiter.partition):
            return False
        self._take(waiter.partition)
        self._waiting -= 1
        waiter.ready.set_result(None)
        return True

    async def _wait(self, context: Context) -> None:
        loop = asyncio.get_running_loop()
        if self._waiting and self._has_room_ahead(context):
            self._take(context.partition)
            return
        if self._waiting >= self.options.max_waiting:
            raise self._refusal(f"all {int(self._algorithm.limit)} places are taken and {self._waiting} calls wait")
        waiter = _Waiter(context.priority, next(self._order), context.partition, loop.create_future())
        heapq.heappush(self._queue, waiter)
        self._waiting += 1
        timer = Timer(loop, min(loop.time() + self.options.max_wait, context.deadline))
        try:
            await waiter.ready
        except BaseException as error:
            self._leave(waiter)
            if timer.stop(error):
                raise self._refusal(f"no place became free within {self.options.max_wait:g} s") from None
            raise
        timer.stop(None)

    def _has_room_ahead(self, context: Context) -> bool:
        """Whether a call may pass the queue because it is more important than its head, or has a share of its own."""
        head = next((waiter for waiter in self._queue if not waiter.ready.done()), None)
        passes = head is None or context.priority < head.priority or context.partition in self.options.partitions
        return passes and self._has_room(context.priority, context.partition)

    def _leave(self, waiter: _Waiter) -> None:
        """Forget a waiter, or give its place back if it was let in during the tick in which it left."""
        if waiter.ready.cancelled():
            self._waiting -= 1
            self._admit_waiting()
        else:
            self._release(waiter.partition)

    def _refusal(self, why: str) -> LoadShed:
        self._shed += 1
        if self._listener is not None:
            self._listener.on_event(CallRefused(name=self.name, policy="adaptive_limit", reason=why))
        return LoadShed(f"{self.name}: {why}")

    def _learn(self, judgement: Judgement, error: BaseException | None, began: float, in_flight: int) -> None:
        if judgement.neutral:
            return
        lost = judgement.retry is RetryClass.THROTTLED or isinstance(error, AttemptTimeout | TimeoutError)
        if judgement.failed and not lost:
            return
        self._lost += lost
        rtt = asyncio.get_running_loop().time() - began
        self._algorithm.learn(Sample(rtt=rtt, in_flight=in_flight, lost=lost))
        if self._waiting:
            self._admit_waiting()
