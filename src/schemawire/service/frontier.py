"""The outermost layer: names the request, lets the caller in or not, answers every error, counts and logs the end.

A callable around a callable; knows nothing of routes.
"""

import time
from collections.abc import Awaitable, Callable

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from schemawire.protocol import headers as names
from schemawire.protocol.paths import API_ROOT, HEALTH, PROJECT_ID_FIX
from schemawire.service.access import ANONYMOUS, Principal
from schemawire.service.context import RequestContext, context_of
from schemawire.service.logs import is_logging_requests, log, log_request
from schemawire.service.recorder import Recorder
from schemawire.service.refusals import RequestRefused, internal_error, refusal_of
from schemawire.service.replies import send_problem

CONTEXT = "schemawire.context"
"""Where the scope of a request carries its `RequestContext`."""

CLIENT_GONE = 499
"""Recorded, never sent: the caller hung up first."""

_REQUEST_ID = names.REQUEST_ID.lower().encode()
_STORE_ID = names.STORE_ID.lower().encode()
_SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)

Authenticate = Callable[[str | None], Awaitable[Principal]]


class Frontier:
    """Wraps an application; every reply that leaves carries the request's and the store's id."""

    def __init__(
        self, app: ASGIApp, *, authenticate: Authenticate, store_id: Callable[[], str], recorder: Recorder
    ) -> None:
        self._app = app
        self._authenticate = authenticate
        self._store_id = store_id
        self._recorder = recorder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request."""
        context = context_of(scope["headers"])
        scope[CONTEXT] = context
        reply = _Reply(send, context, self._store_id)
        self._recorder.in_flight += 1
        try:
            await self._serve(scope, receive, reply)
        finally:
            self._recorder.in_flight -= 1
            self._finish(scope, context, reply)

    async def _serve(self, scope: Scope, receive: Receive, reply: "_Reply") -> None:
        context: RequestContext = scope[CONTEXT]
        try:
            await self._admit(scope, context)
            await self._app(scope, receive, reply.send)
        except ClientDisconnect:
            reply.status = CLIENT_GONE
        except Exception as error:
            if reply.status:  # half a reply cannot be taken back: the server cuts the connection
                raise
            refusal = refusal_of(error)
            if refusal is None:
                log.exception("request failed", requestId=context.request_id, route=context.route)
                refusal = internal_error()
            await send_problem(refusal, context.request_id)(scope, receive, reply.send)

    async def _admit(self, scope: Scope, context: RequestContext) -> None:
        path: str = scope["path"]
        if path == HEALTH or path.startswith(f"{HEALTH}/"):
            return
        context.principal = await self._authenticate(context.header("Authorization"))
        if context.fault is not None:
            raise context.fault
        _refuse_hidden_slash(scope)
        context.check_deadline()

    def _finish(self, scope: Scope, context: RequestContext, reply: "_Reply") -> None:
        duration = time.monotonic() - context.started
        status = reply.status or 500
        self._recorder.record(context.route, status, duration)
        if is_logging_requests():
            log_request(
                {
                    "requestId": context.request_id,
                    "method": scope["method"],
                    "route": context.route,
                    "status": status,
                    "durationMs": round(duration * 1000, 3),
                    "principal": None if context.principal is ANONYMOUS else context.principal.name,
                    "environment": context.label(names.ENVIRONMENT),
                    "client": context.label(names.CLIENT),
                    "attempt": context.label(names.ATTEMPT),
                }
            )


class _Reply:
    """The way out of one request; `status` is 0 until the reply has begun."""

    def __init__(self, send: Send, context: RequestContext, store_id: Callable[[], str]) -> None:
        self._send = send
        self._context = context
        self._store_id = store_id
        self.status = 0

    async def send(self, message: Message) -> None:
        """Pass a message on, and add to the head of a reply what every reply carries."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [
                *message["headers"],
                *_SECURITY_HEADERS,
                (_REQUEST_ID, self._context.request_id.encode()),
                (_STORE_ID, self._store_id().encode()),
            ]
        await self._send(message)


def _refuse_hidden_slash(scope: Scope) -> None:
    # The server decodes %2F before routing, so `a%2Fstream` would be taken for the stream of project `a`.
    raw: bytes = scope.get("raw_path", b"")
    if b"%2f" in raw.lower() and raw.startswith(API_ROOT.encode()):
        raise RequestRefused("invalid_project_id", "A project id holds no slash, encoded or not.", fix=PROJECT_ID_FIX)
