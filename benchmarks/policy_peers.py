"""Our policies beside other libraries' on the same job: a decorated async function that does nothing, called in turn.

    pip install tenacity stamina circuitbreaker purgatory aiobreaker pybreaker aiolimiter pyresilience
    python benchmarks/policy_peers.py [--calls 3000] [--rounds 11]

A library that is not installed is left out. Every variant is timed in each round, so that a change of the machine's
speed hits all alike, and its fastest round counts. Each decorator gets its library's plainest setting.
"""

import argparse
import asyncio
import importlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from schemawire.resilience import (
    Bulkhead,
    BulkheadConfig,
    CircuitBreaker,
    Layers,
    Pipeline,
    RateLimit,
    RateLimitConfig,
    Retry,
    Standalone,
    TimeLimiter,
)

Call = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One library's way of doing one job."""

    job: str
    library: str
    call: Call


async def work() -> int:
    """Do nothing, as cheaply as an async function can."""
    return 1


def decorated_by(library: str) -> dict[str, Callable[[Any], Call]]:
    """Return how a library decorates `work` for each job that it can do.

    Raises:
        ImportError: the library is not installed.
    """
    peer = importlib.import_module(library)
    match library:
        case "tenacity":
            retry = peer.retry(stop=peer.stop_after_attempt(4), wait=peer.wait_random_exponential(0.05, max=5))
            return {"retry": retry}
        case "stamina":
            return {"retry": peer.retry(on=Exception, attempts=4)}
        case "circuitbreaker":
            return {"breaker": peer.circuit(failure_threshold=5, recovery_timeout=30)}
        case "purgatory":
            return {"breaker": peer.AsyncCircuitBreakerFactory(default_threshold=5, default_ttl=30)("bench")}
        case "aiobreaker":
            breaker = peer.CircuitBreaker(fail_max=5)
            return {"breaker": lambda call: lambda: breaker.call_async(call)}
        case "pybreaker":
            # Without tornado it has no async form: it judges the making of the coroutine, not its outcome.
            return {"breaker": peer.CircuitBreaker(fail_max=5)}
        case "aiolimiter":
            return {"rate limit": lambda call: _limited(peer.AsyncLimiter(1e6, 1.0), call)}
        case _:
            return _of_pyresilience(peer)


def _limited(limiter: Any, call: Call) -> Call:
    async def limited() -> object:
        async with limiter:
            return await call()

    return limited


def _of_pyresilience(peer: Any) -> dict[str, Callable[[Any], Call]]:
    options = {
        "retry": {"retry": peer.RetryConfig(max_attempts=4)},
        "breaker": {"circuit_breaker": peer.CircuitBreakerConfig()},
        "bulkhead": {"bulkhead": peer.BulkheadConfig(max_concurrent=100)},
        "timeout": {"timeout": peer.TimeoutConfig(seconds=30)},
        "rate limit": {"rate_limiter": peer.RateLimiterConfig(max_calls=1_000_000, period=1.0)},
    }
    together = options["retry"] | options["breaker"] | options["bulkhead"] | options["timeout"]
    jobs = {**options, "retry+breaker+bulkhead+timeout": together}
    return {job: peer.resilient(**chosen) for job, chosen in jobs.items()}


def variants() -> Iterator[Variant]:
    """Yield ours first for each job, then every installed library's."""
    together = Layers(retry=Retry(), breaker=CircuitBreaker(), bulkhead=Bulkhead(), timeout=TimeLimiter())
    ours: dict[str, Standalone] = {
        "retry": Retry(),
        "breaker": CircuitBreaker(),
        "bulkhead": Bulkhead(BulkheadConfig(max_concurrent=100)),
        "timeout": TimeLimiter(),
        "rate limit": RateLimit(RateLimitConfig(rate=1e6, burst=1_000_000)),
        "retry+breaker+bulkhead+timeout": Pipeline(together),
    }
    for job, policy in ours.items():
        yield Variant(job=job, library="schemawire", call=policy.wrap(work))
    for library in (
        "tenacity", "stamina", "circuitbreaker", "purgatory", "aiobreaker", "pybreaker", "aiolimiter", "pyresilience",
    ):  # fmt: skip
        try:
            decorators = decorated_by(library)
        except ImportError:
            print(f"{library} is not installed and left out")
            continue
        for job, decorate in decorators.items():
            yield Variant(job=job, library=library, call=decorate(work))


async def fastest(measured: list[Variant], *, calls: int, rounds: int) -> list[float]:
    """Return the microseconds per call of each variant in its fastest round."""
    best = [float("inf")] * len(measured)
    for _ in range(rounds):
        for index, variant in enumerate(measured):
            call, started = variant.call, perf_counter()
            for _ in range(calls):
                await call()
            best[index] = min(best[index], (perf_counter() - started) / calls * 1e6)
            await asyncio.sleep(0)  # lets the loop drop cancelled timers, as it does wherever calls really wait
    return best


def main() -> None:
    """Measure and print, job by job."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=3_000, help="calls per round and variant")
    parser.add_argument("--rounds", type=int, default=11)
    arguments = parser.parse_args()
    measured = list(variants())
    times = asyncio.run(fastest(measured, calls=arguments.calls, rounds=arguments.rounds))
    own = {v.job: time for v, time in zip(measured, times, strict=True) if v.library == "schemawire"}
    print(f"{'job':34}{'library':16}{'µs per call':>12}{'× ours':>9}")
    for variant, time in sorted(zip(measured, times, strict=True), key=lambda pair: (pair[0].job, pair[1])):
        print(f"{variant.job:34}{variant.library:16}{time:12.2f}{time / own[variant.job]:9.2f}")


if __name__ == "__main__":
    main()
