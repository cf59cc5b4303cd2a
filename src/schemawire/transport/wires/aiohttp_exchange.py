"""One request and its response on a connection of aiohttp's, without the objects that its session makes for each.

A session spends more on a request than the network does: on header maps, cookies, redirects, tracing and a writer, none
of which a plain request needs. Connections, name resolution, TLS and the parser are aiohttp's own.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from functools import partial

import aiohttp
from aiohttp.connector import Connection
from aiohttp.streams import StreamReader
from yarl import URL

from schemawire.errors import ConnectionStale, SchemawireError
from schemawire.transport.message import Headers, Request
from schemawire.transport.wires.aiohttp_errors import TRANSLATED, translated
from schemawire.transport.wires.aiohttp_line import IdleLines, Line
from schemawire.transport.wires.short_reply import fields_of
from schemawire.transport.wires.silence import SilenceWatch

LARGEST_BODY = 1 << 16
"""A body up to this size is handed over in one piece; a larger one must be written with back-pressure."""

# What changes how a message is framed is left to the session, which knows every case.
_FRAMING = frozenset({"connection", "content-length", "expect", "te", "trailer", "transfer-encoding", "upgrade"})
_WITHOUT_LENGTH = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


class Origin:
    """Scheme, host and port, with all that every request to them shares.

    Args:
        address: a base URL, without path.
        connector: where new connections come from.
        keepalive: seconds for which an idle connection is kept; 0: none is.
        loop: the running event loop.
    """

    def __init__(
        self, address: URL, connector: aiohttp.BaseConnector, keepalive: float, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.connector = connector
        # The connector's own store of idle connections takes as long as reading a short reply.
        self.idle = None if connector.force_close else IdleLines(keepalive, loop)
        # The connector reads the key, the address and the TLS options of a request, all of which are the origin's.
        self._template = aiohttp.ClientRequest("GET", address, loop=loop)
        lines = {name.lower(): f"{name}: {value}\r\n" for name, value in self._template.headers.items()}
        if connector.force_close:
            lines["connection"] = "Connection: close\r\n"
        self._lines = lines
        self._all_lines = "".join(lines.values())

    async def connect(self, timeout: aiohttp.ClientTimeout) -> tuple[Connection, Line]:
        """Return a new connection.

        Raises:
            ClientError, OSError: aiohttp's own, still to be translated.

        *Cancelled:* none is taken.
        """
        try:
            connection = await self.connector.connect(self._template, traces=[], timeout=timeout)
        except TimeoutError as error:
            # Without this, no connection would look like a silent one, and so like a request that may have arrived.
            raise aiohttp.ConnectionTimeoutError(f"no connection to {self._template.url}") from error
        line = connection.protocol
        assert isinstance(line, Line)  # noqa: S101  # the connector makes no other
        return connection, line

    def message(self, request: Request, target: str) -> bytes | None:
        """Return the bytes of a request, or `None` where it needs a session's care.

        Raises:
            ValueError: a header holds a line break or NUL.
        """
        body, pairs = request.body, request.headers.pairs
        names = {name.lower() for name, _ in pairs}
        if not (body is None or (isinstance(body, bytes) and len(body) <= LARGEST_BODY)):
            return None
        if request.method == "CONNECT" or not names.isdisjoint(_FRAMING) or not _is_plain(target):
            return None
        lines, count = self._all_lines, len(self._lines)
        if not names.isdisjoint(self._lines):
            kept = [line for name, line in self._lines.items() if name not in names]
            lines, count = "".join(kept), len(kept)
        if body is not None or request.method not in _WITHOUT_LENGTH:
            lines += f"Content-Length: {len(body or b'')}\r\n"
            count += 1
        given = "".join([f"{name}: {value}\r\n" for name, value in pairs])
        head = f"{request.method} {target} HTTP/1.1\r\n{lines}{given}\r\n"
        # Listeners add headers too, so what leaves is checked once more: a line break would smuggle in a header.
        if head.count("\n") != count + len(pairs) + 2 or head.count("\r") != head.count("\n"):
            raise ValueError(f"a header of {request.method} {request.url} holds a line break; remove it")
        if "\0" in head:
            raise ValueError(f"a header of {request.method} {request.url} holds NUL; remove it")
        return head.encode() + body if body else head.encode()


def _is_plain(target: str) -> bool:
    return target.isascii() and " " not in target and "#" not in target and target[0] == "/"


class Exchange:
    """A request on its connection, and then its response; see `WireResponse`.

    Invariant: while it waits for bytes it is watched, and at no other time: a slow reader is not the sender's silence.

    Args:
        taken: the connection and its line, which it alone uses until it ends.
        origin: where an idle connection is kept.
        url: what errors name.
        watch: notices silence, if anybody does.
        on_end: told once when the connection is given up.
        is_reused: whether the connection has carried a request before.
    """

    __slots__ = (
        "_body",
        "_connection",
        "_content",
        "_is_reused",
        "_line",
        "_on_end",
        "_origin",
        "_url",
        "_watch",
        "connecting",
        "headers",
        "status",
    )

    def __init__(
        self,
        taken: tuple[Connection, Line],
        origin: Origin,
        url: str,
        watch: SilenceWatch | None,
        on_end: Callable[[], None],
        *,
        is_reused: bool,
    ) -> None:
        self._is_reused = is_reused
        self._connection: Connection | None = taken[0]
        self._line = taken[1]
        self._origin = origin
        self._body: bytes | None = None
        self._content: StreamReader | None = None
        self._url = url
        self._watch = watch
        self._on_end = on_end
        self.connecting = 0.0
        """Seconds that a new connection took; 0 for one that was idle."""
        self.status = 0
        self.headers: Headers = _NO_HEADERS

    async def begin(self, message: bytes, *, without_body: bool, whole: bool) -> None:
        """Send the request and wait for the head of its response, or for all of it where it is wanted whole.

        Raises:
            ClientError, HttpProcessingError, OSError: aiohttp's own, still to be translated.

        *Cancelled:* the connection is closed.
        """
        line, watch = self._line, self._watch
        try:
            transport = line.transport
            if transport is None or transport.is_closing():
                raise aiohttp.ClientConnectionResetError("the idle connection was closed")
            waiter = line.expect(self, without_body=without_body, whole=whole)
            transport.write(message)
            if watch is not None:
                watch.start(self)
            await waiter
            reply = line.reply
            if reply is None:
                await self._read_head()
            else:
                self.status, head, self._body = reply
                self.headers = Headers.unread(partial(fields_of, head))
        except BaseException:
            self._end(close=True)
            raise
        if watch is not None:
            watch.stop(self)

    async def _read_head(self) -> None:
        """Read what aiohttp's parser makes of the response."""
        # 1xx are interim responses (RFC 9110 §15.2), except that after 101 no further HTTP follows.
        while True:
            head, self._content = await self._line.read()
            if head.code >= 200 or head.code == 101:
                break
        self.status = head.code
        self.headers = Headers.received(head.headers.items())

    def go_on_waiting(self) -> None:
        """Take note that a piece has come: silence begins anew."""
        if self._watch is not None:
            self._watch.stop(self)
            self._watch.start(self)

    def failure(self, error: BaseException) -> SchemawireError:
        """Return our error for one of aiohttp's that ended `begin`."""
        is_broken = isinstance(error, aiohttp.ClientConnectionError | OSError) and not isinstance(error, TimeoutError)
        if is_broken and self._is_reused and not self._line.heard:
            if self._origin.idle is not None:
                # The others have lain idle for longer, so the next attempt had better not meet one of them.
                self._origin.idle.close()
            return ConnectionStale(f"The kept connection to {self._url} had been closed ({type(error).__name__})")
        return translated(error, self._url)

    def arrived(self) -> bytes | None:
        """Return the whole body if all of it is here; see `WireResponse.arrived`."""
        body, content = self._body, self._content
        if content is not None and content.is_eof() and content.exception() is None:
            body = content.read_nowait()
        if body is not None:
            self._end(close=False)
        return body

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Return the body as it arrives; see `WireResponse.chunks`."""
        if self._content is None:
            if self._body:
                yield self._body
            return
        content, watch = self._content, self._watch
        try:
            while True:
                if watch is not None and not content.is_eof():
                    watch.start(self)
                chunk = await content.readany()
                if watch is not None:
                    watch.stop(self)
                if not chunk:
                    return
                yield chunk
        except TRANSLATED as error:
            raise translated(error, self._url) from error
        finally:
            if watch is not None:
                watch.stop(self)

    def give_up(self) -> None:
        """Take note that nothing has come for the whole timeout."""
        error = aiohttp.SocketTimeoutError("timeout on reading data from socket")
        self._line.set_exception(error)
        if self._content is not None:
            self._content.set_exception(error)

    async def aclose(self) -> None:
        """Give the connection back if the body was read to its end, else cut it."""
        content = self._content
        is_read = self._body is not None if content is None else content.at_eof() and content.exception() is None
        self._end(close=not is_read)

    def _end(self, *, close: bool) -> None:
        connection = self._connection
        if connection is None:
            return
        self._connection = None
        if self._watch is not None:
            self._watch.stop(self)
        idle = self._origin.idle
        if close or idle is None:
            connection.close()
        else:
            idle.keep(connection, self._line)
        self._on_end()


_NO_HEADERS = Headers()
