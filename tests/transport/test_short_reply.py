"""The short way of plain replies: it understands what a full parser understands, or leaves it alone."""

import asyncio

import pytest
from tests.transport.servers import RawServer, answering, head, http

from schemawire.errors import AttemptTimeout, CircuitOpen, ConnectionLost, ConnectionStale
from schemawire.resilience import RetryConfig
from schemawire.transport import Client, Request
from schemawire.transport.options import PoolConfig
from schemawire.transport.wires.aiohttp import AiohttpWire
from schemawire.transport.wires.short_reply import fields_of, plain_head

REPLY = b"HTTP/1.1 200 OK\r\nServer: a\r\nX-Two:  b \t\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello"


def test_plain_reply_is_read_at_a_glance() -> None:
    """Status, length and fields come out as they were sent, values without the blanks around them."""
    found = plain_head(REPLY, without_body=False)
    assert found is not None
    status, begin, length = found
    assert (status, length, REPLY[begin:]) == (200, 5, b"hello")
    assert fields_of(REPLY[:begin]) == [
        ("Server", "a"), ("X-Two", "b"), ("Connection", "keep-alive"), ("Content-Length", "5"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "odd",
    [
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 Up\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nDate: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        b"HTTP/1.1 204 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length : 1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Encoding: gzip\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nA: b\r\n c\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nA: b\0c\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nA: b\nEvil: c\r\n\r\n",
        b"HTTP/1.1 200 OK\nContent-Length: 1\n\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nX: " + b"y" * 20_000 + b"\r\n\r\n",
        b"",
    ],
)
def test_what_is_not_plain_is_left_to_the_parser(odd: bytes) -> None:
    """Whatever needs judgement (framing, compression, folding, a malformed or doubled length) goes the long way."""
    assert plain_head(odd, without_body=False) is None


@pytest.mark.parametrize("status", [204, 304])
def test_replies_that_have_no_body_need_no_length(status: int) -> None:
    """204, 304 and every reply to HEAD end with their head."""
    head_only = b"HTTP/1.1 %d X\r\nETag: a\r\n\r\n" % status
    assert plain_head(head_only, without_body=False) == (status, len(head_only), 0)
    to_head = b"HTTP/1.1 200 OK\r\nContent-Length: 77\r\n\r\n"
    assert plain_head(to_head, without_body=True) == (200, len(to_head), 0)


def test_head_cut_anywhere_is_not_yet_plain() -> None:
    """Until the empty line has come, nothing is concluded from what is there."""
    end = REPLY.index(b"hello")
    assert [cut for cut in range(len(REPLY) + 1) if plain_head(REPLY[:cut], without_body=False)] == list(
        range(end, len(REPLY) + 1)
    )


@pytest.mark.parametrize("whole", [True, False])
async def test_reply_cut_at_every_byte_arrives_the_same(whole: bool) -> None:
    """How the network cuts a reply makes no difference to what is read, nor to whether the connection is kept."""
    cut = 0

    async def in_two(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal cut
        while await head(reader):
            cut += 1
            writer.write(REPLY[:cut])
            await writer.drain()
            await asyncio.sleep(0.001)
            writer.write(REPLY[cut:])

    wire = AiohttpWire()
    async with RawServer(in_two) as server:
        for _ in range(len(REPLY)):
            request = Request(method="GET", url=server.url + "/", whole=whole)
            response = await wire.send(request, connect_timeout=5, read_timeout=5)
            body = b"".join([chunk async for chunk in response.chunks()])
            assert (response.status, response.headers["x-two"], body) == (200, "b", b"hello")
            await response.aclose()
        assert server.connections == 1
    await wire.aclose()


async def test_reply_that_breaks_off_is_a_lost_connection() -> None:
    """A body shorter than announced is never taken for a whole one, however it was waited for."""

    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.write(REPLY[:-2])
        writer.close()

    wire = AiohttpWire()
    async with RawServer(half) as server:
        with pytest.raises(ConnectionLost):
            await wire.send(Request(method="GET", url=server.url + "/", whole=True), connect_timeout=5, read_timeout=5)
        assert (wire.statistics().in_flight, wire.statistics().open_connections) == (0, 0)
    await wire.aclose()


async def test_silence_within_a_whole_reply_is_noticed() -> None:
    """The read timeout begins anew with every piece, and ends a reply that goes silent before its end."""

    async def dripping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.write(REPLY[:-4])
        for byte in REPLY[-4:-1]:
            await asyncio.sleep(0.1)
            writer.write(bytes([byte]))
        await asyncio.sleep(5)

    wire = AiohttpWire()
    started = asyncio.get_running_loop().time()
    async with RawServer(dripping) as server:
        with pytest.raises(AttemptTimeout):
            await wire.send(
                Request(method="GET", url=server.url + "/", whole=True), connect_timeout=5, read_timeout=0.25
            )
        assert asyncio.get_running_loop().time() - started >= 0.5
        assert wire.statistics().in_flight == 0
    await wire.aclose()


async def test_bytes_on_an_idle_connection_cost_the_connection() -> None:
    """What nobody has asked for is never taken for the reply to the next request."""
    unasked = asyncio.Event()

    async def talkative(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await head(reader):
            writer.write(REPLY)
            await writer.drain()
            await asyncio.sleep(0.02)
            writer.write(http(200, b"stale"))
            unasked.set()

    wire = AiohttpWire()
    async with RawServer(talkative) as server:
        for number in range(1, 4):
            request = Request(method="GET", url=server.url + "/", whole=True)
            response = await wire.send(request, connect_timeout=5, read_timeout=5)
            assert response.arrived() == b"hello"
            await response.aclose()
            await unasked.wait()
            unasked.clear()
            await asyncio.sleep(0.02)
            assert (server.connections, wire.statistics().open_connections) == (number, 0)
    await wire.aclose()


async def test_idle_connections_are_closed_when_their_time_is_over() -> None:
    """An idle connection is closed after `keepalive_expiry` though nothing else happens."""

    async def answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await head(reader):
            writer.write(REPLY)

    wire = AiohttpWire(pool=PoolConfig(keepalive_expiry=0.1))
    async with RawServer(answering) as server:
        request = Request(method="GET", url=server.url + "/", whole=True)
        responses = [await wire.send(request, connect_timeout=5, read_timeout=5) for _ in range(3)]
        for response in responses:
            await response.aclose()
        assert wire.statistics().open_connections == 3
        await asyncio.sleep(0.3)
        assert wire.statistics().open_connections == 0
    await wire.aclose()


async def test_connections_of_the_session_serve_exchanges_and_the_other_way_round() -> None:
    """A request that takes the long way (no path, a large body) leaves a connection that the next one can use."""
    async with RawServer(answering(http(200, b"hello"))) as server:
        wire = AiohttpWire()
        for url, body in (("", None), ("/", None), ("/", b"x" * 100_000), ("/", None), ("", None)):
            request = Request(method="POST", url=server.url + url, body=body, whole=True)
            response = await wire.send(request, connect_timeout=5, read_timeout=5)
            assert b"".join([chunk async for chunk in response.chunks()]) == b"hello"
            await response.aclose()
        assert server.connections <= 2
        await wire.aclose()


# The pool of httpx2 offers the next attempt another kept connection, each of which may be closed too.
@pytest.mark.parametrize(("wire", "retries"), [("aiohttp", 1), ("httpx2", 8)])
async def test_kept_connections_that_are_closed_say_nothing_against_the_endpoint(wire: str, retries: int) -> None:
    """A server that closes all of its kept connections at once, as a proxy does when it reloads, opens no breaker."""
    retry = RetryConfig(max_retries=retries, transient_base=0.01)
    generation = closed = 0

    async def reloading(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal closed
        own = generation
        while True:
            await head(reader)
            if own != generation:
                # The request is read and not answered, so that the client finds out only by sending it.
                closed += 1
                writer.close()
                return
            await asyncio.sleep(0.02)
            writer.write(http(200, b"fine"))

    async with RawServer(reloading) as server, Client(server.url, retry=retry, wire=wire) as client:
        for _ in range(3):
            generation += 1
            async with asyncio.TaskGroup() as group:
                for _ in range(8):
                    group.create_task(client.request("GET", "/"))
        statistics = client.statistics()
        breaker = statistics.endpoints[0].breaker
        assert breaker is not None
        assert closed >= 8
        assert (statistics.calls.success, breaker.failures, breaker.consecutive_failures) == (24, 0, 0)
        assert statistics.budget is not None
        assert statistics.budget.granted == closed
        generation += 1
        with pytest.raises(ConnectionStale):
            await client.request("POST", "/", body=b"once")


@pytest.mark.parametrize("wire", ["aiohttp", "httpx2", "pyreqwest"])
async def test_fresh_connections_that_are_closed_count_against_the_endpoint(wire: str) -> None:
    """A server that accepts and never answers is ill, however it is called."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.close()

    async with RawServer(silent) as server, Client(server.url, retry=None, wire=wire) as client:
        for _ in range(5):
            with pytest.raises(ConnectionLost):
                await client.request("GET", "/")
        with pytest.raises(CircuitOpen):
            await client.request("GET", "/")
