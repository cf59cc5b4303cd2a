"""The history of a project."""

from typing import Any

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from schemawire.protocol.messages import Reply, RestoreRequest
from schemawire.service.bodies import read_json, read_model
from schemawire.service.history import diff_versions, page_of_versions
from schemawire.service.reads import read_project
from schemawire.service.refusals import RequestRefused
from schemawire.service.replies import encode, send_answer, send_record
from schemawire.service.routes.declaring import ON_WRITE, backend_of, new_router, project_of, route
from schemawire.service.routes.parameters import (
    DRY_RUN,
    IF_NONE_MATCH,
    LIMIT,
    MAX_VERSION,
    OVERRIDE,
    WRITE_HEADERS,
    Parameter,
    read_number,
    to_number,
)
from schemawire.service.routes.projects import PROJECT
from schemawire.service.routes.writing import write_request_of
from schemawire.service.writes import restore_project

router: APIRouter = new_router()

BEFORE = Parameter(name="before", description="Only versions below this one.", low=1, high=MAX_VERSION)
NUMBER = Parameter(name="version", description="The version.", low=1, high=MAX_VERSION)
FROM = Parameter(name="from", description="The version to start from.", low=1, high=MAX_VERSION)
TO = Parameter(name="to", description="The version to arrive at; else the newest.", low=1, high=MAX_VERSION)


@route(
    router, "GET", f"{PROJECT}/versions", needs="read", summary="List the versions", answers=Reply,
    parameters=(LIMIT, BEFORE), refuses=("invalid_request",),
)  # fmt: skip
async def list_versions(request: Request) -> Response:
    """Newest first, each with its time, author and message; `next` is the `before` of the following page."""
    page: dict[str, Any] = await page_of_versions(
        backend_of(request).store,
        project_of(request),
        before=read_number(request, BEFORE),
        limit=read_number(request, LIMIT) or 100,
    )
    return send_record(encode(page), message=f"{len(page['versions'])} versions")


@route(
    router, "GET", f"{PROJECT}/versions/{{version}}", needs="read", summary="Read one version", answers=Reply,
    parameters=(IF_NONE_MATCH,), refuses=("invalid_request",),
)  # fmt: skip
async def read_version(request: Request) -> Response:
    """The whole schema as it was; it never changes, so it may be kept for ever."""
    number = to_number(request.path_params["version"], NUMBER)
    tags = request.headers.get("if-none-match")
    answer = await read_project(backend_of(request).store, project_of(request), version=number, known_tags=tags)
    return Response(status_code=304, headers=answer.all_headers()) if answer.status == 304 else send_answer(answer)


@route(
    router, "GET", f"{PROJECT}/diff", needs="read", summary="Compare two versions", answers=Reply,
    parameters=(FROM, TO), refuses=("invalid_request",),
)  # fmt: skip
async def diff(request: Request) -> Response:
    """What changed, in domain terms: each change with its code, its place and both sides."""
    first = read_number(request, FROM)
    if first is None:
        raise RequestRefused("invalid_request", "The query parameter 'from' is missing.", fix="Add ?from=VERSION.")
    return send_answer(
        await diff_versions(backend_of(request).store, project_of(request), first, read_number(request, TO))
    )


@route(
    router, "POST", f"{PROJECT}/restore", needs="write", summary="Make an old version the newest", answers=Reply,
    also=(201,),
    takes=RestoreRequest, parameters=(*WRITE_HEADERS, DRY_RUN, OVERRIDE), refuses=ON_WRITE,
)  # fmt: skip
async def restore(request: Request) -> Response:
    """Makes a new version with the old content; it also brings a deleted project back."""
    document, body = await read_json(request)
    wanted = read_model(RestoreRequest, document)
    write = write_request_of(request, project_of(request), body)
    return send_answer(await restore_project(backend_of(request), write, wanted))
