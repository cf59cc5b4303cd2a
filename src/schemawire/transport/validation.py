"""Conditional requests on both sides of a cache: those it makes, and those that its callers make; knows no clock."""

from schemawire.transport.cache_control import directives_of, members
from schemawire.transport.entry import Entry, selecting_of, storable_pairs, vary_of
from schemawire.transport.freshness import initial_age
from schemawire.transport.http_date import format_date, parse_date
from schemawire.transport.message import Headers

CONDITIONS = ("if-none-match", "if-modified-since")
"""Request fields that a cache understands and replaces by its own."""
PRECONDITIONS = frozenset({"if-match", "if-unmodified-since", "if-range", "range"})
"""Request fields that only the origin can judge, or that ask for a part; such requests pass through."""

# They describe the stored bytes, which a 304 leaves as they are (RFC 9111 §3.2).
_ABOUT_THE_BODY = frozenset({"content-encoding", "content-length", "content-md5", "content-range"})


def has_validator(entry: Entry) -> bool:
    """Return whether a stored response can be confirmed by its origin."""
    return "etag" in entry.headers or "last-modified" in entry.headers


def conditional(headers: Headers, entry: Entry) -> Headers:
    """Return the request's fields with the stored response's validators in place of the caller's own conditions.

    *Source:* RFC 9111 §4.3.1.
    """
    validators = []
    if "etag" in entry.headers:
        validators.append(("If-None-Match", entry.headers["etag"]))
    if "last-modified" in entry.headers:
        validators.append(("If-Modified-Since", entry.headers["last-modified"]))
    return Headers.received((*unconditional(headers).pairs, *validators))


def unconditional(headers: Headers) -> Headers:
    """Return the request's fields without conditions."""
    return Headers.received(pair for pair in headers.pairs if pair[0].lower() not in CONDITIONS)


def confirms(entry: Entry, answer: Headers) -> bool:
    """Return whether a 304 speaks of this very response: a strong entity tag in it must be the stored one.

    *Source:* RFC 9111 §4.3.4.
    """
    tag = answer.get("etag")
    return tag is None or tag.startswith("W/") or opaque(tag) == opaque(entry.headers.get("etag", tag))


def freshened(
    entry: Entry, answer: Headers, request: Headers, *, requested_at: float, received_at: float, shared: bool
) -> Entry:
    """Return a stored response with the fields of a 304, or of a HEAD, in place of its own.

    Args:
        entry: the stored response.
        answer: the fields that arrived.
        request: the request that they answer.
        requested_at: when it was sent, seconds since 1970.
        received_at: when its answer arrived, seconds since 1970.
        shared: whether the cache is shared.

    *Source:* RFC 9111 §3.2 and §4.3.4.
    """
    answer = with_date(answer, received_at)
    added = [
        pair
        for pair in storable_pairs(answer, directives_of(answer), shared=shared)
        if pair[0].lower() not in _ABOUT_THE_BODY
    ]
    headers = entry.headers.replaced(Headers.received(added))
    vary = vary_of(headers)
    return Entry(
        status=entry.status,
        headers=headers,
        body=entry.body,
        url=entry.url,
        partition=entry.partition,
        selecting=entry.selecting if vary is None else selecting_of(vary, request),
        received_at=received_at,
        initial_age=initial_age(answer, requested_at, received_at),
    )


def same_representation(entry: Entry, head: Headers) -> bool:
    """Return whether the answer to a HEAD describes the stored response: the same validators and length.

    *Source:* RFC 9111 §4.3.5.
    """
    return all(
        name not in head or head[name] == entry.headers.get(name)
        for name in ("etag", "last-modified", "content-length")
    )


def with_date(headers: Headers, received_at: float) -> Headers:
    """Return a response's fields with the time of its arrival as `Date`, where it has none (RFC 9110 §6.6.1)."""
    return headers if "date" in headers else headers.replaced({"Date": format_date(received_at)})


def is_unmodified(request: Headers, entry: Entry) -> bool:
    """Return whether the caller's own condition is answered by 304: it already has the stored response.

    *Source:* RFC 9111 §4.3.2, RFC 9110 §13.1.2 and §13.1.3; `If-None-Match` rules out `If-Modified-Since`.
    """
    lines = request.get_all("if-none-match")
    if lines:
        known = entry.headers.get("etag")
        given = [tag for line in lines for tag in members(line)]
        return "*" in given or (known is not None and opaque(known) in map(opaque, given))
    since = parse_date(request.get("if-modified-since"), entry.received_at)
    if since is None:
        return False
    modified = entry.headers.get("last-modified") or entry.headers.get("date")
    instant = parse_date(modified, entry.received_at)
    return instant is not None and instant <= since


def opaque(tag: str) -> str:
    """Return an entity tag without its mark of weakness, for the weak comparison (RFC 9110 §8.8.3.2)."""
    return tag.strip().removeprefix("W/")


def not_modified(headers: Headers) -> Headers:
    """Return the fields of a 304: without those that describe a body (RFC 9110 §15.4.5)."""
    kept = ("content-location", "content-security-policy")
    return Headers.received(
        pair for pair in headers.pairs if not pair[0].lower().startswith("content-") or pair[0].lower() in kept
    )
