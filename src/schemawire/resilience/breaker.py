"""The circuit breaker: the shell that runs calls through `breaker_state`, judges their outcomes and tells listeners."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeVar

from schemawire.errors import CircuitOpen
from schemawire.events import BreakerChanged, CallRefused, Listener
from schemawire.resilience.alone import P, Standalone
from schemawire.resilience.blocks import Blocks
from schemawire.resilience.breaker_state import (
    BreakerMachine,
    BreakerStateName,
    Change,
    CircuitBreakerConfig,
    Permit,
)
from schemawire.resilience.call import NEUTRAL, Context, Handler, Judge, Judgement, Scope, is_neutral, judge_exceptions
from schemawire.resilience.deadline import current_deadline
from schemawire.resilience.ranges import show

R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitBreakerStatistics:
    """The state of a breaker; the window's counts are those of the last recorded call."""

    state: BreakerStateName
    calls: int
    """Calls in the window."""
    failures: int
    slow: int
    consecutive_failures: int
    openings: int
    """How often it has opened since it was last closed."""
    open_until: float | None
    """The event loop's time at which the next probe is let through, where the breaker is open."""
    probes_in_flight: int
    admitted: int
    refused: int
    neutral: int
    """Calls that were cancelled or refused by ourselves, and so counted as nothing."""


class CircuitBreaker(Standalone):
    """Refuses calls while the other side fails, and lets single probes find out when it has recovered.

    A cancelled call, one refused by a layer further in, and one that ran into the caller's own deadline are neutral:
    they give their permit back and count as nothing. An attempt timeout counts as a failure.

    Args:
        options: when to open, for how long, what closes it.
        judge: says which outcomes are failures.
        draw: a source of uniform draws from [0, 1), for the open times.
        listener: hears `BreakerChanged` and `CallRefused`.
        name: what events, errors and `describe()` call it, such as the endpoint.
    """

    def __init__(
        self,
        options: CircuitBreakerConfig | None = None,
        *,
        judge: Judge = judge_exceptions,
        draw: Callable[[], float] = random.random,
        listener: Listener | None = None,
        name: str = "breaker",
    ) -> None:
        self.name = name
        self._machine = BreakerMachine(options or CircuitBreakerConfig())
        self._judge = judge
        self._draw = draw
        self._listener = listener
        self._blocks: Blocks[tuple[Permit, float]] = Blocks(name)
        self._admitted = self._refused = self._neutral = 0

    @property
    def options(self) -> CircuitBreakerConfig:
        """The options in force."""
        return self._machine.options

    @property
    def state(self) -> BreakerStateName:
        """The present state; an open breaker whose time is over turns half-open with the next call."""
        return self._machine.state

    def replace_options(self, options: CircuitBreakerConfig) -> None:
        """Put other options in force at once; the state stays, and the window too unless its shape changes."""
        self._machine.replace_options(options)

    def force_open(self) -> None:
        """Refuse every call until told otherwise."""
        self._move(BreakerStateName.FORCED_OPEN)

    def disable(self) -> None:
        """Let every call through and count nothing until told otherwise."""
        self._move(BreakerStateName.DISABLED)

    def observe(self) -> None:
        """Let every call through and only count, until told otherwise (METRICS_ONLY)."""
        self._move(BreakerStateName.METRICS_ONLY)

    def reset(self) -> None:
        """Close it, whatever its state, with nothing counted."""
        self._move(BreakerStateName.CLOSED)

    def retry_after(self, now: float) -> float | None:
        """Return how long a refused call should wait, seconds, or `None` where nobody knows."""
        return self._machine.retry_after(now)

    def would_refuse(self, now: float) -> bool:
        """Return whether a call at `now` would be refused; takes no permit and changes nothing."""
        return self._machine.would_refuse(now)

    def bind(self, inner: Handler[R]) -> Handler[R]:
        """Return `inner` guarded by this breaker.

        Where the body outlives the call (`context.scope`), a good outcome is counted only once the scope closes.

        Raises:
            CircuitOpen: the breaker admits no call now; `retry_after` says when it may.

        *Cancelled:* the permit is given back and nothing is counted.
        """
        machine, closed, judge = self._machine, BreakerStateName.CLOSED, self._judge

        async def guarded(context: Context) -> R:
            loop = asyncio.get_running_loop()
            started = loop.time()
            if machine.state is closed:
                permit = machine.shared
                self._admitted += 1
            else:
                permit = self._admit(started)
            try:
                result = await inner(context)
            except Exception as error:
                self._settle(permit, context, error, started=started, now=loop.time())
                raise
            except BaseException:
                # Without the clock: a coroutine that is closed after its event loop has none.
                self._release(permit)
                raise
            now = loop.time()
            try:
                judgement = judge(context, result, None)
            except BaseException:
                self._release(permit)
                raise
            if context.scope is None or judgement.failed or judgement.neutral:
                self._end(permit, judgement, now, took=now - started)
            else:
                self._keep(permit, context, context.scope, judgement, took=now - started)
            return result

        return guarded

    def _surround(self, function: Callable[P, Awaitable[R]]) -> Callable[P, Coroutine[Any, Any, R]]:
        """Return `function` guarded; while it is closed, a call makes no context and looks at the clock once at most.

        A result is a success to the judge of exceptions whatever it is, so nothing need be asked about it.
        """
        guarded = super()._surround(function)
        if self._judge is not judge_exceptions:
            return guarded
        machine, running_loop = self._machine, asyncio.get_running_loop

        async def direct(*args: P.args, **kwargs: P.kwargs) -> R:
            permit = machine.free_pass
            if permit is None:
                return await guarded(*args, **kwargs)
            self._admitted += 1
            try:
                result = await function(*args, **kwargs)
            except Exception as error:
                now = running_loop().time()
                self._settle(permit, Context(deadline=current_deadline()), error, started=now, now=now)
                raise
            except BaseException:
                self._release(permit)
                raise
            change = machine.success(permit, 0.0 if machine.timeless else running_loop().time())
            if change is not None:
                self._tell(change)
            return result

        return direct

    async def __aenter__(self) -> None:
        """Take a permit for the block, or raise `CircuitOpen`; a block may be entered again within itself."""
        now = asyncio.get_running_loop().time()
        permit = self._admit(now)
        self._blocks.enter((permit, now))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        permit, started = self._blocks.leave()
        now = asyncio.get_running_loop().time()
        self._settle(permit, Context(deadline=current_deadline()), error, started=started, now=now)

    def describe(self) -> str:
        """Return one line that names the breaker, its state and its options."""
        return f"{self.name}: {self._machine.state.value}; {show(self._machine.options)}"

    def statistics(self) -> CircuitBreakerStatistics:
        """Return the state and the counts."""
        machine = self._machine
        return CircuitBreakerStatistics(
            state=machine.state,
            calls=machine.window.calls,
            failures=machine.window.failures,
            slow=machine.window.slow,
            consecutive_failures=machine.consecutive,
            openings=machine.openings,
            open_until=machine.open_until if machine.state is BreakerStateName.OPEN else None,
            probes_in_flight=machine.probes_in_flight,
            admitted=self._admitted,
            refused=self._refused,
            neutral=self._neutral,
        )

    def _admit(self, now: float) -> Permit:
        permit, change = self._machine.acquire(now)
        if change is not None:
            self._tell(change)
        if permit is not None:
            self._admitted += 1
            return permit
        self._refused += 1
        state, retry_after = self._machine.state.value, self._machine.retry_after(now)
        if self._listener is not None:
            self._listener.on_event(
                CallRefused(name=self.name, policy="breaker", reason=state, retry_after=retry_after)
            )
        when = "" if retry_after is None else f"; the next probe is due in {retry_after:.1f} s"
        raise CircuitOpen(f"The circuit breaker {self.name!r} is {state}{when}", retry_after=retry_after)

    def _settle(
        self, permit: Permit, context: Context, error: BaseException | None, *, started: float, now: float
    ) -> None:
        self._end(permit, self._judged(permit, context, None, error, now=now), now, took=now - started)

    def _keep(self, permit: Permit, context: Context, scope: Scope, judgement: Judgement, *, took: float) -> None:
        """Hold the permit of a good answer until its body has been read."""

        def close(error: BaseException | None) -> None:
            now = asyncio.get_running_loop().time()
            last = judgement if error is None else self._judged(permit, context, None, error, now=now)
            # A long body is not a slow call: what counts is how long the answer took to begin.
            self._end(permit, last, now, took=took)

        scope.keep(close)

    def _judged(
        self, permit: Permit, context: Context, result: Any, error: BaseException | None, *, now: float
    ) -> Judgement:
        if error is not None and is_neutral(context, error, now):
            return NEUTRAL
        try:
            return self._judge(context, result, error)
        except BaseException:
            self._release(permit)
            raise

    def _end(self, permit: Permit, judgement: Judgement, now: float, *, took: float) -> None:
        """End the permit as what the outcome means."""
        if judgement.neutral:
            self._release(permit)
            return
        machine = self._machine
        limit = machine.options.slow_call_duration
        slow = limit is not None and took > limit
        if judgement.failed:
            change = machine.failure(permit, now, slow=slow, draw=self._draw())
        else:
            change = machine.success(permit, now, slow=slow, draw=self._draw() if slow else 0.0)
        if change is not None:
            self._tell(change)

    def _release(self, permit: Permit) -> None:
        self._neutral += 1
        self._machine.released(permit)

    def _move(self, state: BreakerStateName) -> None:
        self._tell(self._machine.move(state, "told to"))

    def _tell(self, change: Change) -> None:
        if self._listener is not None and change.before is not change.after:
            self._listener.on_event(
                BreakerChanged(
                    name=self.name,
                    before=change.before.value,
                    after=change.after.value,
                    reason=change.reason,
                    open_for=change.open_for,
                )
            )
