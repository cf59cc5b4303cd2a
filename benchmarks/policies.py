"""What each policy adds to a call that needs none of it, alone and together, against a bare await in the same run.

    python benchmarks/policies.py [--calls 5000] [--rounds 15]

Each case is timed in turn, round after round, and its fastest round counts: everything slower is the machine's noise.
To measure another policy, add a line to `cases`.
"""

import argparse
import asyncio
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from time import perf_counter

from schemawire.resilience import (
    AdaptiveLimit,
    Balance,
    Bulkhead,
    Chaos,
    CircuitBreaker,
    Context,
    Deadline,
    Fallback,
    Handler,
    Hedge,
    HedgeConfig,
    Layers,
    Pipeline,
    Policy,
    RateLimit,
    RateLimitConfig,
    Retry,
    RetryBudget,
    SingleFlight,
    Throttle,
    TimeLimiter,
)
from schemawire.resilience.endpoint_state import EndpointState

Call = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One thing to time; `goal` is the most it may add to the case `beside`, in microseconds."""

    name: str
    call: Call
    goal: float | None = None
    beside: str = "bare await"


async def work() -> int:
    """Do nothing, as cheaply as an async function can."""
    return 1


async def innermost(context: Context) -> int:
    """Do nothing, at the bottom of a pipeline."""
    return 1


def default_layers() -> Layers:
    """Return the layers that a client has unless it is told otherwise."""
    return Layers(
        deadline=Deadline(), retry=Retry(), breaker=CircuitBreaker(), bulkhead=Bulkhead(), timeout=TimeLimiter()
    )


def generous_rate() -> RateLimit:
    """Return a rate limit that nothing here reaches."""
    return RateLimit(RateLimitConfig(rate=1e9, burst=1_000_000))


def endpoints(count: int) -> Balance:
    """Return a balancer over `count` endpoints."""
    return Balance(f"http://10.0.0.{number}:8084" for number in range(count))


def all_layers() -> Layers:
    """Return every layer, each in its place."""
    budget = RetryBudget()
    return Layers(
        deadline=Deadline(),
        fallback=Fallback(lambda context, error: None),
        flight=SingleFlight(),
        admission=Throttle(),
        rate=generous_rate(),
        hedge=Hedge(HedgeConfig(delay=1.0), budget=budget),
        retry=Retry(budget=budget),
        pick=endpoints(3),
        breaker=CircuitBreaker(),
        limit=AdaptiveLimit(),
        bulkhead=Bulkhead(),
        timeout=TimeLimiter(),
    )


def one_endpoint() -> EndpointState:
    """Return the record of one endpoint."""
    return EndpointState("http://10.0.0.1:8084", weight=1.0, group=0, decay=10.0)


def alone(name: str, policy: Policy, goal: float) -> Case:
    """Return the case of one policy around a call that has its context already."""
    handler: Handler[int] = policy.bind(innermost)
    return Case(name=name, call=lambda: handler(Context()), goal=goal, beside="a context")


def cases() -> Iterator[Case]:
    """Yield what is timed; the first is the bare await."""
    yield Case(name="bare await", call=work)

    async def context_only() -> Context:
        return Context()

    pipeline = Pipeline(default_layers())
    yield Case(name="a context", call=context_only)
    yield alone("deadline", Deadline(), 3.0)
    yield alone("retry with budget", Retry(), 3.0)
    yield alone("circuit breaker", CircuitBreaker(), 3.0)
    yield alone("bulkhead", Bulkhead(), 3.0)
    yield alone("attempt timeout", TimeLimiter(), 3.0)
    yield alone("rate limit", generous_rate(), 3.0)
    yield alone("adaptive limit", AdaptiveLimit(), 3.0)
    yield alone("throttle", Throttle(), 3.0)
    yield alone("hedge, measured delay", Hedge(), 3.0)
    yield alone("hedge, fixed delay", Hedge(HedgeConfig(delay=1.0)), 3.0)
    yield alone("single flight, no key", SingleFlight(), 3.0)
    yield alone("fallback", Fallback(lambda context, error: None), 3.0)
    yield alone("balance, 3 endpoints", endpoints(3), 3.0)
    yield alone("balance, 100 endpoints", endpoints(100), 3.0)
    yield alone("chaos, all rates 0", Chaos(), 3.0)
    keyed = SingleFlight().bind(innermost)
    yield Case(name="single flight, keyed", call=lambda: keyed(Context(key="k")))
    yield alone("default pipeline", pipeline, 15.0)
    yield alone("all layers", Pipeline(all_layers()), 25.0)
    yield Case(name="await pipeline(call)", call=lambda: pipeline(work), goal=15.0)


async def fastest(measured: list[Case], *, calls: int, rounds: int) -> dict[str, float]:
    """Return the microseconds per call of each case in its fastest round."""
    best = dict.fromkeys((case.name for case in measured), float("inf"))
    for _ in range(rounds):
        for case in measured:
            call, started = case.call, perf_counter()
            for _ in range(calls):
                await call()
            best[case.name] = min(best[case.name], (perf_counter() - started) / calls * 1e6)
            await asyncio.sleep(0)  # lets the loop drop cancelled timers, as it does wherever calls really wait
    return best


def bytes_each(make: Callable[[], object], count: int = 1_000) -> float:
    """Return the bytes that one object keeps, averaged over `count` of them."""
    tracemalloc.start()
    kept = [make() for _ in range(count)]
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return size / len(kept)


def growth(pipeline: Pipeline, calls: int) -> int:
    """Return by how many bytes a pipeline has grown after `calls` calls."""

    async def use(times: int) -> None:
        for _ in range(times):
            await pipeline(work)
            await asyncio.sleep(0)  # lets the loop drop cancelled timers, as it does wherever calls really wait

    async def run() -> int:
        tracemalloc.start()
        await use(2_000)
        before, _ = tracemalloc.get_traced_memory()
        await use(calls)
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return after - before

    return asyncio.run(run())


def print_table(measured: list[Case], best: Mapping[str, float]) -> None:
    """Print what each case adds to the one beside it, and how many bare awaits would fit into it."""
    bare = best[measured[0].name]
    print(f"{'':24}{'µs per call':>12}{'added':>10}{'× bare':>9}{'goal':>9}")
    for case in measured:
        added = best[case.name] - best[case.beside]
        verdict = "" if case.goal is None else f"{case.goal:6.0f} {'ok' if added <= case.goal else 'MISSED'}"
        print(f"{case.name:24}{best[case.name]:12.2f}{added:10.2f}{best[case.name] / bare:9.1f}{verdict:>9}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=5_000, help="calls per round and case")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--growth-calls", type=int, default=20_000, help="calls of the growth test")
    arguments = parser.parse_args()
    measured = list(cases())
    print_table(measured, asyncio.run(fastest(measured, calls=arguments.calls, rounds=arguments.rounds)))
    print()
    kept: tuple[tuple[str, Callable[[], object]], ...] = (
        ("breaker", CircuitBreaker),
        ("bulkhead", Bulkhead),
        ("retry budget", RetryBudget),
        ("adaptive limit", AdaptiveLimit),
        ("rate limit", RateLimit),
        ("endpoint", one_endpoint),
    )
    for name, make in kept:
        print(f"{name:24}{bytes_each(make):12.0f} bytes each")
    for name, layers in (("default pipeline", default_layers()), ("all layers", all_layers())):
        grown = growth(Pipeline(layers), arguments.growth_calls)
        print(f"{name:24}{grown:12.0f} bytes more after {arguments.growth_calls} calls")


if __name__ == "__main__":
    main()
