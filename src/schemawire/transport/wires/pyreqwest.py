"""The fast wire: pyreqwest, a client in Rust. Imports it as the only file, and so translates its errors."""

import asyncio
import math
from collections.abc import AsyncGenerator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

from pyreqwest import exceptions
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.proxy import ProxyBuilder
from pyreqwest.request import RequestBuilder, StreamRequest
from pyreqwest.response import Response

from schemawire.errors import AttemptTimeout, BadReply, Closed, ConnectFailed, ConnectionLost, SchemawireError
from schemawire.transport.loops import LoopOwner
from schemawire.transport.message import Headers, Request
from schemawire.transport.options import PoolConfig, ProxyConfig, TlsConfig
from schemawire.transport.wire import WireStatistics

_READ_AHEAD = 1 << 16
"""Where a response is wanted whole, it is handed over only once so many bytes, or all, of its body are there."""
_MOST_CLIENTS = 8
"""Time limits are fixed when a client is made, so each pair of them has its own; a caller who varies them pays."""
_TRANSLATED = (exceptions.RequestError, OSError)


class PyreqwestWire:
    """Sends requests through pyreqwest, over HTTP/1.1.

    Its own limit of connections stays off: behind it, thousands of cancelled requests make later ones wait for seconds,
    behind the client's first-come-first-served gate they do not.

    Args:
        pool: how long idle connections are kept.
        tls: whom to trust, and who we are; read when the first connection is made. A certificate that is an authority
            and a server's own at once is refused.
        proxy: what requests go through.
    """

    name = "pyreqwest"

    def __init__(
        self, *, pool: PoolConfig | None = None, tls: TlsConfig | None = None, proxy: ProxyConfig | None = None
    ) -> None:
        self._proxy = proxy
        self._pool = pool or PoolConfig()
        self._tls = tls or TlsConfig()
        self._owner = LoopOwner("pyreqwest wire")
        self._clients: dict[tuple[float, float], Client] = {}
        self._closed = False
        self._requests = 0
        self._in_flight = 0

    async def send(self, request: Request, *, connect_timeout: float, read_timeout: float) -> "PyreqwestResponse":
        """Send `request`; see `Wire.send`."""
        client = self._client(connect_timeout, read_timeout)
        outgoing = _streamed(client.request(request.method, request.url), request)
        self._requests += 1
        self._in_flight += 1
        opened: PyreqwestResponse | None = None
        try:
            with _Cancellable():
                response = await outgoing.__aenter__()
                opened = PyreqwestResponse(outgoing, response, request.url, self)
                if request.whole and _is_short(response):
                    opened.body = bytes(await response.bytes())
                    await opened.aclose()
        except _TRANSLATED as error:
            self._in_flight -= 1
            raise translated(error, request.url) from error
        except BaseException:
            if opened is None:
                self._in_flight -= 1
            else:
                await opened.aclose()
            raise
        return opened

    def _client(self, connect: float, read: float) -> Client:
        if self._closed:
            raise Closed("The pyreqwest wire has been closed.")
        if self._owner.enter():
            self._clients.clear()
        client = self._clients.get((connect, read))
        if client is None:
            if len(self._clients) >= _MOST_CLIENTS:
                # Requests under way keep theirs alive until they end.
                self._clients.clear()
            client = self._clients[connect, read] = self._built(connect, read)
        return client

    def _built(self, connect: float, read: float) -> Client:
        keepalive = self._pool.keepalive_expiry
        builder = (
            ClientBuilder()
            .max_connections(None)
            .http1_only()
            .default_cookie_store(False)
            .follow_redirects(False)
            .referer(False)
            .pool_idle_timeout(timedelta(seconds=keepalive))
        )
        builder = builder.no_proxy() if self._proxy is None else builder.proxy(_proxied(self._proxy))
        if keepalive == 0:
            builder = builder.pool_max_idle_per_host(0)
        if connect < math.inf:
            builder = builder.connect_timeout(timedelta(seconds=connect))
        if read < math.inf:
            builder = builder.read_timeout(timedelta(seconds=read))
        return _with_tls(builder, self._tls).build()

    def ended(self) -> None:
        """Take note that one response is read or closed."""
        self._in_flight -= 1

    async def aclose(self) -> None:
        """Close every connection; later requests are refused."""
        self._closed = True
        clients, self._clients = list(self._clients.values()), {}
        if self._owner.is_current:
            for client in clients:
                await client.close()

    def statistics(self) -> WireStatistics:
        """Return the present state."""
        return WireStatistics(name=self.name, requests=self._requests, in_flight=self._in_flight)


class PyreqwestResponse:
    """A response whose body is still on the wire."""

    __slots__ = ("_open", "_request", "_response", "_url", "_wire", "body", "headers", "status")

    def __init__(self, request: StreamRequest, response: Response, url: str, wire: PyreqwestWire) -> None:
        self._request = request
        self._response = response
        self._url = url
        self._wire = wire
        self._open = True
        self.body: bytes | None = None
        """All of the body, where it was short and wanted whole."""
        self.status = response.status
        self.headers = Headers.unread(response.headers.items)

    def arrived(self) -> bytes | None:
        """Return the whole body if it was read with the head; see `WireResponse.arrived`."""
        return self.body

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Return the body as it arrives; see `WireResponse.chunks`."""
        if self.body is not None:
            if self.body:
                yield self.body
            return
        try:
            while (chunk := await self._next_chunk()) is not None:
                if chunk:
                    yield chunk
        except _TRANSLATED as error:
            raise translated(error, self._url) from error

    async def _next_chunk(self) -> bytes | None:
        with _Cancellable():
            chunk = await self._response.body_reader.read_chunk()
        return None if chunk is None else bytes(chunk)

    async def aclose(self) -> None:
        """Give the connection back if the body was read to its end, else cut it."""
        if self._open:
            self._open = False
            self._wire.ended()
            # What goes wrong with a body that nobody reads any more is of no interest.
            with suppress(*_TRANSLATED):
                await self._request.__aexit__(None, None, None)


class _Cancellable:
    """Raises the cancellation that the library loses when it comes in the same moment as a result.

    Without it a call that was cancelled just as the head of a response arrived went on to wait for the body.
    """

    __slots__ = ("_before", "_task")

    def __enter__(self) -> None:
        self._task = asyncio.current_task()
        self._before = 0 if self._task is None else self._task.cancelling()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        is_lost = self._task is not None and self._task.cancelling() > self._before
        if is_lost and not isinstance(error, asyncio.CancelledError):
            raise asyncio.CancelledError from error


def _streamed(builder: RequestBuilder, request: Request) -> StreamRequest:
    builder = builder.headers(request.headers.pairs)
    content = request.content()
    if isinstance(content, bytes):
        builder = builder.body_bytes(content)
    elif content is not None:
        builder = builder.body_stream(content)
    return builder.streamed_read_buffer_limit(_READ_AHEAD if request.whole else 0).build_streamed()


def _is_short(response: Response) -> bool:
    """Return whether all of the body has been read ahead; a compressed one says no length, as nobody knows it."""
    length = response.get_header("content-length") or ""
    return length.isdecimal() and int(length) <= _READ_AHEAD


def _proxied(proxy: ProxyConfig) -> ProxyBuilder:
    builder = ProxyBuilder.all(proxy.url)
    return builder.basic_auth(proxy.user, proxy.password) if proxy.user else builder


def _with_tls(builder: ClientBuilder, tls: TlsConfig) -> ClientBuilder:
    if tls == TlsConfig():
        return builder
    tls.context()  # It says what is wrong with a file better than the library does.
    if not tls.verify:
        builder = builder.danger_accept_invalid_certs(True)
    if tls.ca_file is not None:
        builder = builder.add_root_certificate_pem(Path(tls.ca_file).read_bytes())
    if tls.certificate_file is not None:
        files = (tls.key_file, tls.certificate_file) if tls.key_file is not None else (tls.certificate_file,)
        builder = builder.identity_pem(b"\n".join(Path(file).read_bytes() for file in files))
    return builder


def translated(error: Exception, url: str) -> SchemawireError:
    """Return our error for one of pyreqwest's; what was raised before a connection existed is unsent."""
    cause = _causes(error)
    match error:
        # Its classes say "connect" for every failure before the head, even once all was sent; the inner causes do not.
        case _ if "client error (Connect)" in cause:
            return ConnectFailed(f"No connection to {url} ({cause})")
        case TimeoutError():
            return AttemptTimeout(f"{url} was silent for longer than the read timeout ({cause})")
        case _ if "invalid HTTP" in cause or "message head" in cause:
            return BadReply(f"{url} did not answer in HTTP ({cause})")
        case _:
            return ConnectionLost(f"The connection to {url} broke before the reply was complete ({cause})")


def _causes(error: Exception) -> str:
    """Return an error in words; what happened stands only in the innermost of its causes."""
    details: Any = error.details if isinstance(error, exceptions.DetailedPyreqwestError) else None
    causes = (details or {}).get("causes") or ()
    return ": ".join(
        [str(error.args[0]) if error.args else type(error).__name__, *(each["message"] for each in causes)]
    )
