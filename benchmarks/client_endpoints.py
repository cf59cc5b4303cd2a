"""`Client` over several endpoints: one of three slow, one of three killed, and what its pool saves of setting up.

    python benchmarks/client_endpoints.py [--calls 3000] [--rounds 3]

The endpoints are processes of their own that answer after 5 ms, plus up to 2 ms at random; the slow one takes 100 ms
more. Each figure is the median of the rounds, in which the cases take turns.
"""

import argparse
import asyncio
import ssl
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import perf_counter

from schemawire.resilience import HedgeConfig
from schemawire.transport import Client, PoolConfig, TlsConfig

CALLERS = 12
SERVER = """
import asyncio, random, ssl, sys
REPLY = b"HTTP/1.1 200 OK\\r\\nContent-Length: 4\\r\\n\\r\\nfine"

class Answering(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
    def data_received(self, chunk):
        for _ in range(chunk.count(b"\\r\\n\\r\\n")):
            asyncio.get_running_loop().call_later(DELAY + random.random() * JITTER, self.answer)
    def answer(self):
        if not self.transport.is_closing():
            self.transport.write(REPLY)

async def main():
    context = None
    if len(sys.argv) > 3:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[3])
    server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", 0, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

DELAY, JITTER = float(sys.argv[1]), float(sys.argv[2])
asyncio.run(main())
"""


class Endpoint:
    """A server process and its address."""

    def __init__(self, *, delay: float, jitter: float = 0.002, certificate: Path | None = None) -> None:
        arguments = [str(delay), str(jitter), *([] if certificate is None else [str(certificate)])]
        self.process = subprocess.Popen([sys.executable, "-c", SERVER, *arguments], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        scheme = "http" if certificate is None else "https"
        self.url = f"{scheme}://127.0.0.1:{int(self.process.stdout.readline())}"

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait()


@contextmanager
def endpoints(*delays: float) -> Iterator[list[Endpoint]]:
    """Run one endpoint for each delay."""
    with ExitStack() as stack:
        started = []
        for delay in delays:
            started.append(Endpoint(delay=delay))
            stack.callback(started[-1].kill)
        yield started


async def spread(client: Client, calls: int, at_half: Callable[[], None] = lambda: None) -> tuple[list[float], int]:
    """Call from several tasks; return the seconds of each call, and how many failed."""
    left, waits, failed = calls, list[float](), 0

    async def keep_calling() -> None:
        nonlocal left, failed
        while left > 0:
            left -= 1
            if left == calls // 2:
                at_half()
            began = perf_counter()
            try:
                failed += (await client.request("GET", "/")).status != 200
            except Exception as error:
                failed += 1
                print(f"    {error}")
            waits.append(perf_counter() - began)

    async with asyncio.TaskGroup() as group:
        for _ in range(CALLERS):
            group.create_task(keep_calling())
    return waits, failed


def p99(waits: list[float]) -> float:
    """Return the time that one call in a hundred exceeds, ms."""
    return statistics.quantiles(waits, n=100)[98] * 1e3


async def one_slow(calls: int, rounds: int) -> None:
    """Compare the slowest in a hundred with and without a slow endpoint."""
    seen: dict[str, list[float]] = {}
    for _ in range(rounds):
        for name, delays in (("three healthy", (0.005,) * 3), ("one of three slow", (0.005, 0.005, 0.105))):
            with endpoints(*delays) as started:
                async with Client([each.url for each in started], hedge=HedgeConfig()) as client:
                    await spread(client, 200)
                    waits, failed = await spread(client, calls)
            assert failed == 0
            seen.setdefault(name, []).append(p99(waits))
    healthy, slow = (statistics.median(each) for each in seen.values())
    ratio = statistics.median(b / a for a, b in zip(*seen.values(), strict=True))
    print(
        f"  p99: {healthy:.1f} ms with three healthy, {slow:.1f} ms with one of them 100 ms slower: ratio {ratio:.2f}"
    )


async def one_killed(calls: int, rounds: int) -> None:
    """Kill one endpoint in the middle of the calls."""
    failures, slowest = 0, list[float]()
    for _ in range(rounds):
        with endpoints(0.005, 0.005, 0.005) as started:
            async with Client([each.url for each in started]) as client:
                waits, failed = await spread(client, calls, started[0].kill)
        failures += failed
        slowest.append(max(waits) * 1e3)
    print(f"  one killed: {failures} of {calls * rounds} calls failed; slowest {statistics.median(slowest):.0f} ms")


async def pool_saves(rounds: int) -> None:
    """Compare what setting up costs a call without and with the pool, over TCP and over TLS."""
    with tempfile.TemporaryDirectory() as folder:
        certificate = self_signed(Path(folder))
        for name, chosen, tls in (("TCP", None, None), ("TLS", certificate, TlsConfig(ca_file=certificate))):
            server = Endpoint(delay=0.0, jitter=0.0, certificate=chosen)
            try:
                kept = Client(server.url, tls=tls)
                each = Client(server.url, tls=tls, pool=PoolConfig(keepalive_expiry=0.0))
                async with kept, each:
                    await kept.request("GET", "/")
                    pairs = [(await timed(each), await timed(kept)) for _ in range(rounds * 100)]
                    setups = kept.statistics().wire
            finally:
                server.kill()
            without, with_pool = (statistics.median(side) * 1e6 for side in zip(*pairs, strict=True))
            print(
                f"  {name}: {without:.0f} µs a call with a new connection, {with_pool:.0f} µs with the pool;"
                f" {setups.open_connections} connection for {setups.requests} requests:"
                f" {1 - (setups.open_connections or 0) / setups.requests:.1%} of the set-up saved"
            )


async def timed(client: Client) -> float:
    """Return the seconds of one call."""
    began = perf_counter()
    await client.request("GET", "/")
    return perf_counter() - began


def self_signed(folder: Path) -> Path:
    """Make a certificate for 127.0.0.1 that is its own authority, with its key in the same file."""
    path, key = folder / "both.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(path)],
        check=True, capture_output=True,
    )  # fmt: skip
    path.write_bytes(path.read_bytes() + key.read_bytes())
    ssl.create_default_context(cafile=path)
    return path


def main() -> None:
    """Measure one case after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=3000, help="in each round")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    cases: list[Coroutine[None, None, None]] = [
        one_slow(given.calls, given.rounds), one_killed(given.calls, given.rounds), pool_saves(given.rounds),
    ]  # fmt: skip
    for case in cases:
        asyncio.run(case)


if __name__ == "__main__":
    main()
