"""A TCP proxy on the loopback that breaks connections on purpose, the same way for the same seed; knows no HTTP."""

import asyncio
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from random import Random
from types import MappingProxyType
from typing import Self

from schemawire.testing.toxics import Cut, Direction, Flow, Toxic

_CHUNK_BYTES = 64 * 1024
_CONNECT_LIMIT = 5.0
_LINGER_ZERO = struct.pack("ii", 1, 0)
"""Closing a socket with this option sends RST instead of FIN."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChaosStatistics:
    """What the proxy has done so far."""

    connections: int
    open: int
    refused: int
    """Connections that were reset because the target, or the proxy while it is down, takes none."""
    clean: int
    """Connections to which nothing was done."""
    toxics: Mapping[str, int]
    """Connections on which each kind of toxic took effect."""


class ChaosProxy:
    """Passes connections on to a target and breaks a share of them: `async with ChaosProxy(host, port, Reset(…))`.

    Toxics are drawn for each connection when it is accepted, in the order of acceptance, so that the same seed breaks
    the same connections. They can be replaced at any time, which holds for connections accepted afterwards. A target
    that refuses is passed on as a reset, and may be restarted or replaced meanwhile.

    Args:
        target_host: where connections go.
        target_port: its port.
        toxics: what goes wrong.
        seed: of every draw.
    """

    host = "127.0.0.1"

    def __init__(self, target_host: str, target_port: int, *toxics: Toxic, seed: int = 0) -> None:
        self.target = (target_host, target_port)
        """Host and port that connections are passed on to; may be changed at any time."""
        self.toxics: tuple[Toxic, ...] = toxics
        """What goes wrong on connections accepted from now on; may be changed at any time."""
        self.is_down = False
        """Whether every new connection is reset at once; may be changed at any time."""
        self._draw = Random(seed)  # noqa: S311  # chaos must be repeatable, not secret
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()
        self._accepted = self._refused = self._touched = 0
        self._effects: Counter[str] = Counter()

    @property
    def port(self) -> int:
        """The port it listens on.

        Raises:
            RuntimeError: it has not been started.
        """
        if self._server is None:
            raise RuntimeError("the proxy listens to no port yet; use `async with ChaosProxy(…) as proxy`")
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def url(self) -> str:
        """The proxy's address as an HTTP base URL."""
        return f"http://{self.host}:{self.port}"

    async def start(self) -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._accept, self.host, 0)

    async def stop(self) -> None:
        """Stop listening and reset what is open; returns at once, whatever the two ends do. Safe to call twice."""
        if self._server is not None:
            self._server.close()
            self._server = None
        await self.cut_all()

    async def cut_all(self) -> None:
        """Reset every open connection."""
        links = list(self._links)
        for link in links:
            link.cancel()
        await asyncio.gather(*links, return_exceptions=True)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *details: object) -> None:
        await self.stop()

    def statistics(self) -> ChaosStatistics:
        """Return what has been done so far."""
        return ChaosStatistics(
            connections=self._accepted,
            open=len(self._links),
            refused=self._refused,
            clean=self._accepted - self._refused - self._touched,
            toxics=MappingProxyType(dict(self._effects)),
        )

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._accepted += 1
        drawn = [toxic for toxic in self.toxics if self._draw.random() < toxic.probability]
        link = _Link(reader, writer, self, drawn, Random(self._draw.random()))  # noqa: S311  # see above
        task = asyncio.get_running_loop().create_task(link.run())
        self._links.add(task)
        task.add_done_callback(self._links.discard)

    def note_refusal(self) -> None:
        """Count a connection that could not be passed on."""
        self._refused += 1

    def note_effect(self, kind: str, *, first: bool) -> None:
        """Count that a toxic took effect on a connection; `first` says whether it is that connection's first."""
        self._effects[kind] += 1
        self._touched += first


class _Link:
    """One connection through the proxy."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        proxy: ChaosProxy,
        toxics: list[Toxic],
        draw: Random,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._proxy = proxy
        self._toxics = toxics
        self._draw = draw
        self._effects: set[str] = set()

    async def run(self) -> None:
        reset = True
        upstream: asyncio.StreamWriter | None = None
        try:
            opened = await self._connect()
            if opened is not None:
                reader, upstream = opened
                reset = await self._pass_both_ways(reader, upstream)
        finally:
            _end(self._writer, reset=reset)
            if upstream is not None:
                _end(upstream, reset=reset)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        try:
            if not self._proxy.is_down:
                async with asyncio.timeout(_CONNECT_LIMIT):
                    return await asyncio.open_connection(*self._proxy.target)
        except OSError:  # TimeoutError is one too
            pass
        self._proxy.note_refusal()
        return None

    async def _pass_both_ways(self, reader: asyncio.StreamReader, upstream: asyncio.StreamWriter) -> bool:
        """Pass bytes both ways until both have ended; return whether to reset."""
        reset = False
        for writer in (self._writer, upstream):
            # `drain` then waits until nothing is buffered here, so that an end never throws away what was let through.
            writer.transport.set_write_buffer_limits(high=0)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass_on(self._reader, upstream, Direction.UP))
                group.create_task(self._pass_on(reader, self._writer, Direction.DOWN))
        except* Cut as cuts:
            reset = any(isinstance(cut, Cut) and cut.reset for cut in cuts.exceptions)
        except* OSError:
            reset = True
        return reset

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Direction) -> None:
        flow = Flow(draw=self._draw, took_effect=self._took_effect)
        chunks = _read(reader)
        for toxic in self._toxics:
            if toxic.direction is way:
                chunks = toxic.shape(chunks, flow)
        async for chunk in chunks:
            writer.write(chunk)
            await writer.drain()
        if not flow.silent:
            writer.write_eof()
        elif way is Direction.UP:
            raise Cut(reset=False)  # The client has gone, so nobody is left to keep in the dark.

    def _took_effect(self, kind: str) -> None:
        if kind not in self._effects:
            self._proxy.note_effect(kind, first=not self._effects)
            self._effects.add(kind)


async def _read(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while chunk := await reader.read(_CHUNK_BYTES):
        yield chunk


def _end(writer: asyncio.StreamWriter, *, reset: bool) -> None:
    sock = writer.get_extra_info("socket")
    if reset and sock is not None and sock.fileno() >= 0:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
    # `close` would wait for a receiver that may never read; what was let through has been handed to the kernel.
    writer.transport.abort()
