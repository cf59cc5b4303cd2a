"""API keys: made, listed and revoked by an admin."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from schemawire.protocol.messages import Reply
from schemawire.service.bodies import read_json, read_model
from schemawire.service.keys import KeyRequest, list_all_keys, make_key, revoke
from schemawire.service.replies import send_record
from schemawire.service.routes.declaring import backend_of, new_router, route

router: APIRouter = new_router()

KEYS = "/api/keys"


@route(router, "GET", KEYS, needs="admin", summary="List the API keys", answers=Reply)
async def list_keys(request: Request) -> Response:
    """Who may do what; the keys themselves are not kept."""
    return send_record(await list_all_keys(backend_of(request)), message="all keys")


@route(router, "POST", KEYS, needs="admin", summary="Make an API key", answers=Reply, status=201, takes=KeyRequest)
async def create_key(request: Request) -> Response:
    """The key is in `data.key`, this one time."""
    document, _ = await read_json(request)
    made = await make_key(backend_of(request), read_model(KeyRequest, document))
    return send_record(made, message="keep the key, it is not shown again", status=201)


@route(
    router, "DELETE", f"{KEYS}/{{keyId}}", needs="admin", summary="Revoke an API key", answers=Reply,
    refuses=("not_found",),
)  # fmt: skip
async def revoke_key(request: Request) -> Response:
    """It is refused from now on."""
    await revoke(backend_of(request), request.path_params["keyId"])
    return send_record(b"null", message="revoked")
