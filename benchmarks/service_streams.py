"""A schema of a million elements in and out of the service: elements per second, peak memory, and who waits meanwhile.

    python benchmarks/service_streams.py [--elements 1000000]

The service runs as a process of its own on a fresh SQLite file (`synchronous=FULL`). While the schema comes in, and
while 20,000 entities are replaced by one PUT, another caller changes another project one operation at a time: its
longest wait shows how long the one writing thread was held. Rates are by the wall clock on a machine that also makes
the lines and reads the replies; the processor time of the service beside them is what neighbours disturb least. Bare
SQLite reading the same rows in the same order is the peer.
"""

import argparse
import asyncio
import hashlib
import json
import os
import sqlite3
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from schemawire.testing.service_process import ServiceProcess

ROOT = "/api/domain-schema"
PORTION = 2_000


@dataclass(slots=True)
class Neighbour:
    """What another caller's small writes took, in seconds."""

    waits: list[float] = field(default_factory=list)

    @property
    def longest(self) -> float:
        """The longest wait."""
        return max(self.waits, default=0.0)


def lines(count: int) -> Iterator[bytes]:
    """Yield a header, `count` entities in portions, and the trailer."""
    yield b'{"type":"header","header":{"name":"large"}}\n'
    seen = hashlib.sha256()
    for start in range(0, count, PORTION):
        portion = b"".join(
            b'{"type":"element","kind":"entity","element":{"name":"E%07d","fields":[{"name":"id","type":"uuid"}]}}\n'
            % i
            for i in range(start, min(start + PORTION, count))
        )
        seen.update(portion)
        yield portion
    trailer = {"type": "trailer", "elementCount": count, "streamDigest": seen.hexdigest()}
    yield json.dumps(trailer).encode() + b"\n"


async def sent(count: int) -> AsyncIterator[bytes]:
    """Yield the lines to whoever sends them."""
    for portion in lines(count):
        yield portion


@asynccontextmanager
async def neighbour(session: aiohttp.ClientSession) -> AsyncIterator[Neighbour]:
    """Write to another project all the time, and note how long each write takes."""
    found = Neighbour()

    async def write() -> None:
        for number in range(10**9):
            # Always the same element: a project that grows would take memory of its own.
            operation = {"operation": "update_entity", "data": {"name": "N", "description": f"the {number}th"}}
            began = time.monotonic()
            async with session.patch(f"{ROOT}/neighbour", json=operation) as reply:
                assert reply.status == 200, await reply.text()
            found.waits.append(time.monotonic() - began)
            await asyncio.sleep(0.01)

    async with session.put(f"{ROOT}/neighbour", json={"name": "neighbour", "entities": [{"name": "N"}]}) as reply:
        assert reply.status in (200, 201)
    writing = asyncio.create_task(write())
    try:
        yield found
    finally:
        writing.cancel()
        await asyncio.wait([writing])


def processor_time(pid: int) -> float:
    """Return the seconds that a process has spent in user and system mode. *Source:* proc(5), fields 14 and 15."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def peak_memory(pid: int) -> float:
    """Return the most resident memory that a process has had, in MB. *Source:* proc(5), VmHWM."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1000


async def upload(session: aiohttp.ClientSession, count: int) -> None:
    """Send a schema as a stream."""
    headers = {"Content-Type": "application/x-ndjson"}
    async with session.put(f"{ROOT}/large/stream", data=sent(count), headers=headers) as reply:
        assert reply.status == 201, await reply.text()


async def download(session: aiohttp.ClientSession, accept: str) -> int:
    """Read a schema as a stream, and return how many bytes came."""
    size = 0
    tail = b""
    async with session.get(f"{ROOT}/large/stream?chunkSize=5000", headers={"Accept": accept}) as reply:
        assert reply.status == 200
        async for chunk in reply.content.iter_any():
            size += len(chunk)
            tail = (tail + chunk)[-400:]
    assert b"trailer" in tail, tail
    return size


async def put_many(session: aiohttp.ClientSession, count: int, field_name: str) -> None:
    """Replace a whole schema by one document."""
    fields = [{"name": field_name, "type": "string"}]
    entities = [{"name": f"E{number}", "fields": fields} for number in range(count)]
    async with session.put(f"{ROOT}/document", json={"name": "document", "entities": entities}) as reply:
        assert reply.status in (200, 201), await reply.text()


def read_bare(path: Path) -> float:
    """Return the rows per second of SQLite alone, reading the rows of the large schema in order."""
    began = time.monotonic()
    query = "SELECT kind_rank, key, body FROM elements WHERE project_id LIKE '~%' ORDER BY project_id, kind_rank, key"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as conn:
        count = sum(1 for _ in conn.execute(query))
    return count / (time.monotonic() - began)


async def measure(service: ServiceProcess, count: int) -> None:
    """Measure all of it and print as it goes."""
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(service.base_url, headers=service.headers, timeout=timeout) as session:
        print(f"{'what':<34}{'elements/s':>12}{'service µs':>12}{'peak MB':>9}{'longest wait ms':>17}")
        async with neighbour(session) as other:
            await timed("upload", service.pid, count, upload(session, count), other)
        for accept in ("application/x-ndjson", "text/event-stream"):
            await timed(f"download {accept}", service.pid, count, download(session, accept))
        print(f"{'bare SQLite, same rows':<34}{read_bare(service.database_path):>12,.0f}")
        for name in ("a", "b"):
            async with neighbour(session) as other:
                await timed(
                    f"PUT of 20,000 entities ({name})", service.pid, 20_000, put_many(session, 20_000, name), other
                )


async def timed(what: str, pid: int, count: int, work: object, other: Neighbour | None = None) -> None:
    """Run one thing and print what it took."""
    before, began = processor_time(pid), time.monotonic()
    await work  # type: ignore[misc]  # a coroutine
    elapsed, spent = time.monotonic() - began, processor_time(pid) - before
    wait = "" if other is None else f"{other.longest * 1e3:>17.0f}"
    print(f"{what:<34}{count / elapsed:>12,.0f}{spent / count * 1e6:>12.1f}{peak_memory(pid):>9.0f}{wait}", flush=True)


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--elements", type=int, default=1_000_000)
    count = parser.parse_args().elements
    with tempfile.TemporaryDirectory() as directory, ServiceProcess(directory) as service:
        print(f"resident at the start: {peak_memory(service.pid):.0f} MB")
        asyncio.run(measure(service, count))


if __name__ == "__main__":
    main()
