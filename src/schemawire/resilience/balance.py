"""Chooses an endpoint for each attempt, watches how it does, and avoids the bad ones; knows no kind of address."""

import asyncio
import math
import random
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

from schemawire.errors import CircuitOpen, ConfigurationInvalid, NoEndpoint
from schemawire.events import EndpointEjected, Listener
from schemawire.resilience.alone import Standalone
from schemawire.resilience.call import Context, Handler, Judge, Judgement, R, RetryClass, is_neutral, judge_exceptions
from schemawire.resilience.endpoint_state import Available, EndpointState
from schemawire.resilience.outlier import OutlierConfig, OutlierDetector
from schemawire.resilience.priority_groups import draw_group
from schemawire.resilience.ranges import require_kind, require_number, show
from schemawire.resilience.strategies import BalanceStrategy, strategy


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceConfig:
    """How an endpoint is chosen.

    Args:
        strategy: the way to choose.
        decay: how fast an old round-trip time loses its weight in Peak-EWMA, seconds above 0.
        panic_threshold: if less than this share of endpoints is usable, all are used, 0 (never) to 1.
        overprovision: how much more than its share an endpoint of a priority group can take, from 1 to 10.
        outliers: when an endpoint is ejected, or `None` for never.

    Raises:
        ConfigurationInvalid: a value is out of range.

    *Source:* decay and Peak-EWMA: Finagle; panic and overprovision: Envoy.
    """

    strategy: BalanceStrategy = BalanceStrategy.P2C
    decay: float = 10.0
    panic_threshold: float = 0.5
    overprovision: float = 1.4
    outliers: OutlierConfig | None = field(default_factory=OutlierConfig)

    def __post_init__(self) -> None:
        require_kind(self, "strategy", BalanceStrategy)
        require_number(self, "decay", low=0.0, above=True, high=86_400.0)
        require_number(self, "panic_threshold", low=0.0, high=1.0)
        require_number(self, "overprovision", low=1.0, high=10.0)
        if self.outliers is not None:
            require_kind(self, "outliers", OutlierConfig)


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointStatistics:
    """The state of one endpoint; `in_flight` is zero when nobody uses it."""

    endpoint: Hashable
    in_flight: int
    calls: int
    failures: int
    consecutive_failures: int
    latency: float
    """Peak-EWMA of its round-trip times, seconds; 0 while there is none."""
    ejections: int
    ejected_for: float
    """Seconds until it comes back; 0 while it is in rotation."""
    paused_for: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceStatistics:
    """Every endpoint, and whether too few are usable."""

    endpoints: tuple[EndpointStatistics, ...]
    panicking: bool


class Balance(Standalone):
    """Balances attempts over endpoints, with outlier ejection, panic, pauses, slow start and priority groups.

    It sets `context.endpoint`, prefers endpoints outside `context.excluded`, and adds to it the one that failed, so
    that a retry goes elsewhere. A refusal by an open circuit is not a failure: another endpoint is chosen at once. A
    throttled outcome with a hint pauses its endpoint; paused ones are used only when there are no others.

    Args:
        endpoints: any hashable objects; may be replaced later by `update`.
        options: strategy, panic, groups and ejection.
        weight: share of an endpoint relative to others, above 0; 1 by default.
        group: priority group of an endpoint; 0 is preferred. Others get load as the groups before them go down.
        is_available: says whether an endpoint can take a call now, such as its breaker not being open.
        judge: decides what an outcome means.
        draw: returns a number from 0 up to 1; give a seeded one for a repeatable run.
        name: what events and errors call it.
        listener: hears each ejection and pause.

    *Cancelled:* the endpoint's count of calls in flight goes down, and nothing is recorded.
    """

    # Invariants: `_usable` is what `_find_usable` would return until `_usable_until`; it is emptied whenever an
    # endpoint is ejected, paused, added or removed, or turns ill or well. `_leaving` holds the states of endpoints that
    # were removed for as long as they have calls in flight, so that one that comes back finds its history.

    def __init__(
        self,
        endpoints: Iterable[Hashable],
        options: BalanceConfig | None = None,
        *,
        weight: Callable[[Any], float] = lambda endpoint: 1.0,
        group: Callable[[Any], int] = lambda endpoint: 0,
        is_available: Available | None = None,
        judge: Judge = judge_exceptions,
        draw: Callable[[], float] = random.random,
        name: str = "balance",
        listener: Listener | None = None,
    ) -> None:
        self.name = name
        self.options = options or BalanceConfig()
        self._weight = weight
        self._group = group
        self._is_available = is_available
        self._judge = judge
        self._draw = draw
        self._listener = listener
        self._strategy = strategy(self.options.strategy, draw)
        self._detector = None if self.options.outliers is None else OutlierDetector(self.options.outliers)
        self._states: dict[Hashable, EndpointState] = {}
        self._leaving: WeakValueDictionary[Hashable, EndpointState] = WeakValueDictionary()
        self._usable: list[EndpointState] = []
        self._usable_until = -math.inf
        self._panicking = False
        self.update(endpoints)

    def update(self, endpoints: Iterable[Hashable], *, now: float | None = None) -> None:
        """Replace the endpoints; those that stay keep their state, calls to those that go may finish.

        Args:
            endpoints: all endpoints from now on; duplicates count once.
            now: the event loop's time; where it is given, endpoints that join others start slowly.

        Raises:
            ConfigurationInvalid: a weight is not above 0; nothing is changed then.
        """
        shares = {endpoint: (self._valid_weight(endpoint), self._group(endpoint)) for endpoint in endpoints}
        states: dict[Hashable, EndpointState] = {}
        for endpoint, (weight, group) in shares.items():
            known = self._states.get(endpoint) or self._leaving.get(endpoint)
            states[endpoint] = state = known or self._joined(endpoint, now)
            state.weight, state.group = weight, group
        self._leaving.update({each: state for each, state in self._states.items() if each not in states})
        self._states = states
        self._grouped = len({state.group for state in states.values()}) > 1
        self._strategy.rebuild(list(states.values()))
        self._usable, self._usable_until = [], -math.inf

    def set_health(self, endpoint: Hashable, *, is_healthy: bool) -> None:
        """Take an endpoint out of rotation or back into it, as active health checks found it."""
        state = self._states.get(endpoint)
        if state is not None:
            state.is_ill = not is_healthy
            self._usable_until = -math.inf

    def state_of(self, endpoint: Hashable) -> EndpointState:
        """Return the health record of a present endpoint, which is for reading.

        Raises:
            KeyError: it is not among the endpoints.
        """
        return self._states[endpoint]

    def bind(self, inner: Handler[R]) -> Handler[R]:
        """Return `inner` with an endpoint chosen for each call.

        Raises:
            NoEndpoint: there is no endpoint at all.
            CircuitOpen: every endpoint refused; `retry_after` is the shortest.
        """

        async def balanced(context: Context) -> R:
            loop = asyncio.get_running_loop()
            refusals: dict[EndpointState, CircuitOpen] = {}
            while True:
                began = loop.time()
                state = self._choose(context, began, refusals)
                context.endpoint = state.endpoint
                state.in_flight += 1
                try:
                    result = await inner(context)
                except CircuitOpen as refusal:
                    state.in_flight -= 1
                    refusals[state] = refusal
                    if len(refusals) >= len(self._states):
                        raise _all_open(refusals) from (refusal if len(refusals) > 1 else refusal.__cause__)
                    continue
                except Exception as error:
                    state.in_flight -= 1
                    now = loop.time()
                    if not is_neutral(context, error, now):
                        self._record(state, context, self._judge(context, None, error), began, now)
                    raise
                except BaseException:
                    # Without the clock: a coroutine that is closed after its event loop has none.
                    state.in_flight -= 1
                    raise
                if context.scope is None:
                    state.in_flight -= 1
                else:
                    context.scope.keep(partial(self._body_ended, state, context))
                self._record(state, context, self._judge(context, result, None), began, loop.time())
                return result

        return balanced

    def pick(self, context: Context | None = None) -> Hashable:
        """Return the endpoint that a call would get now, without counting it.

        Raises:
            NoEndpoint: there is no endpoint at all.
        """
        return self._choose(context or Context(), asyncio.get_running_loop().time(), {}).endpoint

    def replace_options(self, options: BalanceConfig) -> None:
        """Go on with other options at once; what is known of the endpoints is kept, but for a changed decay."""
        before, self.options = self.options, options
        if before.strategy is not options.strategy:
            self._strategy = strategy(options.strategy, self._draw)
            self._strategy.rebuild(list(self._states.values()))
        if before.decay != options.decay:
            for state in self._states.values():
                state.ewma = EndpointState(None, weight=1.0, group=0, decay=options.decay).ewma
        self._detector = None if options.outliers is None else OutlierDetector(options.outliers)
        self._usable_until = -math.inf

    def describe(self) -> str:
        """Return one line that names the policy, its options and its endpoints."""
        names = ", ".join(str(endpoint) for endpoint in self._states)
        return f"{self.name}: balance {show(self.options)} over {names or 'nothing'}"

    def statistics(self, now: float = math.inf) -> BalanceStatistics:
        """Return the state of every endpoint; times left are zero unless `now` is given."""
        return BalanceStatistics(
            endpoints=tuple(_statistics(state, now) for state in self._states.values()), panicking=self._panicking
        )

    def _valid_weight(self, endpoint: Hashable) -> float:
        weight = self._weight(endpoint)
        if not 0.0 < weight < math.inf:
            raise ConfigurationInvalid(f"the weight of {endpoint!r} is {weight!r}, but must be above 0")
        return weight

    def _joined(self, endpoint: Hashable, now: float | None) -> EndpointState:
        state = EndpointState(endpoint, weight=1.0, group=0, decay=self.options.decay)
        if self._is_available is not None:
            state.refuses = partial(_refuses, self._is_available, endpoint)
        if now is not None and self._states and self.options.outliers is not None:
            state.begin_slow_start(now, self.options.outliers.slow_start, self.options.outliers.slow_start_floor)
        return state

    def _choose(self, context: Context, now: float, refusals: dict[EndpointState, CircuitOpen]) -> EndpointState:
        if not self._states:
            raise NoEndpoint(f"{self.name} has no endpoint")
        if len(self._states) == 1:
            return next(iter(self._states.values()))
        if self._grouped:
            everyone: Sequence[EndpointState] = draw_group(
                list(self._states.values()), overprovision=self.options.overprovision, now=now, draw=self._draw()
            )
            found = self._find_usable(everyone, now)
            candidates: Sequence[EndpointState] = found[0]
            self._panicking = found[2]
        else:
            if now >= self._usable_until:
                everyone = list(self._states.values())
                self._usable, self._usable_until, self._panicking = self._find_usable(everyone, now)
            candidates = self._usable
        if not context.excluded and not refusals:
            # The usual case, in as few steps as possible: looking at one breaker instead of at all of them.
            chosen = self._strategy.choose(candidates, context.key, now)
            if not chosen.refuses(now):
                return chosen
        return self._strategy.choose(self._narrowed(candidates, context, now, refusals), context.key, now)

    def _find_usable(self, everyone: Sequence[EndpointState], now: float) -> tuple[list[EndpointState], float, bool]:
        """Return the endpoints to choose among, until when that holds, and whether this is panic."""
        ends = [end for state in everyone for end in (state.ejected_until, state.paused_until) if end > now]
        in_rotation = [state for state in everyone if state.is_in_rotation(now)]
        panicking = len(in_rotation) < self.options.panic_threshold * len(everyone)
        if panicking or not in_rotation:
            in_rotation = list(everyone)
        # A pause is a wish, not an illness: it is heeded as long as somebody else can do the work.
        rested = [state for state in in_rotation if now >= state.paused_until]
        return rested or in_rotation, min(ends, default=math.inf), panicking

    def _narrowed(
        self,
        candidates: Sequence[EndpointState],
        context: Context,
        now: float,
        refusals: dict[EndpointState, CircuitOpen],
    ) -> Sequence[EndpointState]:
        """Return the candidates that nothing speaks against, or the best that there are."""
        willing = candidates
        if refusals:
            willing = [state for state in candidates if state not in refusals]
            willing = willing or [state for state in self._states.values() if state not in refusals] or candidates
        fresh = willing
        if context.excluded:
            fresh = [state for state in willing if state.endpoint not in context.excluded] or willing
        if self._is_available is None:
            return fresh
        # Rather an endpoint that has failed this call already than one that cannot take any.
        return (
            [state for state in fresh if not state.refuses(now)]
            or [state for state in willing if not state.refuses(now)]
            or fresh
        )

    def _record(self, state: EndpointState, context: Context, judgement: Judgement, began: float, now: float) -> None:
        if judgement.neutral:
            return
        state.calls += 1
        throttled = judgement.retry is RetryClass.THROTTLED
        if judgement.failed or throttled:
            context.excluded.add(state.endpoint)
        state.ewma.observe(now - began, now)
        if throttled and judgement.retry_after is not None:
            self._pause(state, judgement.retry_after, now)
        else:
            self._count(state, judgement.failed, now)

    def _count(self, state: EndpointState, failed: bool, now: float) -> None:
        state.failures += failed
        if self._detector is None:
            return
        if not failed and not state.tripped and not self._detector.looks_at_rates:
            # The usual case: a success that ends a row of failures, if there was one, and tells nothing else.
            state.consecutive_failures = 0
            return
        for outlier, length in self._detector.sweep(self._states.values(), now):
            self._usable_until = -math.inf
            self._tell(outlier, length, "outlier")
        if state.refuses(now):
            # Its breaker has taken it out, and so decides alone when it is tried again.
            state.tripped, state.consecutive_failures = True, 0
            state.ejected_until = min(state.ejected_until, now)
            self._usable_until = -math.inf
            return
        if state.tripped and not failed:
            state.tripped = False
            state.begin_slow_start(now, self._detector.options.slow_start, self._detector.options.slow_start_floor)
        length = self._detector.record(state, self._states.values(), failed=failed, now=now)
        if length:
            self._usable_until = -math.inf
            self._tell(state, length, "outlier")

    def _pause(self, state: EndpointState, seconds: float, now: float) -> None:
        if self._detector is not None:
            length = self._detector.pause(state, seconds, now)
            self._usable_until = -math.inf
            self._tell(state, length, "paused")

    def _body_ended(self, state: EndpointState, context: Context, error: BaseException | None) -> None:
        state.in_flight -= 1
        if error is not None:
            judgement = self._judge(context, None, error)
            if judgement.failed and not judgement.neutral:
                self._count(state, True, asyncio.get_running_loop().time())

    def _tell(self, state: EndpointState, length: float, reason: str) -> None:
        if self._listener is not None:
            self._listener.on_event(
                EndpointEjected(name=self.name, endpoint=str(state.endpoint), ejected_for=length, reason=reason)
            )


def _refuses(is_available: Available, endpoint: Hashable, now: float) -> bool:
    return not is_available(endpoint, now)


def _all_open(refusals: dict[EndpointState, CircuitOpen]) -> CircuitOpen:
    if len(refusals) == 1:
        return next(iter(refusals.values()))
    waits = [refusal.retry_after for refusal in refusals.values() if refusal.retry_after is not None]
    names = ", ".join(str(state.endpoint) for state in refusals)
    return CircuitOpen(f"The circuit breaker of every endpoint refuses ({names})", retry_after=min(waits, default=None))


def _statistics(state: EndpointState, now: float) -> EndpointStatistics:
    return EndpointStatistics(
        endpoint=state.endpoint,
        in_flight=state.in_flight,
        calls=state.calls,
        failures=state.failures,
        consecutive_failures=state.consecutive_failures,
        latency=state.ewma.cost,
        ejections=state.ejections,
        ejected_for=max(0.0, state.ejected_until - now),
        paused_for=max(0.0, state.paused_until - now),
    )
