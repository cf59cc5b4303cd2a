"""How a call survives: policies around any async call, used alone or in a pipeline; knows nothing of HTTP."""

from schemawire.resilience.adaptive_limit import AdaptiveLimit, AdaptiveLimitConfig, AdaptiveLimitStatistics
from schemawire.resilience.alone import Standalone
from schemawire.resilience.backoff import Backoff, BackoffKind
from schemawire.resilience.balance import Balance, BalanceConfig, BalanceStatistics, EndpointStatistics
from schemawire.resilience.breaker import CircuitBreaker, CircuitBreakerStatistics
from schemawire.resilience.breaker_state import BreakerStateName, CircuitBreakerConfig, WindowKind
from schemawire.resilience.budget import RetryBudget, RetryBudgetConfig, RetryBudgetStatistics
from schemawire.resilience.bulkhead import Bulkhead, BulkheadConfig, BulkheadStatistics
from schemawire.resilience.call import (
    NEUTRAL,
    SUCCESS,
    Context,
    Handler,
    Judge,
    Judgement,
    Policy,
    RetryClass,
    Scope,
    judge_exceptions,
)
from schemawire.resilience.chaos import Chaos, ChaosConfig, ChaosStatistics
from schemawire.resilience.coherence import contradictions, require_agreement
from schemawire.resilience.deadline import Inherited, current_deadline, remaining, within
from schemawire.resilience.fallback import Fallback, FallbackConfig, FallbackStatistics
from schemawire.resilience.hedge import Hedge, HedgeConfig, HedgeStatistics
from schemawire.resilience.keyed_rate_limit import KeyedRateLimit, KeyedRateLimitStatistics
from schemawire.resilience.limit_algorithms import LimitAlgorithm
from schemawire.resilience.outlier import OutlierConfig
from schemawire.resilience.pipeline import PLACES, Layers, Pipeline, PipelineStatistics
from schemawire.resilience.pipeline_config import PipelineConfig
from schemawire.resilience.rate_limit import RateLimit, RateLimitConfig, RateLimitStatistics
from schemawire.resilience.registry import PipelineRegistry
from schemawire.resilience.retry import Retry, RetryStatistics
from schemawire.resilience.retry_decision import RetryConfig, StopReason
from schemawire.resilience.single_flight import SingleFlight, SingleFlightConfig, SingleFlightStatistics
from schemawire.resilience.strategies import BalanceStrategy
from schemawire.resilience.subset import deterministic_subset
from schemawire.resilience.throttle import Throttle, ThrottleConfig, ThrottleStatistics
from schemawire.resilience.timeout import Deadline, DeadlineConfig, TimeLimiter, TimeLimiterConfig, TimeoutStatistics

__all__ = [
    "NEUTRAL",
    "PLACES",
    "SUCCESS",
    "AdaptiveLimit",
    "AdaptiveLimitConfig",
    "AdaptiveLimitStatistics",
    "Backoff",
    "BackoffKind",
    "Balance",
    "BalanceConfig",
    "BalanceStatistics",
    "BalanceStrategy",
    "BreakerStateName",
    "Bulkhead",
    "BulkheadConfig",
    "BulkheadStatistics",
    "Chaos",
    "ChaosConfig",
    "ChaosStatistics",
    "CircuitBreaker",
    "CircuitBreakerConfig",
    "CircuitBreakerStatistics",
    "Context",
    "Deadline",
    "DeadlineConfig",
    "EndpointStatistics",
    "Fallback",
    "FallbackConfig",
    "FallbackStatistics",
    "Handler",
    "Hedge",
    "HedgeConfig",
    "HedgeStatistics",
    "Inherited",
    "Judge",
    "Judgement",
    "KeyedRateLimit",
    "KeyedRateLimitStatistics",
    "Layers",
    "LimitAlgorithm",
    "OutlierConfig",
    "Pipeline",
    "PipelineConfig",
    "PipelineRegistry",
    "PipelineStatistics",
    "Policy",
    "RateLimit",
    "RateLimitConfig",
    "RateLimitStatistics",
    "Retry",
    "RetryBudget",
    "RetryBudgetConfig",
    "RetryBudgetStatistics",
    "RetryClass",
    "RetryConfig",
    "RetryStatistics",
    "Scope",
    "SingleFlight",
    "SingleFlightConfig",
    "SingleFlightStatistics",
    "Standalone",
    "StopReason",
    "Throttle",
    "ThrottleConfig",
    "ThrottleStatistics",
    "TimeLimiter",
    "TimeLimiterConfig",
    "TimeoutStatistics",
    "WindowKind",
    "contradictions",
    "current_deadline",
    "deterministic_subset",
    "judge_exceptions",
    "remaining",
    "require_agreement",
    "within",
]
