"""`Client` against its peers, in one run: rate, CPU, waits, fairness and memory at several concurrencies.

    python benchmarks/client_peers.py [--seconds 2] [--rounds 3] [--at 1 16 128 512] [--only NAME …]

The server is a process of its own that answers 1 KiB from memory, and the client is held to one core. In each round the
peers take turns, so that a change of the machine's speed hits all alike, and the ratio to bare aiohttp is the median of
the rounds' ratios. Peers that are not installed are named and skipped: requirements-bench.txt lists them.
"""

import argparse
import asyncio
import gc
import os
import resource
import statistics
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import aiohttp

from client_overhead import BODY, SERVER, Round, measure
from schemawire.resilience import AdaptiveLimitConfig, HedgeConfig, RateLimitConfig, ThrottleConfig
from schemawire.transport import Client, SlowDownConfig

Call = Callable[[], Awaitable[None]]
BASELINE = "bare aiohttp"
EVERYTHING: dict[str, Any] = {
    "throttle": ThrottleConfig(),
    "rate": RateLimitConfig(rate=1e6, burst=1000),
    "hedge": HedgeConfig(),
    "slow_down": SlowDownConfig(),
    "limit": AdaptiveLimitConfig(initial=100, highest=1000, max_waiting=10_000, max_wait=30.0),
}


async def checked(reply: Awaitable[Any]) -> None:
    """Look at a reply of ours."""
    assert (await reply).body == BODY


@asynccontextmanager
async def ours(url: str, **options: Any) -> AsyncIterator[Call]:
    """Yield a call through `Client`."""
    async with Client(url, **options) as client:
        yield lambda: checked(client.request("GET", "/"))


@asynccontextmanager
async def bare_aiohttp(url: str) -> AsyncIterator[Call]:
    """Yield a call through aiohttp with its own limit of 100 connections."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=100)) as session:

        async def call() -> None:
            async with session.get(url + "/") as response:
                assert await response.read() == BODY

        yield call


@asynccontextmanager
async def tenacity_aiohttp(url: str) -> AsyncIterator[Call]:
    """Yield a call through aiohttp that tenacity repeats."""
    tenacity = import_module("tenacity")
    async with bare_aiohttp(url) as call:
        waits = tenacity.wait_exponential_jitter(multiplier=0.1, max=5)
        yield tenacity.retry(stop=tenacity.stop_after_attempt(4), wait=waits)(call)


@asynccontextmanager
async def bare_httpx2(url: str) -> AsyncIterator[Call]:
    """Yield a call through httpx2 as it comes."""
    httpx2 = import_module("httpx2")
    async with httpx2.AsyncClient(timeout=60.0) as client:
        yield getting(client, url)


@asynccontextmanager
async def bare_pyreqwest(url: str) -> AsyncIterator[Call]:
    """Yield a call through pyreqwest as it comes."""
    builder = import_module("pyreqwest.client").ClientBuilder()
    async with builder.no_proxy().http1_only().build() as client:

        async def call() -> None:
            response = await client.get(url + "/").build().send()
            assert bytes(await response.bytes()) == BODY

        yield call


@asynccontextmanager
async def older_stack(url: str) -> AsyncIterator[Call]:
    """Yield a call through what the older client was made of."""
    httpx, backoff, breaker = (import_module(name) for name in ("httpx", "backoff", "circuitbreaker"))
    async with httpx.AsyncClient(timeout=60.0) as client:
        guarded = breaker.circuit(failure_threshold=5, recovery_timeout=30)(getting(client, url))
        yield backoff.on_exception(backoff.expo, httpx.HTTPError, max_tries=4)(guarded)


@asynccontextmanager
async def httpx_retries(url: str) -> AsyncIterator[Call]:
    """Yield a call through httpx with a retrying transport."""
    httpx, retries = import_module("httpx"), import_module("httpx_retries")
    async with httpx.AsyncClient(transport=retries.RetryTransport(), timeout=60.0) as client:
        yield getting(client, url)


def getting(client: Any, url: str) -> Call:
    """Return a call through a client of httpx or httpx2."""

    async def call() -> None:
        assert (await client.get(url + "/")).content == BODY

    return call


PEERS: dict[str, Callable[[str], Any]] = {
    BASELINE: bare_aiohttp,
    "Client": ours,
    "Client, every layer": lambda url: ours(url, **EVERYTHING),
    "Client, fast wire": lambda url: ours(url, wire="pyreqwest"),
    "Client, fast wire, every layer": lambda url: ours(url, wire="pyreqwest", **EVERYTHING),
    "bare pyreqwest": bare_pyreqwest,
    "bare httpx2": bare_httpx2,
    "tenacity + aiohttp": tenacity_aiohttp,
    "httpx + backoff + circuitbreaker": older_stack,
    "httpx-retries": httpx_retries,
}


async def compare(url: str, names: list[str], concurrency: int, seconds: float, rounds: int) -> None:
    """Measure all peers at one concurrency and print them."""
    async with AsyncExitStack() as stack:
        calls = {}
        for name in names:
            try:
                calls[name] = await stack.enter_async_context(PEERS[name](url))
            except ImportError as error:
                print(f"  SKIPPED {name}: {error}")
        seen: dict[str, list[Round]] = {name: [] for name in calls}
        grown = dict.fromkeys(calls, 0)
        for _ in range(rounds):
            for name, call in calls.items():
                gc.collect()
                before = memory_kib()
                # Fairness says nothing before every task has been served often.
                seen[name].append(await measure(call, concurrency, seconds * max(1.0, concurrency / 128)))
                grown[name] = max(grown[name], memory_kib() - before)
    for name, each in seen.items():
        show(name, each, seen.get(BASELINE, each), grown[name])


def show(name: str, rounds: list[Round], baseline: list[Round], grown: int) -> None:
    """Print the medians of one peer."""
    median = {field: statistics.median(getattr(each, field) for each in rounds) for field in Round.__slots__}
    ratio = statistics.median(one.rate / other.rate for one, other in zip(rounds, baseline, strict=True))
    cpu = statistics.median(other.cpu / one.cpu for one, other in zip(rounds, baseline, strict=True))
    print(
        f"  {name:<33}{median['rate']:>7.0f}/s  ratio {ratio:5.2f}  {median['cpu']:>5.0f} µs CPU (ratio {cpu:5.2f})"
        f"  p50 {median['p50']:>7.1f} ms  p99 {median['p99']:>8.1f} ms  fairness {median['fairness']:.2f}"
        f"  +{grown / 1024:.1f} MiB"
    )


def memory_kib() -> int:
    """Return the resident memory now; the peak would show only the first peer that needs much."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() // 1024


def main() -> None:
    """Measure at several concurrencies."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each round; four times as many at 512")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--at", type=int, nargs="+", default=[1, 16, 128, 512], help="callers at once")
    parser.add_argument("--only", nargs="+", choices=sorted(PEERS), default=list(PEERS))
    given = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    server = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{int(server.stdout.readline())}"
        os.sched_setaffinity(server.pid, {cores[-1]})
        os.sched_setaffinity(0, {cores[0]})
        for concurrency in given.at:
            print(f"{concurrency} at once", flush=True)
            asyncio.run(compare(url, given.only, concurrency, given.seconds, given.rounds))
    finally:
        server.kill()
        server.wait()


if __name__ == "__main__":
    main()
