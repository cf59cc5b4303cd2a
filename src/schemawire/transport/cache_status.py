"""How a response says what the cache did: `Cache-Status`, `Age`, and the responses a cache makes itself."""

from dataclasses import replace

from schemawire.transport.cache_control import LONGEST
from schemawire.transport.entry import Entry
from schemawire.transport.freshness import Decision
from schemawire.transport.message import Headers, Response
from schemawire.transport.validation import is_unmodified, not_modified

FIELD = "Cache-Status"
"""*Source:* RFC 9211."""


def hit(name: str, decision: Decision, *, detail: str = "") -> str:
    """Return the value for a response that came from the store."""
    seconds = int(max(-LONGEST, min(LONGEST, decision.ttl)))
    return f"{name}; hit; ttl={seconds}" + (f"; detail={detail}" if detail else "")


def forwarded(name: str, reason: str, *, status: int | None = None, stored: bool = False, detail: str = "") -> str:
    """Return the value for a response that came from the service.

    Args:
        name: of the cache.
        reason: why: `uri-miss`, `vary-miss`, `stale`, `request`, `method` or `bypass`.
        status: what the service answered, if the caller gets another one.
        stored: whether the response is now stored.
        detail: a token with more.
    """
    parts = [name, f"fwd={reason}"]
    parts += [] if status is None else [f"fwd-status={status}"]
    parts += ["stored"] if stored else []
    parts += [f"detail={detail}"] if detail else []
    return "; ".join(parts)


def marked(headers: Headers, value: str) -> Headers:
    """Return the fields of a response with our member at the end of its `Cache-Status`."""
    return Headers.received((*headers.pairs, (FIELD, value)))


def collapsed(response: Response) -> Response:
    """Return a response as it is given to a caller who joined the request of another one."""
    *others, (name, value) = response.headers.pairs
    return replace(response, headers=Headers.received((*others, (name, f"{value}; collapsed"))))


def answer(entry: Entry, request: Headers, method: str, *, age: float, status: str, elapsed: float) -> Response:
    """Return the response to a request from a stored one: whole, without its body for HEAD, or 304 as the caller asks.

    Args:
        entry: the stored response.
        request: the request's fields.
        method: GET or HEAD.
        age: seconds.
        status: the value of `Cache-Status`.
        elapsed: seconds that the call took.
    """
    headers, code, body = entry.headers, entry.status, entry.body
    if code == 200 and ("if-none-match" in request or "if-modified-since" in request) and is_unmodified(request, entry):
        headers, code, body = not_modified(headers), 304, b""
    pairs = (*headers.pairs, ("Age", str(int(min(age, LONGEST)))), (FIELD, status))
    return Response(
        status=code,
        headers=Headers.received(pairs),
        body=b"" if method == "HEAD" else body,
        url=entry.url,
        attempts=0,
        elapsed=elapsed,
    )


def gateway_timeout(name: str, url: str) -> Response:
    """Return the 504 for `only-if-cached` where nothing usable is stored (RFC 9111 §5.2.1.7)."""
    headers = Headers({FIELD: f"{name}; detail=only-if-cached", "Content-Length": "0"})
    return Response(status=504, headers=headers, body=b"", url=url, attempts=0)
