"""A wire into an ASGI application in the same process: no socket, but the manners of one; knows no framework.

Unlike the in-process transports of HTTP libraries it streams: a chunk is there as soon as the application sends it, the
application waits while nobody reads, and a reader that leaves is told to it as a disconnect.
"""

import asyncio
import contextvars
import logging
import math
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable, Coroutine, MutableMapping
from typing import Any
from urllib.parse import unquote, urlsplit

from schemawire.errors import AttemptTimeout, Closed, ConnectFailed, ConnectionLost
from schemawire.transport.loops import LoopOwner
from schemawire.transport.message import Headers, Request
from schemawire.transport.wire import WireStatistics
from schemawire.transport.wires.lifespan import Lifespan

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

_LOG = logging.getLogger("schemawire.transport.inprocess")
_END = b""
"""In the queue of chunks: the body is complete (chunks are never empty)."""


class InProcessWire:
    """Calls an ASGI application, whose lifespan begins with the first request and ends with `aclose`.

    Args:
        app: an ASGI 3 application.
        grace: seconds that requests under way, and the application's shutdown, may take when the wire is closed.
    """

    name = "inprocess"

    def __init__(self, app: AsgiApp, *, grace: float = 5.0) -> None:
        self._app = app
        self._grace = grace
        self._owner = LoopOwner("in-process wire")
        self._lifespan = Lifespan(app)
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        self._requests = 0
        self._in_flight = 0

    async def start(self) -> None:
        """Begin the application's lifespan, unless it has begun.

        Raises:
            ConnectFailed: the application did not start.
            WrongEventLoop: the wire belongs to another event loop that still runs.

        *Cancelled:* the start goes on for the next caller.
        """
        if self._closed:
            raise Closed("The in-process wire has been closed.")
        if self._owner.enter():
            self._tasks.clear()
            self._lifespan = Lifespan(self._app)
        if not self._lifespan.is_started:
            await self._lifespan.start()

    async def send(self, request: Request, *, connect_timeout: float, read_timeout: float) -> "InProcessResponse":
        """Hand `request` to the application; see `Wire.send`."""
        timer = asyncio.timeout(_limit(connect_timeout))
        try:
            async with timer:
                await self.start()
        except TimeoutError as error:
            raise ConnectFailed("The application did not start within the connect timeout") from error
        self._requests += 1
        exchange = _Exchange(request, self._lifespan.state)
        self._run(exchange.serve(self._app))
        response = InProcessResponse(exchange, read_timeout, self)
        self._in_flight += 1
        try:
            await response.wait_for_head()
        except BaseException:
            await response.aclose()
            raise
        return response

    def _run(self, serving: Coroutine[Any, Any, None]) -> None:
        # In an empty context, for a server does not see its client's deadline or span either.
        task = asyncio.get_running_loop().create_task(serving, context=contextvars.Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _ended(self) -> None:
        self._in_flight -= 1

    async def aclose(self) -> None:
        """Let requests under way finish for the grace time, then end them and the application's lifespan."""
        if self._closed:
            return
        self._closed = True
        if not self._owner.is_current:
            return
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=self._grace)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        await self._lifespan.stop(self._grace)

    def statistics(self) -> WireStatistics:
        """Return the present state."""
        return WireStatistics(name=self.name, requests=self._requests, in_flight=self._in_flight)


class _Exchange:
    """One request and its response, between the application's task and the reader.

    Invariants: `chunks` holds at most one piece, so the application waits for its reader; after `left` is set nothing
    more is put into it; exactly one `_END` or error follows the last chunk.
    """

    def __init__(self, request: Request, state: dict[str, Any]) -> None:
        self.head: asyncio.Future[tuple[int, Headers]] = asyncio.get_running_loop().create_future()
        self.chunks: asyncio.Queue[bytes | Exception] = asyncio.Queue(maxsize=1)
        self.left = asyncio.Event()
        self._request = request
        self._state = state
        self._body = _pieces(request.content())
        self._sent_all = False
        self._complete = False

    async def serve(self, app: AsgiApp) -> None:
        """Run the application and end the response as a server would: 500 before the head, a broken body after it."""
        failure: Exception | None = None
        try:
            await app(_scope(self._request, self._state), self._receive, self._send)
        except OSError as error:
            failure = error  # Mostly our own word that the reader has left.
        except Exception as error:
            failure = error
            _LOG.exception("the application failed while serving %s %s", self._request.method, self._request.url)
        except asyncio.CancelledError:
            self._break("the wire was closed")
            raise
        await self._finish(failure)

    async def _finish(self, failure: Exception | None) -> None:
        if not self.head.done():
            self.head.set_result((500, Headers()))
            self._complete = True
            await self._put(_END)
        elif not self._complete:
            reason = "the application ended it too early" if failure is None else f"the application raised {failure!r}"
            await self._put(ConnectionLost(f"The reply of {self._request.url} is incomplete: {reason}"))

    def _break(self, reason: str) -> None:
        """End the response at once, without waiting for its reader."""
        error = ConnectionLost(f"The reply of {self._request.url} is incomplete: {reason}")
        self.leave()
        if self.head.done():
            self.chunks.put_nowait(error)
        else:
            self.head.set_exception(error)
            self.head.exception()  # The reader may have gone; then nobody asks, and that is no fault.

    async def _receive(self) -> Message:
        if not self._sent_all and not self.left.is_set():
            try:
                piece = await anext(self._body, None)
            except Exception as error:
                # The body's own error belongs to the caller; the application sees its client vanish.
                self._break(f"the body of the request could not be read ({error!r})")
                return {"type": "http.disconnect"}
            self._sent_all = piece is None
            return {"type": "http.request", "body": piece or b"", "more_body": piece is not None}
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if self.left.is_set():
            raise OSError("the reader has left")
        match message["type"]:
            case "http.response.start":
                pairs = (
                    (name.decode(), value.decode("utf-8", "surrogateescape")) for name, value in message["headers"]
                )
                self.head.set_result((message["status"], Headers.received(pairs)))
            case "http.response.body":
                await self._send_body(message.get("body", b""), more=message.get("more_body", False))
            case other:
                raise ValueError(f"the application sent {other!r}, which a server does not know")

    async def _send_body(self, body: bytes, *, more: bool) -> None:
        if body and self._request.method != "HEAD":
            await self._put(bytes(body))
        if not more:
            self._complete = True
            await self._put(_END)

    async def _put(self, item: bytes | Exception) -> None:
        if not self.left.is_set():
            await self.chunks.put(item)

    def leave(self) -> None:
        """Take note that nobody reads any more; an application that waits to send is let go."""
        self.left.set()
        while not self.chunks.empty():
            self.chunks.get_nowait()


class InProcessResponse:
    """A response that the application may still be sending."""

    def __init__(self, exchange: _Exchange, read_timeout: float, wire: InProcessWire) -> None:
        self._exchange = exchange
        self._read_timeout = _limit(read_timeout)
        self._wire = wire
        self._open = True
        self.status = 0
        self.headers = Headers()

    async def wait_for_head(self) -> None:
        """Wait until the application has begun to answer."""
        self.status, self.headers = await self._timely(asyncio.shield(self._exchange.head))

    def arrived(self) -> bytes | None:
        """Return nothing: the body is read piece by piece; see `WireResponse.arrived`."""
        return None

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Return the body as it arrives; see `WireResponse.chunks`."""
        queue = self._exchange.chunks
        while True:
            item = await self._timely(queue.get())
            if isinstance(item, Exception):
                raise item
            if item == _END:
                return
            yield item

    async def _timely(self, waiting: Awaitable[Any]) -> Any:
        timer = asyncio.timeout(self._read_timeout)
        try:
            async with timer:
                return await waiting
        except TimeoutError as error:
            if not timer.expired():
                raise
            raise AttemptTimeout(f"The application was silent for {self._read_timeout:g} s") from error

    async def aclose(self) -> None:
        """Tell the application that nobody reads any more."""
        if self._open:
            self._open = False
            self._exchange.leave()
            self._wire._ended()


async def _pieces(body: bytes | AsyncIterable[bytes] | None) -> AsyncGenerator[bytes, None]:
    if isinstance(body, bytes):
        yield body
    elif body is not None:
        async for piece in body:
            if piece:
                yield piece


def _scope(request: Request, state: dict[str, Any]) -> MutableMapping[str, Any]:
    parts = urlsplit(request.url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": parts.scheme,
        "path": unquote(parts.path) or "/",
        "raw_path": parts.path.encode() or b"/",
        "query_string": parts.query.encode(),
        "root_path": "",
        "headers": list(_header_pairs(request, parts.netloc)),
        "client": ("127.0.0.1", 0),
        "server": (parts.hostname or "localhost", port),
        "state": state.copy(),
    }


def _header_pairs(request: Request, host: str) -> list[tuple[bytes, bytes]]:
    given = [(name.lower().encode(), value.encode()) for name, value in request.headers.pairs]
    names = {name for name, _ in given}
    if b"host" not in names:
        given.insert(0, (b"host", host.encode()))
    if isinstance(request.body, bytes) and b"content-length" not in names:
        given.append((b"content-length", str(len(request.body)).encode()))
    # Nothing is compressed between two halves of one process.
    return [pair for pair in given if pair[0] != b"accept-encoding"]


def _limit(seconds: float) -> float | None:
    return None if seconds == math.inf else seconds
