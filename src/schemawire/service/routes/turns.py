"""How urgent a request is, and the place at the gate that it works under; knows nothing of what it asks for."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message

from schemawire.protocol import headers as names
from schemawire.service.admission import Gate, Priority
from schemawire.service.context import RequestContext
from schemawire.service.refusals import RequestRefused

Handler = Callable[[Request], Awaitable[Response]]

_WITHOUT_BODY = frozenset({"GET", "HEAD", "DELETE"})
_HEAVY = ("/batch", "/stream", "/analyze", "/refine", "/compatibility", "/import", "/export", "/diff")
"""Parts of paths behind which there is work for longer."""
_HARMLESS = ("/analyze", "/compatibility", "/stream/verify")
"""Ends of paths that are posted to and change nothing."""
_PRIORITIES = {priority.name.lower(): priority for priority in Priority}


def urgency_of(path: str) -> Priority:
    """Return how urgent the requests of a route are."""
    return Priority.BATCH if any(part in path for part in _HEAVY) else Priority.INTERACTIVE


def is_change(method: str, path: str) -> bool:
    """Tell whether a route changes something."""
    return method != "GET" and not path.endswith(_HARMLESS)


async def in_turn(request: Request, handler: Handler, gate: Gate, priority: Priority) -> Response:
    """Return what a handler answers, once it is its turn; a request with a body queues up when it has arrived whole.

    Whoever sends slowly holds no place while it does.
    """
    if request.method in _WITHOUT_BODY:
        await gate.enter(priority)
        try:
            return await handler(request)
        finally:
            gate.leave()
    turn = _TurnAfterBody(request, gate, priority)
    try:
        return await handler(Request(request.scope, turn.receive))
    finally:
        turn.leave()


class _TurnAfterBody:
    """Passes a body on, and takes a place at the gate before it gives its end away."""

    def __init__(self, request: Request, gate: Gate, priority: Priority) -> None:
        self._receive = request.receive
        self._gate = gate
        self._priority = priority
        self._is_in = False

    async def receive(self) -> Message:
        """Return the next part of the request."""
        message = await self._receive()
        if not self._is_in and message["type"] == "http.request" and not message.get("more_body", False):
            await self._gate.enter(self._priority)
            self._is_in = True
        return message

    def leave(self) -> None:
        """Give the place back, if there is one."""
        if self._is_in:
            self._is_in = False
            self._gate.leave()


def priority_of(context: RequestContext, urgency: Priority) -> Priority:
    """Return how urgent a request is: as its route is, or less if the caller says so."""
    wanted = context.header(names.PRIORITY)
    if wanted is None:
        return urgency
    found = _PRIORITIES.get(wanted.lower())
    if found is None:
        known = ", ".join(_PRIORITIES)
        problem = f"{names.PRIORITY}: {wanted[:40]!r} is no priority."
        raise RequestRefused("invalid_request", problem, fix=f"Use {known}.")
    return max(urgency, found)
