"""The names of the HTTP headers that both ends use, and the form of the entity tag."""

import re

REQUEST_ID = "X-Request-ID"
STORE_ID = "X-Store-ID"
REQUEST_DEADLINE = "X-Request-Deadline"
"""Milliseconds that the caller still has."""
ATTEMPT = "X-Request-Attempt"
IDEMPOTENCY_KEY = "Idempotency-Key"
IDEMPOTENT_REPLAY = "Idempotent-Replayed"
"""`true` on a reply that was stored by an earlier request with the same key."""
DRY_RUN = "X-Dry-Run"
"""`true` on the reply to a dry run: nothing was stored."""
PRIORITY = "X-Priority"
"""`interactive`, `batch` or `background`: how urgent the caller finds the request, at most as urgent as its route."""
ENVIRONMENT = "X-Environment"
CLIENT = "X-Client"

NDJSON = "application/x-ndjson"
EVENT_STREAM = "text/event-stream"

_ETAG = re.compile(r'"v(\d{1,18})-([0-9a-f]{64})"')


def format_etag(version: int, digest: str) -> str:
    """Return the strong entity tag of one version.

    >>> format_etag(3, "ab" * 32)[:8]
    '"v3-abab'
    """
    return f'"v{version}-{digest}"'


def parse_etag(text: str) -> tuple[int, str] | None:
    """Return version and digest of an entity tag, or `None` if it is not one of ours."""
    match = _ETAG.fullmatch(text.strip())
    return None if match is None else (int(match[1]), match[2])
