"""The part that all writes share: headers become a `WriteRequest`."""

from starlette.requests import Request

from schemawire.service.routes.declaring import context_of
from schemawire.service.write_request import WriteRequest, hash_request


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
        request_hash=hash_request(project_id, if_match, if_none_match, body),
        size_bytes=len(body),
        if_match=if_match,
        if_none_match=if_none_match,
        check_deadline=context.check_deadline,
    )
