"""The circuit breaker's states and transitions: plain functions of `now` without any waiting, which know no caller."""

import math
from dataclasses import dataclass
from enum import Enum

from schemawire.errors import ConfigurationInvalid
from schemawire.resilience.ranges import require_count, require_kind, require_number, require_order
from schemawire.resilience.window import CountWindow, NoWindow, TimeWindow, Window


class BreakerStateName(Enum):
    """The states of a circuit breaker, in resilience4j's terms."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    FORCED_OPEN = "forced_open"
    DISABLED = "disabled"
    METRICS_ONLY = "metrics_only"


# CPython 3.11 takes 0.1 µs to find a member of an enumeration, a third of what a breaker costs.
_CLOSED = BreakerStateName.CLOSED
_DISABLED = BreakerStateName.DISABLED


class WindowKind(Enum):
    """What the failure rate is taken over: the last seconds, or the last calls."""

    TIME = "time"
    COUNT = "count"


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitBreakerConfig:
    """When a breaker opens, for how long, and what closes it.

    Args:
        failure_threshold: this many failures in a row open it, 1 to 10 000; `None` switches this rule off.
        recovery_timeout: how long it stays open the first time, seconds, above 0.
        max_recovery_timeout: how long at most, as it grows while probes fail, seconds.
        window: what the rates are taken over.
        window_span: the length of a time window, seconds, 1 to 3600.
        window_buckets: the buckets of a time window, 1 to 100.
        window_size: the calls in a count window, 1 to 100 000.
        failure_rate: this share of failures among the calls of the window opens it, above 0 to 1; `None`: off. With
            slow calls off too, no window is kept.
        minimum_calls: the rates mean nothing below this many calls, 1 to 100 000.
        slow_call_duration: a call that takes longer is slow, seconds; `None`: none is.
        slow_call_rate: this share of slow calls in the window opens it, above 0 to 1.
        probes: how many calls a half-open breaker admits, 1 to 1000; all must succeed to close it.
        probe_lease: how long a probe may take before its place is given to another, seconds.

    Raises:
        ConfigurationInvalid: a value is out of range, or a count window can never hold `minimum_calls`.

    *Source:* resilience4j (windows, slow calls, states), Finagle failure accrual (5 in a row, growth to 300 s with
    equal jitter, one probe).
    """

    failure_threshold: int | None = 5
    recovery_timeout: float = 30.0
    max_recovery_timeout: float = 300.0
    window: WindowKind = WindowKind.TIME
    window_span: float = 10.0
    window_buckets: int = 10
    window_size: int = 100
    failure_rate: float | None = 0.5
    minimum_calls: int = 20
    slow_call_duration: float | None = None
    slow_call_rate: float = 1.0
    probes: int = 1
    probe_lease: float = 120.0

    def __post_init__(self) -> None:
        if self.failure_threshold is not None:
            require_count(self, "failure_threshold", low=1, high=10_000)
        require_number(self, "recovery_timeout", low=0, high=86_400, above=True)
        require_number(self, "max_recovery_timeout", low=0, high=86_400, above=True)
        require_order(self, "recovery_timeout", "max_recovery_timeout")
        require_kind(self, "window", WindowKind)
        require_number(self, "window_span", low=1, high=3600)
        require_count(self, "window_buckets", low=1, high=100)
        require_count(self, "window_size", low=1, high=100_000)
        require_number(self, "failure_rate", low=0, high=1, above=True, optional=True)
        require_count(self, "minimum_calls", low=1, high=100_000)
        require_number(self, "slow_call_duration", low=0, high=86_400, above=True, optional=True)
        require_number(self, "slow_call_rate", low=0, high=1, above=True)
        require_count(self, "probes", low=1, high=1000)
        require_number(self, "probe_lease", low=0, high=86_400, above=True)
        if self.window is WindowKind.COUNT and self.minimum_calls > self.window_size:
            raise ConfigurationInvalid(
                f"CircuitBreakerConfig.minimum_calls={self.minimum_calls} never fits window_size={self.window_size}",
                fix="Lower `minimum_calls` or raise `window_size`.",
            )

    def keeps_window(self) -> bool:
        """Return whether any rule looks at a rate; failures in a row need neither a window nor the time."""
        return self.failure_rate is not None or self.slow_call_duration is not None

    def window_shape(self) -> tuple[object, ...]:
        """Return what a window is made of: options that agree in it can go on with the same one."""
        return self.keeps_window(), self.window, self.window_span, self.window_buckets, self.window_size

    def make_window(self) -> Window:
        """Return an empty window of the configured kind."""
        if not self.keeps_window():
            return NoWindow()
        if self.window is WindowKind.COUNT:
            return CountWindow(size=self.window_size)
        return TimeWindow(span=self.window_span, buckets=self.window_buckets)


class Permit:
    """The right to make one call; it ends as a success, a failure or released, and only the first end counts.

    All calls admitted between two transitions share one permit, so admitting costs no allocation; only probes have
    their own, with a lease.
    """

    __slots__ = ("lease_until",)

    def __init__(self, lease_until: float = math.inf) -> None:
        self.lease_until = lease_until


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One transition: between which states, why, and for how long the breaker opens."""

    before: BreakerStateName
    after: BreakerStateName
    reason: str
    open_for: float | None = None


class BreakerMachine:
    """The state of one breaker. No method waits, so no cancellation can split a transition.

    Invariants:
    - `shared` is the permit of every call admitted in the present state; a permit that is neither it nor in `_leases`
      was given by an earlier state, and its result is ignored: an answer from before the outage says nothing about now.
    - `len(_leases) + _probed` ≤ `probes`, so a half-open breaker never admits more than `probes` calls that count.
    - `openings` counts how often it has opened since it was last closed.
    - `free_pass` is `shared` while the breaker is closed and measures no durations, else `None`: who finds it there
      need ask nothing more.
    - `timeless` says that a success ends the same at any time, so that nobody need look at a clock for it.
    """

    __slots__ = (
        "_leases",
        "_probed",
        "consecutive",
        "free_pass",
        "open_until",
        "openings",
        "options",
        "shared",
        "state",
        "timeless",
        "window",
    )

    def __init__(self, options: CircuitBreakerConfig) -> None:
        self.options = options
        self.state = BreakerStateName.CLOSED
        self.window = options.make_window()
        self.shared = Permit()
        self.consecutive = 0
        self.openings = 0
        self.open_until = 0.0
        self._leases: set[Permit] = set()
        self._probed = 0
        self.free_pass = self._make_free_pass()
        self.timeless = not options.keeps_window()

    @property
    def probes_in_flight(self) -> int:
        """How many probes are under way."""
        return len(self._leases)

    def acquire(self, now: float) -> tuple[Permit | None, Change | None]:
        """Return a permit, or `None` if the call is refused, and the transition that this made."""
        change: Change | None = None
        match self.state:
            case BreakerStateName.CLOSED | BreakerStateName.DISABLED | BreakerStateName.METRICS_ONLY:
                return self.shared, None
            case BreakerStateName.FORCED_OPEN:
                return None, None
            case BreakerStateName.OPEN:
                if now < self.open_until:
                    return None, None
                change = self.move(BreakerStateName.HALF_OPEN, "the open time is over")
            case BreakerStateName.HALF_OPEN:
                pass
        return self._lease(now), change

    def retry_after(self, now: float) -> float | None:
        """Return how long until a refused call may be worth repeating, seconds, or `None` where nobody knows."""
        if self.state is BreakerStateName.OPEN:
            return max(0.0, self.open_until - now)
        if self.state is BreakerStateName.HALF_OPEN and self._leases:
            return max(0.0, min(permit.lease_until for permit in self._leases) - now)
        return None

    def would_refuse(self, now: float) -> bool:
        """Return whether a call at `now` would be refused; changes nothing."""
        match self.state:
            case BreakerStateName.FORCED_OPEN:
                return True
            case BreakerStateName.OPEN:
                return now < self.open_until
            case BreakerStateName.HALF_OPEN:
                held = sum(permit.lease_until > now for permit in self._leases)
                return held + self._probed >= self.options.probes
            case _:
                return False

    def success(self, permit: Permit, now: float, *, slow: bool = False, draw: float = 0.0) -> Change | None:
        """End a permit well and return the transition that this made."""
        if permit is self.free_pass:
            # The usual case, in as few steps as possible; a success can still complete the volume that convicts it.
            self.consecutive = 0
            return self._judge_window(now, draw) if self.window.succeed(now) else None
        if permit is self.shared:
            return self._record(now, failed=False, slow=slow, draw=draw)
        if permit not in self._leases:
            return None
        if slow:
            return self.failure(permit, now, slow=True, draw=draw)
        self._leases.remove(permit)
        self._probed += 1
        if self._probed < self.options.probes:
            return None
        return self.move(BreakerStateName.CLOSED, "the probes succeeded")

    def failure(self, permit: Permit, now: float, *, slow: bool, draw: float) -> Change | None:
        """End a permit badly and return the transition that this made."""
        if permit is self.shared:
            return self._record(now, failed=True, slow=slow, draw=draw)
        if permit not in self._leases:
            return None
        return self._open(now, "a probe was slow" if slow else "a probe failed", draw)

    def released(self, permit: Permit) -> None:
        """End a permit that counts as nothing; a probe's place is free again."""
        self._leases.discard(permit)

    def move(self, state: BreakerStateName, reason: str, *, open_for: float | None = None) -> Change:
        """Enter a state afresh: what was counted and granted before no longer matters."""
        change = Change(before=self.state, after=state, reason=reason, open_for=open_for)
        self.state = state
        self.shared = Permit()
        self._leases = set()
        self._probed = 0
        self.consecutive = 0
        self.window.clear()
        self.free_pass = self._make_free_pass()
        if state not in (BreakerStateName.OPEN, BreakerStateName.HALF_OPEN):
            self.openings = 0
        return change

    def replace_options(self, options: CircuitBreakerConfig) -> None:
        """Put other options in force; the window starts afresh if its shape changes, the state stays."""
        before, self.options = self.options, options
        if options.window_shape() != before.window_shape():
            self.window = options.make_window()
        self.free_pass = self._make_free_pass()
        self.timeless = not options.keeps_window()

    def _make_free_pass(self) -> Permit | None:
        simple = self.state is _CLOSED and self.options.slow_call_duration is None
        return self.shared if simple else None

    def _lease(self, now: float) -> Permit | None:
        # A probe that overran its lease no longer holds a place, so a lost one cannot keep the breaker half-open.
        self._leases = {permit for permit in self._leases if permit.lease_until > now}
        if len(self._leases) + self._probed >= self.options.probes:
            return None
        permit = Permit(now + self.options.probe_lease)
        self._leases.add(permit)
        return permit

    def _record(self, now: float, *, failed: bool, slow: bool, draw: float) -> Change | None:
        state = self.state
        if state is _DISABLED:
            return None
        self.consecutive = self.consecutive + 1 if failed else 0
        self.window.record(now, failed=failed, slow=slow)
        return self._judge_window(now, draw) if state is _CLOSED else None

    def _judge_window(self, now: float, draw: float) -> Change | None:
        reason = self._fault()
        return None if reason is None else self._open(now, reason, draw)

    def _fault(self) -> str | None:
        """Return which rule is broken, if any."""
        options, window = self.options, self.window
        if options.failure_threshold is not None and self.consecutive >= options.failure_threshold:
            return f"{self.consecutive} failures in a row"
        if window.calls < options.minimum_calls:
            return None
        if options.failure_rate is not None and window.failures >= options.failure_rate * window.calls:
            return f"{window.failures} of {window.calls} calls failed"
        if window.slow and window.slow >= options.slow_call_rate * window.calls:
            return f"{window.slow} of {window.calls} calls were slow"
        return None

    def _open(self, now: float, reason: str, draw: float) -> Change:
        open_for = self._open_time(draw)
        openings = self.openings + 1
        change = self.move(BreakerStateName.OPEN, reason, open_for=open_for)
        self.openings = openings
        self.open_until = now + open_for
        return change

    def _open_time(self, draw: float) -> float:
        """Return how long to open: at first exactly as configured, then twice as long each time, half of it drawn.

        *Source:* Finagle `Backoff.equalJittered(5.seconds, 300.seconds)`, which also begins with its exact start.
        """
        options = self.options
        if self.openings == 0:
            return options.recovery_timeout
        # 2^64 times any allowed base is past any allowed cap, and a larger power would overflow.
        span = min(options.max_recovery_timeout, options.recovery_timeout * 2.0 ** min(self.openings, 64))
        return span / 2 + draw * span / 2
