"""A dependency that answers, fails, delays or hangs exactly as its script says; knows no policy and no protocol."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class ScriptExhausted(AssertionError):
    """The dependency was called more often than its script has steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What one call does: wait `delay` seconds, then hang, raise `error`, or return `value`."""

    value: Any = None
    error: BaseException | None = None
    delay: float = 0.0
    hangs: bool = False


def answer(value: object = None, *, after: float = 0.0) -> Step:
    """Return a step that returns `value` after `after` seconds."""
    return Step(value=value, delay=after)


def fail(error: BaseException, *, after: float = 0.0) -> Step:
    """Return a step that raises `error` after `after` seconds."""
    return Step(error=error, delay=after)


def hang() -> Step:
    """Return a step that never ends unless it is cancelled."""
    return Step(hangs=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedCall:
    """One call as the dependency saw it; `at` is the event loop's time in seconds."""

    at: float
    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptedStatistics:
    """How the dependency has been used; `in_flight` must be zero when nobody uses it."""

    calls: int
    in_flight: int
    most_in_flight: int
    answered: int
    failed: int
    cancelled: int


class ScriptedDependency(Generic[T]):
    """An async callable that follows a script, one step per call, in the order in which calls begin.

    A script entry is a `Step` (see `answer`, `fail`, `hang`); an exception instance stands for `fail(it)`, anything
    else for `answer(it)`. It takes any arguments, so it stands in for a function as well as for a policy's handler.

    Args:
        script: The steps of the first calls.
        then: The step of every later call; without it a further call raises `ScriptExhausted`.

    *Cancelled:* the call counts as cancelled, is no longer in flight, and its step is used up.
    """

    def __init__(self, *script: T | Step | BaseException, then: T | Step | BaseException | None = None) -> None:
        self._steps = [_as_step(entry) for entry in script]
        self._then = None if then is None else _as_step(then)
        self._in_flight = 0
        self._most_in_flight = 0
        self._answered = 0
        self._failed = 0
        self._cancelled = 0
        self.calls: list[RecordedCall] = []
        """Every call so far, oldest first."""

    def extend(self, script: Iterable[T | Step | BaseException]) -> None:
        """Add steps to the end of the script."""
        self._steps.extend(_as_step(entry) for entry in script)

    async def __call__(self, *args: Any, **kwargs: Any) -> T:
        """Play the next step.

        Raises:
            ScriptExhausted: No step is left and `then` was not given.
        """
        step = self._next_step()
        self.calls.append(RecordedCall(at=asyncio.get_running_loop().time(), args=args, kwargs=kwargs))
        self._in_flight += 1
        self._most_in_flight = max(self._most_in_flight, self._in_flight)
        try:
            value: T = await _play(step)
        except asyncio.CancelledError:
            self._cancelled += 1
            raise
        except BaseException:
            self._failed += 1
            raise
        finally:
            self._in_flight -= 1
        self._answered += 1
        return value

    def statistics(self) -> ScriptedStatistics:
        """Return how often it was called and how the calls ended."""
        return ScriptedStatistics(
            calls=len(self.calls),
            in_flight=self._in_flight,
            most_in_flight=self._most_in_flight,
            answered=self._answered,
            failed=self._failed,
            cancelled=self._cancelled,
        )

    def _next_step(self) -> Step:
        done = len(self.calls)
        if done < len(self._steps):
            return self._steps[done]
        if self._then is None:
            raise ScriptExhausted(f"Call {done + 1} has no step: the script has {len(self._steps)}; give `then=`.")
        return self._then


def _as_step(entry: object) -> Step:
    if isinstance(entry, Step):
        return entry
    return fail(entry) if isinstance(entry, BaseException) else answer(entry)


async def _play(step: Step) -> Any:
    if step.delay > 0:
        await asyncio.sleep(step.delay)
    if step.hangs:
        await asyncio.get_running_loop().create_future()
    if step.error is not None:
        raise step.error
    return step.value
