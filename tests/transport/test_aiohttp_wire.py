"""What the default wire writes by itself, and how it notices silence."""

import asyncio
import json
import math
from collections.abc import AsyncIterator

import pytest
from tests.transport.servers import ContractApp, RawServer, answering, head, http, served

from schemawire.errors import AttemptTimeout, BadReply
from schemawire.testing import VirtualTimeLoop
from schemawire.transport import Headers, Request
from schemawire.transport.wires.aiohttp import AiohttpWire
from schemawire.transport.wires.silence import SilenceWatch


@pytest.fixture
async def wire() -> AsyncIterator[AiohttpWire]:
    wire = AiohttpWire()
    yield wire
    await wire.aclose()


async def test_head_is_complete_and_holds_each_field_once(wire: AiohttpWire) -> None:
    """Host, Accept, Accept-Encoding and User-Agent are added, unless the caller has given them."""
    heads: list[list[str]] = []

    async def record(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            heads.append((await head(reader)).decode().split("\r\n"))
            writer.write(http(200))

    own = Headers({"user-agent": "mine", "HOST": "elsewhere", "X-Umlaut": "ä"})
    async with RawServer(record) as server:
        for request in (
            Request(method="GET", url=server.url + "/a?b=c"),
            Request(method="GET", url=server.url + "/", headers=own),
            Request(method="POST", url=server.url + "/"),
        ):
            response = await wire.send(request, connect_timeout=5.0, read_timeout=5.0)
            await response.aclose()
    plain, own_lines, post = heads
    assert plain[0] == "GET /a?b=c HTTP/1.1"
    assert sorted(field_names(plain)) == ["accept", "accept-encoding", "host", "user-agent"]
    assert sorted(field_names(own_lines)) == ["accept", "accept-encoding", "host", "user-agent", "x-umlaut"]
    assert {"user-agent: mine", "HOST: elsewhere", "X-Umlaut: ä"} <= set(own_lines)
    assert "Content-Length: 0" in post


def field_names(lines: list[str]) -> list[str]:
    return [line.partition(":")[0].lower() for line in lines[1:-2]]


@pytest.mark.parametrize("value", ["a\r\nEvil: yes", "a\nb", "a\rb", "a\0b"])
async def test_header_with_a_line_break_never_leaves(wire: AiohttpWire, value: str) -> None:
    """Even a header that nobody has checked, such as a listener's, cannot smuggle in another one."""
    async with RawServer(answering(http(200))) as server:
        headers = Headers.received([("X-Trace", value)])
        request = Request(method="GET", url=server.url + "/", headers=headers)
        with pytest.raises(ValueError, match="header"):
            await wire.send(request, connect_timeout=5.0, read_timeout=5.0)
        assert server.connections == 0
        assert wire.statistics().in_flight == 0


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 1_000_000])
async def test_bodies_of_every_size_arrive(wire: AiohttpWire, size: int) -> None:
    """A small body leaves with the head, a large one with back-pressure: the other side sees no difference."""
    async with served(ContractApp()) as url:
        request = Request(method="POST", url=url + "/echo", body=b"x" * size)
        response = await wire.send(request, connect_timeout=5.0, read_timeout=5.0)
        text = b"".join([chunk async for chunk in response.chunks()])
        await response.aclose()
        assert len(json.loads(text)["body"]) == size


async def test_interim_responses_are_passed_over(wire: AiohttpWire) -> None:
    """100 and 103 announce a response and are none."""
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
    async with RawServer(answering(interim + http(200, b"final"))) as server:
        for _ in range(2):
            response = await wire.send(Request(method="GET", url=server.url + "/"), connect_timeout=5, read_timeout=5)
            assert (response.status, b"".join([c async for c in response.chunks()])) == (200, b"final")
            await response.aclose()
        assert server.connections == 1


async def test_what_is_not_http_is_a_bad_reply(wire: AiohttpWire) -> None:
    """A reply that cannot be parsed is told apart from a broken connection."""
    async with RawServer(answering(b"SSH-2.0-x\r\n\r\n")) as server:
        with pytest.raises(BadReply):
            await wire.send(Request(method="GET", url=server.url + "/"), connect_timeout=5, read_timeout=5)
        assert (wire.statistics().in_flight, wire.statistics().open_connections) == (0, 0)


async def test_unread_part_of_a_reply_never_reaches_the_next_request(wire: AiohttpWire) -> None:
    """A connection whose reply was longer than announced is not used again."""
    async with RawServer(
        answering(http(200, b"first") + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
    ) as server:
        for _ in range(3):
            response = await wire.send(Request(method="GET", url=server.url + "/"), connect_timeout=5, read_timeout=5)
            assert b"".join([chunk async for chunk in response.chunks()]) == b"first"
            await response.aclose()


async def test_slow_reader_is_not_a_silent_sender(wire: AiohttpWire) -> None:
    """The read timeout runs only while somebody waits for bytes."""
    async with served(ContractApp()) as url:
        request = Request(method="GET", url=url + "/large")
        response = await wire.send(request, connect_timeout=5.0, read_timeout=0.05)
        chunks = response.chunks()
        await anext(chunks)
        async with asyncio.timeout(5):
            await asyncio.sleep(0.2)
        assert sum([len(chunk) async for chunk in chunks]) > 60 * 65_536
        await response.aclose()


class Waiting:
    """Notes when it was given up."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.given_up_at = math.inf

    def give_up(self) -> None:
        self.given_up_at = self._loop.time()


def test_silence_is_noticed_exactly_when_it_has_lasted() -> None:
    """Each one is given up after its own whole timeout, however many begin and end before it."""
    loop = VirtualTimeLoop()
    try:
        watch = SilenceWatch(loop, 10.0)
        waiting = [Waiting(loop) for _ in range(6)]
        start = loop.time()

        async def use() -> None:
            for each in waiting:
                watch.start(each)
                await asyncio.sleep(1.0)
            watch.stop(waiting[0])
            watch.stop(waiting[3])
            watch.stop(waiting[1])
            watch.start(waiting[1])
            await asyncio.sleep(30.0)

        loop.run_until_complete(use())
        told = [round(each.given_up_at - start, 6) for each in waiting]
        assert told == [math.inf, 16.0, 12.0, math.inf, 14.0, 15.0]
    finally:
        loop.close()


async def test_read_timeouts_without_number_do_not_pile_up(wire: AiohttpWire) -> None:
    """A caller with another read timeout for each request fills no memory, and each still holds."""
    async with RawServer(answering(http(200))) as server:
        for number in range(300):
            request = Request(method="GET", url=server.url + "/")
            response = await wire.send(request, connect_timeout=5, read_timeout=5 + number / 1000)
            await response.aclose()
        assert len(wire._watches) <= 256

    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        await reader.read()

    async with RawServer(never) as server:
        with pytest.raises(AttemptTimeout):
            await wire.send(Request(method="GET", url=server.url + "/"), connect_timeout=5, read_timeout=0.05)
