"""What changed its state, and when: the latest changes of health in memory, for whoever asks; writes nothing."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from schemawire.events import (
    BreakerChanged,
    DiscoveryFailed,
    EndpointEjected,
    EndpointHealthChanged,
    EndpointsChanged,
    Event,
    SilentListener,
)
from schemawire.telemetry.shown import shown, shown_endpoint

_GOOD = frozenset({"closed", "disabled", "metrics_only"})


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthChange:
    """One change, at seconds since 1970."""

    at: float
    name: str
    """An endpoint, a breaker, a dependency or a discovery."""
    healthy: bool
    state: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthStatistics:
    """The latest changes, oldest first, and the present state of each name."""

    changes: tuple[HealthChange, ...]
    unhealthy: tuple[str, ...]
    total_changes: int


class HealthLog:
    """Remembers the latest changes; a state that is told again is no change.

    Args:
        most: changes, and names, that are remembered, from 1.
        clock: seconds since 1970.
    """

    def __init__(self, *, most: int = 200, clock: Callable[[], float] = time.time) -> None:
        self._most = most
        self._clock = clock
        self._changes: deque[HealthChange] = deque(maxlen=most)
        self._states: dict[str, tuple[str, bool]] = {}
        self._total = 0

    def note(self, name: str, state: str, *, healthy: bool, reason: str = "") -> None:
        """Take in a state; what is unknown so far and healthy is no change."""
        name = shown(name)
        known = self._states.pop(name, None)
        self._states[name] = state, healthy
        if len(self._states) > self._most:
            del self._states[next(iter(self._states))]
        if known == (state, healthy) or (known is None and healthy):
            return
        self._total += 1
        self._changes.append(
            HealthChange(at=self._clock(), name=name, healthy=healthy, state=state, reason=shown(reason))
        )

    def statistics(self) -> HealthStatistics:
        """Return what is remembered."""
        unhealthy = tuple(sorted(name for name, (_, healthy) in self._states.items() if not healthy))
        return HealthStatistics(changes=tuple(self._changes), unhealthy=unhealthy, total_changes=self._total)


class HealthListener(SilentListener):
    """Hears how endpoints, breakers and discoveries change, and remembers it.

    Args:
        most: changes, and names, that are remembered, from 1.
        clock: seconds since 1970.
    """

    def __init__(self, *, most: int = 200, clock: Callable[[], float] = time.time) -> None:
        self._log = HealthLog(most=most, clock=clock)

    def on_event(self, event: Event) -> None:
        """Remember `event` if it is about health."""
        match event:
            case EndpointHealthChanged():
                state = "healthy" if event.healthy else "unhealthy"
                self._log.note(shown_endpoint(event.endpoint), state, healthy=event.healthy, reason=event.reason)
            case EndpointEjected():
                self._log.note(shown_endpoint(event.endpoint), "ejected", healthy=False, reason=event.reason)
            case BreakerChanged():
                after = event.after.lower()
                name = f"breaker {shown_endpoint(event.name)}"
                self._log.note(name, after, healthy=after in _GOOD, reason=event.reason)
            case DiscoveryFailed():
                self._log.note(f"discovery {shown(event.name)}", "failed", healthy=False, reason=event.reason)
            case EndpointsChanged():
                self._log.note(f"discovery {shown(event.name)}", f"{event.total} endpoints", healthy=event.total > 0)

    def statistics(self) -> HealthStatistics:
        """Return what is remembered."""
        return self._log.statistics()
