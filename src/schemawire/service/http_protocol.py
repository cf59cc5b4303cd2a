"""HTTP/1.1 connections with bounds: how large a request's head may be, and how slowly a request may come.

The parser is `httptools` where it is installed, which bounds neither, and else `h11`, which bounds the head. Knows
nothing of what is asked for.
"""

import asyncio
from collections.abc import Iterable
from importlib.util import find_spec
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from schemawire.service.line_reply import ABORT
from schemawire.service.logs import log

MAX_HEAD_BYTES = 64 * 1024
"""Of the request line and all headers together; also of what lies between two parts of a body."""
HEAD_TIMEOUT = 30.0
"""Seconds from the first moment to the end of the head, however it trickles."""
BODY_IDLE_TIMEOUT = 75.0
"""Seconds without a byte of a body that has begun; bodies of lines are given up, with an answer, a little earlier."""
LOOK_INTERVAL = 5.0
"""Seconds between two looks at all connections."""

_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"content-length: 36\r\nconnection: close\r\n\r\nThe head of the request is too large"
)


class PatientH11(H11Protocol):
    """The slower parser, which needs nothing but Python."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Begin to wait for a request."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, ABORT: transport.abort}
        self._begun: float | None = self.loop.time()
        self._heard = self._begun

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        self._heard = self.loop.time()
        if self._begun is None and self.conn.their_state is h11.IDLE:
            self._begun = self._heard
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._begun = None

    def is_overdue(self, now: float) -> bool:
        """Tell whether a request has been coming for too long."""
        if self.flow.read_paused:
            return False
        if self._begun is not None:
            return now - self._begun > HEAD_TIMEOUT
        return self.conn.their_state is h11.SEND_BODY and now - self._heard > BODY_IDLE_TIMEOUT


if find_spec("httptools") is not None:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    class BoundedHttpTools(HttpToolsProtocol):
        """The faster parser, bounded.

        Invariants: `_begun` is when the head began that is not complete yet; `_pending_bytes` came since a part of
        the request was last complete.
        """

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
            """Begin to wait for a request."""
            super().connection_made(transport)
            self.app_state = {**self.app_state, ABORT: transport.abort}
            self._begun: float | None = self.loop.time()
            self._heard = self._begun
            self._pending_bytes = 0
            self._is_complete = False

        def data_received(self, data: bytes) -> None:
            """Take what came; refuse what has no end."""
            self._heard = self.loop.time()
            self._pending_bytes += len(data)
            super().data_received(data)
            if self._pending_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
                self._refuse()

        def on_message_begin(self) -> None:
            """A request begins."""
            self._begun = self._heard
            self._is_complete = False
            super().on_message_begin()

        def on_headers_complete(self) -> None:
            """Refuse a head that came in one piece and is too large; hand a good one on."""
            if self._pending_bytes > MAX_HEAD_BYTES:
                size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
                if size > MAX_HEAD_BYTES:
                    raise ValueError("the head is too large")
            self._begun = None
            self._pending_bytes = 0
            super().on_headers_complete()
            self.headers = []  # trailers behind the body must not come among the headers

        def on_chunk_header(self) -> None:
            """A piece of the body begins."""
            self._pending_bytes = 0

        def on_body(self, body: bytes) -> None:
            """A part of the body came."""
            self._pending_bytes = 0
            super().on_body(body)

        def on_message_complete(self) -> None:
            """The request has come."""
            self._is_complete = True
            self._pending_bytes = 0
            super().on_message_complete()

        def send_400_response(self, msg: str) -> None:
            """Say what is wrong, and close."""
            if self._begun is not None and self._pending_bytes > MAX_HEAD_BYTES:
                self._refuse()
            else:
                super().send_400_response(msg)

        def _refuse(self) -> None:
            self.transport.write(_TOO_LARGE)
            self.transport.close()

        def is_overdue(self, now: float) -> bool:
            """Tell whether a request has been coming for too long."""
            if self._is_complete or self.flow.read_paused:
                return False
            if self._begun is not None:
                return now - self._begun > HEAD_TIMEOUT
            return now - self._heard > BODY_IDLE_TIMEOUT


def protocol_class() -> type[asyncio.Protocol]:
    """Return the class that serves connections: the fastest whose parser is installed."""
    return PatientH11 if find_spec("httptools") is None else BoundedHttpTools


async def cut_overdue(connections: Iterable[Any], *, interval: float = LOOK_INTERVAL) -> None:
    """Cut connections whose requests have been coming for too long, until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(interval)
        now = loop.time()
        overdue = [connection for connection in list(connections) if connection.is_overdue(now)]
        for connection in overdue:
            connection.transport.abort()
        if overdue:
            log.info("slow requests cut off", connections=len(overdue))
