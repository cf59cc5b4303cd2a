"""Where a call's time went, over a real socket: its turn, its place, the connection, the first byte, the body."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from schemawire.events import CallFinished, Event, SilentListener
from schemawire.resilience import RateLimitConfig
from schemawire.transport import Client, PoolConfig


class Ended(SilentListener):
    """Keeps how each call ended."""

    def __init__(self) -> None:
        self.calls: list[CallFinished] = []

    def on_event(self, event: Event) -> None:
        """Keep the ends of calls."""
        if isinstance(event, CallFinished):
            self.calls.append(event)


@asynccontextmanager
async def slow_server(delay: float) -> AsyncIterator[str]:
    """Answer each request after a while."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readline():
            while (await reader.readline()).strip():
                continue
            await asyncio.sleep(delay)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def test_connecting_is_told_apart_from_waiting_for_an_answer() -> None:
    """A new connection takes time, an idle one none; the server's own time is that of the first byte."""
    heard = Ended()
    async with slow_server(0.05) as url, Client(url, listener=heard) as client:
        for _ in range(2):
            await client.request("GET", "/x")
    first, second = heard.calls
    assert 0 < first.waits["connect"] < first.duration - first.waits["first_byte"] + 0.001
    assert "connect" not in second.waits
    assert first.waits["first_byte"] >= 0.049


async def test_a_place_in_the_pool_is_told_apart_from_a_turn() -> None:
    """With one place the second call waits for it; with a rate a call waits for its turn."""
    heard = Ended()
    async with slow_server(0.1) as url, Client(url, listener=heard, pool=PoolConfig(max_connections=1)) as client:
        await asyncio.gather(client.request("GET", "/x"), client.request("GET", "/x"))
    first, second = sorted(heard.calls, key=lambda call: call.duration)
    assert "pool" not in first.waits
    assert second.waits["pool"] >= 0.09
    heard = Ended()
    rate = RateLimitConfig(rate=10, burst=1)
    async with slow_server(0.0) as url, Client(url, listener=heard, rate=rate) as client:
        await asyncio.gather(client.request("GET", "/x"), client.request("GET", "/x"))
    assert max(call.waits.get("queue", 0.0) for call in heard.calls) >= 0.05
