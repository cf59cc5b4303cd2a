"""The options of all policies of a client as one value; knows how they are named, not what they do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from schemawire.resilience.adaptive_limit import AdaptiveLimitConfig
from schemawire.resilience.balance import BalanceConfig
from schemawire.resilience.breaker_state import CircuitBreakerConfig
from schemawire.resilience.budget import RetryBudgetConfig
from schemawire.resilience.chaos import ChaosConfig
from schemawire.resilience.coherence import require_agreement
from schemawire.resilience.fallback import Action
from schemawire.resilience.hedge import HedgeConfig
from schemawire.resilience.ranges import require_count
from schemawire.resilience.rate_limit import RateLimitConfig
from schemawire.resilience.retry_decision import RetryConfig
from schemawire.resilience.throttle import ThrottleConfig
from schemawire.resilience.timeout import TimeLimiterConfig
from schemawire.transport.cache_config import CacheConfig
from schemawire.transport.discovery.options import DiscoveryConfig
from schemawire.transport.health_checks import HealthCheckConfig
from schemawire.transport.one_store import OneStoreConfig
from schemawire.transport.options import PoolConfig, TimeoutConfig
from schemawire.transport.routes import RouteOptions
from schemawire.transport.slow_down import SlowDownConfig

_NO_ROUTES: Mapping[str, RouteOptions] = MappingProxyType({})


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
    throttle: ThrottleConfig | None = None
    rate: RateLimitConfig | None = None
    rate_per_key: bool = False
    hedge: HedgeConfig | None = None
    slow_down: SlowDownConfig | None = None
    limit: AdaptiveLimitConfig | None = None
    fallback: Action | None = None
    chaos: ChaosConfig | None = None
    one_store: OneStoreConfig | None = None
    routes: Mapping[str, RouteOptions] = field(default_factory=lambda: _NO_ROUTES)

    def __post_init__(self) -> None:
        require_count(self, "max_body_bytes", low=1, high=1 << 40)
        # They stand in a pipeline of the client and one of each endpoint, neither of which sees the other's. The pauses
        # between attempts are not held against the time in all: that is each call's own.
        attempt = TimeLimiterConfig(attempt=self.timeout.attempt)
        require_agreement("the client", (attempt, self.breaker, self.hedge))
        for pattern, route in self.routes.items():
            require_agreement(f"the route {pattern!r}", (attempt, route.hedge))
