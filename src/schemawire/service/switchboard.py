"""Finds the handler of a request by its path and method, and sends what it answers; knows nothing of what handlers do.

Every route is declared with FastAPI, which describes it. Requests do not pass through FastAPI's and Starlette's own
layers: they catch errors and read bodies in ways that the frontier does already, and cost more than a small read.
"""

from collections.abc import Awaitable, Callable, Iterable

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import Message, Receive, Scope, Send

from schemawire.protocol.paths import API_ROOT, PROJECT_ID_FIX, is_project_id
from schemawire.service.refusals import RequestRefused

_ON_PROJECTS = frozenset({"GET", "HEAD", "PUT", "PATCH", "DELETE"})
"""Methods with which a word such as `batch` was probably meant as the id of a project."""

Handler = Callable[[Request], Awaitable[Response]]


class _Junction:
    """The paths that begin alike. Invariant: a fixed segment goes before a named one, so `/metrics` is no project."""

    def __init__(self) -> None:
        self.fixed: dict[str, _Junction] = {}
        self.named: tuple[str, _Junction] | None = None
        self.routes: dict[str, tuple[APIRoute, Handler]] = {}
        """By method."""

    def grow(self, segment: str) -> "_Junction":
        """Return the junction behind a segment of a route's path, made where it is missing."""
        if not segment.startswith("{"):
            return self.fixed.setdefault(segment, _Junction())
        name = segment[1:-1]
        if self.named is None:
            self.named = (name, _Junction())
        if self.named[0] != name:
            raise ValueError(f"two routes name the same segment {self.named[0]!r} and {name!r}")
        return self.named[1]


class Switchboard:
    """An ASGI application over declared routes.

    Args:
        routes: routes of FastAPI's whose endpoint takes the request and returns a response; others are refused.

    Raises:
        ValueError: two routes give the same part of a path different names.
        TypeError: a route is of another kind.
    """

    def __init__(self, routes: Iterable[BaseRoute]) -> None:
        self._root = _Junction()
        for route in routes:
            self._add(route)

    def _add(self, route: BaseRoute) -> None:
        if not isinstance(route, APIRoute):
            raise TypeError(f"{route!r} is not a route that can be connected")
        junction = self._root
        for segment in route.path[1:].split("/"):
            junction = junction.grow(segment)
        for method in route.methods or ():
            junction.routes[method] = (route, route.endpoint)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request.

        Raises:
            RequestRefused: no route has this path, or none of those that have it has this method.
        """
        path: str = scope["path"].removeprefix(scope.get("root_path", ""))
        junction, parameters = self._find(path)
        method = scope["method"]
        found = junction.routes.get("GET" if method == "HEAD" else method) if junction else None
        if junction is None or found is None:
            raise _refusal(path, method, junction)
        scope["route"], handler = found
        scope["path_params"] = parameters
        response = await handler(Request(scope, receive, send))
        await response(scope, receive, send if method != "HEAD" else _without_body(send))

    def _find(self, path: str) -> tuple[_Junction | None, dict[str, str]]:
        junction = self._root
        parameters: dict[str, str] = {}
        if "\0" in path:  # no name of anything has one, and not every store can even look for it
            return None, parameters
        for segment in path[1:].split("/"):
            following = junction.fixed.get(segment)
            if following is None:
                if junction.named is None or not segment:
                    return None, parameters
                name, following = junction.named
                parameters[name] = segment
            junction = following
        return junction, parameters


def _without_body(send: Send) -> Send:
    # RFC 9110, section 9.3.2: the head that GET would have, its length included, and nothing behind it.
    async def send_head(message: Message) -> None:
        await send(message if message["type"] != "http.response.body" else {**message, "body": b""})

    return send_head


def _refusal(path: str, method: str, junction: _Junction | None) -> RequestRefused:
    wrong = _wrong_project_id(path)
    if wrong is not None and (junction is None or method in _ON_PROJECTS):
        return wrong
    if junction is None or not junction.routes:
        return RequestRefused("not_found", f"There is nothing at {path[:200]!r}.")
    allowed = {*junction.routes, *({"HEAD"} if "GET" in junction.routes else ())}
    headers = {"Allow": ", ".join(sorted(allowed))}
    return RequestRefused("method_not_allowed", f"{method[:20]} is not possible here.", headers=headers)


def _wrong_project_id(path: str) -> RequestRefused | None:
    # A path such as `/api/domain-schema/../x` no longer shows its project id once it is decoded.
    if not path.startswith(f"{API_ROOT}/"):
        return None
    segment = path.removeprefix(f"{API_ROOT}/").partition("/")[0]
    if is_project_id(segment) or segment in ("operations", "keys"):
        return None
    return RequestRefused("invalid_project_id", f"{segment[:40]!r} is not a project id.", fix=PROJECT_ID_FIX)
