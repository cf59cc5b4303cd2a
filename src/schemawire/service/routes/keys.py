"""API keys: made, listed, rotated and revoked; and the audit log. For admins of the whole service."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from schemawire.protocol.messages import Reply
from schemawire.protocol.paths import is_project_id
from schemawire.service.auditing import page_of_lines
from schemawire.service.bodies import read_json, read_model
from schemawire.service.keys import KeyRequest, RotateRequest, list_all_keys, make_key, revoke, rotate
from schemawire.service.refusals import RequestRefused
from schemawire.service.replies import encode, send_record
from schemawire.service.routes.declaring import backend_of, context_of, new_router, route
from schemawire.service.routes.parameters import LIMIT, Parameter, read_number, read_text
from schemawire.service.routes.writing import trail_of
from schemawire.service.write_request import WriteRequest

router: APIRouter = new_router()

KEYS = "/api/keys"
AUDIT = "/api/audit"
BEFORE = Parameter(name="before", description="Where the page continues: `next` of the page before.", longest=40)
OF_PROJECT = Parameter(name="projectId", description="Only lines about this project.", longest=128)
OF_PRINCIPAL = Parameter(name="principal", description="Only lines about this caller.", longest=200)


@route(router, "GET", KEYS, needs="admin", summary="List the API keys", answers=Reply)
async def list_keys(request: Request) -> Response:
    """Who may do what; the keys themselves are not kept."""
    context_of(request).principal.require_everywhere()
    return send_record(await list_all_keys(backend_of(request)), message="all keys")


@route(router, "POST", KEYS, needs="admin", summary="Make an API key", answers=Reply, status=201, takes=KeyRequest)
async def create_key(request: Request) -> Response:
    """The key is in `data.key`, this one time."""
    write = _write_of(request)
    document, _ = await read_json(request)
    made = await make_key(backend_of(request), write, read_model(KeyRequest, document))
    return send_record(made, message="keep the key, it is not shown again", status=201)


@route(
    router, "POST", f"{KEYS}/{{keyId}}/rotate", needs="admin", summary="Replace an API key", answers=Reply, status=201,
    takes=RotateRequest, refuses=("not_found",),
)  # fmt: skip
async def rotate_key(request: Request) -> Response:
    """A new key with the same rights, in `data.key`; the old one goes on working for `overlap` seconds."""
    write = _write_of(request)
    document, _ = await read_json(request)
    wanted = read_model(RotateRequest, document)
    made = await rotate(backend_of(request), write, request.path_params["keyId"], wanted)
    return send_record(made, message="keep the key, it is not shown again", status=201)


@route(
    router, "DELETE", f"{KEYS}/{{keyId}}", needs="admin", summary="Revoke an API key", answers=Reply,
    refuses=("not_found",),
)  # fmt: skip
async def revoke_key(request: Request) -> Response:
    """It is refused from now on; by other processes within five seconds."""
    await revoke(backend_of(request), _write_of(request), request.path_params["keyId"])
    return send_record(b"null", message="revoked")


@route(
    router, "GET", AUDIT, needs="admin", summary="Read the audit log", answers=Reply,
    parameters=(LIMIT, BEFORE, OF_PROJECT, OF_PRINCIPAL), refuses=("invalid_request", "invalid_project_id"),
)  # fmt: skip
async def read_audit(request: Request) -> Response:
    """Who did, or tried to do, what to which project, when, from where, and how it ended; newest first."""
    project_id = read_text(request, OF_PROJECT)
    if project_id is not None and not is_project_id(project_id):
        raise RequestRefused("invalid_project_id", f"{project_id[:40]!r} is not a project id.")
    if project_id is None:
        context_of(request).principal.require_everywhere()
    else:
        context_of(request).principal.require_project(project_id)
    page = await page_of_lines(
        backend_of(request).store,
        before=read_text(request, BEFORE),
        limit=read_number(request, LIMIT) or 100,
        project_id=project_id,
        principal=read_text(request, OF_PRINCIPAL),
    )
    return send_record(encode(page), message=f"{len(page['lines'])} lines")


def _write_of(request: Request) -> WriteRequest:
    context = context_of(request)
    context.principal.require_everywhere()
    return WriteRequest(
        project_id="", principal=context.principal.name, route=context.route, trail=trail_of(request, context)
    )
