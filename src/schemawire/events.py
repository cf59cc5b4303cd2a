"""Records of what happened, and the listener that hears them; knows neither who emits nor who listens.

Every duration is in seconds. Emitters hold `Listener | None` and skip all work while it is `None`.
"""

from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened, named after what it happened to (a policy, an endpoint, a client)."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFinished(Event):
    """A logical call ended: `outcome` is success, failed, rejected, refused or cancelled."""

    method: str
    route: str
    outcome: str
    duration: float
    attempts: int
    status: int | None = None
    error: BaseException | None = None
    waits: dict[str, float] = field(default_factory=dict)
    """Where the time went: queue (its turn), pool (a place), connect, first_byte, body, backoff; of all attempts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFinished(Event):
    """One attempt ended; `attempt` counts from 1."""

    endpoint: str
    attempt: int
    outcome: str
    duration: float
    status: int | None = None
    error: BaseException | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryScheduled(Event):
    """A further attempt was decided and will start after `delay`."""

    attempt: int
    delay: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryGivenUp(Event):
    """No further attempt will be made: `reason` is attempts, deadline, hint, budget, unsafe, refused or final."""

    attempt: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BreakerChanged(Event):
    """A circuit breaker moved from one state to another."""

    before: str
    after: str
    reason: str
    open_for: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRefused(Event):
    """A policy refused a call before it was sent."""

    policy: str
    reason: str
    retry_after: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HedgeStarted(Event):
    """A call took longer than `delay`, so a second attempt was started beside the first."""

    delay: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FallbackUsed(Event):
    """A call ended badly and its fallback answered instead."""

    error: BaseException | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheUsed(Event):
    """A cache dealt with a call: `outcome` is hit, validated, stood-in (for an error), miss or bypass."""

    outcome: str
    age: float | None = None
    """Seconds, where the answer came from the store."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointEjected(Event):
    """An endpoint gets no calls for a while: `reason` is outlier or paused (by its own Retry-After)."""

    endpoint: str
    ejected_for: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointsChanged(Event):
    """A discovery told of other endpoints; those removed get no new calls, and calls under way may finish."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveryFailed(Event):
    """A discovery could not be asked or understood, wholly or in part: `kept` endpoints stay in use."""

    reason: str
    kept: int
    retry_in: float | None = None
    """Seconds until it is asked again; `None` where it is still being followed."""
    error: BaseException | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointHealthChanged(Event):
    """Active health checks changed their mind about an endpoint."""

    endpoint: str
    healthy: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultInjected(Event):
    """Chaos did something to a call on purpose: `kind` is fault, latency, outcome or behaviour."""

    kind: str


@runtime_checkable
class Listener(Protocol):
    """Hears events; must return quickly and must not raise. May open a scope around a call or an attempt.

    The end of a call or attempt is told with the context variables of its scope: inside the scope, or, where a body is
    read after the scope has closed, in a copy of the context as it was inside.
    """

    def on_event(self, event: Event) -> None:
        """Take note of `event`."""

    def call_scope(self, name: str, method: str, route: str) -> AbstractContextManager[object]:
        """Return a scope that surrounds one logical call, such as a current span."""

    def attempt_scope(self, endpoint: str, attempt: int, headers: dict[str, str]) -> AbstractContextManager[object]:
        """Return a scope that surrounds one attempt; it may add to `headers` before they are sent."""


def opens_scope(listener: "Listener | None", name: str) -> bool:
    """Tell whether a listener's scope does anything; one that has it from `SilentListener` need not be opened."""
    own = None if listener is None else getattr(type(listener), name, None)
    return own is not None and own is not getattr(SilentListener, name)


def step_scope(listener: Listener | None, name: str) -> AbstractContextManager[object]:
    """Return a listener's scope around one step of our own work, such as an analysis; empty where it has none."""
    open_scope = getattr(listener, "step_scope", None)
    return nullcontext() if open_scope is None else open_scope(name)


class SilentListener:
    """A listener that does nothing; derive from it to hear only some things."""

    def on_event(self, event: Event) -> None:
        """Ignore `event`."""

    def call_scope(self, name: str, method: str, route: str) -> AbstractContextManager[object]:
        """Return an empty scope."""
        return nullcontext()

    def attempt_scope(self, endpoint: str, attempt: int, headers: dict[str, str]) -> AbstractContextManager[object]:
        """Return an empty scope."""
        return nullcontext()

    def step_scope(self, name: str) -> AbstractContextManager[object]:
        """Return an empty scope."""
        return nullcontext()


class Listeners(SilentListener):
    """Passes every event to several listeners, in order; scopes nest in the same order."""

    def __init__(self, *listeners: Listener) -> None:
        self._listeners = listeners

    def on_event(self, event: Event) -> None:
        """Pass `event` on to each listener."""
        for listener in self._listeners:
            listener.on_event(event)

    def call_scope(self, name: str, method: str, route: str) -> AbstractContextManager[object]:
        """Open every listener's scope."""
        return _Nested([listener.call_scope(name, method, route) for listener in self._listeners])

    def attempt_scope(self, endpoint: str, attempt: int, headers: dict[str, str]) -> AbstractContextManager[object]:
        """Open every listener's scope."""
        return _Nested([listener.attempt_scope(endpoint, attempt, headers) for listener in self._listeners])

    def step_scope(self, name: str) -> AbstractContextManager[object]:
        """Open every listener's scope, where it has one."""
        return _Nested([step_scope(listener, name) for listener in self._listeners])


class _Nested(AbstractContextManager[object]):
    def __init__(self, scopes: list[AbstractContextManager[object]]) -> None:
        self._scopes = scopes
        self._stack = ExitStack()

    def __enter__(self) -> object:
        for scope in self._scopes:
            self._stack.enter_context(scope)
        return self

    def __exit__(self, *details: object) -> bool | None:
        return self._stack.__exit__(*details)  # type: ignore[arg-type]  # passed through unchanged
