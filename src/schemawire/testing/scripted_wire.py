"""A wire that answers from a script, for tests without a socket; decides nothing about retries or health."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from dataclasses import dataclass, field, replace

from schemawire.errors import AttemptTimeout, Closed
from schemawire.transport.message import Headers, HeaderSource, Request
from schemawire.transport.wire import WireStatistics


class ScriptRanOut(AssertionError):
    """The wire was asked for more requests than its script has replies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What one request gets: after `delay` seconds a head, then each chunk, or an error in place of what is missing.

    Args:
        status: of the response.
        headers: of the response.
        chunks: of the body, already decompressed.
        delay: seconds before the head.
        chunk_delay: seconds before each chunk.
        error: raised in place of the head, or after the last chunk when `breaks_body` is set.
        breaks_body: whether `error` comes after the chunks.
    """

    status: int = 200
    headers: HeaderSource = ()
    chunks: tuple[bytes, ...] = ()
    delay: float = 0.0
    chunk_delay: float = 0.0
    error: Exception | None = None
    breaks_body: bool = False


Answer = Reply | Exception | Callable[[Request], Reply]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One request as the wire saw it, its body collected; `at` is the event loop's time in seconds."""

    request: Request = field(repr=False)
    body: bytes
    at: float


class ScriptedWire:
    """Answers each request with the next entry of a script, in the order in which requests begin.

    An entry is a `Reply`, an error to raise, or a function of the request that returns a `Reply`. Time limits are kept
    on the event loop's clock, so that it runs on virtual time.

    Args:
        script: the entries for the first requests.
        then: the entry for every later request; without it a further request raises `ScriptRanOut`.
    """

    name = "scripted"

    def __init__(self, *script: Answer, then: Answer | None = None) -> None:
        self._script = list(script)
        self._then = then
        self._closed = False
        self._in_flight = 0
        self.sent: list[Sent] = []
        """Every request so far, oldest first."""

    async def send(self, request: Request, *, connect_timeout: float, read_timeout: float) -> "ScriptedResponse":
        """Answer `request` from the script; see `Wire.send`."""
        if self._closed:
            raise Closed("The scripted wire has been closed.")
        at = asyncio.get_running_loop().time()
        answer = self._next()
        self._in_flight += 1
        try:
            request = replace(request, headers=Headers(request.headers))
            self.sent.append(Sent(request=request, body=await _collected(request), at=at))
            reply = _as_reply(answer, request)
            await _pause(reply.delay, read_timeout)
            if reply.error is not None and not reply.breaks_body:
                raise reply.error
        except BaseException:
            self._in_flight -= 1
            raise
        return ScriptedResponse(reply, read_timeout, self, without_body=request.method == "HEAD")

    def _next(self) -> Answer:
        if self._script:
            return self._script.pop(0)
        if self._then is None:
            raise ScriptRanOut(f"the script has no reply for request {len(self.sent) + 1}")
        return self._then

    def ended(self) -> None:
        """Take note that one response is read or closed."""
        self._in_flight -= 1

    async def aclose(self) -> None:
        """Refuse every later request."""
        self._closed = True

    def statistics(self) -> WireStatistics:
        """Return the present state."""
        return WireStatistics(name=self.name, requests=len(self.sent), in_flight=self._in_flight)


class ScriptedResponse:
    """A response whose body comes from the script."""

    def __init__(self, reply: Reply, read_timeout: float, wire: ScriptedWire, *, without_body: bool) -> None:
        self.status = reply.status
        self.headers = Headers(reply.headers)
        self._reply = reply
        self._chunks = () if without_body else reply.chunks
        self._read_timeout = read_timeout
        self._wire = wire
        self._open = True

    def arrived(self) -> bytes | None:
        """Return nothing: the body is read piece by piece; see `WireResponse.arrived`."""
        return None

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Return the body as the script has it; see `WireResponse.chunks`."""
        for chunk in self._chunks:
            await _pause(self._reply.chunk_delay, self._read_timeout)
            if chunk:
                yield chunk
        if self._reply.error is not None:
            raise self._reply.error

    async def aclose(self) -> None:
        """Take note that nobody reads any more."""
        if self._open:
            self._open = False
            self._wire.ended()


def _as_reply(answer: Answer, request: Request) -> Reply:
    if isinstance(answer, Reply):
        return answer
    return Reply(error=answer) if isinstance(answer, Exception) else answer(request)


async def _collected(request: Request) -> bytes:
    content = request.content()
    if isinstance(content, AsyncIterable):
        return b"".join([piece async for piece in content])
    return content or b""


async def _pause(delay: float, limit: float) -> None:
    if delay <= 0:
        return
    await asyncio.sleep(min(delay, limit))
    if delay > limit:
        raise AttemptTimeout(f"The script is silent for {delay:g} s, longer than the read timeout of {limit:g} s")
