"""The second wire: httpx2, for HTTP/2. The one file that imports it, and so the one that translates its errors."""

import math
from collections.abc import AsyncGenerator
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx2

from schemawire.errors import (
    AttemptTimeout,
    BadReply,
    Closed,
    ConnectFailed,
    ConnectionLost,
    ConnectionStale,
    SchemawireError,
)
from schemawire.transport.loops import LoopOwner
from schemawire.transport.message import Headers, Request
from schemawire.transport.options import PoolConfig, ProxyConfig, TlsConfig
from schemawire.transport.wire import WireStatistics


class Httpx2Wire:
    """Sends requests through httpx2, over HTTP/2 where the server offers it in the TLS handshake.

    Args:
        pool: how long idle connections are kept; their number is not limited here, because the client's own gate stands
            in front.
        tls: whom to trust, and who we are.
        proxy: what requests go through.
        prior_knowledge: speak HTTP/2 at once, without TLS or an offer; only for servers known to understand it.
    """

    name = "httpx2"

    def __init__(
        self,
        *,
        pool: PoolConfig | None = None,
        tls: TlsConfig | None = None,
        proxy: ProxyConfig | None = None,
        prior_knowledge: bool = False,
    ) -> None:
        self._proxy = proxy
        self._pool = pool or PoolConfig()
        self._tls = tls or TlsConfig()
        self._http1 = not prior_knowledge
        self._owner = LoopOwner("httpx2 wire")
        self._client: httpx2.AsyncClient | None = None
        self._closed = False
        self._requests = 0
        self._in_flight = 0

    async def send(self, request: Request, *, connect_timeout: float, read_timeout: float) -> "Httpx2Response":
        """Send `request`; see `Wire.send`."""
        client = self._session()
        limit = _limit(read_timeout)
        timeout = httpx2.Timeout(connect=_limit(connect_timeout), read=limit, write=limit, pool=None)
        self._requests += 1
        self._in_flight += 1
        course = _Course()
        try:
            outgoing = client.build_request(
                request.method,
                request.url,
                headers=list(request.headers.pairs),
                content=request.content(),
                timeout=timeout,
                extensions={"trace": course.note},
            )
            response = await client.send(outgoing, stream=True, follow_redirects=False)
        except (httpx2.TransportError, httpx2.InvalidURL, OSError) as error:
            self._in_flight -= 1
            raise translated(error, request.url, is_kept=course.is_kept) from error
        except BaseException:
            self._in_flight -= 1
            raise
        return Httpx2Response(response, self)

    def _session(self) -> httpx2.AsyncClient:
        if self._closed:
            raise Closed("The httpx2 wire has been closed.")
        if self._owner.enter() or self._client is None:
            keepalive = self._pool.keepalive_expiry
            self._client = httpx2.AsyncClient(
                http1=self._http1,
                http2=True,
                verify=self._tls.context() if self._tls != TlsConfig() else True,
                limits=httpx2.Limits(
                    max_connections=None,
                    max_keepalive_connections=None if keepalive else 0,
                    keepalive_expiry=keepalive,
                ),
                trust_env=False,
                proxy=None if self._proxy is None else _proxied(self._proxy),
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            )
        return self._client

    def _ended(self) -> None:
        self._in_flight -= 1

    async def aclose(self) -> None:
        """Close every connection; later requests are refused."""
        self._closed = True
        client, self._client = self._client, None
        if client is not None and self._owner.is_current:
            await client.aclose()

    def statistics(self) -> WireStatistics:
        """Return the present state."""
        return WireStatistics(name=self.name, requests=self._requests, in_flight=self._in_flight)


class Httpx2Response:
    """A response whose body is still on the wire."""

    __slots__ = ("_open", "_response", "_wire", "headers", "status")

    def __init__(self, response: httpx2.Response, wire: Httpx2Wire) -> None:
        self._response = response
        self._wire = wire
        self._open = True
        self.status = response.status_code
        self.headers = Headers.received(response.headers.multi_items())

    def arrived(self) -> bytes | None:
        """Return nothing: the body is read piece by piece; see `WireResponse.arrived`."""
        return None

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Return the body as it arrives; see `WireResponse.chunks`."""
        try:
            async for chunk in self._response.aiter_bytes():
                if chunk:
                    yield chunk
        except (httpx2.TransportError, httpx2.DecodingError, OSError) as error:
            raise translated(error, str(self._response.url), head_arrived=True) from error

    async def aclose(self) -> None:
        """Give the connection back if the body was read to its end, else cut it."""
        if self._open:
            self._open = False
            self._wire._ended()
            await self._response.aclose()


# One class of httpx2 stands for "not HTTP", "ended too early" and "not now"; only its words tell them apart.
_ENDED = ("disconnected", "closed connection", "StreamReset", "ConnectionTerminated")
# RFC 9113 §8.7: a stream refused with this code was not processed at all, so any request may be sent again.
_REFUSED_STREAM = ("StreamReset", "error_code:7,")


class _Course:
    """Which way one request went: whether a connection was made for it, and in which version of HTTP it was sent."""

    __slots__ = ("_is_fresh", "_is_http1")

    def __init__(self) -> None:
        self._is_fresh = False
        self._is_http1 = False

    async def note(self, step: str, details: object) -> None:
        """Hear a step that httpx2 takes."""
        self._is_fresh = self._is_fresh or step.startswith("connection.")
        self._is_http1 = self._is_http1 or step.startswith("http11.")

    @property
    def is_kept(self) -> bool:
        """Whether it went over a kept connection that no other request shared."""
        return self._is_http1 and not self._is_fresh


def translated(error: Exception, url: str, *, head_arrived: bool = False, is_kept: bool = False) -> SchemawireError:
    """Return our error for one of httpx2's; what was raised before a connection existed, or refused, is unsent."""
    cause = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    match error:
        case httpx2.ConnectTimeout() | httpx2.PoolTimeout():
            return ConnectFailed(f"No connection to {url} in time ({cause})")
        case httpx2.ConnectError() | httpx2.ProxyError() | httpx2.UnsupportedProtocol() | httpx2.InvalidURL():
            return ConnectFailed(f"No connection to {url} ({cause})")
        case httpx2.TimeoutException():
            return AttemptTimeout(f"{url} was silent for longer than the read timeout ({cause})")
        case httpx2.RemoteProtocolError() if not head_arrived and all(words in cause for words in _REFUSED_STREAM):
            return ConnectFailed(f"{url} refused the request before looking at it ({cause})")
        case httpx2.RemoteProtocolError() if not head_arrived and not any(words in cause for words in _ENDED):
            return BadReply(f"{url} did not answer in HTTP ({cause})")
        case httpx2.RemoteProtocolError() | httpx2.NetworkError() if is_kept:
            return ConnectionStale(f"The kept connection to {url} had been closed ({cause})")
        case _:
            return ConnectionLost(f"The connection to {url} broke before the reply was complete ({cause})")


def _proxied(proxy: ProxyConfig) -> httpx2.Proxy:
    return httpx2.Proxy(proxy.url, auth=(proxy.user, proxy.password) if proxy.user else None)


def _limit(seconds: float) -> float | None:
    return None if seconds == math.inf else seconds
