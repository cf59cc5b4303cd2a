"""Log lines from events: what they say, what they never say, and what they leave alone."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemawire.errors import ConfigurationInvalid, ConnectFailed
from schemawire.events import (
    AttemptFinished,
    BreakerChanged,
    CallFinished,
    CallRefused,
    DiscoveryFailed,
    EndpointEjected,
    EndpointHealthChanged,
    EndpointsChanged,
    Event,
    FallbackUsed,
    FaultInjected,
    HedgeStarted,
    RetryGivenUp,
    RetryScheduled,
)
from schemawire.telemetry import LogListener, SamplingConfig, call_labels, configure_logging
from schemawire.telemetry.repeats import Repeats
from schemawire.telemetry.shown import LONGEST, shown, shown_endpoint
from schemawire.testing import Reply, ScriptedWire
from schemawire.transport import Client

SECRET = "hunter2"
CALL = CallFinished(name="client", method="GET", route="/items/{id}", outcome="success", duration=0.0125, attempts=1)


class Lines:
    """A logger tree of its own, its lines as JSON."""

    def __init__(self, level: str = "DEBUG") -> None:
        self.stream = io.StringIO()
        self.handler = configure_logging(level, stream=self.stream, name="schemawire_test")
        self.logger = logging.getLogger("schemawire_test.client")

    def read(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


@pytest.fixture
def lines() -> Iterator[Lines]:
    made = Lines()
    yield made
    logging.getLogger("schemawire_test").removeHandler(made.handler)


async def test_a_call_is_one_info_line_and_its_attempts_are_debug_lines(lines: Lines) -> None:
    """One line says what became of a logical call and where its time went."""
    wire = ScriptedWire(Reply(status=503), Reply(chunks=(b"fine",)))
    client = Client("http://a.test:1", wire=wire, listener=LogListener(lines.logger))
    with call_labels(project="shop", session="s1"), call_labels(request="r1"):
        await client.request("GET", "/items/7", route="/items/{id}", params={"token": SECRET})
    by_event: dict[str, list[dict[str, Any]]] = {}
    for line in lines.read():
        by_event.setdefault(line["event"], []).append(line)
    [call] = by_event["call"]
    assert (call["level"], call["method"], call["route"], call["outcome"]) == ("info", "GET", "/items/{id}", "success")
    assert (call["status"], call["attempts"]) == (200, 2)
    assert call["durationMs"] >= call["backoffMs"] + call["firstByteMs"] + call["bodyMs"] > 0
    assert (call["projectId"], call["sessionId"], call["requestId"]) == ("shop", "s1", "r1")
    assert [(line["attempt"], line["status"], line["level"]) for line in by_event["attempt"]] == [
        (1, 503, "debug"),
        (2, 200, "debug"),
    ]
    assert [line["reason"] for line in by_event["retry scheduled"]] == ["status 503"]


async def test_secrets_and_bodies_have_no_way_into_a_line(lines: Lines) -> None:
    """Query, credentials, header values, bodies and error texts never appear, whatever fails."""
    wire = ScriptedWire(then=ConnectFailed(f"cannot reach {SECRET}"))
    client = Client("http://a.test:1", wire=wire, listener=LogListener(lines.logger), retry=None)
    with pytest.raises(ConnectFailed):
        await client.request(
            "POST", "/x", json={"password": SECRET}, params={"key": SECRET}, headers={"Authorization": SECRET}
        )
    listener = LogListener(lines.logger)
    listener.on_event(CallFinished(name="c", method="GET", route=f"/a?k={SECRET}#{SECRET}", outcome="failed",
                                   duration=1.0, attempts=1, error=ValueError(SECRET)))  # fmt: skip
    listener.on_event(AttemptFinished(name="attempt", endpoint=f"http://u:{SECRET}@h:1/{SECRET}?{SECRET}", attempt=1,
                                      outcome="failed", duration=1.0, error=ValueError(SECRET)))  # fmt: skip
    listener.on_event(FallbackUsed(name="f", error=ValueError(SECRET)))
    assert lines.read()
    assert SECRET not in lines.stream.getvalue()
    assert {line["error"] for line in lines.read() if "error" in line} == {"connect_failed", "ValueError"}


EVERY_EVENT = [
    (CALL, "info"),
    (CallFinished(name="c", method="GET", route="/", outcome="failed", duration=1.0, attempts=1), "warning"),
    (AttemptFinished(name="attempt", endpoint="http://a", attempt=1, outcome="success", duration=0.1), "debug"),
    (RetryScheduled(name="retry", attempt=2, delay=0.1, reason="status 503"), "debug"),
    (RetryGivenUp(name="retry", attempt=3, reason="budget"), "debug"),
    (BreakerChanged(name="http://a", before="CLOSED", after="OPEN", reason="failures", open_for=30.0), "warning"),
    (BreakerChanged(name="http://a", before="HALF_OPEN", after="CLOSED", reason="probes"), "info"),
    (CallRefused(name="b", policy="breaker", reason="OPEN", retry_after=1.0), "debug"),
    (HedgeStarted(name="h", delay=0.1), "debug"),
    (FallbackUsed(name="f", error=None), "info"),
    (EndpointEjected(name="b", endpoint="http://a", ejected_for=30.0, reason="outlier"), "warning"),
    (FaultInjected(name="chaos", kind="fault"), "info"),
    (EndpointsChanged(name="etcd:/a", added=("http://a",), removed=(), total=3), "info"),
    (DiscoveryFailed(name="etcd:/a", reason="down", kept=3, retry_in=0.5), "warning"),
    (EndpointHealthChanged(name="health checks", endpoint="http://a", healthy=False, reason="status 503"), "warning"),
    (EndpointHealthChanged(name="health checks", endpoint="http://a", healthy=True, reason="good"), "info"),
    (Event(name="new"), "debug"),
]


@pytest.mark.parametrize(("event", "level"), EVERY_EVENT, ids=lambda value: type(value).__name__)
def test_every_event_has_a_line_and_a_level(lines: Lines, event: Event, level: str) -> None:
    """Nothing that happens goes unlogged, not even a kind of event that is younger than this sink."""
    LogListener(lines.logger).on_event(event)
    [line] = lines.read()
    assert (line["level"], line["name"]) == (level, event.name)


def test_lines_of_a_host_program_read_as_pairs() -> None:
    """Any handler of any program shows a line, because its message reads as text."""
    stream = io.StringIO()
    logger = logging.Logger("host")
    logger.addHandler(logging.StreamHandler(stream))
    LogListener(logger).on_event(CALL)
    text = stream.getvalue()
    assert text.startswith("call name=client method=GET route=/items/{id} outcome=success durationMs=12.5")


def test_the_host_programs_logging_is_left_alone(lines: Lines) -> None:
    """Listening adds no handler and changes no level; our own set-up touches one logger and replaces only its own."""
    root = logging.getLogger()
    before = (root.level, list(root.handlers), logging.getLogger("schemawire").handlers[:])
    LogListener().on_event(CALL)
    own = logging.getLogger("schemawire_test")
    theirs = logging.NullHandler()
    own.addHandler(theirs)
    again = configure_logging("INFO", stream=io.StringIO(), name="schemawire_test")
    assert theirs in own.handlers
    assert again in own.handlers
    assert lines.handler not in own.handlers
    assert (root.level, list(root.handlers), logging.getLogger("schemawire").handlers[:]) == before
    own.removeHandler(theirs)
    own.removeHandler(again)


def test_console_form_is_for_people() -> None:
    """On a terminal a line is text, elsewhere JSON; either can be asked for."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    handler = configure_logging("INFO", stream=stream, name="schemawire_test")
    LogListener(logging.getLogger("schemawire_test.client")).on_event(CALL)
    logging.getLogger("schemawire_test").removeHandler(handler)
    assert "call" in stream.getvalue()
    assert "\x1b[" in stream.getvalue()


def test_foreign_lines_below_our_logger_become_json_too(lines: Lines) -> None:
    """What other code logs under the same name is formatted alike, with its traceback."""
    try:
        raise ValueError("broken")
    except ValueError:
        logging.getLogger("schemawire_test.other").exception("it %s", "failed")
    [line] = lines.read()
    assert (line["event"], line["level"]) == ("it failed", "error")
    assert "ValueError: broken" in line["exception"]


@pytest.mark.parametrize(("level", "form"), [("LOUD", "json"), ("INFO", "xml")])
def test_a_wrong_set_up_is_refused(level: str, form: Any) -> None:
    """A level or form that does not exist is named in the error, and nothing is changed."""
    before = logging.getLogger("schemawire_test").handlers[:]
    with pytest.raises(ConfigurationInvalid, match=f"'{level}'|'{form}'"):
        configure_logging(level, form=form, name="schemawire_test")
    assert logging.getLogger("schemawire_test").handlers == before


def test_repeated_lines_are_sampled_and_counted(lines: Lines) -> None:
    """The first lines of a kind in each window are written; the next one says how many were left out."""
    now = [0.0]
    listener = LogListener(lines.logger, sampling=SamplingConfig(burst=2, window=10.0), clock=lambda: now[0])
    other = CallFinished(name="client", method="PUT", route="/", outcome="success", duration=0.1, attempts=1)
    for _ in range(5):
        listener.on_event(CALL)
    listener.on_event(other)
    now[0] = 10.0
    listener.on_event(CALL)
    assert [(line["method"], line.get("leftOut")) for line in lines.read()] == [
        ("GET", None),
        ("GET", None),
        ("PUT", None),
        ("GET", 3),
    ]
    assert (listener.statistics().passed, listener.statistics().left_out) == (4, 3)


@given(st.lists(st.tuples(st.integers(0, 8), st.floats(-100, 100)), max_size=200))
def test_sampling_is_bounded_and_loses_no_count(steps: list[tuple[int, float]]) -> None:
    """However kinds and clocks jump, memory is bounded and every line is either written or counted."""
    repeats = Repeats(SamplingConfig(burst=2, window=5.0, max_kinds=4))
    written = [repeats.admit(kind, now) for kind, now in steps]
    state = repeats.statistics()
    assert state.kinds <= 4
    assert state.passed == sum(line is not None for line in written)
    assert state.passed + state.left_out == len(steps)


@pytest.mark.parametrize(
    "options", [{"burst": 0}, {"burst": True}, {"window": 0}, {"window": float("inf")}, {"max_kinds": 0}]
)
def test_sampling_options_are_checked(options: dict[str, Any]) -> None:
    """An option out of range is refused with its value."""
    with pytest.raises(ConfigurationInvalid, match=next(iter(options))):
        SamplingConfig(**options)


@given(st.text(max_size=400))
def test_no_text_can_forge_a_line(text: str) -> None:
    """Whatever a label holds, it stays on one line, encodes, and keeps to its length."""
    cleaned = shown(text)
    assert len(cleaned.splitlines()) <= 1
    assert len(cleaned) <= 6 * LONGEST
    cleaned.encode()


def test_hostile_routes_stay_on_one_line(lines: Lines) -> None:
    """A path with line ends and escapes cannot write a second line or colour a terminal."""
    LogListener(lines.logger).on_event(
        CallFinished(
            name="c", method="GET", route='/a\n{"event":"forged"}\x1b[31m', outcome="success", duration=0.1, attempts=1
        )
    )
    [line] = lines.read()
    assert "\n" not in line["route"]
    assert "\x1b" not in line["route"]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://a:1", "http://a:1"),
        ("http://u:p@a:1/x?y", "http://a:1"),
        ("http://[broken@", "unreadable"),
    ],
)
def test_endpoints_lose_their_credentials(url: str, expected: str) -> None:
    """An address shows where, not as whom."""
    assert shown_endpoint(url) == expected


def test_a_level_that_is_off_builds_nothing() -> None:
    """Where nobody reads a level, not even its fields are looked at."""
    logger = logging.Logger("quiet", logging.ERROR)
    LogListener(logger).on_event(CallFinished(name="c", method="GET", route=None, outcome="failed", duration=1.0,  # type: ignore[arg-type]  # would fail if it were looked at
                                              attempts=1))  # fmt: skip
