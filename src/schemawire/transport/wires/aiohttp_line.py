"""A connection of aiohttp's that takes a plain reply whole, and those that lie idle; knows no request.

aiohttp's parser makes a map of headers, a message and a stream for every reply. A reply that is plain and complete
needs none of them; every other one goes the long way, through aiohttp's parser.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection

from schemawire.transport.wires.short_reply import plain_head

LARGEST_WHOLE = 1 << 20
"""A longer body is never waited for in one piece."""


class Awaiting(Protocol):
    """Something that waits for the reply on a line."""

    def go_on_waiting(self) -> None:
        """Take note that a piece has come, and that more is needed."""


class Line(ResponseHandler):
    """aiohttp's protocol of one connection, with a short way for plain replies.

    Used through a session of aiohttp's it is what it is there. Between `expect` and the end of the reply it belongs to
    one exchange; while it is `idle` nothing may come, so what does come makes it worthless.

    Invariants: `_waiter_of_head` is open exactly while an exchange awaits its reply and nothing of that has gone to the
    parser; `_lacking` is above 0 exactly while `_pieces` holds the beginning of a reply that is awaited whole.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.reply: tuple[int, bytes, bytes] | None = None
        """Status, head and body of a reply that went the short way."""
        self.heard = False
        """Whether any byte has come since the last `expect`."""
        self.idle: Callable[[Line], None] | None = None
        """What is told when the connection becomes worthless while it lies idle."""
        self._waiter_of_head: asyncio.Future[None] | None = None
        self._awaiting: Awaiting | None = None
        self._without_body = self._whole = False
        self._pieces: list[bytes] = []
        self._lacking = 0

    def expect(self, awaiting: Awaiting, *, without_body: bool, whole: bool) -> "asyncio.Future[None]":
        """Begin to wait for a reply, before the request is written.

        Args:
            awaiting: who waits.
            without_body: whether the reply has no body, whatever its length says.
            whole: whether the body is wanted in one piece.

        Returns:
            What is done once `reply` is set, or once the reply (or an error) can be read from aiohttp's own queue.
        """
        self.reply, self._parser, self.heard = None, None, False
        self._awaiting, self._without_body, self._whole = awaiting, without_body, whole
        waiter = self._waiter_of_head = self._loop.create_future()
        return waiter

    def data_received(self, data: bytes) -> None:
        """Take what has come the short way if it can go it."""
        if self._waiter_of_head is None:
            if self.idle is not None:
                self.idle(self)
                return
            super().data_received(data)
            return
        self.heard = True
        if self._lacking:
            self._pieces.append(data)
            self._lacking -= len(data)
            if self._lacking > 0:
                self._tell_of_progress()
                return
            data = b"".join(self._pieces)
            self._pieces, self._lacking = [], 0
        self._begin(data)

    def _begin(self, data: bytes) -> None:
        found = plain_head(data, without_body=self._without_body)
        if found is not None:
            status, begin, length = found
            lacking = begin + length - len(data)
            if lacking <= 0:
                if lacking < 0:
                    # RFC 9112 §6.3: what follows a reply that nobody asked for is never taken for one.
                    self.force_close()
                self.reply = (status, data[:begin], data[begin : begin + length])
                self._wake()
                return
            if lacking > 0 and self._whole and length <= LARGEST_WHOLE:
                self._pieces, self._lacking = [data], lacking
                self._tell_of_progress()
                return
        self.set_response_params(skip_payload=self._without_body, read_until_eof=True)
        waiter, self._waiter_of_head = self._waiter_of_head, None
        super().data_received(data)
        self._waiter_of_head = waiter
        self._wake()

    def _tell_of_progress(self) -> None:
        if self._awaiting is not None:
            self._awaiting.go_on_waiting()

    def _wake(self) -> None:
        waiter, self._waiter_of_head, self._awaiting = self._waiter_of_head, None, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def set_exception(self, *details: Any) -> None:
        """Take note that nothing good will come any more."""
        super().set_exception(*details)
        self._wake()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Take note that the connection is gone."""
        super().connection_lost(exc)
        self._wake()
        if self.idle is not None:
            self.idle(self)


class IdleLines:
    """The idle connections to one origin: the last used is used next, so that those too many grow old and are closed.

    Invariants: `_kept` stands in the order in which connections came, which is that of their age, and each line in it
    has `idle` set; while there are any, a timer is set that is due no later than the first of them. A connection that
    lies here holds no line: else it would complain, when a forgotten client is collected, that nobody has closed it.

    Args:
        keepalive: seconds for which an idle connection is kept.
        loop: the running event loop.
    """

    def __init__(self, keepalive: float, loop: asyncio.AbstractEventLoop) -> None:
        self._keepalive = keepalive
        self._loop = loop
        self._kept: dict[Line, tuple[Connection, float]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def take(self) -> tuple[Connection, Line] | None:
        """Return a connection that is still good, if there is any."""
        now = self._loop.time()
        while self._kept:
            line, (connection, since) = self._kept.popitem()
            line.idle = None
            connection._protocol = line
            if line.is_connected() and now - since <= self._keepalive:
                return connection, line
            connection.close()
        return None

    def keep(self, connection: Connection, line: Line) -> None:
        """Keep a connection on which nothing more is awaited; one that is spoilt is closed."""
        if line.should_close:
            connection.close()
            return
        now = self._loop.time()
        connection._protocol = None
        self._kept[line] = (connection, now)
        line.idle = self._drop
        if self._timer is None:
            self._timer = self._loop.call_at(now + self._keepalive, self._sweep)

    def _drop(self, line: Line) -> None:
        connection, _ = self._kept.pop(line)
        line.idle = None
        connection._protocol = line
        connection.close()

    def _sweep(self) -> None:
        self._timer = None
        now = self._loop.time()
        for line, (_, since) in list(self._kept.items()):
            if since + self._keepalive > now:
                self._timer = self._loop.call_at(since + self._keepalive, self._sweep)
                return
            self._drop(line)

    def close(self) -> None:
        """Close every idle connection."""
        for line in list(self._kept):
            self._drop(line)

    def give_back(self) -> None:
        """Leave every idle connection to the connector, which closes those that it finds when it is closed itself."""
        self._stop()
        for line, (connection, _) in self._kept.items():
            line.idle = None
            connection._protocol = line
            connection.release()
        self._kept.clear()

    def forget(self) -> list[asyncio.Transport]:
        """Let go of every idle connection without closing it, and return the transports."""
        self._stop()
        for line in self._kept:
            line.idle = None
        transports = [line.transport for line in self._kept if line.transport is not None]
        self._kept.clear()
        return transports

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
