"""Tries a call again while that makes sense: the shell around `retry_decision`, and the only place that waits."""

import asyncio
import inspect
import random
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from schemawire.errors import Failed, Refused, RetryBudgetExhausted, SchemawireError
from schemawire.events import Listener, RetryGivenUp, RetryScheduled
from schemawire.resilience.alone import P, Standalone
from schemawire.resilience.budget import RetryBudget
from schemawire.resilience.call import Context, Handler, Judge, Judgement, RetryClass, judge_exceptions
from schemawire.resilience.deadline import current_deadline
from schemawire.resilience.ranges import show
from schemawire.resilience.retry_decision import SHORTEST_LOOK, Progress, RetryConfig, StopReason, Verdict, decide

R = TypeVar("R")
Discard = Callable[[Any], Awaitable[None] | None]
"""Closes a result that nobody will see."""
Keep = Callable[[Context, Any], Awaitable[Any]]
"""Returns what can be handed over in place of a result, once that is closed; `None` where nothing can."""

_THROTTLED = RetryClass.THROTTLED  # CPython 3.11 takes 0.1 µs to find a member of an enumeration

_DISCARD_LIMIT = 5.0
"""Seconds that closing a discarded result may take before it is given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryStatistics:
    """What the retries of all calls came to."""

    calls: int
    retries: int
    transparent: int
    recovered: int
    """Calls that ended well after at least one retry."""
    given_up: dict[str, int]
    """Calls that stopped with a failure, by reason."""


class Retry(Standalone):
    """Runs a call again while its outcome is worth repeating, within the attempts, the budget and the deadline.

    Args:
        options: limits and delays.
        budget: shared by everything that adds attempts to the same backend; by default a budget of its own.
        judge: says what an outcome means.
        until_deadline: says of which calls the deadline alone, not a count of attempts, ends the retries, such as
            writes that carry an idempotency key. They still pay from the budget; if it is empty they wait for it.
        discard: closes a result that is thrown away before a further attempt.
        keep: saves what such a result says. If every later attempt is refused or fails, that is returned, as a call
            raises only without any result; by default the error is raised.
        draw: a source of uniform draws from [0, 1).
        listener: hears `RetryScheduled` and `RetryGivenUp`.
        name: what events and `describe()` call it.
    """

    def __init__(
        self,
        options: RetryConfig | None = None,
        *,
        budget: RetryBudget | None = None,
        judge: Judge = judge_exceptions,
        until_deadline: Callable[[Context], bool] | None = None,
        discard: Discard | None = None,
        keep: Keep | None = None,
        draw: Callable[[], float] = random.random,
        listener: Listener | None = None,
        name: str = "retry",
    ) -> None:
        self.name = name
        self.budget = budget or RetryBudget()
        self._options = options or RetryConfig()
        self._judge = judge
        self._until_deadline = until_deadline
        self._discard = discard
        self._keep = keep
        self._draw = draw
        self._listener = listener
        self._calls = self._retries = self._transparent = self._recovered = 0
        self._given_up = dict.fromkeys((reason.value for reason in StopReason), 0)

    @property
    def options(self) -> RetryConfig:
        """The options in force."""
        return self._options

    def replace_options(self, options: RetryConfig) -> None:
        """Put other options in force, for calls under way too."""
        self._options = options

    def bind(self, inner: Handler[R]) -> Handler[R]:
        """Return `inner` tried again where that makes sense.

        The error of the last attempt is raised, and its `attempts` holds those of the earlier ones, oldest first. A
        result that is worth repeating but may not be is returned, and so is one that was kept.

        Raises:
            RetryBudgetExhausted: the last attempt raised and the budget allows no further one; the cause is its error.

        *Cancelled:* no further attempt is made, and a result held during a pause is discarded; what was withdrawn from
        the budget stays withdrawn.
        """
        budget, judge = self.budget, self._judge

        async def retried(context: Context) -> R:
            self._calls += 1
            if not context.deposited:
                context.deposited = True
                budget.deposit(asyncio.get_running_loop().time())
            try:
                result = await inner(context)
            except Exception as error:
                failure = error
            else:
                judgement = judge(context, result, None)
                if judgement.retry is None and not judgement.unsent:
                    return result
                return await self._go_on(context, inner, judgement, result=result)
            try:
                return await self._go_on(context, inner, judge(context, None, failure), error=failure)
            finally:
                del failure  # as at the end of `_go_on`

        return retried

    def _surround(self, function: Callable[P, Awaitable[R]]) -> Callable[P, Coroutine[Any, Any, R]]:
        """Return `function` with its retries; a call whose first attempt is well never makes a context.

        A result is a success to the judge of exceptions whatever it is, so nothing need be asked about it.
        """
        if self._judge is not judge_exceptions:
            return super()._surround(function)
        budget, running_loop = self.budget, asyncio.get_running_loop

        def again(context: Context) -> Awaitable[R]:
            args, kwargs = context.call
            return function(*args, **kwargs)

        async def direct(*args: P.args, **kwargs: P.kwargs) -> R:
            self._calls += 1
            budget.deposit(running_loop().time())
            try:
                return await function(*args, **kwargs)
            except Exception as error:
                failure = error
            try:
                context = Context(deadline=current_deadline(), call=(args, kwargs))
                context.deposited = True
                return await self._go_on(context, again, judge_exceptions(context, None, failure), error=failure)
            finally:
                del failure  # as at the end of `_go_on`

        return direct

    def describe(self) -> str:
        """Return one line that names the policy, its options and its budget's."""
        return f"{self.name}: {show(self._options)}; {self.budget.describe()}"

    def statistics(self) -> RetryStatistics:
        """Return how often calls were retried, and why that stopped."""
        return RetryStatistics(
            calls=self._calls,
            retries=self._retries,
            transparent=self._transparent,
            recovered=self._recovered,
            given_up=dict(self._given_up),
        )

    async def _go_on(
        self,
        context: Context,
        inner: Handler[R],
        judgement: Judgement,
        *,
        result: Any = None,
        error: Exception | None = None,
    ) -> R:
        """Follow a first attempt that gave `result` or `error`, until one is good or no further one may be made."""
        patient = self._until_deadline is not None and self._until_deadline(context)
        progress = Progress(deadline=context.deadline, patient=patient)
        while True:
            stop = await self._await_turn(context, judgement, progress, result=result, error=error)
            if stop is not None:
                break
            result = error = None
            try:
                result = await inner(context)
            except Exception as failure:
                error = failure
            judgement = self._judge(context, result, error)
            if error is None and judgement.retry is None and not judgement.unsent:
                self._recovered += not judgement.failed
                break
        if stop is not None and progress.last is not None and isinstance(error, SchemawireError):
            result, error = progress.last, None
        if error is None or stop is None:
            _forget(context)
            return result  # type: ignore[no-any-return]  # given by `inner`, or by the attempt before
        try:
            raise _with_history(context, judgement, stop, error)
        finally:
            # An error's traceback holds this frame: the frame must not hold the error in turn.
            del error

    async def _await_turn(
        self,
        context: Context,
        judgement: Judgement,
        progress: Progress,
        *,
        result: Any = None,
        error: Exception | None = None,
    ) -> StopReason | None:
        """Decide, pay and pause; return once the next attempt may start, or with the reason why there is none."""
        while True:
            now = asyncio.get_running_loop().time()
            verdict = decide(self._options, judgement, progress, now=now, draw=self._draw())
            stop = verdict.stop
            throttled = judgement.retry is _THROTTLED
            paid = stop is None and (verdict.free or self.budget.withdraw(now, throttled=throttled))
            if stop is None and not paid and not progress.patient:
                stop = StopReason.BUDGET
            if stop is not None:
                if isinstance(error, Refused) and context.errors and stop is StopReason.FINAL:
                    stop = StopReason.REFUSED
                self._give_up(context, judgement, stop)
                return stop
            progress.pauses += not (verdict.transparent or verdict.free)
            progress.memory = verdict.memory
            if not paid:
                await self._pause_holding(context, result, verdict.delay)
                continue
            if verdict.transparent:
                progress.transparent += 1
                self._transparent += 1
            else:
                progress.retries += 1
            self._retries += 1
            if self._listener is not None:
                self._announce(self._listener, context, judgement, verdict)
            context.errors.append(error or Failed(f"attempt {context.attempt} gave {judgement.reason or repr(result)}"))
            if result is not None or context.scope is not None:
                if result is not None and self._keep is not None:
                    progress.last = await self._kept(context, result, self._keep)
                await self._drop(context, result)
            if verdict.delay > 0:
                await self._pause(context, verdict.delay)
            context.attempt += 1
            return None

    def _announce(self, listener: Listener, context: Context, judgement: Judgement, verdict: Verdict) -> None:
        listener.on_event(
            RetryScheduled(name=self.name, attempt=context.attempt + 1, delay=verdict.delay, reason=judgement.reason)
        )

    def _give_up(self, context: Context, judgement: Judgement, reason: StopReason) -> None:
        if not judgement.failed and reason is StopReason.FINAL:
            return
        self._given_up[reason.value] += 1
        if self._listener is not None:
            self._listener.on_event(RetryGivenUp(name=self.name, attempt=context.attempt, reason=reason.value))

    async def _pause(self, context: Context, delay: float) -> None:
        notes = context.state
        notes["backoff"] = notes.get("backoff", 0.0) + delay
        await asyncio.sleep(delay)

    async def _pause_holding(self, context: Context, result: Any, delay: float) -> None:
        """Pause while the budget is empty; the result is kept, for it may yet be the last."""
        try:
            await self._pause(context, max(delay, self._options.transient_base, SHORTEST_LOOK))
        except BaseException:
            await self._drop(context, result)
            raise

    async def _kept(self, context: Context, result: Any, keep: Keep) -> Any:
        try:
            return await keep(context, result)
        except BaseException:
            await self._drop(context, result)
            raise

    async def _drop(self, context: Context, result: Any) -> None:
        """Close a result that nobody will see, so that it holds neither a connection nor a permit during the pause."""
        if result is not None and self._discard is not None:
            # How well it closes is of no interest to the caller, who never saw it.
            with suppress(Exception):
                await _within_limit(self._discard(result))
        if context.scope is not None:
            context.scope.close()


async def _within_limit(closing: Awaitable[None] | None) -> None:
    if inspect.isawaitable(closing):
        async with asyncio.timeout(_DISCARD_LIMIT):
            await closing


def _with_history(context: Context, judgement: Judgement, reason: StopReason, error: Exception) -> Exception:
    """Return the error to raise: the last one, told of the earlier attempts and of the other side's hint."""
    earlier = tuple(context.errors)
    _forget(context)
    if reason is StopReason.BUDGET:
        exhausted = RetryBudgetExhausted(
            f"{error}; the retry budget allows no further attempt",
            retry_after=judgement.retry_after,
            attempts=(*earlier, error),
        )
        exhausted.__cause__ = error
        return exhausted
    with suppress(AttributeError):
        # Foreign errors get the same two attributes as ours; those with slots cannot take them.
        if earlier:
            error.attempts = earlier  # type: ignore[attr-defined]  # see above
        if judgement.retry_after is not None and getattr(error, "retry_after", None) is None:
            error.retry_after = judgement.retry_after  # type: ignore[attr-defined]  # see above
    return error


def _forget(context: Context) -> None:
    """Let go of the earlier errors: their tracebacks hold frames that hold the context, so it must not hold them."""
    context.errors = []
