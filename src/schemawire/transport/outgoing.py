"""Checks what a caller wants to send and makes it a call; decides nothing about how it is sent."""

import asyncio
import json as json_codec
import re
from typing import Any

from schemawire.transport.address import Params, target_of
from schemawire.transport.attempt import Call
from schemawire.transport.message import Body, Headers, HeaderSource, require_body
from schemawire.transport.verdict import repeatability

ABSENT: Any = object()
"""Stands for a JSON body that was not given, for `None` is one."""

_METHOD = re.compile(r"[A-Z][A-Z-]{0,31}")
# A key is one header value; the draft's recommended forms (UUIDs and the like) fit well inside.
_KEY = re.compile(r"[\x21-\x7e]{1,255}")


def call_of(
    method: str,
    path: str,
    own_headers: Headers,
    *,
    json: Any,
    body: Body,
    params: Params | None,
    headers: HeaderSource,
    idempotency_key: str | None,
    patient: bool,
    streaming: bool,
) -> Call:
    """Return the call that a caller's words describe; `Client.request` says what each of them means.

    Raises:
        ValueError, TypeError: the request cannot be sent as it is.
    """
    if not _METHOD.fullmatch(method):
        raise ValueError(f"method {method!r} must be a word in capitals, such as GET")
    merged = own_headers.replaced(headers) if headers else own_headers
    if idempotency_key is not None:
        merged = merged.replaced({"Idempotency-Key": _require_key(idempotency_key)})
    if json is not ABSENT:
        body, merged = _as_json(json, body, merged)
    body = require_body(body)
    return Call(
        method=method,
        target=target_of(path, params),
        headers=merged,
        body=body,
        repeat=repeatability(method, merged, body),
        streaming=streaming,
        patient=patient,
        started=asyncio.get_running_loop().time(),
    )


def call_to(method: str, target: str, *, headers: Headers, body: Body, timeouts: tuple[float, float] | None) -> Call:
    """Return a streaming call whose parts another HTTP client has made.

    Args:
        method: in capitals.
        target: path and query, already percent-encoded.
        headers: all of them.
        body: what is sent.
        timeouts: connect and read limits, seconds; `None`: the client's own.

    Raises:
        ValueError: the method is no word in capitals.
    """
    if not _METHOD.fullmatch(method):
        raise ValueError(f"method {method!r} must be a word in capitals, such as GET")
    return Call(
        method=method,
        target=target,
        headers=headers,
        body=body,
        repeat=repeatability(method, headers, body),
        streaming=True,
        patient=False,
        started=asyncio.get_running_loop().time(),
        timeouts=timeouts,
    )


def _require_key(key: str) -> str:
    if not _KEY.fullmatch(key):
        raise ValueError(f"idempotency_key={key!r} must be 1 to 255 visible ASCII characters")
    return key


def _as_json(value: Any, body: Body, headers: Headers) -> tuple[bytes, Headers]:
    if body is not None:
        raise ValueError("give either `json` or `body`, not both")
    text = json_codec.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    if "content-type" not in headers:
        headers = headers.replaced({"Content-Type": "application/json"})
    return text.encode(), headers
