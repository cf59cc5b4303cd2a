"""One handler call against the same call made the old way, a new httpx client for each, in one run.

Both sides talk to the same real service, in turn, so that a change of the machine's speed hits both alike.

    python benchmarks/handler_call.py [--calls 300]
"""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable
from importlib import import_module
from os import getpid, sysconf
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from schemawire import DomainSchemaHandler
from schemawire.testing.service_process import ServiceProcess

try:
    httpx: Any = import_module("httpx")  # the peer that is measured; nothing of ours imports it
except ImportError:
    sys.exit("SKIPPED: the peer is not installed; run: pip install httpx==0.28.1")

PROJECT = "bench"
Call = Callable[[int], Awaitable[None]]


def update(number: int) -> dict[str, Any]:
    """A write that changes one field's description."""
    return {"operation": "update_field", "data": {"entity": "Post", "name": "title", "description": f"no. {number}"}}


async def timed(call: Call, number: int) -> float:
    """Seconds that one call takes."""
    start = perf_counter()
    await call(number)
    return perf_counter() - start


async def compare(ours: Call, theirs: Call, calls: int) -> tuple[list[float], list[float]]:
    """Time both sides in turn."""
    for number in range(10):
        await ours(-number)
        await theirs(-100 - number)
    own, other = [], []
    for number in range(calls):
        own.append(await timed(ours, 2 * number))
        other.append(await timed(theirs, 2 * number + 1))
    return own, other


def report(title: str, own: list[float], other: list[float]) -> None:
    """Print both medians and the ratio."""
    ratio = median(a / b for a, b in zip(own, other, strict=True))
    tail = [quantiles(times, n=100)[98] * 1000 for times in (own, other)]
    print(
        f"{title:28} handler {median(own) * 1000:7.2f} ms (p99 {tail[0]:7.2f})   "
        f"httpx, new client {median(other) * 1000:7.2f} ms (p99 {tail[1]:7.2f})   ratio {ratio:.3f}"
    )


async def measure(url: str, key: str, calls: int) -> None:
    """Run both comparisons against a running service."""
    headers = {"Authorization": f"Bearer {key}"}

    async def old_write(number: int) -> None:
        async with httpx.AsyncClient() as client:
            body = {"projectId": PROJECT, "operations": [update(number)]}
            reply = await client.post(f"{url}/api/domain-schema/batch", json=body, headers=headers)
            reply.raise_for_status()

    async def old_read(_: int) -> None:
        async with httpx.AsyncClient() as client:
            (await client.get(f"{url}/api/domain-schema/{PROJECT}", headers=headers)).raise_for_status()

    async with DomainSchemaHandler(url, key) as handler:
        await handler.analyze_and_send_domain("Create a blog system with posts (title) and comments", PROJECT)

        async def write(number: int) -> None:
            await handler.batch_operations([update(number)], PROJECT)

        async def read(_: int) -> None:
            await handler.get_schema(PROJECT)

        report("write, one operation", *await compare(write, old_write, calls))
        report("read, whole schema", *await compare(read, old_read, calls))


def resident(pid: int) -> float:
    """Resident memory of a process in MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
    return pages * sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    """Start a service, measure, stop it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=300)
    options = parser.parse_args()
    with TemporaryDirectory() as folder, ServiceProcess(folder) as service:
        asyncio.run(measure(service.base_url, service.admin_key, options.calls))
        print(
            f"resident at the end: service {resident(service.pid):.0f} MB, this process with the handler and the peer "
            f"{resident(getpid()):.0f} MB"
        )


if __name__ == "__main__":
    main()
