"""The same jobs done by this library and by its peers, side by side in one process.

    pip install -r requirements-bench.txt   # in a scratch environment
    PYTHONPATH=src python benchmarks/resilience_peers.py [--calls 3000] [--rounds 15] [--growth-calls 1000000]

Each contender wraps the same empty coroutine function. They are timed in turn, round after round, and the fastest round
counts. Each is used in its own idiom, with what the job needs and no more: where a peer cannot do a job, it is left out
of it and named in the notes below the table. A peer that is not installed is named and skipped; none of them is a
dependency of this project.
"""

import argparse
import asyncio
import gc
import importlib
import tracemalloc
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from schemawire.resilience import (
    CircuitBreaker,
    CircuitBreakerConfig,
    Deadline,
    DeadlineConfig,
    Layers,
    Pipeline,
    RateLimit,
    RateLimitConfig,
    Retry,
    RetryBudgetConfig,
    RetryConfig,
    TimeLimiter,
    TimeLimiterConfig,
)

PEERS = ("tenacity", "stamina", "pyresilience", "circuitbreaker", "purgatory", "pybreaker", "aiolimiter")
OURS = "schemawire"
UNLIMITED = RetryBudgetConfig(ratio=10.0, floor_per_second=100_000.0)
NOTES = """\
- failures in a row: all that circuitbreaker, purgatory and pybreaker count, and the default of pyresilience, which
  takes a lock around it. Ours needs none, as nothing in it waits.
- failure rate: ours over the last 10 s, beside failures in a row; pyresilience over the last 100 calls. The other
  three know no rate. circuitbreaker, which asks for no time on a good call, is then a little cheaper than ours: its
  line above against ours here says by how much.
- one retry: ours pays from a retry budget too; tenacity, stamina and pyresilience as used here have none.
- pybreaker guards coroutines only through tornado, which is most of what it costs.
"""
Call = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One way to do a job."""

    job: str
    library: str
    call: Call


async def work() -> int:
    """Do nothing, as cheaply as an async function can."""
    return 1


def failing_every_other_time() -> Call:
    """Return a function that fails on every other call, so that each job needs exactly one retry."""
    turn = 0

    async def flaky() -> int:
        nonlocal turn
        turn += 1
        if turn % 2:
            raise ConnectionError
        return 1

    return flaky


def find_peers() -> dict[str, Any]:
    """Import the peers that are installed, say aloud which are not, and switch off what one writes at each retry."""
    found: dict[str, Any] = {}
    for name in PEERS:
        try:
            found[name] = importlib.import_module(name)
        except ImportError:
            print(f"SKIPPED: {name} is not installed; pip install {name}")
    if stamina := found.get("stamina"):
        stamina.instrumentation.set_on_retry_hooks([])
    return found


def retries(peers: dict[str, Any]) -> Iterator[Contender]:
    """Yield a call that succeeds at once, and one that needs one retry without a pause."""
    for job, make in (("retry, not needed", lambda: work), ("retry, once, no pause", failing_every_other_time)):
        ours = Retry(RetryConfig(max_retries=3, transient_base=0.0))
        ours.budget.replace_options(UNLIMITED)
        yield Contender(job=job, library=OURS, call=ours.wrap(make()))
        if tenacity := peers.get("tenacity"):
            decorate = tenacity.retry(stop=tenacity.stop_after_attempt(4), wait=tenacity.wait_none())
            yield Contender(job=job, library="tenacity", call=decorate(make()))
        if stamina := peers.get("stamina"):
            decorate = stamina.retry(on=Exception, attempts=4, wait_initial=0.0, wait_max=0.0, wait_jitter=0.0)
            yield Contender(job=job, library="stamina", call=decorate(make()))
        if pyresilience := peers.get("pyresilience"):
            config = pyresilience.RetryConfig(max_attempts=4, delay=0.0, max_delay=0.0, jitter=False)
            yield Contender(job=job, library="pyresilience", call=pyresilience.resilient(retry=config)(make()))


def breakers(peers: dict[str, Any]) -> Iterator[Contender]:
    """Yield a call through a closed circuit breaker that counts failures in a row, and one that watches a rate."""
    job = "breaker, failures in a row"
    ours = CircuitBreaker(CircuitBreakerConfig(failure_rate=None))
    yield Contender(job=job, library=OURS, call=ours.wrap(work))
    if circuitbreaker := peers.get("circuitbreaker"):
        yield Contender(job=job, library="circuitbreaker", call=circuitbreaker.circuit(name="bench")(work))
    if purgatory := peers.get("purgatory"):
        yield Contender(job=job, library="purgatory", call=purgatory.AsyncCircuitBreakerFactory()("bench")(work))
    if pyresilience := peers.get("pyresilience"):
        config = pyresilience.CircuitBreakerConfig()
        yield Contender(job=job, library="pyresilience", call=pyresilience.resilient(circuit_breaker=config)(work))
    if pybreaker := peers.get("pybreaker"):
        yield from _pybreaker(pybreaker, job)
    job = "breaker, failure rate"
    yield Contender(job=job, library=OURS, call=CircuitBreaker().wrap(work))
    if pyresilience := peers.get("pyresilience"):
        config = pyresilience.CircuitBreakerConfig(sliding_window_size=100, failure_rate_threshold=0.5)
        yield Contender(job=job, library="pyresilience", call=pyresilience.resilient(circuit_breaker=config)(work))


def _pybreaker(pybreaker: Any, job: str) -> Iterator[Contender]:
    breaker = pybreaker.CircuitBreaker()
    if not getattr(pybreaker, "HAS_TORNADO_SUPPORT", True):
        print("SKIPPED: pybreaker guards coroutines only through tornado; pip install tornado")
        return

    async def guarded() -> object:
        return await breaker.call_async(work)

    yield Contender(job=job, library="pybreaker", call=guarded)


def limits(peers: dict[str, Any]) -> Iterator[Contender]:
    """Yield a call through a rate limit with room, and one under a time limit."""
    job = "rate limit, with room"
    limit_of_ours = RateLimit(RateLimitConfig(rate=1e9, burst=1_000_000))

    async def in_block() -> object:
        async with limit_of_ours:
            return await work()

    yield Contender(job=job, library=OURS, call=in_block)
    if aiolimiter := peers.get("aiolimiter"):
        limiter = aiolimiter.AsyncLimiter(1e9, 1.0)

        async def limited() -> object:
            async with limiter:
                return await work()

        yield Contender(job=job, library="aiolimiter", call=limited)
    if pyresilience := peers.get("pyresilience"):
        config = pyresilience.RateLimiterConfig(max_calls=1_000_000_000, period=1.0)
        yield Contender(job=job, library="pyresilience", call=pyresilience.resilient(rate_limiter=config)(work))

    job = "time limit"
    limiter_of_ours = TimeLimiter(TimeLimiterConfig(attempt=10.0))
    yield Contender(job=job, library=OURS, call=limiter_of_ours.wrap(work))

    async def timed() -> object:
        async with asyncio.timeout(10.0):
            return await work()

    yield Contender(job=job, library="asyncio.timeout", call=timed)
    if pyresilience := peers.get("pyresilience"):
        limit = pyresilience.TimeoutConfig(seconds=10.0)
        yield Contender(job=job, library="pyresilience", call=pyresilience.resilient(timeout=limit)(work))


def together(peers: dict[str, Any]) -> Iterator[Contender]:
    """Yield retry, breaker and time limit around one call."""
    job = "retry + breaker + time limit"
    yield Contender(job=job, library=OURS, call=three_layers().wrap(work))
    if pyresilience := peers.get("pyresilience"):
        decorate = pyresilience.resilient(
            retry=pyresilience.RetryConfig(),
            timeout=pyresilience.TimeoutConfig(seconds=10.0),
            circuit_breaker=pyresilience.CircuitBreakerConfig(),
        )
        yield Contender(job=job, library="pyresilience", call=decorate(work))
    if "tenacity" in peers and "circuitbreaker" in peers:
        tenacity, circuitbreaker = peers["tenacity"], peers["circuitbreaker"]

        async def timed() -> object:
            async with asyncio.timeout(10.0):
                return await work()

        guarded = circuitbreaker.circuit(name="together")(timed)
        call = tenacity.retry(stop=tenacity.stop_after_attempt(4), wait=tenacity.wait_none())(guarded)
        yield Contender(job=job, library="tenacity + circuitbreaker", call=call)


def three_layers() -> Pipeline:
    """Return retry with budget, breaker and an attempt timeout."""
    return Pipeline(
        Layers(retry=Retry(), breaker=CircuitBreaker(), timeout=TimeLimiter(TimeLimiterConfig(attempt=10.0)))
    )


async def fastest(contenders: list[Contender], *, calls: int, rounds: int) -> list[float]:
    """Return the microseconds per call of each contender in its fastest round."""
    best = [float("inf")] * len(contenders)
    for _ in range(rounds):
        for index, contender in enumerate(contenders):
            call, started = contender.call, perf_counter()
            for _ in range(calls):
                await call()
            best[index] = min(best[index], (perf_counter() - started) / calls * 1e6)
            await asyncio.sleep(0)  # lets the loop drop cancelled timers, as it does wherever calls really wait
    return best


async def growth(call: Call, calls: int) -> int:
    """Return by how many bytes the process has grown after `calls` calls."""
    await _make(call, 5_000)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    await _make(call, calls)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return after - before


async def _make(call: Call, calls: int) -> None:
    for index in range(calls):
        await call()
        if index % 100 == 0:
            await asyncio.sleep(0)  # as in a program that does other things: the loop drops cancelled timers
    await asyncio.sleep(0)
    gc.collect()


def print_table(contenders: list[Contender], best: list[float]) -> bool:
    """Print a table with the ratio to ours; return whether ours is the fastest at every job."""
    ours = {contender.job: time for contender, time in zip(contenders, best, strict=True) if contender.library == OURS}
    fastest_everywhere = True
    print(f"{'job':30}{'library':28}{'µs per call':>12}{'× ours':>9}")
    for contender, time in zip(contenders, best, strict=True):
        ratio = time / ours[contender.job]
        fastest_everywhere = fastest_everywhere and ratio >= 1.0
        print(f"{contender.job:30}{contender.library:28}{time:12.2f}{ratio:9.2f}")
    return fastest_everywhere


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=3_000, help="calls per round and contender")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--growth-calls", type=int, default=0, help="calls of the growth test, 0 for none")
    arguments = parser.parse_args()
    peers = find_peers()
    contenders = [*retries(peers), *breakers(peers), *limits(peers), *together(peers)]
    best = asyncio.run(fastest(contenders, calls=arguments.calls, rounds=arguments.rounds))
    print("ours is the fastest at every job" if print_table(contenders, best) else "a peer is faster at some job")
    print(f"\n{NOTES}")
    if arguments.growth_calls:
        whole = Pipeline([Deadline(DeadlineConfig(total=60.0)), *three_layers().layers.values()])
        grown = asyncio.run(growth(whole.wrap(work), arguments.growth_calls))
        print(
            f"{grown} bytes more after {arguments.growth_calls} calls through deadline, retry, breaker and time limit"
        )


if __name__ == "__main__":
    main()
