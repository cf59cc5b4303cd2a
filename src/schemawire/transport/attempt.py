"""One attempt: the innermost step of the pipeline, which puts a call on the wire; knows neither retries nor health."""

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable
from dataclasses import dataclass

from schemawire.errors import Refused, SchemawireError
from schemawire.events import AttemptFinished, Listener, opens_scope
from schemawire.resilience.call import SUCCESS, Context, Judgement
from schemawire.transport.message import Body, Headers, Request, Response
from schemawire.transport.options import TimeoutConfig
from schemawire.transport.stream import StreamResponse, collect, too_large
from schemawire.transport.verdict import Repeatability, judge_error, judge_response
from schemawire.transport.wire import Wire, WireResponse

ATTEMPT_HEADER = "X-Request-Attempt"
"""Counts from 1, so that the other side can tell first attempts from retries (envoyproxy/envoy#4210)."""
DEADLINE_HEADER = "X-Request-Deadline"
"""Milliseconds that the caller still has; work whose deadline has passed need not be done."""


def attempts_of(context: Context) -> int:
    """Return how often the call has been sent so far; a turn that was refused before it left does not count."""
    call: Call = context.call
    return call.sent


# Not frozen: one is made for every call, and a frozen class takes four times as long.
@dataclass(slots=True, kw_only=True)
class Call:
    """One logical call, as the pipeline carries it to the wire; all its attempts, hedges included, share it."""

    method: str
    target: str
    """Path and query."""
    headers: Headers
    body: Body
    repeat: Repeatability
    streaming: bool
    patient: bool
    """Whether it goes on being retried until its deadline."""
    started: float
    timeouts: tuple[float, float] | None = None
    """Connect and read limits of its own, seconds."""
    sent: int = 0
    """How often it has been sent."""
    last: Response | StreamResponse | None = None
    """The last complete response, once a further attempt is on its way: an error must not take its place."""


def judge(context: Context, result: Response | StreamResponse | None, error: BaseException | None) -> Judgement:
    """Return what the outcome of an attempt means, from the call's own repeatability."""
    call: Call = context.call
    if result is None:
        return judge_error(call.repeat, error or SchemawireError(), patient=call.patient)
    if result.status < 400:
        return SUCCESS
    return judge_response(call.repeat, result.status, result.headers)


class Attempt:
    """Sends a call to the endpoint that its context names.

    Args:
        wire: what sends it.
        timeouts: the connect and read limits.
        max_body_bytes: the largest body that is collected.
        listener: hears `AttemptFinished`, and may open a scope around the attempt and add headers to it.
    """

    def __init__(self, wire: Wire, timeouts: TimeoutConfig, *, max_body_bytes: int, listener: Listener | None) -> None:
        self.wire = wire
        self.timeouts = timeouts
        self._max_body_bytes = max_body_bytes
        self._listener = listener
        self._opens_scopes = opens_scope(listener, "attempt_scope")

    def __call__(self, context: Context) -> Awaitable[Response | StreamResponse]:
        """Send the call once.

        Raises:
            ConnectFailed, ConnectionLost, AttemptTimeout, BadReply: see `Wire.send`.
            Exception: whatever the caller's own body raised, unchanged.

        *Cancelled:* the connection is closed.
        """
        # Counted here and not taken from the context, which also counts turns that an open breaker refused.
        call: Call = context.call
        number = call.sent = call.sent + 1
        if self._listener is None:
            return self._send(context, number, {})
        if self._opens_scopes:
            return self._heard(context, number, self._listener)
        return self._told(context, number, self._listener, {})

    async def _heard(self, context: Context, number: int, listener: Listener) -> Response | StreamResponse:
        added: dict[str, str] = {}
        with listener.attempt_scope(context.endpoint.url, number, added):
            return await self._told(context, number, listener, added)

    async def _told(
        self, context: Context, number: int, listener: Listener, added: dict[str, str]
    ) -> Response | StreamResponse:
        clock = asyncio.get_running_loop().time
        started = clock()
        status: int | None = None
        failure: BaseException | None = None
        try:
            result = await self._send(context, number, added)
            status = result.status
            return result
        except BaseException as error:
            failure = error
            raise
        finally:
            listener.on_event(
                AttemptFinished(
                    name="attempt",
                    endpoint=context.endpoint.url,
                    attempt=number,
                    outcome=outcome_of(status, failure),
                    duration=clock() - started,
                    status=status,
                    error=failure,
                )
            )

    async def _send(self, context: Context, number: int, added: dict[str, str]) -> Response | StreamResponse:
        call: Call = context.call
        request, watched = self._request(context, number, added)
        begun = self._now()
        connect, read = call.timeouts or (self.timeouts.connect, self.timeouts.read)
        try:
            reply = await self.wire.send(request, connect_timeout=connect, read_timeout=read)
        except Exception:
            if watched is not None and watched.error is not None:
                # What broke was the caller's own body; the wire's view of it would only hide that.
                raise watched.error from None
            raise
        if self._listener is not None:
            self._note_first_byte(context, begun, getattr(reply, "connecting", 0.0))
        if call.streaming and context.scope is not None:
            return self._opened(context, request, reply)
        body = reply.arrived()
        if body is None:
            body = await self._collected(context, request, reply)
        elif len(body) > self._max_body_bytes:
            raise too_large(request.url, self._max_body_bytes)
        return Response(
            status=reply.status,
            headers=reply.headers,
            body=body,
            url=request.url,
            attempts=call.sent,
            elapsed=asyncio.get_running_loop().time() - call.started,
        )

    def _now(self) -> float:
        """Return the time where somebody listens, so that an unheard call reads no clock."""
        return 0.0 if self._listener is None else asyncio.get_running_loop().time()

    def _note_first_byte(self, context: Context, begun: float, connecting: float) -> None:
        # A wire that cannot tell how long it took to connect leaves it in the wait for the first byte.
        self._note_wait(context, "first_byte", begun + connecting)
        if connecting:
            context.state["connect"] = context.state.get("connect", 0.0) + connecting

    def _note_wait(self, context: Context, name: str, begun: float) -> None:
        context.state[name] = context.state.get(name, 0.0) + asyncio.get_running_loop().time() - begun

    def _request(self, context: Context, number: int, added: dict[str, str]) -> tuple[Request, "_Watched | None"]:
        call: Call = context.call
        pairs = [*call.headers.pairs, (ATTEMPT_HEADER, str(number))]
        if context.deadline < math.inf:
            left = context.deadline - asyncio.get_running_loop().time()
            pairs.append((DEADLINE_HEADER, str(int(left * 1000)) if left > 0 else "0"))
        if added:
            pairs.extend(added.items())
        authority = context.endpoint.place.authority
        if authority and "host" not in call.headers:
            # The address was looked up by us, and the other side may serve several names at it.
            pairs.append(("Host", authority))
        body, watched = call.body, None
        if body is not None and not isinstance(body, bytes):
            body = watched = _Watched(body if isinstance(body, AsyncIterable) else body())
        url = context.endpoint.url + call.target
        headers, whole = Headers.received(pairs), not call.streaming
        return Request(method=call.method, url=url, headers=headers, body=body, whole=whole), watched

    def _opened(self, context: Context, request: Request, reply: WireResponse) -> StreamResponse:
        assert context.scope is not None  # noqa: S101  # checked by the caller; tells the type checker
        response = StreamResponse(reply, url=request.url, deadline=context.deadline, scope=context.scope)
        response.attempts = attempts_of(context)
        return response

    async def _collected(self, context: Context, request: Request, reply: WireResponse) -> bytes:
        begun = self._now()
        try:
            body = await collect(reply, request.url, self._max_body_bytes)
        finally:
            await reply.aclose()
        if self._listener is not None:
            self._note_wait(context, "body", begun)
        return body


def outcome_of(status: int | None, error: BaseException | None) -> str:
    """Return the one word for an outcome that events and counters use."""
    match error:
        case None:
            return "success" if status is not None and status < 400 else "rejected" if (status or 0) < 500 else "failed"
        case asyncio.CancelledError():
            return "cancelled"
        case _:
            return "refused" if isinstance(error, Refused) else "failed"


class _Watched(AsyncIterable[bytes]):
    """Passes a body through and remembers what its source raised."""

    def __init__(self, source: AsyncIterable[bytes]) -> None:
        self._source = source
        self.error: Exception | None = None

    async def __aiter__(self) -> AsyncGenerator[bytes, None]:
        try:
            async for chunk in self._source:
                yield chunk
        except Exception as error:
            self.error = error
            raise
