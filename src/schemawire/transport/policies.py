"""The options of all policies of a client as one value; knows how they are named, not what they do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from schemawire.resilience.adaptive_limit import AdaptiveLimitConfig
from schemawire.resilience.balance import BalanceConfig
from schemawire.resilience.breaker_state import CircuitBreakerConfig
from schemawire.resilience.budget import RetryBudgetConfig
from schemawire.resilience.hedge import HedgeConfig
from schemawire.resilience.ranges import require_count
from schemawire.resilience.rate_limit import RateLimitConfig
from schemawire.resilience.retry_decision import RetryConfig
from schemawire.resilience.throttle import ThrottleConfig
from schemawire.transport.cache_config import CacheConfig
from schemawire.transport.discovery.options import DiscoveryConfig
from schemawire.transport.health_checks import HealthCheckConfig
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
    routes: Mapping[str, RouteOptions] = field(default_factory=lambda: _NO_ROUTES)

    def __post_init__(self) -> None:
        require_count(self, "max_body_bytes", low=1, high=1 << 40)
