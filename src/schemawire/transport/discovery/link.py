"""The way to a registry: plain requests without retries, breakers or balancing; knows no registry's language."""

import asyncio
import json
import math
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

from schemawire.errors import (
    AttemptTimeout,
    BadReply,
    ConfigurationInvalid,
    ConnectFailed,
    StreamBroken,
    Unauthenticated,
)
from schemawire.framing import NdjsonDecoder
from schemawire.transport.message import Headers, Request
from schemawire.transport.options import PoolConfig, TlsConfig
from schemawire.transport.stream import collect
from schemawire.transport.wire import Wire, WireResponse
from schemawire.transport.wires import make_wire

MAX_REPLY_BYTES = 64 * 1024 * 1024
"""Enough for a hundred thousand entries; what is larger is not read to its end."""
MAX_LINE_BYTES = 16 * 1024 * 1024
CONNECT_TIMEOUT = 5.0
REPLY_TIMEOUT = 10.0
SHORTEST_TURN = 0.5
"""Seconds from one look to the next at least: a registry that ends every watch at once, or a service that changes all
the time, must not drive us in circles."""


class RegistryLink:
    """Sends requests to one registry, at the first of its addresses that answers.

    It goes beside the client's own pipeline on purpose: a registry that is down must not wear out the budget of the
    calls, and the calls need its answer before they have an endpoint.

    Args:
        addresses: base URLs of the registry, at least one.
        token_file: a file whose content is sent as bearer token; read again for each request, as tokens are renewed.
        header: carries the token; `Authorization` gets `Bearer ` before it.
        tls: whom to trust on `https`.
    """

    def __init__(
        self,
        addresses: tuple[str, ...],
        *,
        token_file: str = "",
        header: str = "Authorization",
        tls: TlsConfig | None = None,
    ) -> None:
        self._addresses = addresses
        self._first = 0
        self._token_file = token_file
        self._header = header
        self._tls = tls or TlsConfig()
        self.token = ""
        """What a registry has given out for a name and a password; sent as it is."""
        self._wire: Wire | None = None

    async def ask(
        self, method: str, target: str, body: object = None, *, patience: float = REPLY_TIMEOUT
    ) -> tuple[Any, Headers]:
        """Return the JSON of a reply, and its headers.

        Args:
            method: in capitals.
            target: path and query.
            body: sent as JSON unless `None`.
            patience: seconds without a byte of the reply.

        Raises:
            ConnectFailed, ConnectionLost, AttemptTimeout: no reply.
            Unauthenticated: the registry refuses us (401, 403).
            BadReply: another status, or no JSON.
        """
        reply = await self._open(method, target, body, patience)
        try:
            text = await collect(reply, target, MAX_REPLY_BYTES)
        finally:
            await reply.aclose()
        try:
            return json.loads(text), reply.headers
        except (ValueError, RecursionError) as error:
            raise BadReply(f"The registry's reply to {target} is not JSON: {text[:80]!r}") from error

    async def follow(
        self, method: str, target: str, body: object = None, *, patience: float
    ) -> AsyncGenerator[Any, None]:
        """Yield the JSON values of an endless reply, one a line, until it ends or is silent for `patience` seconds.

        Raises:
            ConnectFailed, ConnectionLost, AttemptTimeout, Unauthenticated, BadReply: as in `ask`.
        """
        reply = await self._open(method, target, body, patience)
        decoder = NdjsonDecoder(max_line_bytes=MAX_LINE_BYTES)
        async with aclosing(reply), aclosing(_until_silent(reply)) as chunks:
            async for chunk in chunks:
                for value in _fed(decoder, chunk):
                    yield value

    async def _open(self, method: str, target: str, body: object, patience: float) -> WireResponse:
        failure: ConnectFailed | None = None
        for _ in self._addresses:
            address = self._addresses[self._first]
            request = Request(
                method=method,
                url=address + target,
                headers=self._headers(),
                body=None if body is None else json.dumps(body).encode(),
            )
            try:
                reply = await self._usable_wire().send(request, connect_timeout=CONNECT_TIMEOUT, read_timeout=patience)
            except ConnectFailed as error:
                failure = error
                self._first = (self._first + 1) % len(self._addresses)
                continue
            return await _accepted(reply, address + target)
        assert failure is not None  # noqa: S101  # there is at least one address
        raise failure

    def _usable_wire(self) -> Wire:
        if self._wire is None:
            # Its own small pool: the client's pool belongs to the endpoints.
            self._wire = make_wire("aiohttp", pool=PoolConfig(max_connections=2), tls=self._tls)
        return self._wire

    def _headers(self) -> Headers:
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        if self.token:
            headers[self._header] = self.token
        if self._token_file:
            token = secret_in(self._token_file)
            headers[self._header] = f"Bearer {token}" if self._header == "Authorization" else token
        try:
            return Headers(headers)
        except ValueError:
            # Without the cause: its message would show the token.
            raise ConnectFailed(f"The token file {self._token_file!r} does not hold one line of text") from None

    async def aclose(self) -> None:
        """Close every connection; a later request opens new ones."""
        wire, self._wire = self._wire, None
        if wire is not None:
            await wire.aclose()


def secret_in(path: str) -> str:
    """Return what a file holds, which is read again each time, as secrets are renewed.

    Raises:
        ConnectFailed: it cannot be read.
    """
    try:
        return Path(path).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConnectFailed(f"The token file {path!r} cannot be read: {error}") from error


async def _until_silent(reply: WireResponse) -> AsyncGenerator[bytes, None]:
    async with aclosing(reply.chunks()) as chunks:
        with suppress(AttemptTimeout):
            async for chunk in chunks:
                yield chunk


def _fed(decoder: NdjsonDecoder, chunk: bytes) -> Iterator[Any]:
    try:
        yield from decoder.feed(chunk)
    except StreamBroken as error:
        raise BadReply(f"The registry's stream cannot be understood: {error.message}") from error


async def _accepted(reply: WireResponse, url: str) -> WireResponse:
    if reply.status < 300:
        return reply
    await reply.aclose()
    if reply.status in (401, 403):
        raise Unauthenticated(f"The registry refuses {url} with status {reply.status}", fix="Check its token.")
    raise BadReply(f"The registry answered {url} with status {reply.status}")


async def rest(since: float) -> None:
    """Wait until the turn that began at `since`, on the event loop's clock, has taken `SHORTEST_TURN`."""
    await asyncio.sleep(since + SHORTEST_TURN - asyncio.get_running_loop().time())


def number_in(text: object, what: str) -> int:
    """Return a count that a registry wrote as a number or as text.

    Raises:
        BadReply: it is neither, or negative.
    """
    try:
        number = int(text) if isinstance(text, str) and len(text) <= 20 else text
    except ValueError:
        number = None
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < math.inf:
        raise BadReply(f"The registry's {what} is {text!r}, no whole number")
    return number


def require_service(name: str, what: str) -> str:
    """Return a name that may stand in a path.

    Raises:
        ConfigurationInvalid: it is empty or holds other than letters, digits, `.`, `-` and `_`.
    """
    if not name or not all(letter.isascii() and (letter.isalnum() or letter in ".-_") for letter in name):
        raise ConfigurationInvalid(f"the {what} {name!r} must be made of letters, digits, '.', '-' and '_'")
    return name
