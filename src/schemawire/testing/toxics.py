"""What a chaos proxy does to the bytes of a connection: each toxic reshapes one direction; knows no sockets."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import ClassVar


class Direction(Enum):
    """Which way the bytes go: `UP` from the client to the target, `DOWN` back to the client."""

    UP = "up"
    DOWN = "down"


class Cut(Exception):  # a signal to the proxy, not an error
    """The connection ends here: with a reset, or with an orderly end that comes too early."""

    def __init__(self, *, reset: bool) -> None:
        super().__init__("reset" if reset else "end")
        self.reset = reset


@dataclass(slots=True, kw_only=True)
class Flow:
    """One direction of one connection, as a toxic sees it."""

    draw: Random
    took_effect: Callable[[str], None]
    """To be called with the toxic's kind when it first does something to this connection."""
    silent: bool = False
    """Whether the end of the stream is to be kept from the receiver."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Toxic:
    """Something that goes wrong on a share of the connections.

    Args:
        probability: the share of connections that it applies to, 0 to 1; drawn when a connection is accepted.
        direction: which way the affected bytes go.
    """

    kind: ClassVar[str] = "none"
    probability: float = 1.0
    direction: Direction = Direction.DOWN

    def __post_init__(self) -> None:
        if not 0.0 <= self.probability <= 1.0:
            raise ValueError(f"{type(self).__name__}.probability={self.probability!r} must be from 0 to 1")
        for name in ("delay", "jitter", "after_bytes", "share"):
            value = getattr(self, name, 0)
            if not 0 <= value < math.inf:
                raise ValueError(f"{type(self).__name__}.{name}={value!r} must be a finite number from 0 up")
        for name in ("bytes_per_second", "size_bytes"):
            if not getattr(self, name, 1) >= 1:
                raise ValueError(f"{type(self).__name__}.{name}={getattr(self, name)!r} must be 1 or more")

    async def shape(self, chunks: AsyncIterator[bytes], flow: Flow) -> AsyncIterator[bytes]:
        """Yield the bytes of `chunks` as they are to arrive; raise `Cut` to end the connection."""
        async for chunk in chunks:
            yield chunk


@dataclass(frozen=True, slots=True, kw_only=True)
class Delay(Toxic):
    """Holds the first bytes back once, for `delay` seconds."""

    kind: ClassVar[str] = "delay"
    delay: float = 0.5

    async def shape(self, chunks: AsyncIterator[bytes], flow: Flow) -> AsyncIterator[bytes]:
        """Wait once, then pass everything on."""
        flow.took_effect(self.kind)
        await asyncio.sleep(self.delay)
        async for chunk in chunks:
            yield chunk


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency(Toxic):
    """Holds every chunk back for `delay` seconds, and up to `jitter` seconds longer."""

    kind: ClassVar[str] = "latency"
    delay: float = 0.1
    jitter: float = 0.0

    async def shape(self, chunks: AsyncIterator[bytes], flow: Flow) -> AsyncIterator[bytes]:
        """Wait before each chunk."""
        async for chunk in chunks:
            flow.took_effect(self.kind)
            await asyncio.sleep(self.delay + flow.draw.random() * self.jitter)
            yield chunk


@dataclass(frozen=True, slots=True, kw_only=True)
class Bandwidth(Toxic):
    """Lets no more than `bytes_per_second` through."""

    kind: ClassVar[str] = "bandwidth"
    bytes_per_second: float = 10_000.0

    async def shape(self, chunks: AsyncIterator[bytes], flow: Flow) -> AsyncIterator[bytes]:
        """Pass small pieces on, each followed by the time that it takes."""
        step = max(1, int(self.bytes_per_second / 20))
        async for chunk in chunks:
            flow.took_effect(self.kind)
            for start in range(0, len(chunk), step):
                piece = chunk[start : start + step]
                yield piece
                await asyncio.sleep(len(piece) / self.bytes_per_second)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slicer(Toxic):
    """Cuts chunks into pieces of at most `size_bytes`, with up to `delay` seconds between them."""

    kind: ClassVar[str] = "slicer"
    size_bytes: int = 16
    delay: float = 0.0

    async def shape(self, chunks: AsyncIterator[bytes], flow: Flow) -> AsyncIterator[bytes]:
        """Pass pieces of drawn sizes on."""
        async for chunk in chunks:
            flow.took_effect(self.kind)
            start = 0
            while start < len(chunk):
                size = flow.draw.randint(1, self.size_bytes)
                yield chunk[start : start + size]
                start += size
                await asyncio.sleep(flow.draw.random() * self.delay)


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowLoris(Toxic):
    """Lets single bytes drip through, one every `delay` seconds."""

    kind: ClassVar[str] = "slow_loris"
    delay: float = 0.05

    async def shape(self, chunks: AsyncIterator[bytes], flow: Flow) -> AsyncIterator[bytes]:
        """Wait before each byte."""
        async for chunk in chunks:
            flow.took_effect(self.kind)
            for position in range(len(chunk)):
                await asyncio.sleep(self.delay)
                yield chunk[position : position + 1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrupt(Toxic):
    """Changes one byte in a `share` of the chunks."""

    kind: ClassVar[str] = "corrupt"
    share: float = 1.0

    async def shape(self, chunks: AsyncIterator[bytes], flow: Flow) -> AsyncIterator[bytes]:
        """Flip bits of one drawn byte."""
        async for chunk in chunks:
            if flow.draw.random() >= self.share:
                yield chunk
                continue
            flow.took_effect(self.kind)
            changed = bytearray(chunk)
            changed[flow.draw.randrange(len(changed))] ^= flow.draw.randint(1, 255)
            yield bytes(changed)


@dataclass(frozen=True, slots=True, kw_only=True)
class BlackHole(Toxic):
    """Swallows everything after `after_bytes`, the end of the stream included, while the connection stays open."""

    kind: ClassVar[str] = "black_hole"
    after_bytes: int = 0

    async def shape(self, chunks: AsyncIterator[bytes], flow: Flow) -> AsyncIterator[bytes]:
        """Pass on what is allowed, then read on and say nothing."""
        left = self.after_bytes
        async for chunk in chunks:
            passed, left = chunk[:left], left - min(left, len(chunk))
            if passed:
                yield passed
            if len(passed) < len(chunk):
                flow.silent = True
                flow.took_effect(self.kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class _CutAfter(Toxic):
    after_bytes: int = 0
    resets: ClassVar[bool] = False

    async def shape(self, chunks: AsyncIterator[bytes], flow: Flow) -> AsyncIterator[bytes]:
        left = self.after_bytes
        if left == 0:
            self._cut(flow)
        async for chunk in chunks:
            passed, left = chunk[:left], left - min(left, len(chunk))
            if passed:
                yield passed
            if left == 0:
                self._cut(flow)

    def _cut(self, flow: Flow) -> None:
        flow.took_effect(self.kind)
        raise Cut(reset=self.resets)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset(_CutAfter):
    """Resets the connection (RST) after `after_bytes`, at once when that is 0."""

    kind: ClassVar[str] = "reset"
    resets: ClassVar[bool] = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Truncate(_CutAfter):
    """Ends the connection in good order (FIN), but after `after_bytes`; what Toxiproxy calls limit_data."""

    kind: ClassVar[str] = "truncate"


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowClose(Toxic):
    """Holds the end of the stream back for `delay` seconds."""

    kind: ClassVar[str] = "slow_close"
    delay: float = 1.0

    async def shape(self, chunks: AsyncIterator[bytes], flow: Flow) -> AsyncIterator[bytes]:
        """Pass everything on, then wait."""
        async for chunk in chunks:
            yield chunk
        flow.took_effect(self.kind)
        await asyncio.sleep(self.delay)
