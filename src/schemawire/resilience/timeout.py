"""Time limits of a whole call and of one attempt; both end in an error of their own, never in a cancellation.

A cancellation by the caller passes through both unchanged.
"""

import asyncio
import math
from contextvars import Token
from dataclasses import dataclass
from types import TracebackType
from typing import TypeVar

from schemawire.errors import AttemptTimeout, DeadlineExceeded
from schemawire.resilience.alone import Standalone
from schemawire.resilience.blocks import Blocks
from schemawire.resilience.call import Context, Handler
from schemawire.resilience.deadline import DEADLINE
from schemawire.resilience.ranges import require_number, show
from schemawire.resilience.timer import Timer

R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlineConfig:
    """How long a whole call may take, every attempt and every pause included.

    Args:
        total: seconds, above 0; `None` leaves only the inherited deadline, if there is one.

    Raises:
        ConfigurationInvalid: out of range.
    """

    total: float | None = 60.0

    def __post_init__(self) -> None:
        require_number(self, "total", low=0, high=86_400, above=True, optional=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeLimiterConfig:
    """How long one attempt may take.

    Args:
        attempt: seconds, above 0; `None` leaves only the deadline of the call.

    Raises:
        ConfigurationInvalid: out of range.
    """

    attempt: float | None = 30.0

    def __post_init__(self) -> None:
        require_number(self, "attempt", low=0, high=86_400, above=True, optional=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeoutStatistics:
    """How many calls (or attempts) began, and how many ran out of time."""

    calls: int
    timeouts: int


class Deadline(Standalone):
    """Gives a call one deadline, enforces it, and hands it down to every call made inside.

    Args:
        options: how long from the start of the call; an earlier deadline of the context or of the code around wins.
        name: what errors and `describe()` call it.
    """

    def __init__(self, options: DeadlineConfig | None = None, *, name: str = "deadline") -> None:
        self.name = name
        self._options = options or DeadlineConfig()
        self._calls = self._timeouts = 0
        self._blocks: Blocks[tuple[Timer, Token[float], float] | None] = Blocks(name)

    @property
    def options(self) -> DeadlineConfig:
        """The options in force."""
        return self._options

    def replace_options(self, options: DeadlineConfig) -> None:
        """Put other options in force, for calls that begin from now on."""
        self._options = options

    def bind(self, inner: Handler[R]) -> Handler[R]:
        """Return `inner` held to the deadline.

        Raises:
            DeadlineExceeded: the call did not end in time; `attempts` holds the errors of its attempts.

        *Cancelled:* the cancellation passes through unchanged.
        """

        async def limited(context: Context) -> R:
            self._calls += 1
            loop = asyncio.get_running_loop()
            started = loop.time()
            total = self._options.total
            at = context.deadline
            inherited = DEADLINE.get()
            if inherited < at:
                at = inherited
            if total is not None and started + total < at:
                at = started + total
            context.deadline = at
            if at == math.inf:
                return await inner(context)
            if at <= started:
                self._timeouts += 1
                raise DeadlineExceeded("The deadline had passed before the call began; nothing was sent")
            # Not `Inherited`: as a context manager it would cost as much again as the rest of this function.
            token = DEADLINE.set(at)
            timer = Timer(loop, at)
            try:
                result = await inner(context)
            except BaseException as error:
                if not timer.stop(error):
                    raise
                self._timeouts += 1
                raise _out_of_time(context, at - started) from error
            finally:
                DEADLINE.reset(token)
            timer.stop(None)
            return result

        return limited

    async def __aenter__(self) -> None:
        """Hold the block to the deadline, and every call made inside it.

        Raises:
            DeadlineExceeded: the inherited deadline has passed already.
        """
        self._calls += 1
        loop = asyncio.get_running_loop()
        now, total = loop.time(), self._options.total
        at = DEADLINE.get() if total is None else min(DEADLINE.get(), now + total)
        if at <= now:
            self._timeouts += 1
            raise DeadlineExceeded("The deadline had passed before the block began")
        self._blocks.enter(None if at == math.inf else (Timer(loop, at), DEADLINE.set(at), at - now))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        held = self._blocks.leave()
        if held is None:
            return
        timer, token, length = held
        DEADLINE.reset(token)
        if timer.stop(error):
            self._timeouts += 1
            raise DeadlineExceeded(f"The block did not finish within {length:.3g} s") from error

    def describe(self) -> str:
        """Return one line that names the policy and its options."""
        return f"{self.name}: {show(self._options)}"

    def statistics(self) -> TimeoutStatistics:
        """Return how many calls ran out of time."""
        return TimeoutStatistics(calls=self._calls, timeouts=self._timeouts)


class TimeLimiter(Standalone):
    """Ends one attempt after its time limit, or at the deadline of the call if that comes first.

    Args:
        options: how long one attempt may take.
        name: what errors and `describe()` call it.
    """

    def __init__(self, options: TimeLimiterConfig | None = None, *, name: str = "timeout") -> None:
        self.name = name
        self._options = options or TimeLimiterConfig()
        self._calls = self._timeouts = 0
        self._blocks: Blocks[tuple[Timer, Context, float, float | None] | None] = Blocks(name)

    @property
    def options(self) -> TimeLimiterConfig:
        """The options in force."""
        return self._options

    def replace_options(self, options: TimeLimiterConfig) -> None:
        """Put other options in force, for attempts that begin from now on."""
        self._options = options

    def bind(self, inner: Handler[R]) -> Handler[R]:
        """Return `inner` held to the time limit.

        Raises:
            AttemptTimeout: the attempt took longer than its own limit, so another one may fit.
            DeadlineExceeded: the deadline of the call came first, so none does.

        *Cancelled:* the cancellation passes through unchanged.
        """

        async def limited(context: Context) -> R:
            self._calls += 1
            limit = self._options.attempt
            at = context.deadline
            if limit is None and at == math.inf:
                return await inner(context)
            loop = asyncio.get_running_loop()
            started = loop.time()
            if limit is not None:
                at = min(at, started + limit)
            if at <= started:
                self._timeouts += 1
                raise DeadlineExceeded("The deadline had passed before the attempt began; nothing was sent")
            timer = Timer(loop, at)
            try:
                result = await inner(context)
            except BaseException as error:
                if not timer.stop(error):
                    raise
                self._timeouts += 1
                raise self._expired(context, at, limit) from error
            timer.stop(None)
            return result

        return limited

    async def __aenter__(self) -> None:
        """Hold the block to the time limit, or to the inherited deadline if that comes first."""
        self._calls += 1
        loop = asyncio.get_running_loop()
        context, limit = Context(deadline=DEADLINE.get()), self._options.attempt
        at = context.deadline if limit is None else min(context.deadline, loop.time() + limit)
        self._blocks.enter(None if at == math.inf else (Timer(loop, at), context, at, limit))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        held = self._blocks.leave()
        if held is None:
            return
        timer, context, at, limit = held
        if timer.stop(error):
            self._timeouts += 1
            raise self._expired(context, at, limit) from error

    def describe(self) -> str:
        """Return one line that names the policy and its options."""
        return f"{self.name}: {show(self._options)}"

    def statistics(self) -> TimeoutStatistics:
        """Return how many attempts ran out of time."""
        return TimeoutStatistics(calls=self._calls, timeouts=self._timeouts)

    def _expired(self, context: Context, at: float, limit: float | None) -> DeadlineExceeded | AttemptTimeout:
        attempt = context.attempt
        if limit is None or at >= context.deadline:
            return DeadlineExceeded(f"Attempt {attempt} reached the deadline of the call", attempts=context.errors)
        return AttemptTimeout(f"Attempt {attempt} did not finish within {limit:g} s", attempts=context.errors)


def _out_of_time(context: Context, length: float) -> DeadlineExceeded:
    """Return the error of a call that ran out of time, and let go of those before it, as `Retry` does at its end."""
    error = DeadlineExceeded(
        f"The call did not finish within {length:.3g} s (attempt {context.attempt} was under way)",
        attempts=context.errors,
    )
    context.errors = []
    return error
