"""The life of an operation: only the drawn steps are possible, whatever happens in whatever order."""

import random
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from schemawire.service.operations import (
    Backoff,
    IllegalTransition,
    Operation,
    OperationState,
    cancel,
    claim,
    complete,
    expire,
    fail,
    is_claimable,
    new_operation,
    release,
    renew,
)

LEASE = 10.0
PROBLEM = {"code": "internal_error", "detail": "on purpose"}
WORKERS = st.sampled_from(["one", "two"])


def queued(max_attempts: int = 3) -> Operation:
    return new_operation("p", "batch", {"n": 1}, now=0.0, max_attempts=max_attempts)


class Life(RuleBasedStateMachine):
    """Compares an operation with a model of four plain facts: state, holder, when the hold ends, attempts."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.operation = queued()
        self.state = "queued"
        self.holder: str | None = None
        self.until = 0.0  # when it may be claimed: the end of the wait or of the lease
        self.attempts = 0

    def attempt(self, allowed: bool, step: Callable[[], Operation]) -> bool:
        before = self.operation
        if allowed:
            self.operation = step()
            return True
        with pytest.raises(IllegalTransition):
            step()
        assert self.operation == before
        return False

    @rule(seconds=st.floats(0.0, 2 * LEASE))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(worker=WORKERS)
    def claim(self, worker: str) -> None:
        allowed = self.state in ("queued", "running") and self.until <= self.now
        assert is_claimable(self.operation, self.now) == allowed
        if self.attempt(allowed, lambda: claim(self.operation, worker, now=self.now, lease=LEASE)):
            if self.attempts == 3:
                self.state, self.holder = "parked", None
            else:
                self.state, self.holder, self.until = "running", worker, self.now + LEASE
                self.attempts += 1

    @rule(worker=WORKERS, progress=st.floats(0, 2))
    def renew(self, worker: str, progress: float) -> None:
        before = self.operation.progress
        step = lambda: renew(self.operation, worker, now=self.now, lease=LEASE, progress=progress)  # noqa: E731  # short
        if self.attempt(self.holder == worker, step):
            self.until = self.now + LEASE
            assert self.operation.progress == max(before, min(progress, 1.0))

    @rule(worker=WORKERS)
    def complete(self, worker: str) -> None:
        if self.attempt(self.holder == worker, lambda: complete(self.operation, worker, now=self.now, result={"v": 1})):
            self.state, self.holder = "succeeded", None

    @rule(worker=WORKERS, retry_in=st.none() | st.floats(0, 30))
    def fail(self, worker: str, retry_in: float | None) -> None:
        step = lambda: fail(self.operation, worker, now=self.now, error=PROBLEM, retry_in=retry_in)  # noqa: E731  # short
        if self.attempt(self.holder == worker, step):
            self.holder = None
            if retry_in is None:
                self.state = "failed"
            elif self.attempts == 3:
                self.state = "parked"
            else:
                self.state, self.until = "queued", self.now + retry_in

    @rule(worker=WORKERS)
    def release(self, worker: str) -> None:
        if self.attempt(self.holder == worker, lambda: release(self.operation, worker, now=self.now)):
            self.state, self.holder, self.until = "queued", None, self.now
            self.attempts -= 1

    @rule()
    def cancel(self) -> None:
        if self.attempt(self.state in ("queued", "running"), lambda: cancel(self.operation, now=self.now)):
            self.state, self.holder = "cancelled", None

    @rule()
    @precondition(lambda self: self.state == "running")
    def die(self) -> None:
        self.operation = expire(self.operation, now=self.now)
        self.until = self.now

    @invariant()
    def agrees_with_the_model(self) -> None:
        operation = self.operation
        assert operation.state.value == self.state
        assert operation.lease_owner == self.holder
        assert operation.attempts == self.attempts <= operation.max_attempts
        assert (operation.lease_expires_at is None) == (operation.lease_owner is None)
        assert (operation.finished_at is not None) == operation.state.is_final
        assert (operation.state is OperationState.SUCCEEDED) == (operation.result is not None)


Life.TestCase.settings = settings(max_examples=150, stateful_step_count=25, deadline=None)
TestLife = Life.TestCase


def test_a_worker_that_always_dies_parks_the_operation() -> None:
    """A poison operation is not carried out for ever, and says why it was given up."""
    operation = queued(max_attempts=2)
    for attempt in (1, 2):
        operation = expire(claim(operation, "w", now=0.0, lease=LEASE), now=0.0)
        assert operation.attempts == attempt
    parked = claim(operation, "w", now=0.0, lease=LEASE)
    assert parked.state is OperationState.PARKED
    assert parked.error is not None
    assert "2 times" in str(parked.error["detail"])


def test_a_late_answer_cannot_finish_what_another_worker_took_over() -> None:
    """A worker that slept past its lease finds that it holds nothing any more."""
    first = claim(queued(), "slow", now=0.0, lease=LEASE)
    second = claim(first, "quick", now=LEASE, lease=LEASE)
    for step in (complete, release):
        with pytest.raises(IllegalTransition, match="quick"):
            step(second, "slow", now=LEASE)


def test_the_wait_before_a_retry_is_drawn_inside_its_cap() -> None:
    """Delays double up to the greatest one, and two draws at the cap still differ."""
    backoff = Backoff(first=1.0, most=60.0, draw=random.Random(1))
    for attempts in range(1, 50):
        assert 0.0 <= backoff.delay(attempts) <= min(60.0, 2.0 ** (attempts - 1))
    assert len({backoff.delay(20) for _ in range(20)}) == 20


def test_an_operation_is_not_claimed_before_it_is_due() -> None:
    """Work that waits for its retry stays where it is."""
    waiting = replace(queued(), available_at=5.0)
    assert [is_claimable(waiting, now) for now in (0.0, 4.9, 5.0)] == [False, False, True]
