"""The outermost layer by itself: faults that nobody expected, callers that hang up, and JSON from strangers."""

import json
import logging
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from schemawire.service.access import Principal
from schemawire.service.admission import KeyRates
from schemawire.service.auditing import AuditTrail
from schemawire.service.frontier import CLIENT_GONE, EntryTerms, Frontier
from schemawire.service.recorder import Recorder
from schemawire.service.refusals import RequestRefused
from schemawire.service.strict_json import is_deeper_than, parse_json


async def admit(authorization: str | None) -> Principal:
    """Let everybody in."""
    return Principal(name="somebody", scopes=frozenset({"read"}))


async def ask(app: ASGIApp, recorder: Recorder) -> list[Message]:
    """Send one request through a frontier around `app`, and return what came back."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    terms = EntryTerms(rates=KeyRates(rate=0.0, burst=1), trail=AuditTrail())
    frontier = Frontier(app, authenticate=admit, store_id=lambda: "store-1", recorder=recorder, terms=terms)
    scope = {"type": "http", "method": "GET", "path": "/x", "raw_path": b"/x", "headers": []}
    await frontier(scope, receive, send)
    return sent


async def test_an_unexpected_fault_is_logged_and_shown_as_nothing_but_an_id(caplog: pytest.LogCaptureFixture) -> None:
    """The caller gets 500 with the request id; the cause is in the log under the same id, and nowhere else."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("password=hunter2 at /srv/app.py")

    recorder = Recorder()
    with caplog.at_level(logging.ERROR, logger="schemawire.service"):
        start, body = await ask(app, recorder)
    problem = json.loads(body["body"])
    assert (start["status"], problem["code"], problem["retryable"]) == (500, "internal_error", True)
    assert "hunter2" not in body["body"].decode()
    assert problem["requestId"] in caplog.text
    assert "hunter2" in caplog.text
    assert (recorder.total(500), recorder.in_flight) == (1, 0)


async def test_half_a_reply_is_not_followed_by_another(caplog: pytest.LogCaptureFixture) -> None:
    """A fault after the reply has begun goes to the server, which cuts the connection."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise RuntimeError("half-way")

    recorder = Recorder()
    with pytest.raises(RuntimeError, match="half-way"):
        await ask(app, recorder)
    assert recorder.in_flight == 0


async def test_a_caller_that_hung_up_is_counted_and_not_answered() -> None:
    """Nobody is there to read a reply."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise ClientDisconnect

    recorder = Recorder()
    assert await ask(app, recorder) == []
    assert recorder.total(CLIENT_GONE, CLIENT_GONE + 1) == 1


def nested(depth: int, kinds: list[bool], text: str) -> Any:
    """Return a value that nests to exactly this depth, with brackets in its strings."""
    value: Any = text
    for level in range(depth):
        value = {text: value, "x": text} if kinds[level % len(kinds)] else [text, value, "]"]
    return value


@given(
    st.integers(0, 40),
    st.integers(0, 40),
    st.lists(st.booleans(), min_size=1),
    st.text(alphabet='[]{}"\\a', max_size=6),
)
def test_depth_is_measured_exactly_whatever_strings_hold(depth: int, limit: int, kinds: list[bool], text: str) -> None:
    """A document is deeper than a limit exactly if it nests more containers than that; strings do not count."""
    assert is_deeper_than(json.dumps(nested(depth, kinds, text)).encode(), limit) is (depth > limit)


@given(st.recursive(st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(), lambda part: (
    st.lists(part, max_size=4) | st.dictionaries(st.text(max_size=5), part, max_size=4)
)))  # fmt: skip
def test_ordinary_json_reads_as_json(value: Any) -> None:
    """Strictness refuses nothing that JSON can say once."""
    try:
        body = json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return
    assert parse_json(body) == value


@given(st.binary(max_size=60))
def test_any_bytes_are_json_or_refused(body: bytes) -> None:
    """No input causes anything but a value or a refusal."""
    with suppress(RequestRefused):
        parse_json(body)
