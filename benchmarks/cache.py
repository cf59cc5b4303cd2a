"""What a stored response costs: warm hits from memory and from SQLite beside the same request through bare aiohttp.

    python benchmarks/cache.py [--seconds 1]

The origin is a process of its own that answers from memory, so bare aiohttp is as fast here as a network ever lets it
be. Rounds alternate, and the medians are printed; the ratios say more than the figures, which depend on the machine.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp

from schemawire.transport import CacheConfig, Client

BODY = b"x" * 1024
SERVER = f"""
import asyncio
HEAD = b"HTTP/1.1 200 OK\\r\\nCache-Control: max-age=3600\\r\\nETag: \\"a\\"\\r\\nVary: Accept\\r\\n"
REPLY = HEAD + b"Content-Length: {len(BODY)}\\r\\n\\r\\n" + {BODY!r}

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

Call = Callable[[], Awaitable[None]]


async def measure(call: Call, concurrency: int, seconds: float) -> float:
    """Return calls per second from so many tasks at once."""
    clock = asyncio.get_running_loop().time
    started, made = clock(), 0

    async def keep_calling() -> None:
        nonlocal made
        while clock() < started + seconds:
            await call()
            made += 1
            # A hit in memory waits for nothing, and so would never let the other tasks run.
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(keep_calling())
    return made / (clock() - started)


def reading(client: Client) -> Call:
    """Return a call that must come out with the whole body."""

    async def call() -> None:
        response = await client.request("GET", "/")
        assert response.body == BODY

    return call


async def compare(url: str, seconds: float, rounds: int) -> None:
    """Print the medians of every side at 1 and 16 callers."""
    with tempfile.TemporaryDirectory() as folder:
        memory, file = CacheConfig(), CacheConfig(path=Path(folder) / "cache.db", front=0.0)
        fronted = CacheConfig(path=Path(folder) / "fronted.db")
        async with (
            aiohttp.ClientSession() as session,
            Client(url) as plain,
            Client(url, cache=memory) as in_memory,
            Client(url, cache=file) as in_file,
            Client(url, cache=fronted) as behind_memory,
        ):

            async def bare() -> None:
                async with session.get(url + "/") as response:
                    assert await response.read() == BODY

            sides: dict[str, Call] = {
                "bare aiohttp": bare,
                "Client, no cache": reading(plain),
                "Client, hit in memory": reading(in_memory),
                "Client, hit in SQLite": reading(in_file),
                "Client, memory before": reading(behind_memory),
            }
            for call in sides.values():
                await call()
            for concurrency in (1, 16):
                await show(sides, concurrency, seconds, rounds)


async def show(sides: dict[str, Call], concurrency: int, seconds: float, rounds: int) -> None:
    """Measure the sides in turn and print their medians."""
    rates: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, call in sides.items():
            rates[name].append(await measure(call, concurrency, seconds))
    base = statistics.median(rates["bare aiohttp"])
    print(f"{concurrency} at once")
    for name, each in rates.items():
        rate = statistics.median(each)
        print(f"  {name:<22}{rate:>9.0f} calls/s {1e6 / rate:>8.1f} µs per call {rate / base:>7.2f} × bare aiohttp")


def main() -> None:
    """Start the origin and compare."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seconds", type=float, default=1.0, help="of each round")
    arguments.add_argument("--rounds", type=int, default=5)
    given = arguments.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    server = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{int(server.stdout.readline())}"
        os.sched_setaffinity(server.pid, {cores[-1]})
        os.sched_setaffinity(0, {cores[0], cores[len(cores) // 2]})
        asyncio.run(compare(url, given.seconds, given.rounds))
    finally:
        server.kill()
        server.wait()


if __name__ == "__main__":
    main()
