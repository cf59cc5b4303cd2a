"""Turns a client's options into its pipeline: one place that says which policies there are and in which order."""

from dataclasses import dataclass, replace

from schemawire.events import Listener
from schemawire.resilience.balance import BalanceConfig
from schemawire.resilience.breaker import CircuitBreaker
from schemawire.resilience.breaker_state import CircuitBreakerConfig
from schemawire.resilience.budget import RetryBudget, RetryBudgetConfig
from schemawire.resilience.bulkhead import Bulkhead, BulkheadConfig
from schemawire.resilience.call import Context, Handler, Judgement, RetryClass
from schemawire.resilience.pipeline import PLACES, Layers, Pipeline
from schemawire.resilience.ranges import require_count, show
from schemawire.resilience.retry import Retry
from schemawire.resilience.retry_decision import RetryConfig
from schemawire.resilience.timeout import Deadline, DeadlineConfig, TimeLimiter, TimeLimiterConfig
from schemawire.transport.attempt import Attempt, Call, judge
from schemawire.transport.cache import Cache
from schemawire.transport.cache_config import CacheConfig
from schemawire.transport.discovery.arrange import arranged
from schemawire.transport.discovery.options import DiscoveryConfig
from schemawire.transport.discovery.place import Place
from schemawire.transport.discovery.source import Discovery
from schemawire.transport.discovery.static import StaticDiscovery
from schemawire.transport.discovery.watcher import Watcher
from schemawire.transport.endpoints import Endpoint, EndpointPick
from schemawire.transport.health_checks import HealthCheckConfig, HealthChecker
from schemawire.transport.message import Response
from schemawire.transport.options import PoolConfig, TimeoutConfig
from schemawire.transport.stores import CacheStore
from schemawire.transport.stream import StreamResponse
from schemawire.transport.wire import Wire

Outcome = Response | StreamResponse


@dataclass(frozen=True, slots=True, kw_only=True)
class Policies:
    """The options of a client's policies; `None` switches one off."""

    timeout: TimeoutConfig
    pool: PoolConfig | None
    retry: RetryConfig | None
    budget: RetryBudgetConfig | None
    breaker: CircuitBreakerConfig | None
    balance: BalanceConfig
    discovery: DiscoveryConfig
    health_check: HealthCheckConfig | None
    max_body_bytes: int
    cache: CacheConfig | None = None

    def __post_init__(self) -> None:
        require_count(self, "max_body_bytes", low=1, high=1 << 40)


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
        self._policies = policies
        self._listener = listener
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
        self.retry = None if policies.retry is None else self._retry(policies.retry)
        self.cache = self._cache(source, store)
        self.pipeline = Pipeline(
            Layers(deadline=Deadline(DeadlineConfig(total=None)), cache=self.cache, retry=self.retry, pick=self.pick),
            name="client",
        )
        attempt = Attempt(wire, policies.timeout, max_body_bytes=policies.max_body_bytes, listener=listener)
        self.run: Handler[Outcome] = self.pipeline.bind(attempt)

    def start(self) -> None:
        """Begin what runs beside the calls, on the running event loop: discovery and health checks."""
        for beside in (self.watcher, self._checker):
            if beside is not None:
                beside.start()

    async def aclose(self) -> None:
        """Stop what `start` began, and what the cache refreshes. Safe to call twice."""
        for beside in (self.watcher, self._checker, self.cache):
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
        policies, listener, url = self._policies, self._listener, place.url
        breaker, pool, attempt = policies.breaker, policies.pool, policies.timeout.attempt
        return Endpoint(
            place,
            breaker=None if breaker is None else CircuitBreaker(breaker, judge=judge, listener=listener, name=url),
            pool=None if pool is None else _pool(pool, url, listener),
            timeout=None if attempt is None else TimeLimiter(TimeLimiterConfig(attempt=attempt)),
        )

    def _retry(self, options: RetryConfig) -> Retry:
        return Retry(
            options,
            budget=RetryBudget(self._policies.budget),
            judge=self._judge_for_retry,
            until_deadline=_is_patient,
            discard=_discard,
            listener=self._listener,
        )

    def _judge_for_retry(self, context: Context, result: Outcome | None, error: BaseException | None) -> Judgement:
        judgement = judge(context, result, error)
        if judgement.retry_after is not None and judgement.retry is not None and self.pick.has_alternative(context):
            # The hint is one endpoint's wish; another that did not ask for it need not be kept waiting.
            return replace(judgement, retry=RetryClass.TRANSIENT, retry_after=None)
        return judgement

    def describe(self) -> str:
        """Return the pipeline as text, one line per place, outside in; from `breaker` on it is each endpoint's own."""
        # Before a discovery has answered there is no endpoint to look at, so one is made for the purpose.
        each = self._endpoint(Place(url="")).layers.layers
        layers = {**self.pipeline.layers, **each}
        lines = [f"timeouts: {show(self._policies.timeout)}", "policies, outside in (– is off):"]
        texts = {place: policy.describe() for place, policy in layers.items()}
        texts["deadline"] = f"deadline: total={self._policies.timeout.total:g} unless the call says otherwise"
        lines.extend(f"  {place:<10}{texts.get(place, '–')}" for place in PLACES)
        return "\n".join(lines)


def _pool(options: PoolConfig, url: str, listener: Listener | None) -> Bulkhead:
    bulkhead = BulkheadConfig(
        max_concurrent=options.max_connections, max_queue=options.max_queue, max_wait=options.queue_timeout
    )
    return Bulkhead(bulkhead, listener=listener, name=url)


def _is_patient(context: Context) -> bool:
    call: Call = context.call
    return call.patient


async def _discard(result: Outcome) -> None:
    if isinstance(result, StreamResponse):
        await result.aclose()
