"""The small protocol between the client and whatever sends one request; knows no retries and no endpoints."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from schemawire.transport.message import Headers, Request


@dataclass(frozen=True, slots=True, kw_only=True)
class WireStatistics:
    """How a wire is used at this moment."""

    name: str
    requests: int
    """Requests begun so far."""
    in_flight: int
    """Requests whose response is not fully read or closed."""
    open_connections: int | None = None
    """Connections held open, idle ones included; `None` where the wire cannot tell."""


class WireResponse(Protocol):
    """A response whose head has arrived and whose body is still on the wire."""

    status: int
    headers: Headers

    def arrived(self) -> bytes | None:
        """Return the whole body, decompressed, if all of it is already here, and let go of the connection.

        `None` where it is not; otherwise it stands in place of `chunks` and of `aclose`, which may then be left out.
        """

    def chunks(self) -> AsyncGenerator[bytes, None]:
        """Return the body, decompressed, in non-empty pieces as they arrive; may be called once.

        Raises:
            AttemptTimeout: no byte came for the read timeout.
            ConnectionLost: the body ended before it was complete.
        """

    async def aclose(self) -> None:
        """Let go of the connection: it is kept for reuse only if the body was read to its end. Safe to call twice."""


@runtime_checkable
class Wire(Protocol):
    """Sends single requests. Each implementation translates its library's errors, once, into ours.

    A wire never retries, follows no redirect, keeps no cookie, has no queue of its own, and bears to be closed twice.
    """

    name: str

    async def send(self, request: Request, *, connect_timeout: float, read_timeout: float) -> WireResponse:
        """Send `request` and return when the head of its response has arrived.

        Args:
            request: with an absolute URL.
            connect_timeout: seconds for name resolution, TCP and TLS together; may be infinite.
            read_timeout: seconds without any byte of the response; may be infinite.

        Raises:
            ConnectFailed: no connection, so that nothing was sent.
            AttemptTimeout: no byte of the response came for `read_timeout`.
            ConnectionLost: the connection broke; the request may have arrived.
            BadReply: what arrived is not HTTP.
            WrongEventLoop: the wire belongs to another event loop that is still running.
            Closed: the wire has been closed.

        *Cancelled:* the connection is closed and the slot is free.
        """

    async def aclose(self) -> None:
        """Close every connection."""

    def statistics(self) -> WireStatistics:
        """Return the present state."""
