"""What the client's default layers cost: the same requests through bare aiohttp and through `Client`, in one run.

    python benchmarks/client_overhead.py [--seconds 2]

The server is a process of its own that answers from memory, so the client is what is measured. Rounds alternate, and
the median ratio is printed: it says more than the figures, which depend on the machine and on what else it does.
"""

import argparse
import asyncio
import os
import resource
import statistics
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import aiohttp

from schemawire.transport import Client

BODY = b"x" * 1024
SERVER = f"""
import asyncio
REPLY = b"HTTP/1.1 200 OK\\r\\nContent-Length: {len(BODY)}\\r\\n\\r\\n" + {BODY!r}

class Answering(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
    def data_received(self, chunk):
        self.transport.write(REPLY * chunk.count(b"\\r\\n\\r\\n"))

async def main():
    server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One round: requests per second, CPU microseconds per request, the median and the slowest in a hundred, ms."""

    rate: float
    cpu: float
    p50: float
    p99: float
    fairness: float
    """Requests of the least served task as a share of those of the most served one."""


async def measure(call: Callable[[], Awaitable[None]], concurrency: int, seconds: float) -> Round:
    """Call from so many tasks at once for so long."""
    clock = asyncio.get_running_loop().time
    end = clock() + seconds
    waits: list[float] = []
    served = [0] * concurrency

    async def keep_calling(number: int) -> None:
        while (started := clock()) < end:
            await call()
            waits.append(clock() - started)
            served[number] += 1

    before = resource.getrusage(resource.RUSAGE_SELF)
    started = clock()
    async with asyncio.TaskGroup() as group:
        for number in range(concurrency):
            group.create_task(keep_calling(number))
    took = clock() - started
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Round(
        rate=len(waits) / took,
        cpu=cpu / len(waits) * 1e6,
        p50=statistics.median(waits) * 1e3,
        p99=statistics.quantiles(waits, n=100)[98] * 1e3,
        fairness=min(served) / max(served),
    )


async def compare(url: str, concurrency: int, seconds: float, rounds: int) -> None:
    """Print the medians of both sides and of their ratio."""
    connector = aiohttp.TCPConnector(limit=100)
    async with aiohttp.ClientSession(connector=connector) as session, Client(url) as client:

        async def bare() -> None:
            async with session.get(url + "/") as response:
                assert await response.read() == BODY

        async def layered() -> None:
            response = await client.request("GET", "/")
            assert response.body == BODY

        sides = (bare, layered)
        pairs = [[await measure(call, concurrency, seconds) for call in sides] for _ in range(rounds)]
    for name, index in (("bare aiohttp", 0), ("Client", 1)):
        side = [pair[index] for pair in pairs]
        median = {field: statistics.median(getattr(each, field) for each in side) for field in Round.__slots__}
        print(
            f"  {name:<13}{median['rate']:>8.0f} requests/s {median['cpu']:>7.0f} µs CPU"
            f" {median['p99']:>8.1f} ms p99 {median['fairness']:>6.2f} fairness"
        )
    print(f"  ratio        {statistics.median(pair[1].rate / pair[0].rate for pair in pairs):>8.2f}")


def main() -> None:
    """Measure at several numbers of tasks."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seconds", type=float, default=2.0, help="of each round")
    arguments.add_argument("--rounds", type=int, default=3)
    given = arguments.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    server = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{int(server.stdout.readline())}"
        os.sched_setaffinity(server.pid, {cores[-1]})
        os.sched_setaffinity(0, {cores[0]})
        for concurrency in (1, 16, 128):
            print(f"{concurrency} at once")
            asyncio.run(compare(url, concurrency, given.seconds, given.rounds))
    finally:
        server.kill()
        server.wait()


if __name__ == "__main__":
    main()
