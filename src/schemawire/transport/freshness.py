"""The rules of RFC 9111 as plain functions of `now`: what may be stored, how old it is, and when it may be used."""

import re
from dataclasses import dataclass
from enum import Enum

from schemawire.transport.cache_config import CacheConfig
from schemawire.transport.cache_control import LONGEST, NO_DIRECTIVES, Directives, directives_of
from schemawire.transport.entry import CREDENTIALS, Entry, vary_of
from schemawire.transport.http_date import parse_date
from schemawire.transport.message import Headers

# RFC 9110 §15.1. 206 is left out: partial content is never stored here.
HEURISTIC_STATUSES = frozenset({200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501})
"""Statuses whose responses may be stored without saying for how long."""

# What "understood" means to `must-understand`: statuses that need nothing special from a cache.
_UNDERSTOOD = frozenset(
    {200, 201, 202, 203, 204, 205, 300, 301, 302, 303, 307, 308, *range(400, 418), 421, 422, 426, 428, 429, 431, 451}
    | {*range(500, 506), 511}
)
_BEYOND_COOKIES = CREDENTIALS - {"cookie"}
_GRACES = ("stale-while-revalidate", "stale-if-error")
ERROR_STATUSES = frozenset({500, 502, 503, 504})
"""Statuses in whose place a stale response may be served (RFC 5861 §4)."""


class Use(Enum):
    """What may be done with a stored response for one request."""

    FRESH = "fresh"
    STALE = "stale"
    """It is stale, and the request accepts that."""
    REFRESH = "refresh"
    """It is stale, and may be served while it is refreshed in the background."""
    VALIDATE = "validate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What may be done with a stored response, how old it is and for how long it stays fresh (negative: is stale)."""

    use: Use
    age: float
    ttl: float
    reason: str = ""
    """Why it must be validated, in the words of RFC 9211: `request` or `stale`."""


def request_directives(headers: Headers) -> Directives:
    """Return the cache directives of a request; without any, `Pragma: no-cache` says `no-cache` (RFC 9111 §5.4)."""
    if "cache-control" in headers:
        return directives_of(headers)
    if "pragma" in headers and any("no-cache" in line.lower() for line in headers.get_all("pragma")):
        return _NO_CACHE
    return NO_DIRECTIVES


_NO_CACHE = Directives({"no-cache": (None,)})


_DIGITS = re.compile("[0-9]+")


def initial_age(headers: Headers, requested_at: float, received_at: float) -> float:
    """Return how old a response was when it arrived, in seconds.

    *Source:* RFC 9111 §4.2.3; §5.1: of several `Age` values the first one counts, and one that is no number is ignored.
    One that only begins with a number (`7200.0`, `7200;a=b`) counts for that much: being older is the safe mistake.
    """
    date = parse_date(headers.get("date"), received_at)
    apparent = 0.0 if date is None else max(0.0, received_at - date)
    lines = headers.get_all("age")
    digits = _DIGITS.match(lines[0].strip()) if lines else None
    told = min(int(digits[0][:12]), LONGEST) if digits else 0
    return max(apparent, told + max(0.0, received_at - requested_at))


def age_of(entry: Entry, now: float) -> float:
    """Return how old a stored response is; endlessly old if it was stored in the future, because a clock was set."""
    resident = now - entry.received_at
    return entry.initial_age + resident if resident >= 0 else float("inf")


def lifetime_of(entry: Entry, options: CacheConfig) -> float:
    """Return for how many seconds from its origin a response is fresh.

    *Source:* RFC 9111 §4.2.1 (in this order: `s-maxage` in a shared cache, `max-age`, `Expires`) and §4.2.2.
    """
    explicit = explicit_lifetime(entry.headers, entry.directives, entry.received_at, shared=options.shared)
    if explicit is not None:
        return explicit
    modified = parse_date(entry.headers.get("last-modified"), entry.received_at)
    date = parse_date(entry.headers.get("date"), entry.received_at) or entry.received_at
    if modified is None or not _allows_heuristic(entry.status, entry.directives):
        return 0.0
    return min(max(0.0, (date - modified) * options.heuristic_fraction), options.heuristic_max)


def explicit_lifetime(headers: Headers, directives: Directives, received_at: float, *, shared: bool) -> float | None:
    """Return the lifetime that a response states itself, or `None`."""
    if shared and (seconds := directives.seconds("s-maxage")) is not None:
        return seconds
    if (seconds := directives.seconds("max-age")) is not None:
        return seconds
    if "expires" not in headers:
        return None
    expires = parse_date(headers["expires"], received_at)
    if expires is None:
        return 0.0  # RFC 9111 §5.3: an invalid date, "0" above all, lies in the past.
    date = parse_date(headers.get("date"), received_at)
    return max(0.0, expires - (received_at if date is None else date))


def _allows_heuristic(status: int, directives: Directives) -> bool:
    return status in HEURISTIC_STATUSES or "public" in directives


def forbids_stale(directives: Directives, *, shared: bool) -> bool:
    """Return whether a response may never be served stale (RFC 9111 §4.2.4)."""
    if "must-revalidate" in directives or directives.is_bare("no-cache"):
        return True
    return shared and ("proxy-revalidate" in directives or "s-maxage" in directives)


def decide(entry: Entry, wanted: Directives, now: float, options: CacheConfig) -> Decision:
    """Return what may be done with a stored response.

    Args:
        entry: a response that matches the request.
        wanted: the request's own directives.
        now: seconds since 1970.
        options: the cache's options.

    *Source:* RFC 9111 §4, §5.2.1 and RFC 5861 §3.
    """
    age = age_of(entry, now)
    ttl = lifetime_of(entry, options) - age
    use, reason = _use(entry.directives, wanted, age, ttl, shared=options.shared)
    return Decision(use=use, age=age, ttl=ttl, reason=reason)


def _use(told: Directives, wanted: Directives, age: float, ttl: float, *, shared: bool) -> tuple[Use, str]:
    if wanted is not NO_DIRECTIVES and not _satisfies(wanted, age, ttl):
        return Use.VALIDATE, "request"
    if told.is_bare("no-cache"):
        return Use.VALIDATE, "stale"
    if ttl > 0:
        return Use.FRESH, ""
    if forbids_stale(told, shared=shared):
        return Use.VALIDATE, "stale"
    if "max-stale" in wanted and (wanted.is_bare("max-stale") or -ttl <= (wanted.seconds("max-stale") or 0)):
        return Use.STALE, ""
    if -ttl < (told.seconds("stale-while-revalidate") or 0):
        return Use.REFRESH, ""
    return Use.VALIDATE, "stale"


def _satisfies(wanted: Directives, age: float, ttl: float) -> bool:
    """Return whether a stored response is young and fresh enough for the request."""
    if "no-cache" in wanted:
        return False
    oldest, fresh_for = wanted.seconds("max-age"), wanted.seconds("min-fresh")
    return (oldest is None or age <= oldest) and (fresh_for is None or ttl >= fresh_for)


def may_stand_in(entry: Entry, wanted: Directives, now: float, options: CacheConfig, *, unreachable: bool) -> bool:
    """Return whether a stored response may be served in place of an error.

    Args:
        entry: a response that matches the request.
        wanted: the request's own directives; one that insists on validation gets the error.
        now: seconds since 1970.
        options: the cache's options.
        unreachable: whether there is no response at all; only then the option applies where no directive does.

    *Source:* RFC 5861 §4, RFC 9111 §4.2.4.
    """
    if "no-cache" in wanted or "max-age" in wanted or forbids_stale(entry.directives, shared=options.shared):
        return False
    overdue = age_of(entry, now) - lifetime_of(entry, options)
    allowed = [limit for told in (entry.directives, wanted) if (limit := told.seconds("stale-if-error")) is not None]
    default = options.stale_if_error if unreachable else 0.0
    return overdue < (max(allowed) if allowed else default)


def is_storable(
    status: int, headers: Headers, request: Headers, received_at: float, options: CacheConfig, *, method: str = "GET"
) -> bool:
    """Return whether a complete response may be kept for later requests.

    What could neither be used again as it is nor be validated is not worth keeping, and counts as not storable.

    *Source:* RFC 9111 §3, §3.5 and §5.2.2.3; RFC 9110 §9.3.3 for POST.
    """
    told, shared = directives_of(headers), options.shared
    if status < 200 or status in (206, 304) or vary_of(headers) is None:
        return False
    if not _may_be_kept(status, told, request, shared=shared):
        return False
    explicit = explicit_lifetime(headers, told, received_at, shared=shared)
    if method != "GET":
        return bool(explicit)
    is_private_here = not shared and "private" in told
    if explicit is None and not (is_private_here or _allows_heuristic(status, told)):
        return False
    if "etag" in headers or "last-modified" in headers:
        return True
    return not told.is_bare("no-cache") and (bool(explicit) or any(name in told for name in _GRACES))


def _may_be_kept(status: int, told: Directives, request: Headers, *, shared: bool) -> bool:
    understood = "must-understand" in told
    if understood and status not in _UNDERSTOOD:
        return False
    if "no-store" in directives_of(request) or ("no-store" in told and not understood):
        return False
    if not shared:
        return True
    return not told.is_bare("private") and (not has_credentials(request) or allows_sharing(told))


def has_credentials(request: Headers) -> bool:
    """Return whether a request says on whose behalf it is made; a cookie alone says that to a private cache only."""
    return not _BEYOND_COOKIES.isdisjoint(request)


def allows_sharing(told: Directives) -> bool:
    """Return whether a response to a request with credentials may answer others (RFC 9111 §3.5)."""
    return "public" in told or "must-revalidate" in told or "s-maxage" in told
