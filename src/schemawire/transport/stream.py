"""A response whose body is read as it arrives, under the deadline of its call; knows no policy by name."""

import asyncio
import math
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Self

from schemawire.errors import AttemptTimeout, BadReply, ConnectionLost, DeadlineExceeded
from schemawire.resilience.call import Scope
from schemawire.transport.message import Headers
from schemawire.transport.wire import WireResponse

MAX_BODY_BYTES = 1 << 30
"""A collected body above this size is refused, so that a hostile reply cannot fill the memory."""


class StreamResponse:
    """The head of a response, and its body piece by piece: `async for chunk in response`.

    Permits of the call (endpoint, breaker, pool) are held until the body is read to its end or closed.

    Invariant: the scope is told exactly once how the body ended.
    """

    def __init__(self, wire_response: WireResponse, *, url: str, deadline: float, scope: Scope) -> None:
        self.status = wire_response.status
        self.headers: Headers = wire_response.headers
        self.url = url
        self.attempts = 1
        """How many attempts the call took, this one included."""
        self.error: BaseException | None = None
        """What broke the body, if anything did."""
        self._wire_response = wire_response
        self._deadline = deadline
        self._scope = scope
        self.rest: Callable[[int, Exception], AsyncGenerator[bytes, None]] | None = None
        """What goes on with a body that broke after so many bytes, if anything does."""
        self._begun = False
        self._finished = False

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return 200 <= self.status < 300

    async def __aiter__(self) -> AsyncGenerator[bytes, None]:
        """Yield the body in non-empty pieces as they arrive.

        Raises:
            AttemptTimeout: no byte came for the read timeout.
            ConnectionLost: the body ended before it was complete.
            DeadlineExceeded: the deadline of the call passed.
            RuntimeError: the body has already been read.

        *Cancelled:* the connection is closed and every permit is given back.
        """
        if self._begun:
            raise RuntimeError("the body of a streamed response can be read once; collect it with `read()` to keep it")
        self._begun = True
        error: BaseException | None = None
        try:
            async with aclosing(self._chunks()) as chunks:
                async for chunk in chunks:
                    yield chunk
        except GeneratorExit:
            raise  # The caller has read enough, which says nothing against the other side.
        except BaseException as caught:
            error = self.error = caught
            raise
        finally:
            await self._finish(error)

    async def _chunks(self) -> AsyncGenerator[bytes, None]:
        received = 0
        try:
            async with aclosing(_timely(self._wire_response, self._deadline, self.url)) as chunks:
                async for chunk in chunks:
                    received += len(chunk)
                    yield chunk
            return
        except (ConnectionLost, AttemptTimeout) as error:
            if self.rest is None:
                raise
            broken = error
        # Its endpoint is told that it broke, and gets its permits back, before another one is asked for the rest.
        await self._finish(broken)
        async with aclosing(self.rest(received, broken)) as rest:
            async for chunk in rest:
                yield chunk

    async def read(self, *, max_bytes: int = MAX_BODY_BYTES) -> bytes:
        """Return the rest of the body in one piece.

        Raises:
            BadReply: it is larger than `max_bytes`.
            AttemptTimeout, ConnectionLost, DeadlineExceeded: see iteration.

        *Cancelled:* the connection is closed and every permit is given back.
        """
        pieces: list[bytes] = []
        size = 0
        async with aclosing(self.__aiter__()) as chunks:
            async for chunk in chunks:
                size += len(chunk)
                if size > max_bytes:
                    raise too_large(self.url, max_bytes)
                pieces.append(chunk)
        return b"".join(pieces)

    async def aclose(self) -> None:
        """Let go of the connection and of every permit; a body that is not at its end costs the connection.

        *Cancelled:* the permits are given back all the same.
        """
        await self._finish(None)

    async def _finish(self, error: BaseException | None) -> None:
        if self._finished:
            return
        self._finished = True
        try:
            await self._wire_response.aclose()
        finally:
            self._scope.close(error)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *details: object) -> None:
        await self.aclose()


async def _timely(response: WireResponse, deadline: float, url: str) -> AsyncGenerator[bytes, None]:
    """Yield the body of `response`, and give up at `deadline`."""
    async with aclosing(response.chunks()) as chunks:
        while chunk := await _next_chunk(chunks, deadline, url):
            yield chunk


async def _next_chunk(chunks: AsyncGenerator[bytes, None], deadline: float, url: str) -> bytes:
    timer = asyncio.timeout_at(None if deadline == math.inf else deadline)
    try:
        async with timer:
            return await anext(chunks, b"")
    except TimeoutError as error:
        if timer.expired():
            raise DeadlineExceeded(f"The body of {url} did not end before the call's deadline") from error
        raise


async def collect(response: WireResponse, url: str, max_bytes: int) -> bytes:
    """Return the whole body of `response`, where it has not arrived yet.

    Raises:
        BadReply: it is larger than `max_bytes`.
        AttemptTimeout, ConnectionLost: see `WireResponse.chunks`.
    """
    pieces: list[bytes] = []
    size = 0
    async for chunk in response.chunks():
        size += len(chunk)
        if size > max_bytes:
            raise too_large(url, max_bytes)
        pieces.append(chunk)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def too_large(url: str, max_bytes: int) -> BadReply:
    """Return the error for a body above the limit."""
    return BadReply(
        f"The reply of {url} is larger than {max_bytes} bytes.",
        fix="Read it with `client.stream(…)`, or raise `max_body_bytes`.",
    )
