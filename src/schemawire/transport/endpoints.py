"""The endpoints of a client, their health, and the choice among them; knows no HTTP beyond an endpoint's address."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from schemawire.events import Listener
from schemawire.resilience.adaptive_limit import AdaptiveLimit, AdaptiveLimitStatistics
from schemawire.resilience.balance import Balance, BalanceConfig
from schemawire.resilience.breaker import CircuitBreaker, CircuitBreakerStatistics
from schemawire.resilience.bulkhead import Bulkhead, BulkheadStatistics
from schemawire.resilience.call import Context, Handler, Judge, Policy
from schemawire.resilience.endpoint_state import EndpointState
from schemawire.resilience.pipeline import Layers, Pipeline
from schemawire.transport.discovery.place import Place

R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointStatistics:
    """The state of one endpoint."""

    url: str
    in_flight: int
    """Attempts that are queued, under way, or whose body is still being read."""
    attempts: int
    """Attempts whose outcome said something about the endpoint."""
    failures: int
    paused_until: float
    """The event loop's time until which the endpoint asked to be left alone; 0 when it did not."""
    breaker: CircuitBreakerStatistics | None
    """`None` when breakers are switched off."""
    pool: BulkheadStatistics | None
    """`None` when the pool is not limited."""
    limit: AdaptiveLimitStatistics | None = None
    """`None` when the limit is not learned."""
    weight: float = 1.0
    priority: int = 0
    """0 is preferred; a place outside the client's own zone comes one step later."""
    zone: str = ""
    latency: float = 0.0
    """Peak-EWMA of its round-trip times, seconds; 0 while there is none."""
    ejected_until: float = 0.0
    """The event loop's time until which it is out of rotation for failures in a row; 0 when it is not."""
    is_healthy: bool = True
    """What active health checks say; true without them."""
    is_draining: bool = False
    """Whether it is no longer listed and only finishes its calls."""


class Endpoint:
    """One address with its own breaker and queue; its health record belongs to the balancer.

    Args:
        place: where it is.
        breaker: its circuit breaker, if any.
        pool: its queue, if any.
        timeout: the limit of one attempt, if any.
        limit: the learned limit of attempts at once, if any.
    """

    # Invariant: `health` is the balancer's record of this very endpoint from the first `EndpointPick.take` on.

    health: EndpointState

    def __init__(
        self,
        place: Place,
        *,
        breaker: CircuitBreaker | None,
        pool: Bulkhead | None,
        timeout: Policy | None,
        limit: AdaptiveLimit | None = None,
    ) -> None:
        self.place = place
        self.url = place.url
        self.breaker = breaker
        self._pool = pool
        self._limit = limit
        self.layers = Pipeline(Layers(breaker=breaker, limit=limit, bulkhead=pool, timeout=timeout), name=place.url)
        """The policies around each attempt to this endpoint."""
        self.handler: Handler[Any] | None = None

    def __repr__(self) -> str:
        return self.url

    def is_available(self, now: float) -> bool:
        """Whether its breaker lets a call through."""
        return self.breaker is None or not self.breaker.would_refuse(now)

    def statistics(self, *, is_draining: bool = False) -> EndpointStatistics:
        """Return the present state."""
        health = self.health
        return EndpointStatistics(
            url=self.url,
            in_flight=health.in_flight,
            attempts=health.calls,
            failures=health.failures,
            paused_until=max(0.0, health.paused_until),
            breaker=None if self.breaker is None else self.breaker.statistics(),
            pool=None if self._pool is None else self._pool.statistics(),
            limit=None if self._limit is None else self._limit.statistics(),
            weight=self.place.weight,
            priority=self.place.priority,
            zone=self.place.zone,
            latency=health.ewma.cost,
            ejected_until=max(0.0, health.ejected_until),
            is_healthy=not health.is_ill,
            is_draining=is_draining,
        )


class EndpointPick:
    """Chooses an endpoint for each attempt by `Balance`, and lets endpoints come and go while calls run.

    An endpoint that failed this call is tried again only when no other is left; one whose breaker refuses is passed
    over without counting as an attempt; one that asked for a pause is used during it only when all others are unusable.
    Breaker, ejection, pauses and health checks work on one record per endpoint, so they cannot disagree.

    Args:
        make: makes the endpoint of a place.
        options: how to choose.
        judge: says what an outcome means.
        listener: hears ejections and pauses.
        wait: waits until there is an endpoint, by the deadline it is given; `None`: the first are given at once.
        draw: a source of uniform draws from [0, 1).
    """

    # Invariants: `_endpoints` is what the balancer chooses among, by URL; `_draining` are those that are no longer
    # listed and had calls in flight when last looked at, none of which is in `_endpoints`.

    name = "pick"

    def __init__(
        self,
        make: Callable[[Place], Endpoint],
        *,
        options: BalanceConfig,
        judge: Judge,
        listener: Listener | None = None,
        wait: Callable[[float], Awaitable[None]] | None = None,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._make = make
        self._wait = wait
        self._inner: Handler[Any] | None = None
        self._endpoints: dict[str, Endpoint] = {}
        self._draining: list[Endpoint] = []
        self._balance = Balance(
            (),
            options,
            weight=_weight,
            group=_priority,
            is_available=Endpoint.is_available,
            judge=judge,
            draw=draw,
            name=self.name,
            listener=listener,
        )

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """The endpoints chosen among."""
        return tuple(self._endpoints.values())

    @property
    def is_panicking(self) -> bool:
        """Whether so few endpoints are in rotation that all are used."""
        return self._balance.statistics().panicking

    def take(self, places: Sequence[Place]) -> None:
        """Go on with these places: new ones join before others leave, and nothing under way is cut.

        An endpoint that leaves gets no new attempt and finishes those it has; one that comes back while it does so
        goes on with its breaker and its history.
        """
        known = {**{endpoint.url: endpoint for endpoint in self._draining}, **self._endpoints}
        present: dict[str, Endpoint] = {}
        for place in places:
            endpoint = present[place.url] = known.get(place.url) or self._made(place)
            endpoint.place = place
        self._balance.update(present.values(), now=_now())
        for endpoint in present.values():
            endpoint.health = self._balance.state_of(endpoint)
        self._endpoints = present
        self._draining = [each for each in known.values() if each.url not in present and each.health.in_flight]

    def replace_options(self, options: BalanceConfig) -> None:
        """Choose in another way from now on; what is known of the endpoints is kept."""
        self._balance.replace_options(options)

    def set_health(self, endpoint: Endpoint, *, is_healthy: bool) -> None:
        """Take note of what active health checks found."""
        self._balance.set_health(endpoint, is_healthy=is_healthy)

    def bind(self, inner: Handler[R]) -> Handler[R]:
        """Return `inner` sent to a chosen endpoint, through that endpoint's own policies.

        Raises:
            CircuitOpen: the breaker of every endpoint refuses; `retry_after` is the shortest wait among them.
            NoEndpoint: there is none, or discovery has not named one in time.

        *Cancelled:* the endpoint's in-flight count goes down again, and nothing is counted against it.
        """
        self._inner = inner
        for endpoint in self._endpoints.values():
            endpoint.handler = endpoint.layers.bind(inner)
        chosen: Handler[R] = self._balance.bind(_through)
        wait = self._wait
        if wait is None:
            return chosen

        async def awaited(context: Context) -> R:
            if not self._endpoints:
                await wait(context.deadline)
            return await chosen(context)

        return awaited

    def has_alternative(self, context: Context) -> bool:
        """Whether a further attempt could go to a usable endpoint that has not failed this call."""
        now = asyncio.get_running_loop().time()
        return any(
            endpoint.health.is_usable(now) for endpoint in self._endpoints.values() if endpoint not in context.excluded
        )

    def describe(self) -> str:
        """Return one line that names the way to choose, and the endpoints."""
        return self._balance.describe()

    def statistics(self) -> tuple[EndpointStatistics, ...]:
        """Return the state of each endpoint, those that only finish their calls last."""
        self._draining = [endpoint for endpoint in self._draining if endpoint.health.in_flight]
        return (
            *(endpoint.statistics() for endpoint in self._endpoints.values()),
            *(endpoint.statistics(is_draining=True) for endpoint in self._draining),
        )

    def _made(self, place: Place) -> Endpoint:
        endpoint = self._make(place)
        if self._inner is not None:
            endpoint.handler = endpoint.layers.bind(self._inner)
        return endpoint


def _through(context: Context) -> Awaitable[Any]:
    handler: Handler[Any] = context.endpoint.handler
    return handler(context)


def _weight(endpoint: Endpoint) -> float:
    return endpoint.place.weight


def _priority(endpoint: Endpoint) -> int:
    return endpoint.place.priority


def _now() -> float | None:
    """Return the event loop's time, or `None` where none runs: then nothing can be under way either."""
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:
        return None
