"""Compressed bodies over every wire: read whatever was asked for, and never more than may be kept."""

import asyncio
import gzip
import resource
import zlib
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from tests.transport.servers import RawServer, head

from schemawire.errors import BadReply, ConnectionLost
from schemawire.transport import Client

brotli = pytest.importorskip("brotli", reason="needs brotli")
zstd = pytest.importorskip("backports.zstd", reason="needs backports.zstd")

CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstd.compress,
}
WIRES = pytest.mark.parametrize("wire", ["aiohttp", "httpx2", "pyreqwest"])
TEXT = b"squeezed " * 10_000


@cache
def bomb(coding: str) -> bytes:
    """Return what stands for 128 MiB of zeros, made piece by piece so that they are never in memory."""
    squeeze: Any = {
        "gzip": lambda: zlib.compressobj(wbits=31),
        "deflate": zlib.compressobj,
        "br": lambda: brotli.Compressor(quality=1),
        "zstd": zstd.ZstdCompressor,
    }[coding]()
    step = squeeze.process if coding == "br" else squeeze.compress
    end = squeeze.finish if coding == "br" else squeeze.flush
    return b"".join([step(bytes(1 << 20)) for _ in range(128)]) + bytes(end())


class Squeezing:
    """A server that answers every request with the same compressed body, and notes what was asked for."""

    def __init__(self, coding: str, body: bytes) -> None:
        self._reply = b"HTTP/1.1 200 OK\r\nContent-Encoding: %s\r\nContent-Length: %d\r\n\r\n" % (
            coding.encode(),
            len(body),
        )
        self._reply += body
        self.accepted = ""

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            for line in (await head(reader)).decode().split("\r\n"):
                name, _, value = line.partition(":")
                if name.lower() == "accept-encoding":
                    self.accepted = value
            writer.write(self._reply)


@WIRES
@pytest.mark.parametrize("coding", CODINGS)
async def test_body_in_every_coding_that_is_asked_for_is_read(wire: str, coding: str) -> None:
    """The coding stands in `Accept-Encoding`, and both a collected and a streamed body arrive as they were meant."""
    squeezing = Squeezing(coding, CODINGS[coding](TEXT))
    async with RawServer(squeezing) as server, Client(server.url, wire=wire) as client:
        assert (await client.request("GET", "/")).body == TEXT
        assert coding in squeezing.accepted
        async with client.stream("GET", "/") as response:
            assert await response.read() == TEXT


@WIRES
@pytest.mark.parametrize("coding", CODINGS)
async def test_body_that_swells_beyond_the_limit_is_refused(wire: str, coding: str) -> None:
    """A few kilobytes that stand for 128 megabytes cost neither memory nor the client."""
    squeezed = bomb(coding)
    assert len(squeezed) < 1 << 20
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    async with (
        RawServer(Squeezing(coding, squeezed)) as server,
        Client(server.url, wire=wire, max_body_bytes=1 << 20, retry=None) as client,
    ):
        with pytest.raises(BadReply, match="larger"):
            await client.request("GET", "/")
        assert client.statistics().wire.in_flight == 0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40 << 10


@WIRES
@pytest.mark.parametrize("coding", CODINGS)
async def test_body_that_is_not_what_it_says_is_an_error(wire: str, coding: str) -> None:
    """What cannot be decompressed is never handed over as if it were the body."""
    async with (
        RawServer(Squeezing(coding, b"this is not compressed at all")) as server,
        Client(server.url, wire=wire, retry=None) as client,
    ):
        with pytest.raises((BadReply, ConnectionLost)):
            await client.request("GET", "/")
        assert client.statistics().wire.in_flight == 0
