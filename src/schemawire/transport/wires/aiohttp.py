"""The default wire: aiohttp without its queue, its hidden retry, its redirects and its cookies; keeps what lives long.

Only this file and those named after it import aiohttp.
"""

import asyncio
import math
from collections.abc import AsyncGenerator
from functools import partial
from typing import Any
from urllib.parse import unquote, urlsplit

import aiohttp
from yarl import URL

from schemawire.errors import Closed
from schemawire.transport.loops import LoopOwner
from schemawire.transport.message import Headers, Request
from schemawire.transport.options import PoolConfig, ProxyConfig, TlsConfig
from schemawire.transport.wire import WireResponse, WireStatistics
from schemawire.transport.wires.aiohttp_errors import TRANSLATED, translated
from schemawire.transport.wires.aiohttp_exchange import Exchange, Origin
from schemawire.transport.wires.aiohttp_line import Line
from schemawire.transport.wires.silence import SilenceWatch

UNIX_SCHEME = "http+unix"
_MOST_CACHED = 256
"""Origins and timeouts are few; a caller who varies them without end must not fill the memory."""


class AiohttpWire:
    """Sends requests through aiohttp; keeps one session per event loop and per Unix socket.

    Addresses: `http://…`, `https://…` and `http+unix://%2Fpath%2Fto%2Fsocket/…`.

    Args:
        pool: how long idle connections and resolved names are kept; the number of connections is not limited here,
            because aiohttp's own queue is unfair: the client's first-come-first-served gate stands in front.
        tls: whom to trust, and who we are; read when the first connection is made.
        proxy: what requests go through; each then takes the longer way through a session.
    """

    name = "aiohttp"

    def __init__(
        self, *, pool: PoolConfig | None = None, tls: TlsConfig | None = None, proxy: ProxyConfig | None = None
    ) -> None:
        self._proxy = proxy
        self._pool = pool or PoolConfig()
        self._tls = tls or TlsConfig()
        self._owner = LoopOwner("aiohttp wire")
        self._sessions: dict[str, aiohttp.ClientSession] = {}
        self._origins: dict[str, Origin] = {}
        self._watches: dict[float, SilenceWatch] = {}
        self._timeouts: dict[tuple[float, float], aiohttp.ClientTimeout] = {}
        self._closed = False
        self._requests = 0
        self._in_flight = 0

    async def send(self, request: Request, *, connect_timeout: float, read_timeout: float) -> WireResponse:
        """Send `request`; see `Wire.send`."""
        if self._closed:
            raise Closed("The aiohttp wire has been closed.")
        if self._owner.enter():
            self._forget_sessions()
        self._requests += 1
        self._in_flight += 1
        url = request.url
        try:
            path_at = url.find("/", url.find("://") + 3)
            origin = self._origins.get(url[:path_at]) or self._origin(url[:path_at] if path_at > 0 else "")
            message = None if origin is None else origin.message(request, url[path_at:])
            if origin is None or message is None:
                return await self._through_session(request, connect_timeout, read_timeout)
            idle, connecting = origin.idle, 0.0
            taken = kept = None if idle is None else idle.take()
            if taken is None:
                clock = asyncio.get_running_loop().time
                connecting = -clock()
                taken = await origin.connect(self._timeout(connect_timeout, math.inf))
                connecting += clock()
            watch = self._watch(read_timeout)
            exchange = Exchange(taken, origin, url, watch, self._ended, is_reused=kept is not None)
            exchange.connecting = connecting
        except TRANSLATED as error:
            self._in_flight -= 1
            raise translated(error, url) from error
        except BaseException:
            self._in_flight -= 1
            raise
        try:
            await exchange.begin(message, without_body=request.method == "HEAD", whole=request.whole)
        except TRANSLATED as error:
            raise exchange.failure(error) from error
        return exchange

    async def _through_session(
        self, request: Request, connect_timeout: float, read_timeout: float
    ) -> "AiohttpResponse":
        """Send what needs more than a plain message: a streamed or large body, or headers that change the framing."""
        url, session = self._place(request.url)
        proxy, headers, tunnel = self._proxy, list(request.headers.pairs), None
        if proxy is not None and proxy.authorization is not None:
            own = ("Proxy-Authorization", proxy.authorization)
            # Through a tunnel only the proxy may see it; without one the request itself is the proxy's.
            tunnel = dict([own]) if url.scheme == "https" else None
            headers += [] if tunnel else [own]
        response = await session.request(
            request.method,
            url,
            data=request.content(),
            headers=headers,
            timeout=self._timeout(connect_timeout, read_timeout),
            allow_redirects=False,
            proxy=None if proxy is None else proxy.url,
            proxy_headers=tunnel,
        )
        return AiohttpResponse(response, self)

    def _origin(self, address: str) -> Origin | None:
        """Return what the requests to an address share, or `None` for an address that only a session can judge."""
        if self._proxy is not None or not address or "@" in address or "?" in address or "#" in address:
            return None
        url, session = self._place(address)
        if url.scheme not in ("http", "https") or not url.raw_host or session.connector is None:
            return None
        if len(self._origins) >= _MOST_CACHED:
            self._forget_origins()
        loop = asyncio.get_running_loop()
        origin = self._origins[address] = Origin(url, session.connector, self._pool.keepalive_expiry, loop)
        return origin

    def _forget_origins(self) -> None:
        for origin in self._origins.values():
            if origin.idle is not None:
                origin.idle.give_back()
        self._origins.clear()

    def _watch(self, read_timeout: float) -> SilenceWatch | None:
        if read_timeout == math.inf:
            return None
        watch = self._watches.get(read_timeout)
        if watch is None:
            if len(self._watches) >= _MOST_CACHED:
                # Those that are dropped go on watching what they already watch.
                self._watches.clear()
            watch = self._watches[read_timeout] = SilenceWatch(asyncio.get_running_loop(), read_timeout)
        return watch

    def _place(self, address: str) -> tuple[URL, aiohttp.ClientSession]:
        if not address.startswith(UNIX_SCHEME):
            return URL(address, encoded=True), self._session("")
        parts = urlsplit(address)
        rest = parts._replace(scheme="http", netloc="localhost").geturl()
        return URL(rest, encoded=True), self._session(unquote(parts.netloc))

    def _session(self, socket_path: str) -> aiohttp.ClientSession:
        session = self._sessions.get(socket_path)
        if session is None:
            session = self._sessions[socket_path] = self._new_session(socket_path)
        return session

    def _new_session(self, socket_path: str) -> aiohttp.ClientSession:
        connector = self._connector(socket_path)
        # Whoever uses a connection first, the session or an exchange of ours, the other may take it over.
        make: Any = partial(Line, loop=asyncio.get_running_loop())
        connector._factory = make
        session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("Content-Type",),
            trust_env=False,
        )
        # aiohttp repeats idempotent requests once on a stale connection, unseen by any budget (aio-libs/aiohttp#10790);
        # its own test client is the only place that offers this switch.
        session._retry_connection = False
        return session

    def _connector(self, socket_path: str) -> aiohttp.BaseConnector:
        keepalive: dict[str, Any] = {"keepalive_timeout": self._pool.keepalive_expiry}
        if self._pool.keepalive_expiry == 0:
            keepalive = {"force_close": True}
        if socket_path:
            return aiohttp.UnixConnector(socket_path, limit=0, **keepalive)
        dns_cache = max(1, math.ceil(self._pool.dns_cache))
        return aiohttp.TCPConnector(
            limit=0,
            **keepalive,
            use_dns_cache=self._pool.dns_cache > 0,
            ttl_dns_cache=dns_cache,
            ssl=self._tls.context() if self._tls != TlsConfig() else True,
        )

    def _timeout(self, connect: float, read: float) -> aiohttp.ClientTimeout:
        found = self._timeouts.get((connect, read))
        if found is None:
            if len(self._timeouts) >= _MOST_CACHED:
                self._timeouts.clear()
            found = aiohttp.ClientTimeout(total=None, connect=_limit(connect), sock_read=_limit(read))
            self._timeouts[connect, read] = found
        return found

    def _forget_sessions(self) -> None:
        # Their loop is gone, so their sockets cannot be closed in good order; detaching keeps the interpreter quiet.
        self._abandon_all()
        self._watches.clear()

    def _abandon_all(self) -> None:
        for origin in self._origins.values():
            if origin.idle is not None:
                for transport in origin.idle.forget():
                    _drop(transport, origin.connector._loop)
        self._origins.clear()
        for session in self._sessions.values():
            _abandon(session)
        self._sessions.clear()

    def _ended(self) -> None:
        self._in_flight -= 1

    async def aclose(self) -> None:
        """Close every connection; later requests are refused."""
        self._closed = True
        if not self._owner.is_current:
            self._abandon_all()
            return
        sessions, self._sessions = list(self._sessions.values()), {}
        self._forget_origins()
        for session in sessions:
            await session.close()

    def statistics(self) -> WireStatistics:
        """Return the present state."""
        connectors = (session.connector for session in self._sessions.values())
        held = sum(_held(connector) for connector in connectors if connector is not None)
        return WireStatistics(name=self.name, requests=self._requests, in_flight=self._in_flight, open_connections=held)

    def __del__(self) -> None:
        # A client may be left unclosed; aiohttp would warn about it at the end of every script.
        if "_origins" in self.__dict__ and "_sessions" in self.__dict__:
            self._abandon_all()


class AiohttpResponse:
    """A response whose body is still on the wire."""

    __slots__ = ("_open", "_response", "_wire", "headers", "status")

    def __init__(self, response: aiohttp.ClientResponse, wire: AiohttpWire) -> None:
        self._response = response
        self._wire = wire
        self._open = True
        self.status = response.status
        self.headers = Headers.received(response.headers.items())

    def arrived(self) -> bytes | None:
        """Return nothing: what a session answers is read piece by piece; see `WireResponse.arrived`."""
        return None

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Return the body as it arrives; see `WireResponse.chunks`."""
        content = self._response.content
        try:
            while chunk := await content.readany():
                yield chunk
        except TRANSLATED as error:
            raise translated(error, str(self._response.url)) from error

    async def aclose(self) -> None:
        """Give the connection back if the body was read to its end, else cut it."""
        if not self._open:
            return
        self._open = False
        self._wire._ended()
        if self._response.content.at_eof() and self._response.content.exception() is None:
            self._response.release()
        else:
            self._response.close()


def _limit(seconds: float) -> float | None:
    return None if seconds == math.inf else seconds


def _held(connector: aiohttp.BaseConnector) -> int:
    idle = sum(len(connections) for connections in connector._conns.values())
    return idle + len(connector._acquired)


def _abandon(session: aiohttp.ClientSession) -> None:
    """Let a session go without awaiting anything, and without the warnings that aiohttp and asyncio would utter."""
    connector = session.connector
    session.detach()
    if connector is None:
        return
    for idle in connector._conns.values():
        for protocol, _ in idle:
            if protocol.transport is not None:
                _drop(protocol.transport, connector._loop)
    connector._conns.clear()
    connector._closed = True


def _drop(transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
    if not loop.is_closed():
        transport.abort()
        return
    # `abort` would need the loop that is gone: close the socket itself and tell the transport that it is done.
    socket = transport.get_extra_info("socket")
    if socket is not None:
        getattr(socket, "_sock", socket).close()
    state = getattr(transport, "__dict__", {})
    state.update({name: value for name, value in (("_sock", None), ("_closed", True)) if name in state})
    inner = getattr(state.get("_ssl_protocol"), "_transport", None)
    if inner is not None:
        _drop(inner, loop)
