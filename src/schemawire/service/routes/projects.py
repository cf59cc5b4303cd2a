"""Projects: list, create, read, replace, change, delete and export."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from schemawire.exchange import FORMATS
from schemawire.protocol.messages import CreateRequest, ProjectPage, Reply
from schemawire.protocol.paths import API_ROOT
from schemawire.service.bodies import read_json, read_model, require_object
from schemawire.service.reads import page_of_projects, read_project, read_schema_value
from schemawire.service.refusals import RequestRefused
from schemawire.service.replies import REVALIDATE, send_answer, send_record
from schemawire.service.routes.declaring import ON_WRITE, backend_of, context_of, new_router, project_of, route
from schemawire.service.routes.parameters import (
    AFTER,
    IF_NONE_MATCH,
    LIMIT,
    WRITE_HEADERS,
    read_number,
    refuse_unknown,
)
from schemawire.service.routes.writing import write_request_of
from schemawire.service.writes import change_project, create_project, delete_whole_project, put_schema

router: APIRouter = new_router()

PROJECT = f"{API_ROOT}/{{projectId}}"
DOCUMENT = {"type": "object", "description": "A domain-schema document."}
OPERATION = {"type": "object", "required": ["operation"], "properties": {"operation": {"type": "string"}}}
OPERATIONS = {"oneOf": [OPERATION, {"type": "array", "items": OPERATION}], "description": "One operation, or a list."}


@route(
    router, "GET", API_ROOT, needs="read", summary="List the projects", answers=Reply, parameters=(LIMIT, AFTER),
    refuses=("invalid_request",),
)  # fmt: skip
async def list_all(request: Request) -> Response:
    """The projects in the order of their ids; `next` continues the list."""
    refuse_unknown(request, (LIMIT, AFTER))
    page: ProjectPage = await page_of_projects(
        backend_of(request).store,
        context_of(request).principal,
        after=request.query_params.get(AFTER.name),
        limit=read_number(request, LIMIT) or 100,
    )
    return send_record(page.to_json(), message=f"{len(page.projects)} projects")


@route(
    router, "POST", API_ROOT, needs="write", summary="Create a project with its schema", answers=Reply, status=201,
    takes=CreateRequest, parameters=WRITE_HEADERS, refuses=(*ON_WRITE, "invalid_project_id"),
)  # fmt: skip
async def create(request: Request) -> Response:
    """The project must not exist. The older form with `sessionId` and `domainDescription` is read too."""
    document, body = await read_json(request)
    wanted = read_model(CreateRequest, document)
    write = write_request_of(request, wanted.project_id, body)
    return send_answer(await create_project(backend_of(request), write, wanted))


@route(
    router, "GET", PROJECT, needs="read", summary="Read the whole schema", answers=Reply, parameters=(IF_NONE_MATCH,),
)  # fmt: skip
async def read(request: Request) -> Response:
    """The newest version; its entity tag names version and digest."""
    tags = request.headers.get("if-none-match")
    answer = await read_project(backend_of(request).store, project_of(request), known_tags=tags)
    return Response(status_code=304, headers=answer.all_headers()) if answer.status == 304 else send_answer(answer)


@route(
    router, "PUT", PROJECT, needs="write", summary="Store this schema", answers=Reply, takes=DOCUMENT,
    parameters=WRITE_HEADERS, refuses=ON_WRITE,
)  # fmt: skip
async def put(request: Request) -> Response:
    """Makes the project if it is missing; an identical schema makes no new version."""
    document, body = await read_json(request)
    write = write_request_of(request, project_of(request), body)
    return send_answer(await put_schema(backend_of(request), write, require_object(document)))


@route(
    router, "PATCH", PROJECT, needs="write", summary="Change the schema by operations", answers=Reply,
    takes=OPERATIONS, parameters=WRITE_HEADERS, refuses=(*ON_WRITE, "operation_invalid", "merge_conflict"),
)  # fmt: skip
async def patch(request: Request) -> Response:
    """One operation or a list of them, applied as a whole to a project that exists."""
    document, body = await read_json(request)
    operations = document if isinstance(document, list) else [require_object(document)]
    write = write_request_of(request, project_of(request), body)
    return send_answer(await change_project(backend_of(request), write, operations))


@route(
    router, "DELETE", PROJECT, needs="write", summary="Delete the project", answers=Reply, parameters=WRITE_HEADERS,
    refuses=("version_conflict", "idempotency_key_reused", "duplicate_in_flight"),
)  # fmt: skip
async def delete(request: Request) -> Response:
    """Its versions are kept, and a restore brings it back."""
    write = write_request_of(request, project_of(request), b"")
    return send_answer(await delete_whole_project(backend_of(request), write))


@route(
    router, "GET", f"{PROJECT}/export/{{format}}", needs="read", summary="Read the schema in another format",
    answers=Reply, refuses=("not_implemented",),
)  # fmt: skip
async def export(request: Request) -> Response:
    """The newest version as text in the format asked for."""
    wanted = FORMATS.get(request.path_params["format"])
    if wanted is None:
        known = ", ".join(sorted(FORMATS))
        raise RequestRefused("not_implemented", "There is no such export format.", fix=f"Use one of {known}.")
    project_id = project_of(request)
    text = wanted.export(await read_schema_value(backend_of(request).store, project_id))
    name = f'attachment; filename="{project_id}.{wanted.extension}"'
    headers = {"Cache-Control": REVALIDATE, "Content-Disposition": name}
    return Response(text.encode(), 200, headers, wanted.media_type)
