"""What outcomes mean: every status, every error, every hint, from the request alone."""

import asyncio

import pytest

from schemawire.errors import (
    AttemptTimeout,
    BadReply,
    CircuitOpen,
    ConnectFailed,
    ConnectionLost,
    DeadlineExceeded,
    QueueFull,
)
from schemawire.resilience import RetryClass
from schemawire.transport import Headers
from schemawire.transport.verdict import judge_error, judge_response, repeatability, retry_hint

NONE = Headers()
KEYED = Headers({"Idempotency-Key": "k"})
READ = repeatability("GET", NONE, None)
WRITE = repeatability("POST", NONE, b"")
KEYED_WRITE = repeatability("POST", KEYED, b"")


async def one_shot() -> object:
    yield b""


@pytest.mark.parametrize(
    ("method", "headers", "safe"),
    [
        ("GET", NONE, True),
        ("HEAD", NONE, True),
        ("OPTIONS", NONE, True),
        ("PUT", NONE, True),
        ("DELETE", NONE, True),
        ("POST", NONE, False),
        ("PATCH", NONE, False),
        ("POST", KEYED, True),
        ("PATCH", Headers({"idempotency-key": "k"}), True),
        ("PURGE", NONE, False),
    ],
)
def test_what_may_be_repeated_is_decided_from_the_request(method: str, headers: Headers, safe: bool) -> None:
    """Idempotent methods and keyed requests may be repeated; nothing else may."""
    assert repeatability(method, headers, None).safe is safe


def test_one_shot_body_is_never_repeated() -> None:
    """An async iterable is used up by its first attempt, even where nothing has left."""
    request = repeatability("PUT", NONE, one_shot())  # type: ignore[arg-type]  # any async iterable
    assert not request.replayable
    for error in (ConnectFailed(), ConnectionLost(), AttemptTimeout()):
        judgement = judge_error(request, error)
        assert judgement.retry is None
        assert not judgement.unsent
        assert judgement.failed
    assert judge_response(request, 503, NONE).retry is None


@pytest.mark.parametrize(
    ("status", "failed", "retry"),
    [
        (200, False, None),
        (304, False, None),
        (400, False, None),
        (401, False, None),
        (404, False, None),
        (408, False, RetryClass.TRANSIENT),
        (409, False, None),
        (412, False, None),
        (425, False, RetryClass.TRANSIENT),
        (429, False, RetryClass.THROTTLED),
        (500, True, RetryClass.TRANSIENT),
        (501, False, None),
        (502, True, RetryClass.TRANSIENT),
        (503, True, RetryClass.TRANSIENT),
        (504, True, RetryClass.TRANSIENT),
        (505, False, None),
        (599, True, RetryClass.TRANSIENT),
    ],
)
def test_each_status_has_one_meaning(status: int, failed: bool, retry: RetryClass | None) -> None:
    """4xx never counts against an endpoint, 5xx does unless it says what the other side cannot do."""
    judgement = judge_response(READ, status, NONE)
    assert (judgement.failed, judgement.retry) == (failed, retry)


def test_503_with_a_hint_is_a_wish_and_no_failure() -> None:
    """The other side is well enough to say when to come back."""
    judgement = judge_response(READ, 503, Headers({"Retry-After": "7"}))
    assert (judgement.failed, judgement.retry, judgement.retry_after) == (False, RetryClass.THROTTLED, 7.0)


def test_duplicate_in_flight_is_asked_for_again() -> None:
    """409 with a hint to a keyed request means that the first one is still being worked on."""
    hinted = Headers({"Retry-After": "1"})
    assert judge_response(KEYED_WRITE, 409, hinted).retry is RetryClass.TRANSIENT
    assert judge_response(WRITE, 409, hinted).retry is None
    assert judge_response(KEYED_WRITE, 409, NONE).retry is None


def test_veto_and_invitation_are_honoured() -> None:
    """`x-should-retry` has the last word on whether, but never makes an unsafe request safe."""
    assert judge_response(READ, 503, Headers({"x-should-retry": "false"})).retry is None
    assert judge_response(READ, 400, Headers({"x-should-retry": "true"})).retry is RetryClass.TRANSIENT
    assert not judge_response(WRITE, 400, Headers({"x-should-retry": "true"})).safe


@pytest.mark.parametrize("error", [ConnectFailed(), ConnectionLost(), AttemptTimeout(), BadReply()])
def test_what_breaks_on_the_way_counts_against_the_endpoint(error: Exception) -> None:
    """Connect and read errors, attempt timeouts and what is not HTTP are failures; only the first are unsent."""
    judgement = judge_error(WRITE, error)
    assert judgement.failed
    assert judgement.unsent is isinstance(error, ConnectFailed)
    assert not judgement.safe


@pytest.mark.parametrize(
    "error", [QueueFull(), DeadlineExceeded(), CircuitOpen(retry_after=3), ValueError(), asyncio.CancelledError()]
)
def test_what_is_our_own_doing_counts_as_nothing(error: BaseException) -> None:
    """Local refusals, the caller's deadline, the caller's mistakes and cancellations are neutral."""
    judgement = judge_error(READ, error)
    assert judgement.neutral
    assert not judgement.failed
    assert judgement.retry is None


def test_patient_call_waits_for_an_open_breaker() -> None:
    """It looks again after a while, without counting anything; the breaker may close before it said it would."""
    judgement = judge_error(KEYED_WRITE, CircuitOpen(retry_after=300), patient=True)
    assert judgement.neutral
    assert judgement.retry is RetryClass.TRANSIENT
    assert judgement.retry_after == 0.25


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "0"}, 0.0),
        ({"Retry-After": "120"}, 120.0),
        ({"Retry-After": "1.5"}, 1.5),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": "9" * 30}, 31_536_000.0),
        ({"Retry-After": "9" * 3000}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": ""}, None),
        ({"retry-after-ms": "250", "Retry-After": "9"}, 0.25),
        ({"retry-after-ms": "x", "Retry-After": "9"}, 9.0),
        ({"Retry-After": "Sun, 06 Nov 1994 08:49:37 GMT", "Date": "Sun, 06 Nov 1994 08:49:30 GMT"}, 7.0),
        ({"Retry-After": "Sun, 06 Nov 1994 08:49:37 GMT", "Date": "Sun, 06 Nov 1994 09:49:37 GMT"}, 0.0),
        ({"Retry-After": "Sunday, 06-Nov-94 08:49:37 GMT", "Date": "Sun, 06 Nov 1994 08:49:30 GMT"}, 7.0),
        ({"Retry-After": "Sun, 06 Nov 1994 08:49:37 GMT"}, None),
        ({"Retry-After": "Sun, 99 Nov 1994 08:49:37 GMT", "Date": "Sun, 06 Nov 1994 08:49:30 GMT"}, None),
        ({"RateLimit": '"default";r=0;t=30'}, 30.0),
        ({"RateLimit": '"a";r=5;t=90, "b,;r=1";r=0;t=7'}, 7.0),
        ({"RateLimit": '"default";r=3;t=30'}, None),
        ({"RateLimit": "nonsense;r=;t=x"}, None),
        ({"RateLimit-Remaining": "0", "RateLimit-Reset": "12"}, 12.0),
        ({"RateLimit-Remaining": "1", "RateLimit-Reset": "12"}, None),
        ({"RateLimit": '"d";r=0;t=30', "Retry-After": "2"}, 2.0),
    ],
)
def test_hints_are_read_in_every_form(headers: dict[str, str], seconds: float | None) -> None:
    """Seconds, milliseconds and dates, the last against the reply's own clock; nonsense is no hint."""
    assert retry_hint(Headers(headers)) == seconds
