"""The part that all writes share: headers become a `WriteRequest`."""

from starlette.requests import Request

from schemawire.protocol.headers import CLIENT
from schemawire.service.context import RequestContext
from schemawire.service.routes.declaring import backend_of, context_of
from schemawire.service.routes.parameters import DRY_RUN, MESSAGE, OVERRIDE, SESSION_ID, read_flag, read_text
from schemawire.service.write_request import Trail, WriteRequest, hash_request


def write_request_of(request: Request, project_id: str, body: bytes) -> WriteRequest:
    """Return the write that a request asks for; the caller's grant for the project has been checked.

    Raises:
        RequestRefused: a header is malformed, or the caller may not touch the project.
    """
    context = context_of(request)
    context.principal.require_project(project_id)
    if_match, if_none_match = context.header("If-Match"), context.header("If-None-Match")
    return WriteRequest(
        project_id=project_id,
        principal=context.principal.name,
        route=context.route,
        key=context.idempotency_key,
        request_hash=hash_request(project_id, if_match, if_none_match, request.scope["query_string"], body),
        size_bytes=len(body),
        if_match=if_match,
        if_none_match=if_none_match,
        default_mode=backend_of(request).terms.compatibility,
        override_compatibility=_override(request, context),
        is_dry_run=read_flag(request, DRY_RUN),
        message=read_text(request, MESSAGE),
        session_id=read_text(request, SESSION_ID),
        trail=trail_of(request, context),
        check_deadline=context.check_deadline,
    )


def trail_of(request: Request, context: RequestContext) -> Trail:
    """Return where a request came from."""
    address = None if request.client is None else request.client.host
    return Trail(request_id=context.request_id, address=address, client=context.label(CLIENT))


def _override(request: Request, context: RequestContext) -> bool:
    wanted = read_flag(request, OVERRIDE)
    if wanted:
        context.principal.require("admin")
    return wanted
