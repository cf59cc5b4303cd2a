"""The breaker's transitions, against published sequences, tables and a brute-force model."""

import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemawire.errors import ConfigurationInvalid
from schemawire.resilience.breaker_state import (
    BreakerMachine,
    BreakerStateName,
    Change,
    CircuitBreakerConfig,
    Permit,
    WindowKind,
)

CLOSED, OPEN, HALF_OPEN = BreakerStateName.CLOSED, BreakerStateName.OPEN, BreakerStateName.HALF_OPEN


def machine(**options: Any) -> BreakerMachine:
    return BreakerMachine(CircuitBreakerConfig(**options))


def admit(subject: BreakerMachine, now: float = 0.0) -> Permit:
    permit, _ = subject.acquire(now)
    assert permit is not None
    return permit


def fail(subject: BreakerMachine, now: float = 0.0, *, draw: float = 0.0) -> Change | None:
    return subject.failure(admit(subject, now), now, slow=False, draw=draw)


def succeed(subject: BreakerMachine, now: float = 0.0) -> Change | None:
    return subject.success(admit(subject, now), now, slow=False, draw=0.0)


@pytest.mark.parametrize(
    ("before", "failures"),
    [
        pytest.param([], 3, id="fail on nth attempt"),
        pytest.param([False, True], 3, id="reset to zero on success"),
        pytest.param([False, False, True], 3, id="reset just before the threshold"),
    ],
)
def test_consecutive_failures_open_it_as_in_finagle(before: Sequence[bool], failures: int) -> None:
    """`FailureAccrualPolicyTest`: with a threshold of three, the third failure in a row opens for 5 s."""
    subject = machine(failure_threshold=3, recovery_timeout=5.0)
    for good in before:
        succeed(subject) if good else fail(subject)
    changes = [fail(subject) for _ in range(failures)]
    assert changes[:-1] == [None] * (failures - 1)
    assert changes[-1] == Change(before=CLOSED, after=OPEN, reason="3 failures in a row", open_for=5.0)


def test_open_times_double_with_equal_jitter_as_in_finagle() -> None:
    """`Backoff.equalJittered(5 s, 300 s)`: first the exact start, then half of 10, 20, 40 … 300 plus a drawn half."""
    for draw, expected in ((0.0, [5, 5, 10, 20, 40, 80, 150, 150]), (0.5, [5, 7.5, 15, 30, 60, 120, 225, 225])):
        subject, now, found = machine(failure_threshold=1, recovery_timeout=5.0), 0.0, []
        for _ in expected:
            change = fail(subject, now, draw=draw)
            assert change is not None
            assert change.open_for is not None
            found.append(change.open_for)
            now += change.open_for
        assert found == expected


def test_open_times_start_again_once_it_was_closed() -> None:
    """Finagle's `markDeadFor resets on revived()`."""
    subject = machine(failure_threshold=1, recovery_timeout=5.0)
    fail(subject, 0.0)
    fail(subject, 5.0)
    succeed(subject, 100.0)
    assert subject.state is CLOSED
    change = fail(subject, 101.0)
    assert change is not None
    assert change.open_for == 5.0


def test_a_very_long_outage_does_not_overflow() -> None:
    """After two thousand failed probes the open time is still the maximum."""
    subject, now = machine(failure_threshold=1), 0.0
    for _ in range(2_000):
        fail(subject, now, draw=0.5)
        now = subject.open_until
    assert subject.openings == 2_000
    change = fail(subject, now, draw=0.5)
    assert change is not None
    assert change.open_for == 225


@pytest.mark.parametrize(
    ("options", "outcomes", "opens"),
    [
        ({"failure_rate": 0.5, "minimum_calls": 4}, [False, True, True, False], True),
        ({"failure_rate": 0.5, "minimum_calls": 5}, [False, True, True, False], False),
        ({"failure_rate": 0.6, "minimum_calls": 4}, [False, True, True, False], False),
        ({"failure_rate": 0.5, "minimum_calls": 4}, [False, False, False], False),
        ({"failure_rate": 0.5, "minimum_calls": 4}, [False, False, False, True], True),
        ({"failure_rate": None, "minimum_calls": 1}, [False] * 50, False),
        ({"failure_rate": 1.0, "minimum_calls": 2}, [False, False], True),
    ],
)
def test_the_failure_rate_needs_a_minimum_of_calls(options: dict[str, Any], outcomes: list[bool], opens: bool) -> None:
    """The rate counts from `minimum_calls` on; also a success can complete the volume that convicts it."""
    for window in WindowKind:
        subject = machine(failure_threshold=None, window=window, **options)
        for good in outcomes:
            succeed(subject) if good else fail(subject)
        assert (subject.state is OPEN) == opens


def test_old_failures_do_not_count() -> None:
    """Failures that have left the ten-second window cannot open it."""
    subject = machine(failure_threshold=None, minimum_calls=4)
    for now in (0.0, 1.0, 2.0):
        fail(subject, now)
    assert fail(subject, 30.0) is None


def test_slow_calls_open_it_though_none_failed() -> None:
    """At a slow-call rate of a half, two slow among four calls are enough."""
    subject = machine(failure_rate=None, slow_call_duration=1.0, slow_call_rate=0.5, minimum_calls=4)
    changes = [subject.success(admit(subject), 0.0, slow=slow, draw=0.0) for slow in (True, False, False, True)]
    assert changes[:3] == [None] * 3
    assert changes[3] == Change(before=CLOSED, after=OPEN, reason="2 of 4 calls were slow", open_for=30.0)


def opened(**options: Any) -> BreakerMachine:
    subject = machine(failure_threshold=1, **options)
    fail(subject, 0.0)
    return subject


def test_open_refuses_until_its_time_is_over() -> None:
    """It says when it will admit a probe, and then does."""
    subject = opened()
    assert subject.acquire(29.9) == (None, None)
    assert subject.would_refuse(29.9)
    assert subject.retry_after(10.0) == 20.0
    assert not subject.would_refuse(30.0)
    permit, change = subject.acquire(30.0)
    assert permit is not None
    assert change == Change(before=OPEN, after=HALF_OPEN, reason="the open time is over")


def test_half_open_admits_exactly_its_probes() -> None:
    """Of a thousand calls it admits three; the others hear when the first lease ends."""
    subject = opened(probes=3, probe_lease=60.0)
    permits = [subject.acquire(30.0)[0] for _ in range(1_000)]
    assert sum(permit is not None for permit in permits) == 3
    assert subject.retry_after(40.0) == 50.0
    assert subject.would_refuse(40.0)


def test_every_probe_must_succeed_to_close_it() -> None:
    """The last of the probes closes it; until then no further call is let through."""
    subject = opened(probes=3)
    permits = [admit(subject, 30.0) for _ in range(3)]
    assert subject.success(permits[0], 31.0, slow=False, draw=0.0) is None
    assert subject.acquire(31.0) == (None, None)
    assert subject.success(permits[1], 31.0, slow=False, draw=0.0) is None
    assert subject.success(permits[2], 31.0, slow=False, draw=0.0) is not None
    assert subject.state is CLOSED


@pytest.mark.parametrize(("slow", "reason"), [(False, "a probe failed"), (True, "a probe was slow")])
def test_one_bad_probe_opens_it_again(slow: bool, reason: str) -> None:
    """A failed or slow probe opens it, for longer than before."""
    subject = opened(probes=3, slow_call_duration=1.0)
    permits = [admit(subject, 30.0) for _ in range(2)]
    end = subject.success if slow else subject.failure
    change = end(permits[0], 31.0, slow=slow, draw=0.5)
    assert change == Change(before=HALF_OPEN, after=OPEN, reason=reason, open_for=45.0)
    assert subject.success(permits[1], 32.0, slow=False, draw=0.0) is None
    assert subject.state is OPEN


def test_a_released_probe_frees_its_place() -> None:
    """A cancelled probe says nothing, so another one may go."""
    subject = opened()
    permit = admit(subject, 30.0)
    assert subject.acquire(30.0) == (None, None)
    subject.released(permit)
    assert subject.state is HALF_OPEN
    assert subject.acquire(30.0)[0] is not None


def test_a_probe_that_overruns_its_lease_cannot_keep_it_half_open() -> None:
    """Its place goes to another, and its late answer is ignored."""
    subject = opened(probe_lease=60.0)
    lost = admit(subject, 30.0)
    assert subject.acquire(89.9) == (None, None)
    other = admit(subject, 90.0)
    assert subject.failure(lost, 91.0, slow=False, draw=0.0) is None
    assert subject.state is HALF_OPEN
    assert subject.success(other, 92.0, slow=False, draw=0.0) is not None
    assert subject.state is CLOSED


@pytest.mark.parametrize("good", [True, False])
def test_answers_of_an_earlier_state_are_ignored(good: bool) -> None:
    """A call admitted before the outage neither closes an open breaker nor opens a recovered one."""
    subject = machine(failure_threshold=1)
    late = admit(subject)
    fail(subject)
    end = subject.success if good else subject.failure
    assert end(late, 1.0, slow=False, draw=0.0) is None
    assert subject.state is OPEN
    succeed(subject, 30.0)
    assert subject.failure(late, 31.0, slow=False, draw=0.0) is None
    assert subject.state is CLOSED
    assert subject.window.calls == 0


@pytest.mark.parametrize(
    ("state", "admits", "counts"),
    [
        (BreakerStateName.FORCED_OPEN, False, 0),
        (BreakerStateName.DISABLED, True, 0),
        (BreakerStateName.METRICS_ONLY, True, 30),
    ],
)
def test_states_set_by_hand_stay(state: BreakerStateName, admits: bool, counts: int) -> None:
    """Forced open refuses all, disabled counts nothing, metrics-only counts but never opens."""
    subject = machine()
    subject.move(state, "test")
    for _ in range(30):
        permit, change = subject.acquire(1_000.0)
        assert (permit is not None, change) == (admits, None)
        if permit is not None:
            assert subject.failure(permit, 1_000.0, slow=False, draw=0.0) is None
    assert subject.state is state
    assert subject.window.calls == counts
    assert subject.retry_after(0.0) is None


def test_new_options_hold_at_once_and_keep_the_window_unless_its_shape_changes() -> None:
    """A lower threshold counts the failures that are already there."""
    subject = machine(failure_threshold=None, minimum_calls=20)
    for _ in range(4):
        fail(subject)
    subject.replace_options(CircuitBreakerConfig(failure_threshold=None, minimum_calls=5))
    assert subject.window.calls == 4
    assert fail(subject) is not None
    subject.replace_options(CircuitBreakerConfig(window=WindowKind.COUNT))
    assert subject.window.calls == 0


class Model:
    """The breaker's rules written down again over the whole history, without windows, permits or generations."""

    def __init__(self, threshold: int, minimum: int, probes: int, recovery: float) -> None:
        self.threshold, self.minimum, self.probes, self.recovery = threshold, minimum, probes, recovery
        self.enter("closed")
        self.openings, self.until = 0, 0.0

    def enter(self, state: str) -> None:
        self.state = state
        self.history: list[tuple[int, bool]] = []
        self.good_probes = 0
        self.flying: list[int] = []

    def admits(self, number: int, now: float) -> bool:
        if self.state == "open" and now >= self.until:
            self.enter("half_open")
        if self.state == "open":
            return False
        if self.state == "half_open" and len(self.flying) + self.good_probes >= self.probes:
            return False
        self.flying.append(number)
        return True

    def ends(self, number: int, now: float, good: bool | None) -> None:
        if number not in self.flying:
            return
        self.flying.remove(number)
        if good is None:
            return
        if self.state == "half_open":
            if not good:
                self.open(now)
                return
            self.good_probes += 1
            if self.good_probes == self.probes:
                self.enter("closed")
                self.openings = 0
            return
        self.history.append((int(now), good))
        window = [kept for at, kept in self.history if at > int(now) - 10]
        row = [kept for _, kept in self.history][-self.threshold :]
        in_a_row = len(row) == self.threshold and not any(row)
        if in_a_row or (len(window) >= self.minimum and window.count(False) >= 0.5 * len(window)):
            self.open(now)

    def open(self, now: float) -> None:
        span = self.recovery if self.openings == 0 else min(300.0, self.recovery * 2**self.openings) * 0.75
        self.enter("open")
        self.openings += 1
        self.until = now + span


steps = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.25, 1.5, 20.0]),
        st.sampled_from(["start", "start", "good", "bad", "bad", "cancelled"]),
        st.integers(0, 5),
    ),
    max_size=150,
)


@given(steps=steps, threshold=st.integers(2, 6), minimum=st.integers(1, 8), probes=st.integers(1, 3))
def test_breaker_equals_a_model_with_overlapping_calls(
    steps: list[tuple[float, str, int]], threshold: int, minimum: int, probes: int
) -> None:
    """Every admission and every state agrees with the model, however calls overlap, end or are cancelled."""
    subject = machine(
        failure_threshold=threshold, minimum_calls=minimum, probes=probes, recovery_timeout=5.0, probe_lease=86_400.0
    )
    model = Model(threshold, minimum, probes, 5.0)
    flying: list[tuple[int, Permit]] = []
    now = 0.0
    for number, (wait, step, which) in enumerate(steps):
        now += wait
        if step == "start":
            permit, _ = subject.acquire(now)
            assert (permit is not None) == model.admits(number, now)
            if permit is not None:
                flying.append((number, permit))
        elif flying:
            ended, permit = flying.pop(which % len(flying))
            good = {"good": True, "bad": False, "cancelled": None}[step]
            if good is None:
                subject.released(permit)
            else:
                (subject.success if good else subject.failure)(permit, now, slow=False, draw=0.5)
            model.ends(ended, now, good)
        assert subject.state.value == model.state


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"failure_threshold": 0}, "failure_threshold=0 must be a whole number from 1 to 10000"),
        ({"failure_threshold": True}, "failure_threshold=True"),
        ({"recovery_timeout": 0}, "recovery_timeout=0 must be a number above 0"),
        ({"recovery_timeout": 400.0}, "recovery_timeout=400.0 is larger than max_recovery_timeout=300.0"),
        ({"failure_rate": 0}, "failure_rate=0"),
        ({"failure_rate": math.nan}, "failure_rate=nan"),
        ({"slow_call_rate": 1.1}, "slow_call_rate=1.1"),
        ({"window": "time"}, "must be a WindowKind"),
        ({"window": WindowKind.COUNT, "minimum_calls": 200}, "never fits window_size=100"),
        ({"probes": 0}, "probes=0"),
        ({"window_span": "10"}, "window_span='10' must be a number"),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], says: str) -> None:
    """A value out of range is refused with its name and range."""
    with pytest.raises(ConfigurationInvalid, match=says):
        CircuitBreakerConfig(**options)
