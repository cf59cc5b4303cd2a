"""A real loopback origin that answers from a queue and remembers what it was asked, and a clock that tests move."""

import asyncio
from dataclasses import dataclass, field

from tests.transport.servers import RawServer

from schemawire.transport.http_date import format_date

CUT = "cut"
START = 1_800_000_000.0
"""Seconds since 1970 at which the clock of a test begins."""


class Clock:
    """A wall clock that only moves when it is told to."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


@dataclass
class Asked:
    """One request as the origin saw it; header names in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes = b""


@dataclass
class Reply:
    """What the origin answers; `gate` holds it back until set, `missing` bytes are promised and not sent."""

    status: int = 200
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b"one"
    gate: asyncio.Event | None = None
    missing: int = 0


class Origin:
    """Answers each request with the next reply, then with the last again; `cut` closes the connection instead."""

    def __init__(self, *replies: Reply | str) -> None:
        self.replies: list[Reply | str] = list(replies)
        self.asked: list[Asked] = []
        self.arrived = asyncio.Event()
        self._server = RawServer(self._serve)
        self.url = self._server.url

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            request, *lines = head.rstrip("\r\n").split("\r\n")
            method, target, _ = request.split(" ", 2)
            headers: dict[str, str] = {}
            for line in lines:
                name, _, value = line.partition(":")
                lower = name.lower()
                headers[lower] = f"{headers[lower]}, {value.strip()}" if lower in headers else value.strip()
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            self.asked.append(Asked(method, target, headers, body))
            self.arrived.set()
            reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
            if not isinstance(reply, Reply):
                return
            if reply.gate is not None:
                await reply.gate.wait()
            writer.write(_encoded(reply, method))
            await writer.drain()
            if reply.missing:
                return

    async def __aenter__(self) -> "Origin":
        await self._server.start()
        return self

    async def __aexit__(self, *details: object) -> None:
        await self._server.stop()


def _encoded(reply: Reply, method: str) -> bytes:
    bodiless = method == "HEAD" or reply.status in (204, 304)
    length = [] if reply.status in (204, 304) else [("Content-Length", str(len(reply.body) + reply.missing))]
    lines = [f"HTTP/1.1 {reply.status} Some", *(f"{name}: {value}" for name, value in [*reply.headers, *length])]
    head = "\r\n".join([*lines, "", ""]).encode("utf-8")
    return head if bodiless else head + reply.body


def dated(value: str, clock: Clock, url: str = "") -> str:
    """Return `@N` as the HTTP date N seconds from now, and anything else with the origin's address filled in."""
    if value.startswith("@"):
        return format_date(clock.now + float(value[1:]))
    return value.replace("{origin}", url)
