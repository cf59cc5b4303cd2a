"""The outermost layer: names the request, lets the caller in or not, answers every error, counts and logs the end.

A callable around a callable; knows nothing of routes.
"""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from schemawire.protocol import headers as names
from schemawire.protocol.paths import API_ROOT, DOCS, HEALTH, PROJECT_ID_FIX
from schemawire.service.access import ANONYMOUS, Principal
from schemawire.service.admission import KeyRates
from schemawire.service.auditing import AuditTrail
from schemawire.service.context import RequestContext, context_of
from schemawire.service.logs import is_logging_requests, log, log_request, trace_fields
from schemawire.service.recorder import Recorder
from schemawire.service.refusals import RequestRefused, internal_error, refusal_of
from schemawire.service.replies import send_problem

CONTEXT = "schemawire.context"
"""Where the scope of a request carries its `RequestContext`."""

_OPEN = (HEALTH, DOCS)
"""Paths that need no key, with everything below them."""
_BELOW_OPEN = tuple(f"{path}/" for path in _OPEN)

CLIENT_GONE = 499
"""Recorded, never sent: the caller hung up first."""

_REQUEST_ID = names.REQUEST_ID.lower().encode()
_STORE_ID = names.STORE_ID.lower().encode()
_SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_NO_CONTENT_POLICY = b"default-src 'none'; frame-ancestors 'none'"
_POLICY = b"content-security-policy"
_ONLY_TLS = (b"strict-transport-security", b"max-age=31536000")
_EXPOSED = ", ".join((
    "ETag", "Location", "Retry-After", "RateLimit", "RateLimit-Policy", names.REQUEST_ID, names.STORE_ID,
    names.IDEMPOTENT_REPLAY, names.DRY_RUN,
)).encode()  # fmt: skip
_PREFLIGHT = (
    (b"access-control-allow-methods", b"GET, POST, PUT, PATCH, DELETE"),
    (b"access-control-max-age", b"600"),
    (b"vary", b"Access-Control-Request-Headers"),
)

Authenticate = Callable[[str | None], Awaitable[Principal]]


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryTerms:
    """What holds for everybody who enters."""

    rates: KeyRates
    cors_origins: frozenset[str] = frozenset()
    trail: AuditTrail


class Frontier:
    """Wraps an application; every reply that leaves carries the request's and the store's id."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        authenticate: Authenticate,
        store_id: Callable[[], str],
        recorder: Recorder,
        terms: EntryTerms,
    ) -> None:
        self._app = app
        self._authenticate = authenticate
        self._store_id = store_id
        self._recorder = recorder
        self._terms = terms

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request."""
        context = context_of(scope["headers"])
        scope[CONTEXT] = context
        if scope.get("scheme") == "https":
            context.extra_headers.append(_ONLY_TLS)
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
            if self._terms.cors_origins and self._greet_page(scope, context):
                await Response(status_code=204)(scope, receive, reply.send)
                return
            await self._admit(scope, context)
            await self._app(scope, receive, reply.send)
        except ClientDisconnect:
            reply.status = CLIENT_GONE
        except Exception as error:
            if reply.status:  # half a reply cannot be taken back: the server cuts the connection
                raise
            refusal = refusal_of(error)
            context.outcome = "internal_error" if refusal is None else refusal.reason
            if refusal is None:
                log.exception("request failed", requestId=context.request_id, route=context.route)
                refusal = internal_error()
            await send_problem(refusal, context.request_id)(scope, receive, reply.send)

    async def _admit(self, scope: Scope, context: RequestContext) -> None:
        path: str = scope["path"]
        if path.startswith(_OPEN) and (path in _OPEN or path.startswith(_BELOW_OPEN)):
            return
        context.principal = principal = await self._authenticate(context.header("Authorization"))
        state = self._terms.rates.take(principal.name, principal.rate, context.started)
        if state is not None:
            context.extra_headers += state.headers()
        _refuse_hidden_slash(scope)

    def _greet_page(self, scope: Scope, context: RequestContext) -> bool:
        """Let the page of an allowed origin read the reply, and tell whether it only asks what it may send.

        *Source:* the Fetch standard, section 3.3 (CORS protocol).
        """
        context.extra_headers.append((b"vary", b"Origin"))
        origin = context.header("Origin")
        allowed = self._terms.cors_origins
        if origin is None or not (origin in allowed or "*" in allowed):
            return False
        context.extra_headers.append((b"access-control-allow-origin", origin.encode("latin-1")))
        if scope["method"] != "OPTIONS" or context.header("Access-Control-Request-Method") is None:
            context.extra_headers.append((b"access-control-expose-headers", _EXPOSED))
            return False
        asked = context.header("Access-Control-Request-Headers") or ""
        context.extra_headers += [*_PREFLIGHT, (b"access-control-allow-headers", asked.encode("latin-1"))]
        return True

    def _finish(self, scope: Scope, context: RequestContext, reply: "_Reply") -> None:
        duration = time.monotonic() - context.started
        status = reply.status or 500
        self._recorder.record(context.route, status, duration)
        self._terms.trail.note_end(scope, context, status)
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
                    "projectId": scope.get("path_params", {}).get("projectId"),
                    **trace_fields(context.headers),
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
                (_POLICY, self._context.page_policy or _NO_CONTENT_POLICY),
                *self._context.extra_headers,
                (_REQUEST_ID, self._context.request_id.encode()),
                (_STORE_ID, self._store_id().encode()),
            ]
        await self._send(message)


def _refuse_hidden_slash(scope: Scope) -> None:
    # The server decodes %2F before routing, so `a%2Fstream` would be taken for the stream of project `a`.
    raw: bytes = scope.get("raw_path", b"")
    if b"%" in raw and b"%2f" in raw.lower() and raw.startswith(API_ROOT.encode()):
        raise RequestRefused("invalid_project_id", "A project id holds no slash, encoded or not.", fix=PROJECT_ID_FIX)
