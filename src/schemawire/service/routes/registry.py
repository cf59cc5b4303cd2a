"""What makes the service a registry: a project's settings, judging a change, and purging."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from schemawire.protocol.messages import Reply
from schemawire.service.bodies import read_json, read_model
from schemawire.service.reads import is_tag_in
from schemawire.service.registry import (
    CompatibilityRequest,
    SettingsRequest,
    change_settings,
    judge_change,
    purge,
    read_settings,
)
from schemawire.service.replies import send_answer
from schemawire.service.routes.declaring import backend_of, new_router, project_of, route
from schemawire.service.routes.parameters import (
    DRY_RUN,
    IF_MATCH,
    IF_NONE_MATCH,
    KEY,
    Parameter,
    read_text,
)
from schemawire.service.routes.projects import PROJECT
from schemawire.service.routes.writing import write_request_of

router: APIRouter = new_router()

CONFIRM = Parameter(name="confirm", description="The id of the project once more.", longest=128)


@route(
    router, "GET", f"{PROJECT}/settings", needs="read", summary="Read the settings of a project", answers=Reply,
    parameters=(IF_NONE_MATCH,),
)  # fmt: skip
async def get_settings(request: Request) -> Response:
    """What the project has chosen, and what is in force."""
    answer = await read_settings(backend_of(request), project_of(request))
    tags, tag = request.headers.get("if-none-match"), answer.headers["ETag"]
    if tags is not None and is_tag_in(tags, tag):
        return Response(status_code=304, headers=answer.all_headers())
    return send_answer(answer)


@route(
    router, "PATCH", f"{PROJECT}/settings", needs="admin", summary="Change the settings of a project", answers=Reply,
    takes=SettingsRequest, parameters=(KEY, IF_MATCH, DRY_RUN),
    refuses=("version_conflict", "idempotency_key_reused", "duplicate_in_flight"),
)  # fmt: skip
async def patch_settings(request: Request) -> Response:
    """What is not given stays; null goes back to the service's default. `If-Match` takes the tag of the settings."""
    document, body = await read_json(request)
    wanted = read_model(SettingsRequest, document)
    return send_answer(
        await change_settings(backend_of(request), write_request_of(request, project_of(request), body), wanted)
    )


@route(
    router, "POST", f"{PROJECT}/compatibility", needs="read", summary="Judge a change without making it",
    answers=Reply, takes=CompatibilityRequest, refuses=("schema_invalid", "operation_invalid", "merge_conflict"),
)  # fmt: skip
async def compatibility(request: Request) -> Response:
    """A schema or operations: for each version concerned the verdict, every change, whom it breaks, and why."""
    document, body = await read_json(request)
    wanted = read_model(CompatibilityRequest, document)
    return send_answer(await judge_change(backend_of(request), project_of(request), wanted, len(body)))


@route(
    router, "POST", f"{PROJECT}/purge", needs="admin", summary="Forget a project for good", answers=Reply,
    parameters=(KEY, DRY_RUN, CONFIRM),
    refuses=("invalid_request", "idempotency_key_reused", "duplicate_in_flight", "conflict"),
)  # fmt: skip
async def purge_project(request: Request) -> Response:
    """Every version, finished operation and kept reply of it, deleted or not; only the audit log remembers it."""
    confirmation = read_text(request, CONFIRM)
    write = write_request_of(request, project_of(request), b"")
    return send_answer(await purge(backend_of(request), write, confirmation))
