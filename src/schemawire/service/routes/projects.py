"""Projects: list, create, read, replace, change, delete and export."""

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict
from starlette.requests import Request
from starlette.responses import Response

from schemawire.exchange import FORMATS
from schemawire.protocol.messages import CreateRequest, ProjectPage, Reply
from schemawire.protocol.paths import API_ROOT
from schemawire.service.bodies import read_json, read_model, require_object
from schemawire.service.large_puts import put_schema
from schemawire.service.reads import page_of_projects, read_project, read_schema_value
from schemawire.service.refusals import RequestRefused
from schemawire.service.replies import REVALIDATE, send_answer, send_record, send_unchanged
from schemawire.service.routes.declaring import ON_WRITE, backend_of, context_of, new_router, project_of, route
from schemawire.service.routes.parameters import (
    AFTER,
    DRY_RUN,
    FLAG,
    IF_NONE_MATCH,
    LIMIT,
    MAX_VERSION,
    MESSAGE,
    ON_PROJECT_WRITE,
    SESSION_ID,
    WRITE_HEADERS,
    Parameter,
    read_flag,
    read_number,
)
from schemawire.service.routes.writing import write_request_of
from schemawire.service.selection import read_selected, selection_of
from schemawire.service.writes import change_project, create_project, delete_whole_project

router: APIRouter = new_router()

PROJECT = f"{API_ROOT}/{{projectId}}"
DOCUMENT = {"$ref": "#/components/schemas/DomainSchema"}
OPERATION = {"$ref": "#/components/schemas/Operation"}
DELETED = Parameter(name="deleted", description="`true`: the deleted projects in place of the others.", values=FLAG)
VERSION = Parameter(name="version", description="Which version; else the newest.", low=1, high=MAX_VERSION)
AT = Parameter(
    name="at",
    description="The version that was the newest at this time (RFC 3339, such as 2026-11-23T01:02:03Z).",
    example="2100-01-01T00:00:00Z",
)
INCLUDE = Parameter(
    name="include",
    description="Only these lists, separated by commas: entities, enums, relationships, rules; `none` for the header.",
    example="entities,enums",
)
FIELDS = Parameter(
    name="fields",
    description="Only these members, as paths separated by commas, such as `name,entities.name,entities.fields.name`.",
    example="name,entities.name",
)
OPERATIONS = {"oneOf": [OPERATION, {"type": "array", "items": OPERATION}], "description": "One operation, or a list."}


@route(
    router, "GET", API_ROOT, needs="read", summary="List the projects", answers=Reply,
    parameters=(LIMIT, AFTER, DELETED), refuses=("invalid_request",),
)  # fmt: skip
async def list_all(request: Request) -> Response:
    """The projects in the order of their ids; `next` continues the list."""
    page: ProjectPage = await page_of_projects(
        backend_of(request).store,
        context_of(request).principal,
        after=request.query_params.get(AFTER.name),
        limit=read_number(request, LIMIT) or 100,
        deleted=read_flag(request, DELETED),
    )
    return send_record(page.to_json(), message=f"{len(page.projects)} projects")


@route(
    router, "POST", API_ROOT, needs="write", summary="Create a project with its schema", answers=Reply, status=201,
    takes=CreateRequest, parameters=(*WRITE_HEADERS, DRY_RUN), refuses=(*ON_WRITE, "invalid_project_id"),
)  # fmt: skip
async def create(request: Request) -> Response:
    """The project must not exist. The older form with `sessionId` and `domainDescription` is read too."""
    document, body = await read_json(request)
    wanted = read_model(CreateRequest, document)
    write = write_request_of(request, wanted.project_id, body)
    return send_answer(await create_project(backend_of(request), write, wanted))


@route(
    router, "GET", PROJECT, needs="read", summary="Read the whole schema", answers=Reply,
    parameters=(IF_NONE_MATCH, VERSION, AT, INCLUDE, FIELDS), refuses=("invalid_request",),
)  # fmt: skip
async def read(request: Request) -> Response:
    """The newest version, or another by number or time, whole or in part; its entity tag names version and digest."""
    store, project_id, tags = backend_of(request).store, project_of(request), request.headers.get("if-none-match")
    if not request.scope["query_string"]:
        answer = await read_project(store, project_id, known_tags=tags)
    else:
        wanted = selection_of(
            version=read_number(request, VERSION),
            at=request.query_params.get(AT.name),
            include=request.query_params.get(INCLUDE.name),
            fields=request.query_params.get(FIELDS.name),
        )
        answer = await read_selected(store, project_id, wanted, known_tags=tags)
    return send_unchanged(answer) if answer.status == 304 else send_answer(answer)


@route(
    router, "PUT", PROJECT, needs="write", summary="Store this schema", answers=Reply, also=(201,), takes=DOCUMENT,
    parameters=ON_PROJECT_WRITE, refuses=ON_WRITE,
)  # fmt: skip
async def put(request: Request) -> Response:
    """Makes the project if it is missing; an identical schema makes no new version."""
    document, body = await read_json(request)
    write = write_request_of(request, project_of(request), body)
    return send_answer(await put_schema(backend_of(request), write, require_object(document)))


@route(
    router, "PATCH", PROJECT, needs="write", summary="Change the schema by operations", answers=Reply,
    takes=OPERATIONS, parameters=ON_PROJECT_WRITE, refuses=(*ON_WRITE, "operation_invalid", "merge_conflict"),
)  # fmt: skip
async def patch(request: Request) -> Response:
    """One operation or a list of them, applied as a whole to a project that exists."""
    document, body = await read_json(request)
    operations = document if isinstance(document, list) else [require_object(document)]
    write = write_request_of(request, project_of(request), body)
    return send_answer(await change_project(backend_of(request), write, operations))


@route(
    router, "DELETE", PROJECT, needs="write", summary="Delete the project", answers=Reply,
    parameters=(*WRITE_HEADERS, DRY_RUN, MESSAGE, SESSION_ID),
    refuses=("invalid_request", "version_conflict", "idempotency_key_reused", "duplicate_in_flight"),
)  # fmt: skip
async def delete(request: Request) -> Response:
    """Its versions are kept, and a restore brings it back."""
    write = write_request_of(request, project_of(request), b"")
    return send_answer(await delete_whole_project(backend_of(request), write))


class ExportedFile(BaseModel):
    """A schema in another format; in JSON it is the document."""

    model_config = ConfigDict(extra="allow")


@route(
    router, "GET", f"{PROJECT}/export/{{format}}", needs="read", summary="Read the schema in another format",
    answers=ExportedFile, refuses=("not_implemented",),
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
