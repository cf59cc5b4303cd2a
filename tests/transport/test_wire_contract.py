"""What every wire must do, tested against a real server, an application in-process, and a script."""

import asyncio
import gzip
import json
import math
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass

import pytest
from tests.transport.servers import ContractApp, served

from schemawire.errors import AttemptTimeout, Closed, ConnectionLost
from schemawire.testing.scripted_wire import Reply, ScriptedWire
from schemawire.transport import Headers, Request, Wire, WireResponse
from schemawire.transport.wires.aiohttp import AiohttpWire
from schemawire.transport.wires.httpx2 import Httpx2Wire
from schemawire.transport.wires.inprocess import InProcessWire
from schemawire.transport.wires.pyreqwest import PyreqwestWire


@dataclass
class Bench:
    """A wire, the address of the application behind it, and the application."""

    wire: Wire
    url: str
    app: ContractApp

    async def send(
        self, path: str, method: str = "GET", *, body: object = None, read_timeout: float = 5.0, **headers: str
    ) -> WireResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = Request(method=method, url=self.url + path, headers=Headers(named), body=body)  # type: ignore[arg-type]  # any body
        return await self.wire.send(request, connect_timeout=5.0, read_timeout=read_timeout)

    async def read(self, path: str, method: str = "GET", **options: object) -> tuple[int, Headers, bytes]:
        response = await self.send(path, method, **options)  # type: ignore[arg-type]  # passed through
        try:
            body = b"".join([chunk async for chunk in response.chunks()])
        finally:
            await response.aclose()
        return response.status, response.headers, body


@asynccontextmanager
async def over_socket(make: Callable[[], Wire]) -> AsyncIterator[Bench]:
    app = ContractApp()
    async with served(app) as url:
        wire = make()
        try:
            yield Bench(wire, url, app)
        finally:
            await wire.aclose()


@asynccontextmanager
async def in_process() -> AsyncIterator[Bench]:
    app = ContractApp()
    wire = InProcessWire(app, grace=0.2)
    try:
        yield Bench(wire, "http://in.process", app)
    finally:
        await wire.aclose()


BENCHES: dict[str, Callable[[], AbstractAsyncContextManager[Bench]]] = {
    "aiohttp": lambda: over_socket(AiohttpWire),
    "httpx2": lambda: over_socket(Httpx2Wire),
    "inprocess": in_process,
    "pyreqwest": lambda: over_socket(PyreqwestWire),
}


@pytest.fixture(params=sorted(BENCHES))
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(BENCHES[request.param]())


async def pieces() -> AsyncIterator[bytes]:
    for piece in (b"one ", b"", b"two ", b"three"):
        yield piece


async def test_request_arrives_as_it_was_given(bench: Bench) -> None:
    """Method, path, query, headers and body reach the other side unchanged."""
    status, headers, body = await bench.read("/echo/a%20b?q=1&r=%C3%A4", "PUT", body=b"\x00\xff", X_Own="yes")
    told = json.loads(body)
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert (told["method"], told["path"], told["query"]) == ("PUT", "/echo/a b", "q=1&r=%C3%A4")
    assert ["x-own", "yes"] in told["headers"]
    assert told["body"] == "\x00\xff"


@pytest.mark.parametrize("body", [pieces(), pieces], ids=["iterable", "factory"])
async def test_streamed_body_arrives_whole(bench: Bench, body: object) -> None:
    """A body in pieces arrives as their concatenation, empty ones included."""
    _, _, reply = await bench.read("/echo", "POST", body=pieces() if isinstance(body, AsyncIterator) else body)
    assert json.loads(reply)["body"] == "one two three"


@pytest.mark.parametrize("status", [200, 204, 304, 404, 429, 500, 503])
async def test_every_status_is_a_response(bench: Bench, status: int) -> None:
    """A complete reply is never an error of the wire."""
    assert (await bench.read(f"/status/{status}"))[0] == status


async def test_head_has_no_body(bench: Bench) -> None:
    """HEAD gives the head alone, and the connection goes on working."""
    assert (await bench.read("/status/200", "HEAD"))[2] == b""
    assert (await bench.read("/status/200"))[2] == b"said no"


async def test_redirects_are_not_followed(bench: Bench) -> None:
    """A redirect is a reply like any other: the caller's credentials go nowhere by themselves."""
    status, headers, _ = await bench.read("/redirect")
    assert (status, headers["location"]) == (302, "/echo")


async def test_cookies_are_not_kept(bench: Bench) -> None:
    """Cookies are shown, every one of them, but never sent back."""
    _, headers, _ = await bench.read("/cookie")
    assert headers.get_all("set-cookie") == ("a=1", "b=2")
    told = json.loads((await bench.read("/echo"))[2])
    assert "cookie" not in dict(told["headers"])


async def test_compressed_body_arrives_plain(bench: Bench) -> None:
    """The reader sees what was meant, whatever travelled."""
    assert (await bench.read("/gzip"))[2] == b"squeezed " * 1000


async def test_chunks_arrive_as_they_are_sent(bench: Bench) -> None:
    """The first piece is there while the application has not sent the second."""
    response = await bench.send("/drip")
    async with aclosing(response.chunks()) as chunks:
        assert await anext(chunks) == b"first"
        bench.app.release.set()
        assert [chunk async for chunk in chunks] == [b"second"]
    await response.aclose()


async def test_application_waits_for_its_reader(bench: Bench) -> None:
    """A reader that pauses holds the sender back, so a large reply is never wholly in memory."""
    response = await bench.send("/vast")
    async with aclosing(response.chunks()) as chunks:
        size, paused_at = len(await anext(chunks)), -1
        while paused_at < bench.app.sent_chunks:
            paused_at = bench.app.sent_chunks
            await asyncio.sleep(0.1)
        assert paused_at < 1024
        async for chunk in chunks:
            size += len(chunk)
            if size > (paused_at + 8) * 65_536:
                break
    await response.aclose()
    assert bench.app.sent_chunks > paused_at


async def test_silence_before_the_head_is_an_attempt_timeout(bench: Bench) -> None:
    """The read timeout holds before the first byte."""
    with pytest.raises(AttemptTimeout):
        await bench.send("/silent", read_timeout=0.1)
    assert bench.wire.statistics().in_flight == 0


async def test_silence_inside_the_body_is_an_attempt_timeout(bench: Bench) -> None:
    """The read timeout holds between the chunks."""
    with pytest.raises(AttemptTimeout):
        await bench.read("/silent-body", read_timeout=0.1)
    assert bench.wire.statistics().in_flight == 0


@pytest.mark.parametrize("path", ["/silent", "/silent-body"])
async def test_leaving_early_is_told_to_the_application(bench: Bench, path: str) -> None:
    """A cancelled request, or a body closed before its end, reaches the application as a disconnect."""

    async def leave() -> None:
        response = await bench.send(path)
        await response.aclose()

    async with asyncio.timeout(10):
        task = asyncio.create_task(leave())
        await bench.app.waiting.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await bench.app.left.wait()
    assert bench.wire.statistics().in_flight == 0
    assert (await bench.read("/status/200"))[0] == 200


async def test_truncated_body_is_never_a_short_success(bench: Bench) -> None:
    """A body that ends before its announced length raises."""
    with pytest.raises(ConnectionLost):
        await bench.read("/broken-body")
    assert bench.wire.statistics().in_flight == 0


async def test_many_requests_at_once(bench: Bench) -> None:
    """Requests do not get in each other's way, and all are over in the end."""
    replies = await asyncio.gather(*(bench.read(f"/echo/{n}", "POST", body=str(n).encode()) for n in range(50)))
    assert [json.loads(body)["body"] for _, _, body in replies] == [str(n) for n in range(50)]
    statistics = bench.wire.statistics()
    assert (statistics.requests, statistics.in_flight) == (50, 0)


async def test_closed_wire_refuses(bench: Bench) -> None:
    """After it was closed, twice if need be, a wire sends nothing."""
    await bench.read("/status/200")
    await bench.wire.aclose()
    await bench.wire.aclose()
    with pytest.raises(Closed):
        await bench.send("/status/200")


async def test_infinite_limits_are_no_limits(bench: Bench) -> None:
    """Infinity is accepted wherever a time limit is."""
    request = Request(method="GET", url=bench.url + "/status/200")
    response = await bench.wire.send(request, connect_timeout=math.inf, read_timeout=math.inf)
    await response.aclose()
    assert response.status == 200


async def test_in_process_application_is_started_and_stopped() -> None:
    """The lifespan surrounds the requests."""
    async with in_process() as bench:
        assert not bench.app.started
        await bench.read("/status/200")
        assert bench.app.started
        assert not bench.app.stopped
    assert bench.app.stopped


async def test_scripted_wire_keeps_the_same_contract() -> None:
    """The fake streams, breaks, times out, refuses and counts like the real ones."""
    wire = ScriptedWire(
        Reply(chunks=(b"a", b"", b"b")),
        Reply(delay=1.0),
        Reply(chunks=(b"a",), error=ConnectionLost(), breaks_body=True),
        ConnectionLost(),
        then=lambda request: Reply(status=404, chunks=(request.url.encode(),)),
    )
    bench = Bench(wire, "http://script", ContractApp())
    assert (await bench.read("/", "POST", body=pieces()))[2] == b"ab"
    assert wire.sent[0].body == b"one two three"
    with pytest.raises(AttemptTimeout):
        await bench.read("/", read_timeout=0.01)
    for _ in range(2):
        with pytest.raises(ConnectionLost):
            await bench.read("/")
    assert await bench.read("/x", "GET") == (404, Headers(), b"http://script/x")
    assert (await bench.read("/x", "HEAD"))[2] == b""
    assert (wire.statistics().requests, wire.statistics().in_flight) == (6, 0)
    await wire.aclose()
    with pytest.raises(Closed):
        await bench.read("/")


def test_gzip_fixture_is_smaller_than_its_text() -> None:
    """The compressed reply of the contract application is worth decompressing."""
    assert len(gzip.compress(b"squeezed " * 1000)) < 1000
