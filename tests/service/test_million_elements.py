"""A million elements, in and out: complete, in flat memory, and not at the expense of others."""

import hashlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from tests.service.caller import Caller, create_entity

from schemawire.protocol.paths import API_ROOT
from schemawire.testing.service_process import ServiceProcess

COUNT = 1_000_000
MOST_MB = 150
PORTION = 2_000


async def lines() -> AsyncIterator[bytes]:
    """Yield the lines of a large upload."""
    yield b'{"type":"header","header":{"name":"large"}}\n'
    seen = hashlib.sha256()
    for start in range(0, COUNT, PORTION):
        portion = b"".join(
            b'{"type":"element","kind":"entity","element":{"name":"E%07d","fields":[{"name":"id","type":"uuid"}]}}\n'
            % i
            for i in range(start, start + PORTION)
        )
        seen.update(portion)
        yield portion
    trailer = {"type": "trailer", "elementCount": COUNT, "streamDigest": seen.hexdigest()}
    yield json.dumps(trailer).encode() + b"\n"


def peak_mb(pid: int) -> float:
    """Return the most resident memory that a process has had. *Source:* proc(5), VmHWM."""
    return int(Path(f"/proc/{pid}/status").read_text().split("VmHWM:")[1].split()[0]) / 1000


@pytest.mark.soak
@pytest.mark.timeout(1_800)
async def test_a_million_elements_in_and_out(own_service: ServiceProcess) -> None:
    """Uploaded and read back as lines and as events, in less than 150 MB; it is full then, and can still be changed."""
    url = f"{own_service.base_url}{API_ROOT}/large/stream"
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(headers=own_service.headers, timeout=timeout) as session:
        async with session.put(url, data=lines(), headers={"Content-Type": "application/x-ndjson"}) as reply:
            stored = await reply.json()
            assert (reply.status, stored["data"]["elementCount"]) == (201, COUNT), stored
        assert peak_mb(own_service.pid) < MOST_MB
        for accept in ("application/x-ndjson", "text/event-stream"):
            began, count, tail = time.monotonic(), 0, b""
            async with session.get(url, headers={"Accept": accept}) as reply:
                async for chunk in reply.content.iter_any():
                    count += chunk.count(b'"type":"element"')
                    tail = (tail + chunk)[-400:]
            assert abs(count - COUNT) < COUNT // 100  # a mark may be cut by the end of a piece
            assert f'"elementCount":{COUNT}'.encode() in tail
            assert stored["digest"].encode() in tail
            assert COUNT / (time.monotonic() - began) > 100_000
        assert peak_mb(own_service.pid) < MOST_MB
    async with Caller(own_service) as call:
        assert (await call("PATCH", "large", json=create_entity("OneTooMany"))).status == 422
        exchange = [{"operation": "delete_entity", "data": {"name": "E0000000"}}, create_entity("Another")]
        changed = await call("PATCH", "large", json=exchange)
        assert (changed.status, changed.json().get("version")) == (200, 2), changed
