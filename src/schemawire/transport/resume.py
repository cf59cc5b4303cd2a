"""Goes on with a streamed body that broke, where it broke; knows no policy by name."""

import re
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from typing import Protocol

from schemawire.errors import AttemptTimeout, ConnectionLost, Refused
from schemawire.resilience.ranges import require_count
from schemawire.transport.message import Headers, HeaderSource
from schemawire.transport.stream import StreamResponse

_STRONG_TAG = re.compile(r'"[^"]*"')
_RANGE = re.compile(r"bytes (\d{1,18})-\d+/(?:\d+|\*)")


class Resume(Protocol):
    """How a body that broke is asked for again, from where it broke."""

    @property
    def max_resumes(self) -> int:
        """How often one body is gone on with at most."""

    def first(self) -> HeaderSource:
        """Return what the first request says besides."""

    def further(self, first: StreamResponse, received: int) -> HeaderSource | None:
        """Return what a further request says besides, once `received` bytes are here; `None`: it cannot be resumed."""

    def fits(self, first: StreamResponse, further: StreamResponse, received: int) -> bool:
        """Whether the body of `further` begins exactly where that of `first` broke."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeByRange:
    """Asks for the bytes that are missing, as long as they are those of the very same body.

    Resumes only a 200 that carries a strong `ETag` and was not compressed, and takes only a 206 for that tag which
    begins at the right byte.

    Args:
        max_resumes: how often one body is gone on with, from 0.

    Raises:
        ConfigurationInvalid: out of range.

    *Source:* RFC 9110 §13.1.5 (`If-Range`) and §14.
    """

    max_resumes: int = 3

    def __post_init__(self) -> None:
        require_count(self, "max_resumes", low=0, high=1000)

    def first(self) -> HeaderSource:
        """Return the wish for a body that is not compressed, for ranges count its bytes as they travel."""
        return {"Accept-Encoding": "identity"}

    def further(self, first: StreamResponse, received: int) -> HeaderSource | None:
        """Return the range that is missing."""
        tag = first.headers.get("etag", "")
        if first.status != 200 or not _STRONG_TAG.fullmatch(tag) or "content-encoding" in first.headers:
            return None
        return {"Range": f"bytes={received}-", "If-Range": tag}

    def fits(self, first: StreamResponse, further: StreamResponse, received: int) -> bool:
        """Whether it is that range of that body."""
        found = _RANGE.fullmatch(further.headers.get("content-range", ""))
        begins = found is not None and int(found[1]) == received
        return further.status == 206 and begins and further.headers.get("etag") == first.headers.get("etag")


class Resumption:
    """The rest of one body, however often it breaks.

    Args:
        how: how the rest is asked for.
        first: the response whose body broke.
        reopen: opens a further response, through every policy of the client.
        pay: pays for it from the retry budget, and says whether that was possible.
    """

    def __init__(
        self,
        how: Resume,
        first: StreamResponse,
        *,
        reopen: Callable[[HeaderSource], AbstractAsyncContextManager[StreamResponse]],
        pay: Callable[[], bool],
    ) -> None:
        self._how = how
        self._first = first
        self._reopen = reopen
        self._pay = pay

    async def __call__(self, received: int, broken: Exception) -> AsyncGenerator[bytes, None]:
        """Yield the bytes after the first `received`.

        Raises:
            ConnectionLost, AttemptTimeout: it broke again and may not be gone on with; or `broken` itself, where the
                rest is not to be had.

        *Cancelled:* the further response is closed.
        """
        for _ in range(self._how.max_resumes):
            asked = self._how.further(self._first, received)
            if asked is None or not self._pay():
                break
            chunks = self._part(asked, received)
            try:
                async for chunk in chunks:
                    received += len(chunk)
                    yield chunk
                return
            except _AnotherBodyError:
                break
            except Refused as refusal:
                raise broken from refusal
            except (ConnectionLost, AttemptTimeout) as error:
                broken = error
            finally:
                await chunks.aclose()
        raise broken

    async def _part(self, asked: HeaderSource, received: int) -> AsyncGenerator[bytes, None]:
        async with self._reopen(asked) as further, aclosing(further.__aiter__()) as chunks:
            if not self._how.fits(self._first, further, received):
                raise _AnotherBodyError
            async for chunk in chunks:
                yield chunk


class _AnotherBodyError(Exception):
    pass


def with_first(how: Resume | None, headers: Headers) -> Headers:
    """Return the headers of a call whose body is to be resumed; what the caller has said himself stays."""
    if how is None:
        return headers
    return Headers(how.first()).replaced(headers)
