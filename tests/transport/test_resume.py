"""Bodies that break on their way and are gone on with where they broke."""

import asyncio
import re

import pytest
from tests.transport.servers import RawServer, head

from schemawire.errors import ConnectionLost, DeadlineExceeded
from schemawire.resilience import RetryBudgetConfig
from schemawire.transport import Client, ResumeByRange

BODY = bytes(range(256)) * 40
WIRES = pytest.mark.parametrize("wire", ["aiohttp", "httpx2", "pyreqwest"])


class Breaking:
    """A server of one body that cuts each of its first replies after some bytes."""

    def __init__(self, *cuts: int, tag: str = '"v1"', later_tag: str = "", ranges: bool = True) -> None:
        self.cuts = list(cuts)
        self.tags = [tag, later_tag or tag]
        self.ranges = ranges
        self.asked: list[int] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            text = (await head(reader)).decode().lower()
            found = re.search(r"range: bytes=(\d+)-", text)
            tag = self.tags[0] if not self.asked else self.tags[1]
            matches = f"if-range: {tag}" in text
            start = int(found[1]) if found and self.ranges and matches else 0
            self.asked.append(start)
            part = BODY[start:]
            status = "206 Part" if start else "200 OK"
            lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(part)}", f"ETag: {tag}"]
            if start:
                lines.append(f"Content-Range: bytes {start}-{len(BODY) - 1}/{len(BODY)}")
            writer.write("\r\n".join([*lines, "", ""]).encode())
            if self.cuts:
                writer.write(part[: self.cuts.pop(0)])
                await writer.drain()
                writer.close()
                return
            writer.write(part)


@WIRES
async def test_broken_body_goes_on_where_it_broke(wire: str) -> None:
    """Two cuts cost two further requests, and the reader sees every byte once and in order."""
    server = Breaking(1000, 5000)
    async with RawServer(server) as place, Client(place.url, wire=wire) as client:
        async with client.stream("GET", "/x", resume=ResumeByRange()) as response:
            assert await response.read() == BODY
        assert server.asked == [0, 1000, 6000]
        statistics = client.statistics()
        assert statistics.budget is not None
        assert (statistics.calls.in_flight, statistics.budget.granted) == (0, 2)
        assert statistics.endpoints[0].in_flight == 0


@pytest.mark.parametrize(
    "server",
    [
        Breaking(1000, later_tag='"v2"'),
        Breaking(1000, tag='W/"v1"'),
        Breaking(1000, ranges=False),
        Breaking(1000, 0, 0, 0, 0),
    ],
    ids=["another body", "weak tag", "no ranges", "breaks too often"],
)
async def test_rest_of_another_body_is_never_taken_for_its_own(server: Breaking) -> None:
    """Where the rest of the very same body is not to be had, the break is an error after the bytes that did arrive."""
    async with RawServer(server) as place, Client(place.url) as client:
        got: list[bytes] = []

        async def read() -> None:
            async with client.stream("GET", "/x", resume=ResumeByRange()) as response:
                async for chunk in response:
                    got.append(chunk)  # noqa: PERF401  # what has come before the error counts

        with pytest.raises(ConnectionLost):
            await read()
        assert b"".join(got) == BODY[:1000]
        assert client.statistics().calls.in_flight == 0


async def test_resuming_is_paid_from_the_retry_budget() -> None:
    """An empty budget allows no further request; without `resume` there never is one."""
    budget = RetryBudgetConfig(ratio=0.0, floor_per_second=0.0)
    for resume in (ResumeByRange(), None):
        server = Breaking(1000)
        async with RawServer(server) as place, Client(place.url, budget=budget) as client:
            async with client.stream("GET", "/x", resume=resume) as response:
                with pytest.raises(ConnectionLost):
                    await response.read()
            assert server.asked == [0]


async def test_deadline_covers_the_body_with_all_its_resumes() -> None:
    """A body that keeps breaking cannot outlast the deadline of its call."""
    server = Breaking(*[100] * 1000)
    async with RawServer(server) as place, Client(place.url) as client:
        started = asyncio.get_running_loop().time()

        async def read() -> None:
            async with client.stream("GET", "/x", deadline=0.3, resume=ResumeByRange(max_resumes=1000)) as response:
                async for _ in response:
                    await asyncio.sleep(0.01)

        with pytest.raises((DeadlineExceeded, ConnectionLost)):
            await read()
        assert asyncio.get_running_loop().time() - started < 1.5
        assert client.statistics().calls.in_flight == 0
