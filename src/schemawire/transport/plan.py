"""Turns a client's options into its pipeline: one place that says which policies there are and in which order."""

from dataclasses import replace
from typing import Any

from schemawire.errors import ConfigurationInvalid, ConnectionStale
from schemawire.events import Listener
from schemawire.resilience.adaptive_limit import AdaptiveLimit
from schemawire.resilience.breaker import CircuitBreaker
from schemawire.resilience.budget import RetryBudget
from schemawire.resilience.bulkhead import Bulkhead, BulkheadConfig
from schemawire.resilience.call import Context, Handler, Judgement, RetryClass
from schemawire.resilience.chaos import Chaos
from schemawire.resilience.ranges import show
from schemawire.resilience.retry import Retry
from schemawire.resilience.timeout import TimeLimiter, TimeLimiterConfig
from schemawire.transport.attempt import Attempt, judge
from schemawire.transport.cache import Cache
from schemawire.transport.discovery.arrange import arranged
from schemawire.transport.discovery.place import Place
from schemawire.transport.discovery.source import Discovery
from schemawire.transport.discovery.static import StaticDiscovery
from schemawire.transport.discovery.watcher import Watcher
from schemawire.transport.endpoints import Endpoint, EndpointPick
from schemawire.transport.health_checks import HealthChecker
from schemawire.transport.last_response import keep_last
from schemawire.transport.message import Headers, Response
from schemawire.transport.one_store import OneStore
from schemawire.transport.options import PoolConfig
from schemawire.transport.outer_layers import OuterLayers
from schemawire.transport.policies import Policies
from schemawire.transport.routes import RouteTable
from schemawire.transport.stores import CacheStore
from schemawire.transport.stream import StreamResponse
from schemawire.transport.wire import Wire

Outcome = Response | StreamResponse

PLACES = (
    *("deadline", "cache", "fallback", "flight", "admission", "rate", "hedge", "retry", "pace", "pick"),
    *("breaker", "limit", "bulkhead", "timeout", "chaos"),
)
"""The places of policies, outside in; from `breaker` on they are each endpoint's own."""

_FIXED = ("max_body_bytes", "fallback", "one_store")
"""Options that shape what is built once."""


class Plan:
    """The policies of a client, put together for one event loop.

    Args:
        source: what finds the endpoints.
        policies: the options.
        wire: what sends one request.
        listener: hears what the policies do.
        store: where cached responses are kept; it outlives the plan.
    """

    def __init__(
        self,
        source: Discovery,
        policies: Policies,
        *,
        wire: Wire,
        listener: Listener | None,
        store: CacheStore | None = None,
    ) -> None:
        self._source = source
        self._policies = policies
        self._listener = listener
        self._retired: list[Cache] = []
        self.pick = EndpointPick(
            self._endpoint,
            options=policies.balance,
            judge=judge,
            listener=listener,
            wait=None if isinstance(source, StaticDiscovery) else self._first_places,
        )
        self.watcher: Watcher | None = None
        if isinstance(source, StaticDiscovery):
            self.pick.take(arranged(source.places, policies.discovery))
        else:
            self.watcher = Watcher(source, policies.discovery, self.pick.take, listener=listener)
        checks = policies.health_check
        self._checker = None if checks is None else HealthChecker(self.pick, wire, checks, listener=listener)
        self._attempt = Attempt(wire, policies.timeout, max_body_bytes=policies.max_body_bytes, listener=listener)
        self.chaos = None if policies.chaos is None else Chaos(policies.chaos, outcome=_unavailable, listener=listener)
        self._picked: Handler[Outcome] = self.pick.bind(self._innermost(wire))
        self.budget = RetryBudget(policies.budget)
        self.cache = self._cache(source, store)
        self.outer = OuterLayers(
            self.budget, cache=self.cache, judge_for_retry=self._judge_for_retry, discard=_discard, keep=keep_last,
            listener=listener,
        )  # fmt: skip
        self._put_together()

    def _innermost(self, wire: Wire) -> Handler[Outcome]:
        """Return the attempt, with what stands between it and every other policy."""
        inner: Handler[Outcome] = self._attempt
        if self.chaos is not None:
            inner = self.chaos.bind(inner)
        options = self._policies.one_store
        if options is None:
            return inner
        check = OneStore(options, endpoints=lambda: self.pick.endpoints, wire=wire, timeouts=self._policies.timeout)
        return check.bind(inner)

    def _put_together(self) -> None:
        policies = self._policies
        self._routes = RouteTable(policies.routes)
        self._pipelines = self.outer.pipelines(policies)
        self._handlers = {pattern: each.bind(self._picked) for pattern, each in self._pipelines.items()}

    def route_of(self, method: str, path: str, named: str) -> str:
        """Return the pattern whose options a call has, or an empty text for the client's own."""
        return self._routes.find(method, path, named) if self._policies.routes else ""

    def handler(self, pattern: str) -> Handler[Outcome]:
        """Return what runs the calls of a route."""
        return self._handlers[pattern]

    def total(self, pattern: str) -> float:
        """Return the seconds that a call of a route may take when it says nothing itself."""
        own = self._policies.routes[pattern].total if pattern else None
        return self._policies.timeout.total if own is None else own

    @property
    def retry(self) -> Retry | None:
        """The client's own retries, if it has any."""
        found = self.outer.policies.get("retry")
        return found if isinstance(found, Retry) else None

    def reload(self, policies: Policies, store: CacheStore | None) -> None:
        """Put other options in force for calls and attempts that begin from now on, all of them or none.

        Breakers, queues, budgets and limits keep their state; another cache begins with what its store holds.

        Args:
            policies: all options.
            store: where cached responses are kept from now on.

        Raises:
            ConfigurationInvalid: the options contradict each other, or one cannot be changed while the client lives.
        """
        require_reloadable(self._policies, policies)
        RouteTable(policies.routes)
        self.outer.require_coherent(policies)
        self._each_with(policies, Place(url=""))  # It checks the options of the endpoints against each other.
        before, self._policies = self._policies, policies
        self._attempt.timeouts = policies.timeout
        if self.chaos is not None and policies.chaos is not None:
            self.chaos.replace_options(policies.chaos)
        if before.cache != policies.cache:
            self._retired.extend([] if self.cache is None else [self.cache])
            self.cache = self._cache(self._source, store)
            self.outer.replace_cache(self.cache)
        self._follow_as(policies, before)
        if self._checker is not None and policies.health_check not in (None, before.health_check):
            self._checker.replace_options(policies.health_check)
        if policies.budget is not None:
            self.budget.replace_options(policies.budget)
        for endpoint in self.pick.endpoints:
            endpoint.layers.replace_options(**_endpoint_options(policies))
        self._put_together()

    def _follow_as(self, policies: Policies, before: Policies) -> None:
        if policies.balance != before.balance:
            self.pick.replace_options(policies.balance)
        if policies.discovery == before.discovery:
            return
        if self.watcher is not None:
            self.watcher.replace_options(policies.discovery)
        elif isinstance(self._source, StaticDiscovery):
            self.pick.take(arranged(self._source.places, policies.discovery))

    def start(self) -> None:
        """Begin what runs beside the calls, on the running event loop: discovery and health checks."""
        for beside in (self.watcher, self._checker):
            if beside is not None:
                beside.start()

    async def aclose(self) -> None:
        """Stop what `start` began, and what the cache refreshes. Safe to call twice."""
        for beside in (self.watcher, self._checker, self.cache, *self._retired):
            if beside is not None:
                await beside.aclose()

    def _cache(self, source: Discovery, store: CacheStore | None) -> Cache | None:
        options = self._policies.cache
        if options is None or store is None:
            return None
        service = source.name
        if isinstance(source, StaticDiscovery):
            service = ",".join(sorted(place.url for place in source.places))
        return Cache(options, store=store, service=service, listener=self._listener)

    async def _first_places(self, deadline: float) -> None:
        assert self.watcher is not None  # noqa: S101  # who waits for places has a watcher
        await self.watcher.first(deadline)

    def _endpoint(self, place: Place) -> Endpoint:
        return self._each_with(self._policies, place)

    def _each_with(self, policies: Policies, place: Place) -> Endpoint:
        listener, url = self._listener, place.url
        options = _endpoint_options(policies)
        breaker, limit, pool, timeout = (options.get(name) for name in ("breaker", "limit", "bulkhead", "timeout"))
        return Endpoint(
            place,
            breaker=breaker and CircuitBreaker(breaker, judge=judge, listener=listener, name=url),
            limit=limit and AdaptiveLimit(limit, judge=judge, listener=listener, name=url),
            pool=pool and Bulkhead(pool, listener=listener, name=url),
            timeout=timeout and TimeLimiter(timeout),
        )

    def _judge_for_retry(self, context: Context, result: Outcome | None, error: BaseException | None) -> Judgement:
        judgement = judge(context, result, error)
        if isinstance(error, ConnectionStale):
            # Nothing against the endpoint, but the next attempt is paid for like any other.
            judgement = replace(judgement, neutral=False)
        if judgement.retry_after is not None and judgement.retry is not None and self.pick.has_alternative(context):
            # The hint is one endpoint's wish; another that did not ask for it need not be kept waiting.
            return replace(judgement, retry=RetryClass.TRANSIENT, retry_after=None)
        return judgement

    def describe(self) -> str:
        """Return the pipeline as text, one line per place, outside in; from `breaker` on it is each endpoint's own."""
        # Before a discovery has answered there is no endpoint to look at, so one is made for the purpose.
        each = self._endpoint(Place(url="")).layers.layers
        layers = {**self._pipelines[""].layers, "pick": self.pick, **each}
        if self.chaos is not None:
            layers["chaos"] = self.chaos
        lines = [f"timeouts: {show(self._policies.timeout)}", "policies, outside in (– is off):"]
        texts = {place: policy.describe() for place, policy in layers.items()}
        texts["deadline"] = f"deadline: total={self._policies.timeout.total:g} unless the call says otherwise"
        lines.extend(f"  {place:<10}{texts.get(place, '–')}" for place in PLACES)
        return "\n".join(lines)


def require_reloadable(present: Policies, wanted: Policies) -> None:
    """Check that a change of options asks for nothing that is built once.

    Raises:
        ConfigurationInvalid: it does; the message names the option.
    """
    fixed = [name for name in _FIXED if getattr(present, name) != getattr(wanted, name)]
    before, after = _endpoint_options(present), _endpoint_options(wanted)
    fixed += sorted(before.keys() ^ after.keys())
    switched = ("chaos", "health_check")
    fixed += [name for name in switched if (getattr(present, name) is None) is not (getattr(wanted, name) is None)]
    if present.budget is not None and wanted.budget is None:
        fixed.append("budget")
    if fixed:
        raise ConfigurationInvalid(
            f"{', '.join(fixed)} cannot be changed, switched on or off while the client lives",
            fix="Make a new client for it; values of policies that are on can be changed.",
        )


def _endpoint_options(policies: Policies) -> dict[str, Any]:
    """Return the options of the layers that each endpoint has of its own; those that are off are left out."""
    attempt, pool = policies.timeout.attempt, policies.pool
    options: dict[str, Any] = {
        "breaker": policies.breaker,
        "limit": policies.limit,
        "bulkhead": None if pool is None else _bulkhead(pool),
        "timeout": None if attempt is None else TimeLimiterConfig(attempt=attempt),
    }
    return {name: value for name, value in options.items() if value is not None}


def _bulkhead(options: PoolConfig) -> BulkheadConfig:
    return BulkheadConfig(
        max_concurrent=options.max_connections, max_queue=options.max_queue, max_wait=options.queue_timeout
    )


def _unavailable(context: Context) -> Response:
    return Response(status=503, headers=Headers(), body=b"", url=context.endpoint.url + context.call.target)


async def _discard(result: Outcome) -> None:
    if isinstance(result, StreamResponse):
        await result.aclose()
