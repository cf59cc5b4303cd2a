"""Reading a request's body: how large, in which type, and what it says; refuses early and stores nothing."""

from collections.abc import Mapping
from email.message import Message
from functools import partial
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request

from schemawire.protocol.messages import MAX_BODY_BYTES
from schemawire.service.refusals import RequestRefused, refusal_of_validation
from schemawire.service.strict_json import parse_json
from schemawire.service.threads import in_proportion

BodyModel = TypeVar("BodyModel", bound=BaseModel)


async def read_body(request: Request, *, limit_bytes: int = MAX_BODY_BYTES) -> bytes:
    """Return the whole body, or refuse it as soon as it is known to be too large.

    Args:
        request: the request to read from.
        limit_bytes: the largest body accepted.

    Raises:
        RequestRefused: the declared or the actual length is over the limit.
        ClientDisconnect: the caller went away.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit_bytes:
        raise _too_large(limit_bytes)
    chunks: list[bytes] = []
    size_bytes = 0
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk: bytes = message.get("body", b"")
        size_bytes += len(chunk)
        if size_bytes > limit_bytes:  # the rest is dropped by the server as it comes in, never kept
            raise _too_large(limit_bytes)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


async def read_json(request: Request) -> tuple[Any, bytes]:
    """Return what the body says, and the body itself.

    Raises:
        RequestRefused: wrong media type, too large, or not JSON.
    """
    body = await read_json_body(request)
    return await in_proportion(len(body), partial(parse_json, body)), body


async def read_json_body(request: Request) -> bytes:
    """Return the whole body unread, for whoever reads it later.

    Raises:
        RequestRefused: wrong media type, or too large.
    """
    require_json(request.headers)
    return await read_body(request)


def require_object(value: Any, pointer: str = "") -> dict[str, Any]:
    """Return the value if it is a JSON object.

    Raises:
        RequestRefused: it is something else.
    """
    if isinstance(value, dict):
        return value
    found = {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}.get(type(value), "a number")
    raise RequestRefused("invalid_request", f"A JSON object is wanted at {pointer or '/'}, not {found}.")


def read_model(model: type[BodyModel], value: Any) -> BodyModel:
    """Return the value as a request model.

    Raises:
        RequestRefused: it does not have that form.
    """
    try:
        return model.model_validate(require_object(value))
    except ValidationError as error:
        raise refusal_of_validation(error) from None


def require_json(headers: Mapping[str, str]) -> None:
    """Refuse a body that does not say it is plain UTF-8 JSON.

    Raises:
        RequestRefused: another type, another character set, or compressed.
    """
    declared = headers.get("content-type", "")
    if declared != "application/json":  # parse only what is not the plain form
        media = Message()
        media["content-type"] = declared
        charset = str(media.get_param("charset", "utf-8")).strip('"').lower()
        is_json = media.get_content_type() in ("application/json", "application/merge-patch+json")
        if not is_json or charset not in ("utf-8", "utf8"):
            raise RequestRefused(
                "unsupported_media_type", f"{declared[:80] or 'A body without a type'} is not read here."
            )
    if headers.get("content-encoding", "identity").lower() not in ("identity", ""):
        raise RequestRefused("unsupported_media_type", "Compressed bodies are not read here.")


def _too_large(limit_bytes: int) -> RequestRefused:
    return RequestRefused("payload_too_large", f"The body is larger than {limit_bytes} bytes.")
