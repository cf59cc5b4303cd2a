"""Health over time: each change once, the latest few, in memory and as metrics."""

from typing import Any

import pytest

from schemawire.events import BreakerChanged, DiscoveryFailed, EndpointEjected, EndpointHealthChanged, EndpointsChanged
from schemawire.telemetry import HealthListener
from schemawire.telemetry.changes import HealthLog


def test_each_change_is_remembered_once() -> None:
    """A state that is told again is no change; going bad and coming back are two."""
    times = iter(range(100))
    log = HealthLog(clock=lambda: float(next(times)))
    for healthy in (True, True, False, False, True):
        log.note("store", "healthy" if healthy else "unhealthy", healthy=healthy)
    found = log.statistics()
    assert [(change.at, change.healthy) for change in found.changes] == [(0.0, False), (1.0, True)]
    assert (found.unhealthy, found.total_changes) == ((), 2)


def test_endless_names_are_bounded() -> None:
    """The latest changes and names are kept; how many there were is counted."""
    log = HealthLog(most=5)
    for number in range(50):
        log.note(f"endpoint {number}\n", "unhealthy", healthy=False, reason="x" * 1000)
    found = log.statistics()
    assert (len(found.changes), len(found.unhealthy), found.total_changes) == (5, 5, 50)
    assert "\n" not in found.changes[0].name
    assert len(found.changes[0].reason) <= 200


@pytest.mark.parametrize(
    ("event", "name", "state", "healthy"),
    [
        (EndpointHealthChanged(name="c", endpoint="http://u:secret@a:1/x", healthy=False, reason="status 503"),
         "http://a:1", "unhealthy", False),
        (EndpointEjected(name="c", endpoint="http://a:1", ejected_for=3.0, reason="outlier"), "http://a:1", "ejected",
         False),
        (BreakerChanged(name="http://a:1", before="CLOSED", after="OPEN", reason="failures"), "breaker http://a:1",
         "open", False),
        (DiscoveryFailed(name="dns", reason="timeout", kept=2), "discovery dns", "failed", False),
        (EndpointsChanged(name="dns", added=(), removed=("http://a",), total=0), "discovery dns", "0 endpoints", False),
    ],
)  # fmt: skip
def test_every_kind_of_change_is_heard(event: Any, name: str, state: str, healthy: bool) -> None:
    """Endpoints, breakers and discoveries show under their own names, and no secret does."""
    listener = HealthListener()
    listener.on_event(event)
    [change] = listener.statistics().changes
    assert (change.name, change.state, change.healthy) == (name, state, healthy)
