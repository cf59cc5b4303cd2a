"""How a call survives: policies around any async call, used alone or in a pipeline; knows nothing of HTTP."""

from schemawire.resilience.alone import Standalone
from schemawire.resilience.backoff import Backoff, BackoffKind
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
from schemawire.resilience.deadline import Inherited, current_deadline, remaining, within
from schemawire.resilience.pipeline import PLACES, Layers, Pipeline, PipelineStatistics
from schemawire.resilience.retry import Retry, RetryStatistics
from schemawire.resilience.retry_decision import RetryConfig, StopReason
from schemawire.resilience.timeout import Deadline, DeadlineConfig, TimeLimiter, TimeLimiterConfig, TimeoutStatistics

__all__ = [
    "NEUTRAL",
    "PLACES",
    "SUCCESS",
    "Backoff",
    "BackoffKind",
    "BreakerStateName",
    "Bulkhead",
    "BulkheadConfig",
    "BulkheadStatistics",
    "CircuitBreaker",
    "CircuitBreakerConfig",
    "CircuitBreakerStatistics",
    "Context",
    "Deadline",
    "DeadlineConfig",
    "Handler",
    "Inherited",
    "Judge",
    "Judgement",
    "Layers",
    "Pipeline",
    "PipelineStatistics",
    "Policy",
    "Retry",
    "RetryBudget",
    "RetryBudgetConfig",
    "RetryBudgetStatistics",
    "RetryClass",
    "RetryConfig",
    "RetryStatistics",
    "Scope",
    "Standalone",
    "StopReason",
    "TimeLimiter",
    "TimeLimiterConfig",
    "TimeoutStatistics",
    "WindowKind",
    "current_deadline",
    "judge_exceptions",
    "remaining",
    "within",
]
