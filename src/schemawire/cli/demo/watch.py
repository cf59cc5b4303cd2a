"""Hears what the client does during the demo and counts it per description; prints nothing itself."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar

from schemawire.events import AttemptFinished, BreakerChanged, CallFinished, CallRefused, Event, SilentListener

CURRENT_PROJECT: ContextVar[str] = ContextVar("schemawire_demo_project", default="")
"""The project that the running task works on; the events of its calls are booked to it."""


class Watch(SilentListener):
    """Counts calls, attempts and refusals, and passes on every change of a breaker.

    Invariant: `in_flight` holds a project once for each of its attempts that has started and not ended.

    Args:
        on_breaker: told of each change as it happens.
    """

    def __init__(self, on_breaker: Callable[[BreakerChanged], None]) -> None:
        self._on_breaker = on_breaker
        self.attempts: Counter[str] = Counter()
        self.failed_attempts = 0
        self._calls_sent = 0
        self.refusals = 0
        self.breaker_changes: list[BreakerChanged] = []
        self.in_flight: Counter[str] = Counter()

    def on_event(self, event: Event) -> None:
        """Count `event`."""
        match event:
            case AttemptFinished():
                self.attempts[CURRENT_PROJECT.get()] += 1
                self.failed_attempts += event.outcome != "success"
            case CallFinished():
                self._calls_sent += event.attempts > 0
            case CallRefused():
                self.refusals += 1
            case BreakerChanged():
                self.breaker_changes.append(event)
                self._on_breaker(event)
            case _:
                pass

    def attempt_scope(self, endpoint: str, attempt: int, headers: dict[str, str]) -> AbstractContextManager[object]:
        """Note for as long as the attempt runs that it does."""
        return self._running(CURRENT_PROJECT.get())

    @contextmanager
    def _running(self, project: str) -> Iterator[None]:
        self.in_flight[project] += 1
        try:
            yield
        finally:
            self.in_flight[project] -= 1

    @property
    def resent(self) -> int:
        """How many requests were sent that would not have been if nothing had gone wrong."""
        return self.attempts.total() - self._calls_sent

    @property
    def attempts_in_flight(self) -> int:
        """How many attempts run at this moment."""
        return sum(self.in_flight.values())

    @property
    def breaker_state(self) -> str:
        """The state that the breaker last moved to."""
        return self.breaker_changes[-1].after if self.breaker_changes else "closed"

    def times_reached(self, state: str) -> int:
        """How often a breaker moved to `state`."""
        return sum(change.after.upper() == state for change in self.breaker_changes)
