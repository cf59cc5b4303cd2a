"""What an outcome means: may it be repeated, does it count as a failure, when to come back. Pure tables, no clocks.

Whether a request may be repeated is decided from the request alone, never from the response: a response may be missing
exactly when the question matters (dotnet/extensions#6548).
"""

import math
import re
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import cache

from schemawire.errors import (
    AttemptTimeout,
    BadReply,
    CircuitOpen,
    ConnectFailed,
    ConnectionLost,
    ConnectionStale,
    NoEndpoint,
    SchemawireError,
)
from schemawire.resilience.call import NEUTRAL, SUCCESS, Judgement, RetryClass
from schemawire.transport.message import Body, Headers, is_replayable

# RFC 9110 §9.2.1 and §9.2.2.
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
IDEMPOTENT_METHODS = SAFE_METHODS | {"PUT", "DELETE"}

# 501 and 505 say what the other side cannot do, not that it is unwell.
NOT_A_FAILURE = frozenset({501, 505})
"""The 5xx statuses that count neither against a breaker nor as worth a retry."""

RETRIED_REFUSALS = frozenset({408, 425})
"""4xx statuses that ask for the same request again (RFC 9110 §15.5.9, RFC 8470 §5.2)."""

_LOOK_AGAIN = 0.25
"""Seconds after which a patient call looks at an open breaker again: another call's probe may close it early."""

_LONGEST_HINT = 31_536_000.0

# A structured field: items with parameters, parted by commas that stand outside of quotes.
_QUOTA_ITEM = re.compile(r'(?:[^",]|"[^"]*")+')
_QUOTA_PART = re.compile(r";\s*([rt])=(\d{1,10})")
_TRANSPORT_FAILURES = (ConnectFailed, ConnectionLost, AttemptTimeout, BadReply)


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeatability:
    """What the request itself says about being sent again.

    Args:
        safe: repeating it cannot apply it twice: an idempotent method, or an idempotency key.
        keyed: it carries an idempotency key.
        replayable: its body can be sent again.
    """

    safe: bool
    keyed: bool
    replayable: bool


def repeatability(method: str, headers: Headers, body: Body) -> Repeatability:
    """Return what `method`, an `Idempotency-Key` header and the type of `body` say about sending again."""
    keyed = "idempotency-key" in headers
    return _known(keyed or method in IDEMPOTENT_METHODS, keyed, is_replayable(body))


@cache
def _known(safe: bool, keyed: bool, replayable: bool) -> Repeatability:
    return Repeatability(safe=safe, keyed=keyed, replayable=replayable)


def judge_response(request: Repeatability, status: int, headers: Headers) -> Judgement:
    """Return what a complete response means.

    5xx count as failures except 501 and 505; 4xx never do (sgl-project/sglang#25811: bad requests must not open a
    breaker); 429, and 503 with a hint, are the other side's wish for fewer requests and count as no failure either.
    """
    if status < 400:
        return SUCCESS
    hint = retry_hint(headers)
    verdict = _by_status(request, status, hint)
    veto = headers.get("x-should-retry", "").strip().lower()
    if veto == "false" or not request.replayable:
        return _without_retry(verdict, "veto" if veto == "false" else "one-shot body")
    if veto == "true" and verdict.retry is None:
        return _judgement(request, verdict.failed, RetryClass.TRANSIENT, hint, f"status {status}")
    return verdict


def _by_status(request: Repeatability, status: int, hint: float | None) -> Judgement:
    reason = f"status {status}"
    if status == 429 or (status == 503 and hint is not None):
        return _judgement(request, False, RetryClass.THROTTLED, hint, reason)
    if status >= 500 and status not in NOT_A_FAILURE:
        return _judgement(request, True, RetryClass.TRANSIENT, hint, reason)
    # A duplicate that is still being worked on: the same key will get the stored reply.
    duplicate_in_flight = status == 409 and request.keyed and hint is not None
    if status in RETRIED_REFUSALS or duplicate_in_flight:
        return _judgement(request, False, RetryClass.TRANSIENT, hint, reason)
    return Judgement(safe=request.safe, reason=reason)


def judge_error(request: Repeatability, error: BaseException, *, patient: bool = False) -> Judgement:
    """Return what an error without a response means.

    Args:
        request: what the request says about being repeated.
        error: what was raised.
        patient: whether the call waits for an open breaker or a missing endpoint rather than failing at once.
    """
    if isinstance(error, _TRANSPORT_FAILURES):
        # A one-shot body gets one attempt, even where nothing of it has left.
        unsent = isinstance(error, ConnectFailed) and request.replayable
        retry = RetryClass.TRANSIENT if request.replayable else None
        if isinstance(error, ConnectionStale):
            # Whoever closes what lies idle, such as a proxy that reloads, is not ill for it.
            return Judgement(neutral=True, retry=retry, safe=request.safe, reason=error.code)
        return Judgement(failed=True, retry=retry, unsent=unsent, safe=request.safe, reason=error.code)
    if patient and request.replayable and isinstance(error, CircuitOpen | NoEndpoint):
        pause = min(error.retry_after or 0.0, _LOOK_AGAIN)
        return Judgement(retry=RetryClass.TRANSIENT, retry_after=pause, neutral=True, reason=error.code)
    reason = error.code if isinstance(error, SchemawireError) else type(error).__name__
    return Judgement(neutral=True, safe=request.safe, reason=reason) if isinstance(error, Exception) else NEUTRAL


def _judgement(
    request: Repeatability, failed: bool, retry: RetryClass, retry_after: float | None, reason: str
) -> Judgement:
    return Judgement(failed=failed, retry=retry, retry_after=retry_after, safe=request.safe, reason=reason)


def _without_retry(verdict: Judgement, reason: str) -> Judgement:
    return Judgement(
        failed=verdict.failed, retry_after=verdict.retry_after, safe=verdict.safe, reason=f"{verdict.reason}, {reason}"
    )


def retry_hint(headers: Headers) -> float | None:
    """Return the seconds after which the other side wants to be asked again, uncapped, or `None` without a usable hint.

    `retry-after-ms` is finer and so goes first; `Retry-After` is a number of seconds or an HTTP-date. A date is read
    against the response's own `Date`, so that a skewed clock on either side does not matter; without `Date` it is no
    usable hint. Where neither is given, a `RateLimit` field whose quota is used up says when it begins anew.

    *Source:* RFC 9110 §10.2.3; `retry-after-ms` as Azure and OpenAI send it; draft-ietf-httpapi-ratelimit-headers-10
    §4, and its older fields `RateLimit-Remaining` and `RateLimit-Reset` (draft 6).
    """
    fine = _number(headers.get("retry-after-ms"))
    if fine is not None:
        return min(fine / 1000.0, _LONGEST_HINT)
    text = headers.get("retry-after")
    if text is None:
        return _quota_hint(headers)
    seconds = _number(text)
    if seconds is None:
        seconds = _seconds_between(headers.get("date"), text)
    return None if seconds is None else min(seconds, _LONGEST_HINT)


def _quota_hint(headers: Headers) -> float | None:
    """Return the seconds until the last of the quotas that are used up begins anew."""
    waits = [_QUOTA_PART.findall(item) for item in _QUOTA_ITEM.findall(headers.get("ratelimit", "")[:1024])]
    used_up = [dict(parts) for parts in waits]
    found = [float(parts["t"]) for parts in used_up if "t" in parts and _number(parts.get("r")) == 0.0]
    if not found and _number(headers.get("ratelimit-remaining")) == 0.0:
        return _number(headers.get("ratelimit-reset"))
    return min(max(found), _LONGEST_HINT) if found else None


def _number(text: str | None) -> float | None:
    if text is None or len(text) > 32:
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def _seconds_between(now: str | None, then: str) -> float | None:
    start, end = _instant(now), _instant(then)
    return None if start is None or end is None else max(0.0, end - start)


def _instant(text: str | None) -> float | None:
    if text is None or len(text) > 64:
        return None
    try:
        moment = parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
