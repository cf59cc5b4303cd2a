"""JSON from strangers: what `schema.plain` reads, and no deeper than anything here needs; knows nothing of HTTP."""

import re
from typing import Any

from schemawire.errors import SchemaInvalid
from schemawire.schema.issues import Issue
from schemawire.schema.plain import MAX_DEPTH, decode_json
from schemawire.service.refusals import RequestRefused

_BRACKETS_ONLY = bytes(byte for byte in range(256) if byte not in b"[]{}")
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)


def parse_json(body: bytes) -> Any:
    """Return what a JSON text says.

    Raises:
        RequestRefused: it says nothing, or nothing that every reader would understand alike; the message says where.
    """
    try:
        value = decode_json(body)
    except SchemaInvalid as error:
        issues = [issue for issue in error.issues if isinstance(issue, Issue)]
        raise RequestRefused("invalid_json", error.message, fix=error.fix, issues=issues) from None
    if is_deeper_than(body, MAX_DEPTH):
        raise RequestRefused("invalid_json", f"The document nests deeper than {MAX_DEPTH} levels.")
    return value


def is_deeper_than(body: bytes, limit: int) -> bool:
    """Tell whether valid JSON nests deeper than `limit`.

    Strings go first, then everything but brackets; what is left loses its innermost pairs once per level, so the
    work is a few passes at memory speed instead of a walk over every value.
    """
    if body.count(b"{") + body.count(b"[") <= limit:
        return False
    brackets = _STRING.sub(b"", body).translate(None, _BRACKETS_ONLY)
    for _ in range(limit):
        if not brackets:
            break
        # Both replacements see the same text: `[{}]` must take two passes.
        brackets = brackets.replace(b"{}", b"\0").replace(b"[]", b"\0").replace(b"\0", b"")
    return bool(brackets)
