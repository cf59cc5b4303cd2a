"""The client over real sockets that break: nothing is doubled, shortened, leaked or left hanging."""

import asyncio
import gc
import socket
import subprocess
import sys
import warnings
from collections.abc import AsyncIterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from tests.transport.servers import ContractApp, RawServer, answering, free_port, head, http, served

from schemawire.errors import (
    AttemptTimeout,
    BadReply,
    CircuitOpen,
    ConnectFailed,
    ConnectionLost,
    DeadlineExceeded,
    WrongEventLoop,
)
from schemawire.resilience import CircuitBreakerConfig, RetryConfig
from schemawire.testing import BlackHole, ChaosProxy, Corrupt, Latency, Reset, Slicer, SlowLoris, Truncate
from schemawire.transport import Client, PoolConfig, TimeoutConfig
from schemawire.transport.wires.aiohttp import AiohttpWire

QUICK = RetryConfig(max_retries=3, transient_base=0.005, transient_cap=0.02)
NO_RETRY = RetryConfig(max_retries=0, transparent_retries=0)


def held(client: Client) -> tuple[int, int, int]:
    """Return what the client still holds: attempts at endpoints, places in pools, requests on the wire."""
    statistics = client.statistics()
    places = sum(each.pool.in_flight + each.pool.waiting for each in statistics.endpoints if each.pool is not None)
    return sum(each.in_flight for each in statistics.endpoints), places, statistics.wire.in_flight


@pytest.fixture(params=["aiohttp", "httpx2", "pyreqwest"])
def wire(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


async def test_connections_are_reused(wire: str) -> None:
    """Calls one after another share one connection."""
    async with RawServer(answering(http(200))) as server, Client(server.url, wire=wire) as client:
        for _ in range(5):
            await client.request("GET", "/")
        assert server.connections == 1


async def test_stale_connection_costs_a_read_no_error_and_no_hidden_retry(wire: str) -> None:
    """A kept connection that the server drops at the next request is retried by us, counted, and by nobody else."""
    seen: list[bytes] = []

    async def answer_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await head(reader))
        writer.write(http(200))
        await writer.drain()
        seen.append(await head(reader))  # and drop it without a word

    async with RawServer(answer_once) as server, Client(server.url, wire=wire, retry=QUICK) as client:
        await client.request("GET", "/")
        assert (await client.request("GET", "/")).attempts == 2
        assert len(seen) == 3

        seen.clear()
        with pytest.raises(ConnectionLost):
            await client.request("POST", "/", body=b"")
        assert len(seen) == 1


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", ConnectionLost),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n", ConnectionLost),
        (b"HTTP/1.1 200 OK\r\nContent-Le", ConnectionLost),
        (b"", ConnectionLost),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", BadReply),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 8\r\n\r\nnot gzip",
            ConnectionLost,
        ),
    ],
    ids=["length", "chunked", "head", "nothing", "no http", "no gzip"],
)
async def test_broken_reply_is_never_a_short_success(wire: str, reply: bytes, error: type[Exception]) -> None:
    """What is incomplete or no HTTP raises, gives everything back and counts against the endpoint."""

    async def break_it(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.write(reply)
        await writer.drain()

    async with RawServer(break_it) as server, Client(server.url, wire=wire, retry=NO_RETRY) as client:
        with pytest.raises(error):
            await client.request("GET", "/")
        assert client.statistics().endpoints[0].failures == 1
        assert held(client) == (0, 0, 0)


async def test_refused_connection_is_unsent(wire: str) -> None:
    """Nothing left, so even a plain POST is tried again, and the error says so."""
    async with Client(f"http://127.0.0.1:{free_port()}", wire=wire, retry=QUICK, breaker=None) as client:
        with pytest.raises(ConnectFailed) as caught:
            await client.request("POST", "/", body=b"x")
        assert len(caught.value.attempts) == 4
        assert held(client) == (0, 0, 0)


async def test_connect_timeout_is_unsent(wire: str) -> None:
    """A server that accepts nobody is left after the connect timeout."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        timeout = TimeoutConfig(connect=0.2)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with Client(url, wire=wire, retry=NO_RETRY, timeout=timeout) as client:
            with pytest.raises(ConnectFailed):
                await client.request("GET", "/")


async def test_slow_drip_is_caught_by_the_deadline(wire: str) -> None:
    """A server that sends a byte now and then cannot hold a call for ever."""

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(1000):
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with RawServer(drip) as server, Client(server.url, wire=wire) as client:
        started = asyncio.get_running_loop().time()
        with pytest.raises(DeadlineExceeded):
            await client.request("GET", "/", deadline=0.3)
        assert asyncio.get_running_loop().time() - started < 1.0
        assert held(client) == (0, 0, 0)


@pytest.mark.parametrize("path", ["/silent", "/silent-body", "/large", "/echo"])
async def test_cancellation_at_any_moment_gives_everything_back(wire: str, path: str) -> None:
    """However far a call has come, cancelling it frees its place, its probe and its connection."""
    app = ContractApp()
    pool = PoolConfig(max_connections=2)
    async with served(app) as url, Client(url, wire=wire, pool=pool) as client:
        for step in range(12):
            tasks = [asyncio.create_task(client.request("GET", path)) for _ in range(4)]
            for _ in range(step):
                await asyncio.sleep(0)
            await asyncio.sleep(0.001 * step)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert held(client) == (0, 0, 0)
        assert (await client.request("GET", "/status/200")).status == 200
        assert client.statistics().endpoints[0].failures == 0


async def test_a_cancellation_beside_the_head_is_not_lost(wire: str) -> None:
    """A call that is cancelled in the very moment in which its response begins ends; it does not wait for the body."""
    async with served(ContractApp()) as url, Client(url, wire=wire, pool=PoolConfig(max_connections=2)) as client:
        for step in range(150):
            tasks = [asyncio.create_task(client.request("GET", "/silent-body")) for _ in range(4)]
            await asyncio.sleep(0.0001 * (step % 60))
            for task in tasks:
                task.cancel()
            _, lost = await asyncio.wait(tasks, timeout=5)
            assert not lost
        assert held(client) == (0, 0, 0)


async def test_waiting_callers_are_served_in_their_order() -> None:
    """First come, first served, however many wait for one connection."""
    order: list[int] = []

    async def ask(client: Client, number: int) -> None:
        await client.request("GET", "/")
        order.append(number)

    pool = PoolConfig(max_connections=1)
    async with RawServer(answering(http(200))) as server, Client(server.url, pool=pool) as client:
        await asyncio.gather(*(ask(client, number) for number in range(50)))
    assert order == list(range(50))


async def test_breaker_opens_for_a_dead_endpoint_and_closes_when_it_is_back() -> None:
    """Calls stop reaching a dead endpoint, and go on once it lives."""
    server = RawServer(answering(http(200)))
    options = CircuitBreakerConfig(failure_threshold=3, recovery_timeout=0.2)
    async with Client(server.url, retry=NO_RETRY, breaker=options) as client:
        for _ in range(3):
            with pytest.raises(ConnectFailed):
                await client.request("GET", "/")
        with pytest.raises(CircuitOpen):
            await client.request("GET", "/")
        await server.start()
        response = await client.request("PUT", "/", retry_until_deadline=True, deadline=10.0)
        await server.stop()
    assert response.status == 200


def test_second_running_loop_is_refused_and_a_later_one_is_served() -> None:
    """A client belongs to one loop at a time, and starts afresh when that loop has ended."""

    async def use(client: Client, server: RawServer) -> None:
        async with server:
            assert (await client.request("GET", "/")).status == 200

            async def elsewhere() -> None:
                with pytest.raises(WrongEventLoop):
                    await client.request("GET", "/")

            await asyncio.to_thread(asyncio.run, elsewhere())

    server = RawServer(answering(http(200)))
    client = Client(server.url, retry=NO_RETRY)
    for _ in range(3):
        asyncio.run(use(client, server))
    asyncio.run(client.aclose())


UNCLOSED = """
import asyncio, sys
from schemawire.transport import Client

async def main():
    client = Client(sys.argv[1])
    print((await client.request("GET", "/")).status)
    return client

kept = asyncio.run(main())
"""


async def test_client_may_be_left_unclosed() -> None:
    """A script that forgets to close ends without a word."""
    async with RawServer(answering(http(200))) as server:
        script = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-W", "always", "-c", UNCLOSED, server.url),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        out, err = await script.communicate()
    assert (script.returncode, out, err) == (0, b"200\n", b"")


async def test_unclosed_client_is_collected_in_silence() -> None:
    """Dropping the last reference warns about nothing and closes its sockets."""
    async with RawServer(answering(http(200))) as server:
        client = Client(server.url)
        await client.request("GET", "/")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            del client
            gc.collect()
            await asyncio.sleep(0.01)


async def test_stream_is_read_as_it_arrives(wire: str) -> None:
    """The first piece is there before the second is sent, and permits are held until the end."""
    app = ContractApp()
    async with served(app) as url, Client(url, wire=wire) as client:
        async with client.stream("GET", "/drip") as response:
            chunks = response.__aiter__()
            assert await anext(chunks) == b"first"
            assert held(client) == (1, 1, 1)
            app.release.set()
            assert await anext(chunks) == b"second"
            assert [chunk async for chunk in chunks] == []
            assert held(client) == (0, 0, 0)
        assert client.statistics().calls.success == 1


async def test_stream_left_early_frees_its_connection(wire: str) -> None:
    """A caller who has read enough gives everything back, and nothing is counted against the endpoint."""
    app = ContractApp()
    async with served(app) as url, Client(url, wire=wire) as client:
        async with client.stream("GET", "/large") as response:
            async for _ in response:
                break
        assert held(client) == (0, 0, 0)
        assert client.statistics().endpoints[0].failures == 0
        assert (await client.request("GET", "/status/200")).status == 200


async def test_stream_that_breaks_raises_and_counts(wire: str) -> None:
    """A committed stream is not repeated; its end is an error, also for the breaker."""
    breaker = CircuitBreakerConfig(failure_threshold=1)
    async with served(ContractApp()) as url, Client(url, wire=wire, breaker=breaker) as client:
        with pytest.raises(ConnectionLost):
            await read_all(client, "/broken-body")
        assert held(client) == (0, 0, 0)
        with pytest.raises(CircuitOpen):
            await client.request("GET", "/status/200")


async def read_all(client: Client, path: str, **options: float) -> bytes:
    async with client.stream("GET", path, deadline=options.get("deadline")) as response:
        return await response.read()


async def test_stream_keeps_its_deadline(wire: str) -> None:
    """The deadline covers the body, not only its head."""
    async with served(ContractApp()) as url, Client(url, wire=wire) as client:
        with pytest.raises(DeadlineExceeded):
            await read_all(client, "/silent-body", deadline=0.2)
        assert held(client) == (0, 0, 0)


async def test_stream_is_retried_before_its_first_byte(wire: str) -> None:
    """Until the head has come nothing is committed, and discarded replies hold no connection."""
    replies = answering(http(503, b"x" * 100_000), http(503), http(200, b"fine"))
    pool = PoolConfig(max_connections=1)
    async with RawServer(replies) as server, Client(server.url, wire=wire, retry=QUICK, pool=pool) as client:
        async with client.stream("GET", "/") as response:
            assert (response.status, response.attempts) == (200, 3)
            assert await response.read() == b"fine"
        assert held(client) == (0, 0, 0)


async def test_stream_can_be_read_once(wire: str) -> None:
    """A second reading is a mistake, not an empty body."""
    async with (
        RawServer(answering(http(200, b"fine"))) as server,
        Client(server.url, wire=wire) as client,
        client.stream("GET", "/") as response,
    ):
        assert await response.read() == b"fine"
        with pytest.raises(RuntimeError, match="can be read once"):
            await response.read()


async def test_error_of_the_callers_body_is_not_hidden(wire: str) -> None:
    """What the caller's own iterable raises comes out unchanged, after one attempt."""

    async def body() -> AsyncIterator[bytes]:
        yield b"half"
        raise LookupError("the caller's own mistake")

    async with served(ContractApp()) as url, Client(url, wire=wire, retry=QUICK) as client:
        with pytest.raises(LookupError, match="own mistake"):
            await client.request("PUT", "/echo", body=body())
        assert held(client) == (0, 0, 0)
        assert client.statistics().endpoints[0].failures == 0


async def test_unix_socket_is_an_address_like_any_other(tmp_path: Path) -> None:
    """The aiohttp wire reaches a service over its socket file."""
    place = tmp_path / "x.sock"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        text = await head(reader)
        writer.write(http(200, text.split(b" ")[1]))
        await writer.drain()
        writer.close()

    server = await asyncio.start_unix_server(serve, place)
    async with Client(f"http+unix://{str(place).replace('/', '%2F')}") as client:
        assert (await client.request("GET", "/a", params={"b": 1})).body == b"/a?b=1"
    server.close()
    with pytest.raises(ConnectFailed):
        await Client("http+unix://%2Fnowhere.sock", retry=NO_RETRY).request("GET", "/")


async def test_keepalive_of_zero_means_a_connection_for_each_request(wire: str) -> None:
    """Nothing is kept that need not be."""
    pool = PoolConfig(keepalive_expiry=0)
    async with RawServer(answering(http(200))) as server, Client(server.url, wire=wire, pool=pool) as client:
        for _ in range(3):
            await client.request("GET", "/")
        assert server.connections == 3


async def test_wire_tells_how_many_connections_it_holds() -> None:
    """Idle connections are counted, and closing drops them."""
    async with RawServer(answering(http(200))) as server:
        wire = AiohttpWire()
        client = Client(server.url, wire=wire)
        await asyncio.gather(*(client.request("GET", "/") for _ in range(3)))
        assert 1 <= (wire.statistics().open_connections or 0) <= 3
        await client.aclose()
        assert wire.statistics().open_connections == 0


async def test_chaos_neither_doubles_nor_loses_a_keyed_write(wire: str) -> None:
    """Through resets, truncations and delays every keyed write is done once and acknowledged."""
    done: dict[str, int] = {}

    async def remember(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            text = (await head(reader)).decode().lower()
            key = next(line for line in text.split("\r\n") if line.startswith("idempotency-key:"))
            done.setdefault(key, len(done))
            writer.write(http(200, str(done[key]).encode()))
            await writer.drain()

    toxics = (
        Reset(probability=0.15),
        Reset(probability=0.15, after_bytes=20),
        Truncate(probability=0.15, after_bytes=10),
        Latency(probability=0.3, delay=0.01, jitter=0.01),
        Slicer(probability=0.3, size_bytes=5),
    )
    pool = PoolConfig(max_connections=8, keepalive_expiry=0)
    async with RawServer(remember) as server, ChaosProxy("127.0.0.1", server.port, *toxics, seed=7) as proxy:
        async with Client(proxy.url, wire=wire, retry=QUICK, pool=pool, breaker=None) as client:
            replies = await asyncio.gather(
                *(
                    client.request("POST", "/", body=b"", idempotency_key=f"k{n}", retry_until_deadline=True)
                    for n in range(60)
                )
            )
            assert held(client) == (0, 0, 0)
        statistics = proxy.statistics()
    assert sorted(int(reply.body) for reply in replies) == list(range(60))
    assert sum(reply.attempts for reply in replies) == statistics.connections > 60
    assert set(statistics.toxics) >= {"reset", "truncate"}


@pytest.mark.parametrize("toxic", [BlackHole(), SlowLoris(delay=0.1), Corrupt()], ids=lambda toxic: toxic.kind)
async def test_every_fault_ends_in_time_with_a_typed_error_or_a_whole_reply(wire: str, toxic: Corrupt) -> None:
    """Silence, dripping and wrong bytes never hang a call and never pass as something else than they are."""
    timeout = TimeoutConfig(connect=0.5, read=0.2, total=0.6)
    async with (
        RawServer(answering(http(200, b"fine"))) as server,
        ChaosProxy("127.0.0.1", server.port, toxic, seed=3) as proxy,
        Client(proxy.url, wire=wire, retry=QUICK, breaker=None, timeout=timeout) as client,
    ):
        started = asyncio.get_running_loop().time()
        with suppress(AttemptTimeout, DeadlineExceeded, ConnectionLost, BadReply):
            response = await client.request("GET", "/")
            assert len(response.body) == len(b"fine")
        assert asyncio.get_running_loop().time() - started < 2.5
        assert held(client) == (0, 0, 0)
