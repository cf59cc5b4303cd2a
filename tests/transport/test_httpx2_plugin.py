"""The pipeline under httpx2 clients, and under the SDKs of OpenAI and Anthropic as they are published."""

import asyncio
import json
from collections.abc import AsyncIterator

import anthropic
import httpx2
import openai
import pytest
from tests.transport.servers import ContractApp, RawServer, answering, free_port, head, http, served

from schemawire.errors import ConnectFailed
from schemawire.resilience import CircuitBreakerConfig, RetryConfig
from schemawire.transport import PoolConfig
from schemawire.transport.httpx2_plugin import ResilientTransport

QUICK = RetryConfig(max_retries=3, transient_base=0.005, transient_cap=0.02, throttled_base=0.005)


def client_on(transport: ResilientTransport) -> httpx2.AsyncClient:
    return httpx2.AsyncClient(transport=transport, timeout=5.0)


async def test_request_arrives_as_it_was_given() -> None:
    """Method, query, headers and body pass unchanged; each header once."""
    async with served(ContractApp()) as url, client_on(ResilientTransport(retry=QUICK)) as client:
        response = await client.put(url + "/echo/a%20b?q=%2B1&r=%C3%A4", content=b"\x00\xff", headers={"X-Own": "yes"})
        told = response.json()
    names = [name for name, _ in told["headers"]]
    assert (told["method"], told["path"], told["query"]) == ("PUT", "/echo/a b", "q=%2B1&r=%C3%A4")
    assert told["body"] == "\x00\xff"
    assert ["x-own", "yes"] in told["headers"]
    assert len(set(names)) == len(names)


async def test_read_is_repeated_and_counted() -> None:
    """What fails in passing is tried again below httpx2, which sees one good response."""
    transport = ResilientTransport(retry=QUICK)
    async with RawServer(answering(http(503), http(500), http(200, b"fine"))) as server, client_on(transport) as client:
        response = await client.get(server.url + "/x")
        assert (response.status_code, response.text) == (200, "fine")
        calls = transport.client(server.url).statistics().calls
        assert (calls.started, calls.success, calls.attempts, calls.in_flight) == (1, 1, 3, 0)


async def test_streams_pass_both_ways() -> None:
    """A body is sent as it is made, and read as it arrives."""

    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b"one ", b"two ", b"three"):
            yield piece

    app = ContractApp()
    async with served(app) as url, client_on(ResilientTransport()) as client:
        assert (await client.post(url + "/echo", content=pieces())).json()["body"] == "one two three"
        async with client.stream("GET", url + "/drip") as response:
            chunks = response.aiter_bytes()
            assert await anext(chunks) == b"first"
            app.release.set()
            assert [chunk async for chunk in chunks] == [b"second"]


async def test_one_shot_body_is_sent_once_and_its_error_is_the_callers_own() -> None:
    """A generator cannot be repeated, and what it raises comes out unchanged."""

    async def broken() -> AsyncIterator[bytes]:
        yield b"half"
        raise LookupError("the caller's own mistake")

    transport = ResilientTransport(retry=QUICK)
    async with served(ContractApp()) as url, client_on(transport) as client:
        with pytest.raises(LookupError):
            await client.put(url + "/echo", content=broken())
        statistics = transport.client(url).statistics()
        assert (statistics.calls.attempts, statistics.calls.in_flight, statistics.wire.in_flight) == (1, 0, 0)


async def test_compressed_body_is_unpacked_once() -> None:
    """The wire unpacks, and httpx2 is not told that there was something to unpack."""
    async with served(ContractApp()) as url, client_on(ResilientTransport()) as client:
        response = await client.get(url + "/gzip")
        assert response.content == b"squeezed " * 1000
        assert "content-encoding" not in response.headers


async def test_errors_are_those_of_httpx2() -> None:
    """No connection, silence, a broken body and a full queue each have their class; ours is the cause."""
    gone = f"http://127.0.0.1:{free_port()}"
    transport = ResilientTransport(retry=None, breaker=None, pool=PoolConfig(max_connections=1, max_queue=0))
    async with served(ContractApp()) as url, client_on(transport) as client:
        with pytest.raises(httpx2.ConnectError) as caught:
            await client.get(gone)
        assert isinstance(caught.value.__cause__, ConnectFailed)
        assert caught.value.request.url == gone
        with pytest.raises(httpx2.ReadTimeout):
            await client.get(url + "/silent", timeout=httpx2.Timeout(5.0, read=0.1))
        with pytest.raises(httpx2.ReadError):
            await client.get(url + "/broken-body")
        async with client.stream("GET", url + "/large"):
            with pytest.raises(httpx2.PoolTimeout):
                await client.get(url + "/status/200")
        assert (await client.get(url + "/status/200")).status_code == 200
        with pytest.raises(httpx2.UnsupportedProtocol):
            await client.get("ftp://127.0.0.1/")


async def test_open_breaker_refuses_at_once() -> None:
    """A service that is down is left alone, and the next one is not blamed for it."""
    gone = f"http://127.0.0.1:{free_port()}"
    transport = ResilientTransport(retry=None, breaker=CircuitBreakerConfig(failure_threshold=1))
    async with RawServer(answering(http(200))) as server, client_on(transport) as client:
        for _ in range(3):
            with pytest.raises(httpx2.ConnectError):
                await client.get(gone)
        assert transport.client(gone).statistics().calls.refused == 2
        assert (await client.get(server.url)).status_code == 200


async def test_cancelled_request_and_left_stream_give_everything_back() -> None:
    """Leaving early, at the head or in the body, frees the connection and the place in the pool."""
    app = ContractApp()
    transport = ResilientTransport(pool=PoolConfig(max_connections=1))
    async with served(app) as url, client_on(transport) as client:
        task = asyncio.create_task(client.get(url + "/silent"))
        async with asyncio.timeout(5):
            await app.waiting.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        async with client.stream("GET", url + "/large") as response:
            await anext(response.aiter_bytes())
        statistics = transport.client(url).statistics()
        assert (statistics.wire.in_flight, statistics.calls.in_flight, statistics.calls.cancelled) == (0, 0, 1)
        assert (await client.get(url + "/status/200")).status_code == 200


async def test_fixed_endpoints_take_the_place_of_the_host() -> None:
    """With endpoints given, the host of the address is only a name: a dead one is passed over."""
    gone = f"http://127.0.0.1:{free_port()}"
    async with RawServer(answering(http(200, b"alive"))) as server:
        transport = ResilientTransport([gone, server.url], retry=QUICK)
        async with client_on(transport) as client:
            assert [(await client.get("http://service.test/x")).text for _ in range(5)] == ["alive"] * 5


async def test_hosts_without_number_do_not_pile_up() -> None:
    """Clients of hosts that nobody uses are let go."""
    transport = ResilientTransport(retry=None)
    async with client_on(transport) as client:
        for number in range(80):
            with pytest.raises(httpx2.ConnectError):
                await client.get(f"http://127.0.0.1:1/{number}", headers={"Host": "x"})
            transport.client(f"http://127.0.0.1:{number + 2}")
        assert len(transport._clients) <= 82
        await client.aclose()
        await transport.aclose()


def completion(text: str) -> bytes:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    body = {"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    return http(200, json.dumps(body).encode(), "Content-Type: application/json")


async def asked_openai(server: RawServer, transport: ResilientTransport, **options: object) -> str | None:
    async with openai.AsyncOpenAI(
        api_key="k", base_url=server.url + "/v1", max_retries=0, http_client=client_on(transport)
    ) as client:
        reply = await client.chat.completions.create(
            model="m",
            messages=[{"role": "user", "content": "hello"}],
            extra_headers={"Idempotency-Key": "q-1"},
        )
    return reply.choices[0].message.content


async def test_openai_sdk_gets_the_pipeline() -> None:
    """A question with a key survives a lost connection, a 503 and a 429; the SDK sees one good answer."""
    hurry = http(429, b"{}", "retry-after-ms: 5")
    async with RawServer(answering(http(503), hurry, completion("hi"))) as server:
        transport = ResilientTransport(retry=QUICK)
        assert await asked_openai(server, transport) == "hi"
        assert transport.client(server.url).statistics().calls.attempts == 3


async def test_openai_sdk_sees_its_own_errors() -> None:
    """What cannot be mended is raised as the SDK's users expect it."""
    transport = ResilientTransport(retry=QUICK)
    async with RawServer(
        answering(http(401, b'{"error": {"message": "no"}}', "Content-Type: application/json"))
    ) as server:
        with pytest.raises(openai.AuthenticationError):
            await asked_openai(server, transport)
    with pytest.raises(openai.APIConnectionError):
        await asked_openai(server, ResilientTransport(retry=None))


async def test_openai_sdk_streams() -> None:
    """Server-sent events arrive one by one through the pipeline."""
    goes_on = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await head(reader)
        length = next(int(line[16:]) for line in request.lower().split(b"\r\n") if line.startswith(b"content-length: "))
        await reader.readexactly(length)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        for word in ("one", "two"):
            choice = {"index": 0, "delta": {"content": word}, "finish_reason": None}
            event = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
            writer.write(f"data: {json.dumps(event)}\n\n".encode())
            await writer.drain()
            await goes_on.wait()
        writer.write(b"data: [DONE]\n\n")

    async with RawServer(drip) as server:
        transport = ResilientTransport()
        async with openai.AsyncOpenAI(
            api_key="k", base_url=server.url, max_retries=0, http_client=client_on(transport)
        ) as client:
            stream = await client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": "hello"}], stream=True
            )
            words = []
            async for event in stream:
                words.append(event.choices[0].delta.content)
                goes_on.set()
        assert words == ["one", "two"]
        assert transport.client(server.url).statistics().calls.success == 1


async def test_anthropic_sdk_gets_the_pipeline() -> None:
    """The same with the other SDK."""
    message = {
        "id": "m1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "end_turn",
        "stop_sequence": None, "content": [{"type": "text", "text": "hi"}],
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }  # fmt: skip
    good = http(200, json.dumps(message).encode(), "Content-Type: application/json")
    async with RawServer(answering(http(529), good)) as server:
        transport = ResilientTransport(retry=QUICK)
        async with anthropic.AsyncAnthropic(
            api_key="k", base_url=server.url, max_retries=0, http_client=client_on(transport)
        ) as client:
            reply = await client.messages.create(
                model="m",
                max_tokens=5,
                messages=[{"role": "user", "content": "hello"}],
                extra_headers={"Idempotency-Key": "q-2"},
            )
        block = reply.content[0]
        assert isinstance(block, anthropic.types.TextBlock)
        assert block.text == "hi"
        assert transport.client(server.url).statistics().calls.attempts == 2
