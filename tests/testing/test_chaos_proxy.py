"""The chaos proxy does to a connection what its toxics say, counts it, and never hangs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from schemawire.testing.chaos_proxy import ChaosProxy
from schemawire.testing.toxics import (
    Bandwidth,
    BlackHole,
    Corrupt,
    Delay,
    Direction,
    Latency,
    Reset,
    Slicer,
    SlowClose,
    SlowLoris,
    Toxic,
    Truncate,
)

TEXT = b"0123456789" * 10


@asynccontextmanager
async def echo(*, received: list[bytes] | None = None) -> AsyncIterator[int]:
    """Serve connections that send back what they get, until the sender ends."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while chunk := await reader.read(65536):
                if received is not None:
                    received.append(chunk)
                writer.write(chunk)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    tasks: set[asyncio.Task[None]] = set()
    server = await asyncio.start_server(lambda r, w: tasks.add(asyncio.ensure_future(answer(r, w))), "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def talk(port: int, text: bytes = TEXT, *, limit: float = 5.0) -> bytes:
    """Send `text`, end, and return everything that comes back; raises what the connection raises."""
    async with asyncio.timeout(limit):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(text)
            writer.write_eof()
            return await reader.read(-1)
        finally:
            writer.transport.abort()


async def test_without_toxics_nothing_changes() -> None:
    """A proxy without toxics is a plain proxy, also for what is larger than every buffer."""
    large = bytes(range(256)) * 16_384
    async with echo() as port, ChaosProxy("127.0.0.1", port) as proxy:
        assert await talk(proxy.port, large) == large
        assert await talk(proxy.port) == TEXT
        statistics = proxy.statistics()
    assert (statistics.connections, statistics.clean, statistics.toxics) == (2, 2, {})


@pytest.mark.parametrize(
    "toxic",
    [
        Delay(delay=0.05),
        Latency(delay=0.05, jitter=0.01),
        Bandwidth(bytes_per_second=2000),
        Slicer(size_bytes=7, delay=0.005),
        SlowLoris(delay=0.001),
        SlowClose(delay=0.05),
    ],
)
async def test_slow_toxics_change_the_time_and_not_the_bytes(toxic: Toxic) -> None:
    """What only slows down still delivers every byte."""
    clock = asyncio.get_running_loop().time
    async with echo() as port, ChaosProxy("127.0.0.1", port, toxic) as proxy:
        started = clock()
        assert await talk(proxy.port) == TEXT
        assert clock() - started >= 0.02
        assert proxy.statistics().toxics == {toxic.kind: 1}


async def test_reset_is_a_reset() -> None:
    """The client sees the connection break, not end."""
    async with echo() as port, ChaosProxy("127.0.0.1", port, Reset(after_bytes=10)) as proxy:
        with pytest.raises(ConnectionResetError):
            await talk(proxy.port)


@pytest.mark.parametrize("after", [0, 1, 37])
async def test_truncate_lets_exactly_so_many_bytes_through(after: int) -> None:
    """The connection ends in good order, too early."""
    async with echo() as port, ChaosProxy("127.0.0.1", port, Truncate(after_bytes=after)) as proxy:
        assert await talk(proxy.port) == TEXT[:after]
        assert proxy.statistics().toxics == {"truncate": 1}


async def test_truncate_on_the_way_up_starves_the_target() -> None:
    """The direction decides which side sees too little."""
    received: list[bytes] = []
    async with echo(received=received) as port:
        toxic = Truncate(after_bytes=5, direction=Direction.UP)
        async with ChaosProxy("127.0.0.1", port, toxic) as proxy:
            await talk(proxy.port)
    assert b"".join(received) == TEXT[:5]


async def test_corrupt_changes_bytes_and_not_their_number() -> None:
    """As many bytes arrive, but not the same."""
    async with echo() as port, ChaosProxy("127.0.0.1", port, Corrupt(), seed=3) as proxy:
        heard = await talk(proxy.port)
    assert len(heard) == len(TEXT)
    assert heard != TEXT


async def test_black_hole_is_silent_and_does_not_hold_up_the_stop() -> None:
    """Nothing comes, not even an end, and the proxy still stops at once."""
    clock = asyncio.get_running_loop().time
    async with echo() as port:
        proxy = ChaosProxy("127.0.0.1", port, BlackHole(after_bytes=3))
        await proxy.start()
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(TEXT)
        assert await reader.readexactly(3) == TEXT[:3]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await reader.read(1)
        assert proxy.statistics().open == 1
        started = clock()
        await proxy.stop()
        assert clock() - started < 1.0
        assert proxy.statistics().open == 0
        writer.transport.abort()


async def test_link_ends_when_the_client_leaves_a_black_hole() -> None:
    """A client that gives up does not leave its connection open in the proxy."""
    async with echo() as port, ChaosProxy("127.0.0.1", port, BlackHole()) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(TEXT)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await reader.read(1)
        assert proxy.statistics().open == 1
        writer.close()
        async with asyncio.timeout(5):
            while proxy.statistics().open:  # noqa: ASYNC110  # statistics are all that the proxy shows
                await asyncio.sleep(0.005)


async def test_refusal_is_passed_on_and_the_target_may_come_back() -> None:
    """A dead target means a reset; a new one is used without a restart of the proxy."""
    async with echo() as port:
        proxy = ChaosProxy("127.0.0.1", 1)
        async with proxy:
            with pytest.raises(OSError, match="reset"):
                await talk(proxy.port)
            proxy.target = ("127.0.0.1", port)
            assert await talk(proxy.port) == TEXT
            proxy.is_down = True
            with pytest.raises(OSError, match="reset"):
                await talk(proxy.port)
            proxy.is_down = False
            assert await talk(proxy.port) == TEXT
            assert proxy.statistics().refused == 2


async def test_same_seed_breaks_the_same_connections() -> None:
    """The outcome of the n-th connection depends on the seed and n alone."""

    async def pattern(port: int, seed: int) -> list[bool]:
        async with ChaosProxy("127.0.0.1", port, Truncate(probability=0.5), seed=seed) as proxy:
            return [await talk(proxy.port) == TEXT for _ in range(20)]

    async with echo() as port:
        first, again, other = await pattern(port, 1), await pattern(port, 1), await pattern(port, 2)
    assert first == again != other
    assert 0 < sum(first) < 20


async def test_toxics_are_switched_live() -> None:
    """New toxics hold from the next connection on, and `cut_all` breaks those that are open."""
    async with echo() as port, ChaosProxy("127.0.0.1", port) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        proxy.toxics = (Truncate(after_bytes=1),)
        writer.write(TEXT)
        assert await reader.readexactly(len(TEXT)) == TEXT
        assert await talk(proxy.port) == TEXT[:1]
        await proxy.cut_all()
        with pytest.raises(ConnectionResetError):
            await reader.read(1)
        writer.transport.abort()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Reset(probability=1.5), "probability=1.5"),
        (lambda: Latency(delay=-1), "delay=-1"),
        (lambda: Latency(jitter=float("nan")), "jitter=nan"),
        (lambda: Bandwidth(bytes_per_second=0), "bytes_per_second=0"),
        (lambda: Slicer(size_bytes=0), "size_bytes=0"),
    ],
)
def test_toxic_out_of_range_is_refused(make: object, message: str) -> None:
    """A toxic that cannot work is refused where it is made."""
    assert callable(make)
    with pytest.raises(ValueError, match=message):
        make()


async def test_port_before_the_start_is_a_clear_mistake() -> None:
    """There is no port before the proxy listens."""
    with pytest.raises(RuntimeError, match="listens to no port"):
        _ = ChaosProxy("127.0.0.1", 1).port
