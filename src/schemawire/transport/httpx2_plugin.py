"""Puts the client's pipeline under any asynchronous httpx2 client, and so under the SDKs that are built on one."""

import math
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx2

from schemawire.errors import (
    AttemptTimeout,
    BadReply,
    ConnectFailed,
    DeadlineExceeded,
    QueueFull,
    RateLimited,
    Refused,
    RetryBudgetExhausted,
    SchemawireError,
)
from schemawire.transport.client import Client
from schemawire.transport.message import Body, Headers
from schemawire.transport.options import TimeoutConfig
from schemawire.transport.outgoing import call_to
from schemawire.transport.stream import StreamResponse

_MOST_CLIENTS = 64
# The wire frames the message and unpacks the body by itself.
_NOT_SENT = frozenset({"connection", "keep-alive", "transfer-encoding"})
_NOT_SHOWN = frozenset({"content-encoding", "content-length", "transfer-encoding"})


class ResilientTransport(httpx2.AsyncBaseTransport):
    """A transport with retries, breakers, a fair queue and all else that `Client` offers.

    `httpx2.AsyncClient(transport=ResilientTransport())`; the SDKs of OpenAI and Anthropic take such a client as
    `http_client`, and should then be told `max_retries=0`, for two layers of retries multiply.

    Connect and read timeouts are those of each httpx2 request; its write and pool timeouts have no meaning here.

    Args:
        endpoints: the service's base URLs, for the host of a request is then ignored; `None`: every host that requests
            name has a client of its own, with its own budget and breaker.
        timeout: its `total` covers a call up to the last byte of its body; infinity leaves it to the read timeout.
        options: everything else that `Client` takes.

    *Cancelled:* as for `Client`: the connection is closed and every permit is given back.
    """

    def __init__(self, endpoints: Any = None, *, timeout: TimeoutConfig | None = None, **options: Any) -> None:
        self._options = {"timeout": timeout or TimeoutConfig(total=600.0), **options}
        self._endpoints = endpoints
        self._clients: dict[str, Client] = {}
        if endpoints is not None:
            self._clients[""] = Client(endpoints, **self._options)

    def client(self, url: str | httpx2.URL) -> Client:
        """Return the client that requests to `url` go through, for its `statistics()` and `explain()`."""
        if self._endpoints is not None:
            return self._clients[""]
        url = httpx2.URL(url)
        origin = f"{url.scheme}://{url.netloc.decode('ascii')}"
        client = self._clients.get(origin)
        if client is None:
            client = self._clients[origin] = Client(origin, **self._options)
        return client

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request; see `httpx2.AsyncBaseTransport`.

        Raises:
            httpx2.TransportError: there is no response; our own error is its cause.
        """
        await self._make_room()
        try:
            opening = self._opening(request)
            response = await opening.__aenter__()
        except SchemawireError as error:
            raise mapped(error, request) from error
        return httpx2.Response(
            response.status,
            headers=_shown(response.headers),
            stream=_Body(response, opening, request),
            extensions={"http_version": b"HTTP/1.1"},
        )

    def _opening(self, request: httpx2.Request) -> AbstractAsyncContextManager[StreamResponse]:
        if request.url.scheme not in ("http", "https"):
            raise httpx2.UnsupportedProtocol(f"{request.url.scheme!r} is neither http nor https", request=request)
        body = _body(request)
        call = call_to(
            request.method,
            request.url.raw_path.decode("ascii"),
            headers=_sent(request, body),
            body=body,
            timeouts=_timeouts(request),
        )
        return self.client(request.url).stream_call(call)

    async def _make_room(self) -> None:
        """Close the client of a host that nobody is using when there are too many."""
        if len(self._clients) < _MOST_CLIENTS:
            return
        for origin, client in list(self._clients.items()):
            if client.statistics().calls.in_flight == 0 and origin:
                del self._clients[origin]
                await client.aclose()
                return

    async def aclose(self) -> None:
        """Close every connection. Safe to call twice."""
        for client in self._clients.values():
            await client.aclose()


class _Body(httpx2.AsyncByteStream):
    """The body of a response, which holds its permits until it is read or closed.

    Who iterates again goes on where the last one stopped: SDKs drain what they have left unread.
    """

    def __init__(
        self, response: StreamResponse, opening: AbstractAsyncContextManager[StreamResponse], request: httpx2.Request
    ) -> None:
        self._chunks = response.__aiter__()
        self._opening: AbstractAsyncContextManager[StreamResponse] | None = opening
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._chunks:
                yield chunk
        except SchemawireError as error:
            raise mapped(error, self._request) from error

    async def aclose(self) -> None:
        opening, self._opening = self._opening, None
        if opening is not None:
            await opening.__aexit__(None, None, None)


def mapped(error: SchemawireError, request: httpx2.Request) -> httpx2.TransportError:
    """Return the error of httpx2 that tells the same as ours; nothing was sent where it says so."""
    kind: type[httpx2.TransportError]
    match error:
        case RetryBudgetExhausted() if isinstance(error.__cause__, SchemawireError):
            return mapped(error.__cause__, request)
        case QueueFull() | RateLimited():
            kind = httpx2.PoolTimeout
        case ConnectFailed() | Refused():
            kind = httpx2.ConnectError
        case AttemptTimeout() | DeadlineExceeded():
            kind = httpx2.ReadTimeout
        case BadReply():
            kind = httpx2.RemoteProtocolError
        case _:
            kind = httpx2.ReadError
    return kind(str(error), request=request)


def _body(request: httpx2.Request) -> Body:
    try:
        return request.content or None
    except httpx2.RequestNotRead:
        stream = request.stream
    if not isinstance(stream, httpx2.AsyncByteStream):
        raise RuntimeError("a synchronous body cannot be sent by an asynchronous client")
    return stream


def _sent(request: httpx2.Request, body: Body) -> Headers:
    host = request.url.netloc.decode("ascii")
    pairs = []
    for raw_name, raw_value in request.headers.raw:
        name, value = raw_name.decode("ascii"), raw_value.decode(request.headers.encoding)
        lower = name.lower()
        # What httpx2 could unpack is not what the wire can; only a wish for plain bytes is passed on.
        unwanted = lower == "accept-encoding" and value != "identity"
        own_length = lower == "content-length" and (body is None or isinstance(body, bytes))
        if lower not in _NOT_SENT and not (lower == "host" and value == host) and not unwanted and not own_length:
            pairs.append((name, value))
    return Headers(pairs)


def _shown(headers: Headers) -> list[tuple[str, str]]:
    if "content-encoding" not in headers:
        return list(headers.pairs)
    return [pair for pair in headers.pairs if pair[0].lower() not in _NOT_SHOWN]


def _timeouts(request: httpx2.Request) -> tuple[float, float] | None:
    given = request.extensions.get("timeout")
    if not given:
        return None
    connect, read = (given.get(name) for name in ("connect", "read"))
    return math.inf if connect is None else connect, math.inf if read is None else read
