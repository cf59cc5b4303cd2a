"""The HTTP client: one call in, one complete response or one typed error out; knows nothing of what is being said."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Any, Self

from schemawire.errors import Closed
from schemawire.events import Listener
from schemawire.resilience.adaptive_limit import AdaptiveLimitConfig
from schemawire.resilience.balance import BalanceConfig
from schemawire.resilience.breaker_state import CircuitBreakerConfig
from schemawire.resilience.budget import RetryBudgetConfig
from schemawire.resilience.call import Context, Scope
from schemawire.resilience.chaos import ChaosConfig
from schemawire.resilience.fallback import Action
from schemawire.resilience.hedge import HedgeConfig
from schemawire.resilience.rate_limit import RateLimitConfig
from schemawire.resilience.retry_decision import RetryConfig
from schemawire.resilience.throttle import ThrottleConfig
from schemawire.transport.address import Params, target_of
from schemawire.transport.attempt import Call
from schemawire.transport.cache_config import CacheConfig
from schemawire.transport.client_statistics import ClientStatistics
from schemawire.transport.discovery.options import DiscoveryConfig
from schemawire.transport.discovery.place import Place
from schemawire.transport.discovery.source import Discovery
from schemawire.transport.discovery.urls import discovery_of
from schemawire.transport.explanation import origin_lines, route_lines
from schemawire.transport.health_checks import HealthCheckConfig
from schemawire.transport.last_response import last_of
from schemawire.transport.loops import LoopOwner
from schemawire.transport.message import Body, Headers, HeaderSource, Response
from schemawire.transport.one_store import OneStoreConfig
from schemawire.transport.options import PoolConfig, ProxyConfig, TimeoutConfig, TlsConfig
from schemawire.transport.outgoing import ABSENT, call_of
from schemawire.transport.plan import Outcome, Plan
from schemawire.transport.policies import Policies
from schemawire.transport.resume import Resume, Resumption, with_first
from schemawire.transport.routes import RouteOptions
from schemawire.transport.slow_down import SlowDownConfig
from schemawire.transport.stores.keeper import StoreKeeper
from schemawire.transport.stream import MAX_BODY_BYTES, StreamResponse
from schemawire.transport.tally import Tally
from schemawire.transport.wire import Wire
from schemawire.transport.wires import make_wire


class Client:
    """Sends HTTP requests to one service that has one or several endpoints, through retries, breakers and a fair queue.

    Every complete response is returned, whatever its status (after retries: the last one). An error is raised only
    where there is no response. No redirect is followed, no cookie kept and no idempotency key invented.

    A client belongs to the event loop of its first call; once that loop has stopped, it starts afresh on another. It
    may be left unclosed.

    Args:
        endpoints: base URLs, comma-separated or one by one: `http://`, `https://`, or `http+unix://%2Frun%2Fx.sock`,
            each with an optional suffix `#weight=2&priority=1&zone=a`; or a `Discovery`, or its address.
        timeout: time limits of a call and its parts.
        pool: how many requests run at once per endpoint, and who may wait.
        retry: how often and after what delays a call is tried again.
        budget: how much load all retries together may add.
        breaker: when an endpoint is left alone.
        throttle: how calls are shed when the service accepts too few of them.
        rate: how many calls may start per second; the others wait for their turn.
        rate_per_key: whether each `key` has that rate for itself.
        hedge: when a further attempt of a read starts beside a slow one; the retry budget pays for it.
        slow_down: how attempts are slowed down once the service throttles them.
        limit: how the number of attempts at once is learned for each endpoint, below `pool.max_connections`.
        fallback: given the context and the error (`None` for a response that failed), returns the `Response` of a call
            that ended badly; not asked about streams.
        chaos: trouble made on purpose in place of attempts.
        one_store: how endpoints name their store, so that writes are never spread over two.
        key_of: whom a call is for that does not say so itself, for limits per key and for `BalanceStrategy.HASH`.
        routes: other options for some paths, by pattern: `/items/{id}` or `POST /items`.
        balance: how an endpoint is chosen for each attempt, and when one is ejected.
        discovery: how endpoints that come and go are followed.
        health_check: how endpoints are asked for their health beside the calls; `None`: they are not.
        cache: what is answered from stored responses; without it nothing is stored and no call is shared.
        headers: sent with every request, such as `Authorization`.
        wire: the name of a wire (`aiohttp`, `httpx2`) or a `Wire`.
        tls: whom to trust on `https`, and who we are.
        proxy: the HTTP proxy that requests go through.
        listener: hears what happens, and may add headers such as a trace context.
        max_body_bytes: the largest body that `request` collects, from 1.
        name: what events call this client.
        origins: where options came from, by name (`retry.max_retries`), for `explain`.

    `None` for a policy switches it off.

    Raises:
        ConfigurationInvalid: an option is out of range, an address is malformed, or options contradict each other.
    """

    def __init__(
        self,
        endpoints: str | Iterable[str | Place] | Discovery,
        *,
        timeout: TimeoutConfig | None = None,
        pool: PoolConfig | None = PoolConfig(),  # noqa: B008  # frozen
        retry: RetryConfig | None = RetryConfig(),  # noqa: B008  # frozen
        budget: RetryBudgetConfig | None = None,
        breaker: CircuitBreakerConfig | None = CircuitBreakerConfig(),  # noqa: B008  # frozen
        throttle: ThrottleConfig | None = None,
        rate: RateLimitConfig | None = None,
        rate_per_key: bool = False,
        hedge: HedgeConfig | None = None,
        slow_down: SlowDownConfig | None = None,
        limit: AdaptiveLimitConfig | None = None,
        fallback: Action | None = None,
        chaos: ChaosConfig | None = None,
        one_store: OneStoreConfig | None = None,
        key_of: Callable[[Call], str] | None = None,
        routes: Mapping[str, RouteOptions] | None = None,
        balance: BalanceConfig | None = None,
        discovery: DiscoveryConfig | None = None,
        health_check: HealthCheckConfig | None = None,
        cache: CacheConfig | None = None,
        headers: HeaderSource = (),
        wire: str | Wire = "aiohttp",
        tls: TlsConfig | None = None,
        proxy: ProxyConfig | None = None,
        listener: Listener | None = None,
        max_body_bytes: int = MAX_BODY_BYTES,
        name: str = "client",
        origins: Mapping[str, str] | None = None,
    ) -> None:
        self._source = discovery_of(endpoints)
        self._headers, self._listener = Headers(headers), listener
        self._policies = Policies(
            timeout=timeout or TimeoutConfig(), pool=pool, retry=retry, budget=budget, breaker=breaker,
            balance=balance or BalanceConfig(), discovery=discovery or DiscoveryConfig(), health_check=health_check,
            throttle=throttle, rate=rate, rate_per_key=rate_per_key, hedge=hedge, slow_down=slow_down, limit=limit,
            fallback=fallback, chaos=chaos, one_store=one_store, cache=cache, routes=dict(routes or {}),
            max_body_bytes=max_body_bytes,
        )  # fmt: skip
        self._origins = dict(origins or {})
        self._key_of = key_of
        self._stores = StoreKeeper(cache)
        self._wire = make_wire(wire, pool=pool or PoolConfig(), tls=tls or TlsConfig(), proxy=proxy)
        self._owner = LoopOwner("client")
        self._plan = self._make_plan()
        self._tally = Tally(name, listener)
        self._closed = False

    def _make_plan(self) -> Plan:
        return Plan(self._source, self._policies, wire=self._wire, listener=self._listener, store=self._stores.store)

    async def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = ABSENT,
        body: Body = None,
        params: Params | None = None,
        headers: HeaderSource = (),
        idempotency_key: str | None = None,
        deadline: float | None = None,
        retry_until_deadline: bool = False,
        route: str = "",
        key: str = "",
    ) -> Response:
        """Send a request and return its complete response.

        Args:
            method: in capitals.
            path: from `/`, without a query; it is added to the endpoint's address.
            json: sent as a JSON body; excludes `body`.
            body: bytes, a function that returns an async iterable of bytes, or such an iterable (sent only once).
            params: the query.
            headers: take the place of the client's own headers of the same names.
            idempotency_key: 1 to 255 visible ASCII characters; makes any method repeatable.
            deadline: seconds from now, above 0, for everything together; `None`: the client's `total`. An inherited
                deadline that is earlier wins.
            retry_until_deadline: try again until the deadline rather than a number of times, and wait for an open
                breaker; only for what may be repeated at all.
            route: the path's pattern, such as `/items/{id}`, which events name in place of the path, and whose options
                the call has; without it the path decides.
            key: whom the call is for, where limits are per key.

        Raises:
            Refused: nothing was sent: `CircuitOpen`, `QueueFull`, `Closed`, `WrongEventLoop`.
            Failed: no response: `ConnectFailed`, `ConnectionLost`, `AttemptTimeout`, `DeadlineExceeded`,
                `RetryBudgetExhausted`, `BadReply`; `attempts` holds the errors before the last.
            ValueError, TypeError: the request cannot be sent as it is.

        *Cancelled:* no further attempt is made, the connection is closed, and every permit is given back.
        """
        call = call_of(
            method, path, self._headers, json=json, body=body, params=params, headers=headers,
            idempotency_key=idempotency_key, patient=retry_until_deadline, streaming=False,
        )  # fmt: skip
        pattern = self._plan.route_of(method, path, route)
        context = self._context(call, deadline, pattern=pattern, scope=None, key=key)
        route = route or pattern or path
        if self._tally.opens_scopes:
            result = await self._run(context, route, pattern)
        else:
            # The same without the scope that a listener may open, which would cost a coroutine and two objects.
            self._tally.begin()
            try:
                result = await self._usable_plan().handler(pattern)(context)
            except BaseException as error:
                if (last := self._last_or_ended(context, route, error)) is None:
                    raise
                result = last
            self._tally.finish(context, route, status=result.status, error=None)
        assert isinstance(result, Response)  # noqa: S101  # streams are opened by `stream` alone
        return result

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        *,
        json: Any = ABSENT,
        body: Body = None,
        params: Params | None = None,
        headers: HeaderSource = (),
        idempotency_key: str | None = None,
        deadline: float | None = None,
        retry_until_deadline: bool = False,
        route: str = "",
        key: str = "",
        resume: Resume | None = None,
    ) -> AsyncIterator[StreamResponse]:
        """Open a response whose body is read inside the block: `async for chunk in response`.

        Attempts are repeated until the head of a response is there; from then on the call is committed, and a body that
        breaks raises, unless `resume` (such as `ResumeByRange()`) goes on with it. The deadline covers the body too;
        `math.inf` switches it off. See `request` for the rest.

        *Cancelled:* the connection is closed, and every permit is given back.
        """
        call = call_of(
            method, path, self._headers, json=json, body=body, params=params, headers=headers,
            idempotency_key=idempotency_key, patient=retry_until_deadline, streaming=True,
        )  # fmt: skip
        call.headers = with_first(resume, call.headers)
        async with self._opened(call, path, deadline=deadline, route=route, key=key) as response:
            if resume is not None and call.method == "GET":
                total = self._plan.total(self._plan.route_of(method, path, route)) if deadline is None else deadline
                response.rest = self._resumption(resume, response, call, until=call.started + total, place=(route, key))
            yield response

    def _resumption(
        self, how: Resume, first: StreamResponse, call: Call, *, until: float, place: tuple[str, str]
    ) -> Resumption:
        clock, path = asyncio.get_running_loop().time, call.target.partition("?")[0]

        def reopen(asked: HeaderSource) -> AbstractAsyncContextManager[StreamResponse]:
            now = clock()
            again = replace(call, headers=call.headers.replaced(asked), started=now, sent=0, last=None)
            return self._opened(again, path, deadline=max(until - now, 1e-9), route=place[0], key=place[1])

        return Resumption(how, first, reopen=reopen, pay=lambda: self._plan.budget.withdraw(clock()))

    def stream_call(
        self, call: Call, *, deadline: float | None = None, route: str = "", key: str = ""
    ) -> AbstractAsyncContextManager[StreamResponse]:
        """Open the response of a call that was put together elsewhere; see `stream`."""
        call = replace(call, headers=self._headers.replaced(call.headers) if self._headers else call.headers)
        return self._opened(call, call.target.partition("?")[0], deadline=deadline, route=route, key=key)

    @asynccontextmanager
    async def _opened(
        self, call: Call, path: str, *, deadline: float | None, route: str, key: str
    ) -> AsyncIterator[StreamResponse]:
        pattern = self._plan.route_of(call.method, path, route)
        scope = Scope()
        context = self._context(call, deadline, pattern=pattern, scope=scope, key=key)
        route = route or pattern or path
        try:
            response = await self._run(context, route, pattern)
            assert isinstance(response, StreamResponse)  # noqa: S101  # the call asked for a stream
        except BaseException as error:
            scope.close(error)
            raise
        try:
            async with response:
                yield response
        finally:
            self._tally.finish(context, route, status=response.status, error=response.error)

    def _context(self, call: Call, deadline: float | None, *, pattern: str, scope: Scope | None, key: str) -> Context:
        total = self._plan.total(pattern) if deadline is None else deadline
        if not total > 0:
            raise ValueError(f"deadline={deadline!r} must be a number of seconds above 0, counted from now")
        if not key and self._key_of is not None:
            key = self._key_of(call)
        return Context(deadline=call.started + total, call=call, scope=scope, key=key)

    async def _run(self, context: Context, route: str, pattern: str) -> Outcome:
        with self._tally.scope(context.call, route):
            try:
                result = await self._usable_plan().handler(pattern)(context)
            except BaseException as error:
                if (last := self._last_or_ended(context, route, error)) is None:
                    raise
                result = last
            if isinstance(result, StreamResponse):
                self._tally.keep_scope(context)
            else:
                self._tally.finish(context, route, status=result.status, error=None)
            return result

    def _last_or_ended(self, context: Context, route: str, error: BaseException) -> Outcome | None:
        """Return the complete response that came before an error; without one, note that the call ended with it."""
        last = last_of(context.call, error)
        if last is None:
            self._tally.finish(context, route, status=None, error=error)
        return last

    def _usable_plan(self) -> Plan:
        if self._closed:
            raise Closed("The client has been closed.")
        if self._owner.enter():
            # What waits or holds permits on the earlier loop will never go on, so nothing of it is carried over.
            self._plan = self._make_plan()
            self._plan.start()
        return self._plan

    def statistics(self) -> ClientStatistics:
        """Return the present state of the client and all it is made of."""
        plan, retry = self._plan, self._plan.retry
        return ClientStatistics(
            calls=self._tally.counts(),
            endpoints=self._plan.pick.statistics(),
            retry=None if retry is None else retry.statistics(),
            budget=None if retry is None else plan.budget.statistics(),
            layers={name: policy.statistics() for name, policy in plan.outer.policies.items()},
            wire=self._wire.statistics(),
            is_panicking=self._plan.pick.is_panicking,
            discovery=None if self._plan.watcher is None else self._plan.watcher.statistics(),
            cache=None if self._plan.cache is None else self._plan.cache.statistics(),
        )

    async def forget(self, path: str) -> int:
        """Forget the cached responses for a path, with any query, and for every path below it.

        A write through this client does that for its own target; this is for what a write changes elsewhere.

        Args:
            path: as for `request`.

        Returns:
            How many responses were stored; 0 without a cache.
        """
        cache = self._usable_plan().cache
        return 0 if cache is None else await cache.forget(target_of(path))

    def explain(self) -> str:
        """Return the pipeline as text, outside in, then every option with where it came from, then the routes."""
        policies = self._policies
        lines = [self._plan.describe(), f"wire: {self._wire.name}", "options and where they came from:"]
        lines += [f"  {line}" for line in origin_lines(policies, self._origins)]
        if policies.routes:
            lines += ["routes, where they differ:", *(f"  {line}" for line in route_lines(policies.routes))]
        return "\n".join(lines)

    def reload(self, **options: Any) -> None:
        """Put other options in force at once, all of them or none; what is under way goes on, and state is kept.

        Args:
            options: as for the constructor: `timeout`, `pool`, `retry`, `budget`, `breaker`, `throttle`, `rate`,
                `rate_per_key`, `hedge`, `slow_down`, `limit`, `balance`, `discovery`, `health_check`,
                `cache`, `chaos` and `routes`.

        Raises:
            ConfigurationInvalid: they contradict each other, or one cannot be changed while the client lives: the
                policies of endpoints (`pool`, `breaker`, `limit`, `timeout.attempt`) and `chaos` cannot be switched on
                or off.
            TypeError: there is no such option.
        """
        policies = replace(self._policies, **options)
        store = self._stores.wanted(policies.cache)
        self._plan.reload(policies, store)
        self._stores.take(policies.cache, store)
        self._policies = policies
        for name in options:
            self._origins = {each: origin for each, origin in self._origins.items() if each.partition(".")[0] != name}
            self._origins[name] = "reload"

    async def aclose(self) -> None:
        """Close every connection; later calls are refused, calls under way break. Safe to call twice."""
        self._closed = True
        await self._plan.aclose()
        await self._stores.aclose()
        await self._wire.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *details: object) -> None:
        await self.aclose()
