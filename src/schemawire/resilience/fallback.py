"""Answers in another way when a call ends badly; sees the final outcome only, and never a cancellation."""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from schemawire.events import FallbackUsed, Listener
from schemawire.resilience.alone import Standalone
from schemawire.resilience.call import Context, Handler, Judge, R, judge_exceptions
from schemawire.resilience.ranges import require_kind, show

Action = Callable[[Context, BaseException | None], Awaitable[Any] | Any]
"""(context, the error or None for a bad result) → the answer instead; plain or async."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FallbackConfig:
    """Which endings the fallback answers.

    Args:
        on_failed: errors that the judge calls failed or worth repeating.
        on_refused: errors that count as nothing because we refused the call ourselves (open circuit, full queue).
        on_results: results that the judge calls failed.

    Raises:
        ConfigurationInvalid: a value is not a bool.
    """

    on_failed: bool = True
    on_refused: bool = True
    on_results: bool = True

    def __post_init__(self) -> None:
        for name in ("on_failed", "on_refused", "on_results"):
            require_kind(self, name, bool)


@dataclass(frozen=True, slots=True, kw_only=True)
class FallbackStatistics:
    """How often the fallback answered, and how often it failed itself."""

    used: int
    failed: int


class Fallback(Standalone):
    """Runs an action instead of raising an error or returning a bad result.

    An error in which the other side said no (the judge calls it neither failed, neutral nor worth repeating) is an
    answer, and passes unchanged. If the action raises, its error is raised with the original one as its cause.

    Args:
        action: gives the answer; called with the context and the error.
        options: which endings it answers.
        name: what events call it.
        judge: decides what an outcome means.
        listener: hears each use.

    *Cancelled:* the action is not run; one that is running is cancelled.
    """

    def __init__(
        self,
        action: Action,
        options: FallbackConfig | None = None,
        *,
        name: str = "fallback",
        judge: Judge = judge_exceptions,
        listener: Listener | None = None,
    ) -> None:
        self.name = name
        self.options = options or FallbackConfig()
        self._action = action
        self._judge = judge
        self._listener = listener
        self._used = self._failed = 0

    def bind(self, inner: Handler[R]) -> Handler[R]:
        """Return `inner` with this fallback."""

        async def guarded(context: Context) -> R:
            try:
                result = await inner(context)
            except Exception as error:
                if not self._answers(context, error):
                    raise
                return await self._answer(context, error)  # type: ignore[no-any-return]  # the action's promise
            if self.options.on_results and self._judge(context, result, None).failed:
                return await self._answer(context, None)  # type: ignore[no-any-return]  # the action's promise
            return result

        return guarded

    def replace_options(self, options: FallbackConfig) -> None:
        """Go on with other options at once."""
        self.options = options

    def describe(self) -> str:
        """Return one line that names the policy and its options."""
        return f"{self.name}: fallback {show(self.options)}"

    def statistics(self) -> FallbackStatistics:
        """Return how often the fallback answered."""
        return FallbackStatistics(used=self._used, failed=self._failed)

    def _answers(self, context: Context, error: Exception) -> bool:
        judgement = self._judge(context, None, error)
        if judgement.neutral:
            return self.options.on_refused
        return self.options.on_failed and (judgement.failed or judgement.retry is not None)

    async def _answer(self, context: Context, error: Exception | None) -> Any:
        self._used += 1
        if self._listener is not None:
            self._listener.on_event(FallbackUsed(name=self.name, error=error))
        try:
            answer = self._action(context, error)
            return await answer if inspect.isawaitable(answer) else answer
        except Exception as own:
            self._failed += 1
            raise own from error
