"""The endpoints of a client, their health, and the choice among them; knows no HTTP beyond an endpoint's address."""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from schemawire.errors import CircuitOpen, NoEndpoint
from schemawire.resilience.breaker import CircuitBreaker, CircuitBreakerStatistics
from schemawire.resilience.bulkhead import Bulkhead, BulkheadStatistics
from schemawire.resilience.call import Context, Handler, Judge, Judgement, Policy, RetryClass
from schemawire.resilience.pipeline import Layers, Pipeline

R = TypeVar("R")
LONGEST_PAUSE = 300.0
"""Seconds for which a hint can keep an endpoint out of the choice, whatever it asks for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointStatistics:
    """The state of one endpoint."""

    url: str
    in_flight: int
    """Attempts that are queued, under way, or whose body is still being read."""
    attempts: int
    failures: int
    paused_until: float
    """The event loop's time until which the endpoint asked to be left alone; 0 when it did not."""
    breaker: CircuitBreakerStatistics | None
    """`None` when breakers are switched off."""
    pool: BulkheadStatistics | None
    """`None` when the pool is not limited."""


class Endpoint:
    """One address with its health: its breaker, what is in flight to it, and the pause it asked for.

    Invariant: `in_flight` counts each attempt from its choice until its outcome, or until its body is closed.
    """

    def __init__(
        self, url: str, *, breaker: CircuitBreaker | None, pool: Bulkhead | None, timeout: Policy | None
    ) -> None:
        self.url = url
        self.breaker = breaker
        self._pool = pool
        self.layers = Pipeline(Layers(breaker=breaker, bulkhead=pool, timeout=timeout), name=url)
        """The policies around each attempt to this endpoint."""
        self.in_flight = 0
        self.attempts = 0
        self.failures = 0
        self.paused_until = 0.0

    def is_usable(self, now: float) -> bool:
        """Whether it neither asked to be left alone nor has an open breaker."""
        return now >= self.paused_until and (self.breaker is None or not self.breaker.would_refuse(now))

    def pause(self, until: float) -> None:
        """Leave it alone until the given time of the event loop, where there is another to go to."""
        self.paused_until = max(self.paused_until, until)

    def release(self, _: BaseException | None = None) -> None:
        """Take note that one attempt is over."""
        self.in_flight -= 1

    def statistics(self) -> EndpointStatistics:
        """Return the present state."""
        return EndpointStatistics(
            url=self.url,
            in_flight=self.in_flight,
            attempts=self.attempts,
            failures=self.failures,
            paused_until=self.paused_until,
            breaker=None if self.breaker is None else self.breaker.statistics(),
            pool=None if self._pool is None else self._pool.statistics(),
        )


class EndpointPick:
    """Chooses an endpoint for each attempt: the less loaded of two drawn at random among those in good health.

    An endpoint that failed this call is tried again only when no other is left; one whose breaker refuses is passed
    over without counting as an attempt; one that asked for a pause is used during it only when all others are unusable.

    Args:
        endpoints: at least one.
        judge: says what an outcome means.
        draw: a source of uniform draws from [0, 1).

    *Source:* Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing"; Finagle P2C.
    """

    name = "pick"

    def __init__(
        self, endpoints: Sequence[Endpoint], *, judge: Judge, draw: Callable[[], float] = random.random
    ) -> None:
        self._endpoints = tuple(endpoints)
        self._judge = judge
        self._draw = draw

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """The endpoints chosen among."""
        return self._endpoints

    def bind(self, inner: Handler[R]) -> Handler[R]:
        """Return `inner` sent to a chosen endpoint, through that endpoint's own policies.

        Raises:
            CircuitOpen: the breaker of every endpoint refuses; `retry_after` is the shortest wait among them.
            NoEndpoint: there is none.

        *Cancelled:* the endpoint's in-flight count goes down again, and nothing is counted against it.
        """
        handlers = {endpoint: endpoint.layers.bind(inner) for endpoint in self._endpoints}

        async def picked(context: Context) -> R:
            refusals: dict[Endpoint, CircuitOpen] = {}
            while True:
                endpoint = self._choose(context, refusals)
                try:
                    return await self._through(endpoint, handlers[endpoint], context)
                except CircuitOpen as refusal:
                    refusals[endpoint] = refusal
                    if len(refusals) == len(self._endpoints):
                        raise self._all_open(refusals) from refusal

        return picked

    async def _through(self, endpoint: Endpoint, handler: Handler[R], context: Context) -> R:
        context.endpoint = endpoint
        endpoint.in_flight += 1
        endpoint.attempts += 1
        try:
            result = await handler(context)
        except BaseException as error:
            endpoint.release()
            if isinstance(error, CircuitOpen):
                endpoint.attempts -= 1
            self._note(endpoint, context, self._judge(context, None, error))
            raise
        if context.scope is None:
            endpoint.release()
        else:
            context.scope.keep(endpoint.release)
        self._note(endpoint, context, self._judge(context, result, None))
        return result

    def _note(self, endpoint: Endpoint, context: Context, judgement: Judgement) -> None:
        if judgement.neutral:
            return
        endpoint.failures += judgement.failed
        if judgement.failed or judgement.retry is RetryClass.THROTTLED:
            context.excluded.add(endpoint)
        if judgement.retry is RetryClass.THROTTLED and judgement.retry_after:
            now = asyncio.get_running_loop().time()
            endpoint.pause(now + min(judgement.retry_after, LONGEST_PAUSE))

    def _choose(self, context: Context, refusals: dict[Endpoint, CircuitOpen]) -> Endpoint:
        if len(self._endpoints) == 1:
            return self._endpoints[0]
        now = asyncio.get_running_loop().time()
        left = [endpoint for endpoint in self._endpoints if endpoint not in refusals]
        if not left:
            raise NoEndpoint
        usable = [endpoint for endpoint in left if endpoint.is_usable(now)] or left
        return self._lighter([endpoint for endpoint in usable if endpoint not in context.excluded] or usable)

    def _lighter(self, candidates: list[Endpoint]) -> Endpoint:
        if len(candidates) == 1:
            return candidates[0]
        first = int(self._draw() * len(candidates))
        # The second is drawn among the others, so that the two always differ.
        second = (first + 1 + int(self._draw() * (len(candidates) - 1))) % len(candidates)
        one, other = candidates[first], candidates[second]
        return other if other.in_flight < one.in_flight else one

    def has_alternative(self, context: Context) -> bool:
        """Whether a further attempt could go to a usable endpoint that has not failed this call."""
        now = asyncio.get_running_loop().time()
        return any(each.is_usable(now) for each in self._endpoints if each not in context.excluded)

    def _all_open(self, refusals: dict[Endpoint, CircuitOpen]) -> CircuitOpen:
        waits = [refusal.retry_after for refusal in refusals.values() if refusal.retry_after is not None]
        names = ", ".join(endpoint.url for endpoint in refusals)
        return CircuitOpen(
            f"The circuit breaker of every endpoint refuses ({names})", retry_after=min(waits, default=None)
        )

    def describe(self) -> str:
        """Return one line that names the endpoints."""
        names = ", ".join(endpoint.url for endpoint in self._endpoints)
        return f"{self.name}: the less loaded of two random choices among {names}"

    def statistics(self) -> tuple[EndpointStatistics, ...]:
        """Return the state of each endpoint."""
        return tuple(endpoint.statistics() for endpoint in self._endpoints)
