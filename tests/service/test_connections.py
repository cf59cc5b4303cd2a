"""What a connection may do: heads of a bounded size, in a bounded time, and readers that read."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib.util import find_spec

import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from tests.service.caller import Caller, create_entity, new_project

from schemawire.protocol.paths import API_ROOT
from schemawire.service import http_protocol
from schemawire.service.http_protocol import MAX_HEAD_BYTES, PatientH11, cut_overdue, protocol_class
from schemawire.service.line_reply import LineReply
from schemawire.testing.service_process import ServiceProcess

PROTOCOLS = [PatientH11, *([protocol_class()] if find_spec("httptools") is not None else [])]
Handler = Callable[[Scope, Receive, Send], Awaitable[None]]


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the size of the body, once it has come."""
    body = await Request(scope, receive).body()
    await Response(str(len(body)))(scope, receive, send)


@asynccontextmanager
async def serving(handler: Handler, protocol: type[asyncio.Protocol]) -> AsyncIterator[int]:
    """Serve a handler on a free port in this process; yield the port."""
    config = uvicorn.Config(
        handler, http=protocol, ws="none", lifespan="off", log_config=None, access_log=False, port=0, loop="asyncio",
        timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = uvicorn.Server(config)
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    watch = asyncio.create_task(cut_overdue(server.server_state.connections, interval=0.05))
    port: int = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield port
    finally:
        watch.cancel()
        await asyncio.wait([watch])
        server.should_exit = True
        await server.shutdown()


@pytest.fixture(params=PROTOCOLS, ids=lambda protocol: protocol.__name__)
def protocol(request: pytest.FixtureRequest) -> type[asyncio.Protocol]:
    """Each parser that is installed."""
    found: type[asyncio.Protocol] = request.param
    return found


async def exchange(port: int, *pieces: bytes, pause: float = 0.0) -> bytes:
    """Send pieces and return everything that comes back until the connection ends or nothing comes any more."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await asyncio.sleep(pause)
        async with asyncio.timeout(5):
            return await reader.read()
    except (ConnectionError, TimeoutError):
        return b""
    finally:
        writer.close()


CLOSE = b"Host: x\r\nConnection: close\r\n"


async def test_an_ordinary_request_is_answered(protocol: type[asyncio.Protocol]) -> None:
    """Whole, cut into bytes, with a body, a chunked one, and two on one connection."""
    async with serving(echo, protocol) as port:
        plain = b"GET / HTTP/1.1\r\n" + CLOSE + b"\r\n"
        assert (await exchange(port, plain)).startswith(b"HTTP/1.1 200")
        assert (await exchange(port, *(plain[i : i + 1] for i in range(len(plain))))).startswith(b"HTTP/1.1 200")
        body = b"POST / HTTP/1.1\r\n" + CLOSE + b"Content-Length: 5\r\n\r\nhello"
        assert (await exchange(port, body[:-2], body[-2:], pause=0.05)).endswith(b"5")
        chunked = b"POST / HTTP/1.1\r\n" + CLOSE + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
        assert (await exchange(port, chunked)).endswith(b"5")
        first = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
        assert (await exchange(port, first, plain)).count(b"HTTP/1.1 200") == 2


@pytest.mark.parametrize("step", [1_000, 1_000_000])
async def test_a_head_without_end_is_refused(protocol: type[asyncio.Protocol], step: int) -> None:
    """Too long a path, one huge header, or ever more small ones: refused, however it is cut, and never kept."""
    heads = [
        b"GET /" + b"a" * (MAX_HEAD_BYTES * 4) + b" HTTP/1.1\r\n",
        b"GET / HTTP/1.1\r\nX: " + b"a" * (MAX_HEAD_BYTES * 4),
        b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: y\r\n" % number for number in range(40_000)),
    ]
    async with serving(echo, protocol) as port:
        for head in heads:
            pieces = [head[start : start + step] for start in range(0, len(head), step)]
            reply = await exchange(port, *pieces)
            assert reply.startswith((b"HTTP/1.1 431", b"HTTP/1.1 400")) or not reply, reply[:80]
        assert (await exchange(port, b"GET / HTTP/1.1\r\n" + CLOSE + b"\r\n")).startswith(b"HTTP/1.1 200")


async def test_what_has_no_end_between_parts_of_a_body_is_refused(protocol: type[asyncio.Protocol]) -> None:
    """The extension of a chunk and the trailers behind a body are bounded like a head."""
    begin = b"POST / HTTP/1.1\r\n" + CLOSE + b"Transfer-Encoding: chunked\r\n\r\n"
    endless = [b"3;x=" + b"a" * 1_000_000, b"3\r\nabc\r\n0\r\nX: " + b"a" * 1_000_000]
    async with serving(echo, protocol) as port:
        for rest in endless:
            reply = await exchange(
                port, begin, *(rest[start : start + 50_000] for start in range(0, len(rest), 50_000))
            )
            assert not reply.startswith(b"HTTP/1.1 200")


async def test_a_request_that_trickles_is_cut(
    protocol: type[asyncio.Protocol], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A head that trickles, a connection that says nothing, a body that stops: each ends in time."""
    monkeypatch.setattr(http_protocol, "HEAD_TIMEOUT", 0.3)
    monkeypatch.setattr(http_protocol, "BODY_IDLE_TIMEOUT", 0.3)
    async with serving(echo, protocol) as port, asyncio.timeout(10):
        trickle = [b"GET / HTTP/1.1\r\n", *(b"X-%d: y\r\n" % number for number in range(20))]
        stops = [b"POST / HTTP/1.1\r\n" + CLOSE + b"Content-Length: 5\r\n\r\nhe"]
        slow = [exchange(port, *trickle, pause=0.1), exchange(port), exchange(port, *stops)]
        replies = await asyncio.gather(*slow, exchange(port, b"GET / HTTP/1.1\r\n" + CLOSE + b"\r\n"))
        assert replies[:3] == [b""] * 3
        assert replies[3].startswith(b"HTTP/1.1 200")


async def test_a_reader_that_reads_nothing_is_cut(protocol: type[asyncio.Protocol]) -> None:
    """Its stream is closed after the time to send, with little in memory, and heartbeats reach one that waits."""
    produced = 0
    closed = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        nonlocal produced
        try:
            while True:
                produced += 1
                yield b"x" * 100_000
        finally:
            closed.set()

    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        chunks = endless()
        reply = LineReply(chunks, media_type="text/plain", headers={}, send_timeout=0.3)  # type: ignore[arg-type]
        await reply(scope, receive, send)

    async with serving(stream, protocol) as port, asyncio.timeout(10):
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await closed.wait()
        assert produced < 200  # what fits into the sockets, and one more
        writer.close()


async def test_an_idle_stream_shows_that_it_lives(protocol: type[asyncio.Protocol]) -> None:
    """While nothing is produced, heartbeats are sent."""

    async def late() -> AsyncIterator[bytes]:
        await asyncio.sleep(0.35)
        yield b"late"

    async def stream(scope: Scope, receive: Receive, send: Send) -> None:
        reply = LineReply(late(), media_type="text/plain", headers={}, heartbeat=b"\n", interval=0.1)  # type: ignore[arg-type]
        await reply(scope, receive, send)

    async with serving(stream, protocol) as port:
        reply = await exchange(port, b"GET / HTTP/1.1\r\n" + CLOSE + b"\r\n")
        assert reply.count(b"1\r\n\n\r\n") == 3
        assert b"late" in reply


async def test_slow_and_oversized_callers_do_not_stop_others(own_service: ServiceProcess) -> None:
    """Hundreds of heads that trickle and bodies without end leave the service as quick as before for everybody else."""
    half = f"GET {API_ROOT} HTTP/1.1\r\nHost: x\r\nX-Slow: ".encode()
    huge = f"PUT {API_ROOT}/p HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {own_service.admin_key}\r\n".encode()
    huge += b"Content-Type: application/json\r\nContent-Length: 999999999\r\n\r\n"
    writers: list[asyncio.StreamWriter] = []
    try:
        for number in range(300):
            _, writer = await asyncio.open_connection("127.0.0.1", own_service.port)
            writer.write(half if number % 3 else huge)
            writers.append(writer)
        async with Caller(own_service) as call, asyncio.timeout(10):
            project = new_project()
            await call("PUT", project, json={"name": "p"})
            loop = asyncio.get_running_loop()
            for number in range(30):
                for writer in writers:
                    writer.write(b"a" if not writer.is_closing() else b"")
                began = loop.time()
                assert (await call("PATCH", project, json=create_entity(f"E{number}"))).status == 200
                assert loop.time() - began < 1.0
            assert json.loads((await call("GET", "/health")).body)["status"] == "healthy"
    finally:
        for writer in writers:
            writer.transport.abort()
