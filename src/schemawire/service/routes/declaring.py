"""How a route is declared: once, with what it needs, takes, answers and may refuse; the API description reads the same.

Handlers get the plain request: FastAPI's own reading of bodies and parameters cannot refuse a 50 MB body unread, nor
name a repeated key, and costs more than the rest of a small write.
"""

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from fastapi import APIRouter
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from schemawire.exchange import FORMATS
from schemawire.protocol.paths import PROJECT_ID_FIX, is_project_id
from schemawire.protocol.problems import STATUS_OF_CODE, Problem
from schemawire.service.access import Scope
from schemawire.service.backend import Backend
from schemawire.service.context import RequestContext
from schemawire.service.frontier import CONTEXT
from schemawire.service.refusals import RequestRefused
from schemawire.service.routes.parameters import MAX_VERSION, Parameter, refuse_unknown
from schemawire.service.routes.turns import in_turn, is_change, priority_of, urgency_of

Handler = Callable[[Request], Awaitable[Response]]

ALWAYS = (
    "unauthenticated", "forbidden", "throttled", "internal_error", "store_unavailable", "draining", "overloaded",
    "deadline_exceeded", "invalid_request",
)  # fmt: skip
ON_PROJECT = ("invalid_project_id", "not_found")
ON_BODY = ("invalid_json", "invalid_request", "payload_too_large", "unsupported_media_type")
ON_WRITE = (
    "conflict", "version_conflict", "idempotency_key_reused", "duplicate_in_flight", "schema_invalid", "incompatible",
    "invalid_request",
)  # fmt: skip


_PATH_SCHEMAS: dict[str, dict[str, Any]] = {
    "projectId": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"},
    "version": {"type": "integer", "minimum": 1, "maximum": MAX_VERSION},
    "operationId": {"type": "string", "minLength": 1, "maxLength": 64},
    "keyId": {"type": "string", "minLength": 1, "maxLength": 64},
    "format": {"type": "string", "enum": sorted(FORMATS)},
}
BODY_MODELS: list[type[BaseModel]] = []
"""The models of all bodies that routes take, for the description."""


class DirectRoute(APIRoute):
    """A route of FastAPI's whose handler gets the request as it is and answers with a finished response."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler itself."""
        handler: Callable[[Request], Coroutine[Any, Any, Response]] = self.endpoint
        return handler


def new_router() -> APIRouter:
    """Return an empty router for one resource."""
    return APIRouter(route_class=DirectRoute)


def backend_of(request: Request) -> Backend:
    """Return the backend that serves this request."""
    backend: Backend = request.app.state.backend
    return backend


def context_of(request: Request) -> RequestContext:
    """Return what is known of this request."""
    context: RequestContext = request.scope[CONTEXT]
    return context


def project_of(request: Request) -> str:
    """Return the project id in the path; it has been checked."""
    project_id: str = request.path_params["projectId"]
    return project_id


def route(
    router: APIRouter,
    method: str,
    path: str,
    *,
    needs: Scope | None,
    summary: str,
    answers: type[BaseModel],
    status: int = 200,
    also: Sequence[int] = (),
    media_type: str = "application/json",
    takes: type[BaseModel] | dict[str, Any] | None = None,
    parameters: Sequence[Parameter] = (),
    refuses: Sequence[str] = (),
) -> Callable[[Handler], Handler]:
    """Return a decorator that makes a handler answer a method and path.

    Args:
        router: where the route belongs.
        method: the HTTP method.
        path: the path, with `{names}`.
        needs: the scope that the caller's key must have; `None` for everybody.
        summary: what it does, in one line.
        answers: the model of a success.
        status: the status of a success.
        also: other statuses of a success, such as 201 where a write may create.
        media_type: the type of a success.
        takes: the model (or JSON schema) of the body, if it takes one.
        parameters: query parameters and headers.
        refuses: codes of the problems that it may answer with, besides those that every route may.
    """

    def register(handler: Handler) -> Handler:
        router.add_api_route(
            path,
            _guarded(handler, method, path, needs, parameters),
            methods=[method],
            summary=summary,
            description=handler.__doc__ or "",
            operation_id=handler.__name__,
            response_class=Response,
            response_model=None,
            status_code=status,
            responses=_responses((status, *also), answers, _codes(refuses, needs, has_project, takes)),
            openapi_extra=_extra(path, takes, parameters, media_type),
        )
        return handler

    if isinstance(takes, type):
        BODY_MODELS.append(takes)
    has_project = "{projectId}" in path
    return register


def _guarded(handler: Handler, method: str, path: str, needs: Scope | None, parameters: Sequence[Parameter]) -> Handler:
    """Return a handler that is reached only by who may, with what it takes, and in turn."""
    label, has_project = f"{method} {path}", "{projectId}" in path
    is_audited, urgency = is_change(method, path), urgency_of(path)

    async def guarded(request: Request) -> Response:
        context = context_of(request)
        context.route = label
        context.is_audited = is_audited
        if needs is not None:
            context.principal.require(needs)
            context.check_headers()
        if has_project:
            _check_project(context, request.path_params["projectId"])
        if request.scope["query_string"]:
            refuse_unknown(request, parameters)
        if needs is None:
            return await handler(request)
        return await in_turn(request, handler, backend_of(request).gate, priority_of(context, urgency))

    return guarded


def _check_project(context: RequestContext, project_id: str) -> None:
    if not is_project_id(project_id):
        raise RequestRefused("invalid_project_id", f"{project_id[:40]!r} is not a project id.", fix=PROJECT_ID_FIX)
    context.principal.require_project(project_id)


def _codes(refuses: Sequence[str], needs: Scope | None, has_project: bool, takes: object) -> list[str]:
    codes = list(refuses)
    codes += ALWAYS if needs is not None else ()
    codes += ON_PROJECT if has_project else ()
    codes += ON_BODY if takes is not None else ()
    return sorted(set(codes))


def _responses(
    statuses: Sequence[int], answers: type[BaseModel], codes: Sequence[str]
) -> dict[int | str, dict[str, Any]]:
    responses: dict[int | str, dict[str, Any]] = {
        status: {"model": answers, "description": "Success"} for status in statuses
    }
    for code in codes:
        number = STATUS_OF_CODE[code]
        entry = responses.setdefault(number, {"model": Problem, "description": ""})
        entry["description"] = f"{entry['description']}, {code}".removeprefix(", ")
    return responses


def _extra(path: str, takes: object, parameters: Sequence[Parameter], media_type: str) -> dict[str, Any]:
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    described: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": _PATH_SCHEMAS.get(name, {"type": "string"})}
        for name in names
    ]
    described += [parameter.describe() for parameter in parameters]
    extra: dict[str, Any] = {"parameters": described, "x-media-type": media_type}
    if takes is not None:
        schema = takes if isinstance(takes, dict) else {"$ref": f"#/components/schemas/{takes.__name__}"}  # type: ignore[attr-defined]  # a model
        taken = schema.get("x-media-type", "application/json")
        extra["requestBody"] = {"required": True, "content": {taken: {"schema": schema}}}
    return extra
