"""The whole pipeline, every layer on, cancelled at every point at which it can be: nothing may stay held."""

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest

from schemawire.resilience import (
    AdaptiveLimit,
    AdaptiveLimitConfig,
    Balance,
    BalanceConfig,
    BalanceStrategy,
    Bulkhead,
    BulkheadConfig,
    Chaos,
    ChaosConfig,
    CircuitBreaker,
    CircuitBreakerConfig,
    Context,
    Deadline,
    DeadlineConfig,
    Fallback,
    Hedge,
    HedgeConfig,
    Layers,
    Pipeline,
    RateLimit,
    RateLimitConfig,
    Retry,
    RetryBudget,
    RetryConfig,
    Scope,
    SingleFlight,
    Throttle,
    TimeLimiter,
    TimeLimiterConfig,
)
from schemawire.testing.cancellation import CancellationReport, cancel_at_every_await
from schemawire.testing.scripted import ScriptedDependency, answer


class Everything:
    """All layers around a scripted dependency whose first attempts are slow and broken by chaos."""

    def __init__(self) -> None:
        draw = random.Random(11).random
        budget = RetryBudget()
        self.dependency = ScriptedDependency[str](
            answer("slow", after=3.0), answer("late", after=2.0), then=answer("done", after=0.3)
        )
        self.flight = SingleFlight()
        self.rate = RateLimit(RateLimitConfig(rate=10.0, burst=1))
        self.hedge = Hedge(HedgeConfig(delay=0.4), budget=budget)
        self.pick = Balance("xyz", BalanceConfig(strategy=BalanceStrategy.ROUND_ROBIN), draw=draw)
        self.breaker = CircuitBreaker(CircuitBreakerConfig(failure_threshold=100), draw=draw)
        self.limit = AdaptiveLimit(AdaptiveLimitConfig(initial=2, lowest=1, highest=2, max_waiting=20, max_wait=20.0))
        self.bulkhead = Bulkhead(BulkheadConfig(max_concurrent=1, max_queue=20, max_wait=20.0))
        self.chaos = Chaos(ChaosConfig(fault_rate=0.3, latency_rate=0.2, latency=0.1), seed=5)
        self.pipeline = Pipeline(
            Layers(
                deadline=Deadline(DeadlineConfig(total=30.0)),
                fallback=Fallback(lambda context, error: "instead"),
                flight=self.flight,
                admission=Throttle(draw=draw),
                rate=self.rate,
                hedge=self.hedge,
                retry=Retry(RetryConfig(max_retries=2), budget=budget, draw=draw),
                pick=self.pick,
                breaker=self.breaker,
                limit=self.limit,
                bulkhead=self.bulkhead,
                timeout=TimeLimiter(TimeLimiterConfig(attempt=2.5)),
            )
        )

    def gauges(self) -> dict[str, int]:
        """Return everything that somebody could still hold."""
        flight, limit, bulkhead = self.flight.statistics(), self.limit.statistics(), self.bulkhead.statistics()
        return {
            "flights": flight.flying,
            "flight waiters": flight.waiting,
            "rate waiters": self.rate.statistics().waiting,
            "hedges": self.hedge.statistics().in_flight,
            "endpoint calls": sum(state.in_flight for state in self.pick.statistics().endpoints),
            "probes": self.breaker.statistics().probes_in_flight,
            "limit places": limit.in_flight,
            "limit waiters": limit.waiting,
            "bulkhead places": bulkhead.in_flight,
            "bulkhead waiters": bulkhead.waiting,
            "dependency calls": self.dependency.statistics().in_flight,
        }


async def call(subject: Everything, *, key: str = "", scope: Scope | None = None) -> object:
    """Make one call; where a body outlives it, read the body for a while and close it."""
    handler = subject.pipeline.bind(subject.chaos.bind(subject.dependency))
    context = Context(key=key, scope=scope)
    try:
        result = await handler(context)
        if scope is not None:
            await asyncio.sleep(0.2)
        return result
    finally:
        if scope is not None:
            scope.close(None)


async def three_calls(subject: Everything) -> None:
    """Two equal calls that share a flight, and one with an open body, all at once."""
    async with asyncio.TaskGroup() as group:
        group.create_task(call(subject, key="a"))
        group.create_task(call(subject, key="a"))
        group.create_task(call(subject, scope=Scope()))


async def probing(subject: Everything) -> None:
    """A call that is the half-open probe of an open breaker."""
    subject.breaker.replace_options(CircuitBreakerConfig(failure_threshold=1, recovery_timeout=1.0))
    subject.chaos.replace_options(ChaosConfig(fault_rate=1.0))
    await call(subject)
    subject.chaos.replace_options(ChaosConfig())
    await asyncio.sleep(2.0)
    await call(subject)


def check(subject: Everything) -> None:
    """Nothing may be held."""
    held = {name: value for name, value in subject.gauges().items() if value}
    assert not held, f"still held: {held}"


async def check_use(subject: Everything) -> None:
    """Nothing may be held, and the pipeline must still work."""
    check(subject)
    subject.chaos.replace_options(ChaosConfig())
    subject.breaker.reset()
    await asyncio.sleep(400.0)
    assert await call(subject) in ("slow", "late", "done")
    check(subject)


@pytest.mark.parametrize("scenario", [three_calls, probing])
def test_every_gauge_is_zero_wherever_the_caller_is_cancelled(
    scenario: Callable[[Everything], Awaitable[None]],
) -> None:
    """Cancelled at each await of a full pipeline, waiting or waking, everything is given back and it works on."""
    report: CancellationReport = cancel_at_every_await(Everything, scenario, check=check_use)
    assert report.suspensions >= 6
    assert report.cancelled > report.rounds * 0.9
