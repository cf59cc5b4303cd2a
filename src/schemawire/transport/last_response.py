"""Saves a response that a further attempt is to better, in case there is no better one; knows no policy."""

import asyncio
from collections.abc import AsyncGenerator

from schemawire.errors import SchemawireError
from schemawire.resilience.call import Context
from schemawire.transport.attempt import Call
from schemawire.transport.message import Headers, Response
from schemawire.transport.stream import StreamResponse

_MOST_BYTES = 1 << 16
_LONGEST_READ = 0.25
"""Seconds. What is longer, or slower to arrive, than these allow is no complete response, and is cut."""


async def keep_last(context: Context, result: Response | StreamResponse) -> Response | StreamResponse | None:
    """Save a response for the case that every later attempt is refused or fails, and return what was saved.

    A stream is read to its end, so that it holds neither a connection nor a permit meanwhile; what cannot be read soon
    is not saved.

    *Cancelled:* the stream may be open.
    """
    call: Call = context.call
    kept = await _read(context, result) if isinstance(result, StreamResponse) else result
    if kept is not None:
        call.last = kept
    return kept


def last_of(call: Call, error: BaseException) -> Response | StreamResponse | None:
    """Return the last response of a call that an error of ours, such as its deadline, has ended, if it had one."""
    return call.last if isinstance(error, SchemawireError) else None


async def _read(context: Context, stream: StreamResponse) -> StreamResponse | None:
    timer = asyncio.timeout(_LONGEST_READ)
    try:
        async with timer:
            body = await stream.read(max_bytes=_MOST_BYTES)
    except (SchemawireError, TimeoutError):
        return None
    assert context.scope is not None  # noqa: S101  # a stream has one
    kept = StreamResponse(
        _Saved(stream.status, stream.headers, body), url=stream.url, deadline=float("inf"), scope=context.scope
    )
    kept.attempts = stream.attempts
    return kept


class _Saved:
    """A response whose body is in memory."""

    def __init__(self, status: int, headers: Headers, body: bytes) -> None:
        self.status = status
        self.headers = headers
        self._body = body

    def arrived(self) -> bytes:
        """Return the whole body."""
        return self._body

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Return the body in one piece."""
        if self._body:
            yield self._body

    async def aclose(self) -> None:
        """Do nothing: no connection is held."""
