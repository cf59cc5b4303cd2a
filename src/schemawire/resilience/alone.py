"""The face a policy shows when it is used alone, without a pipeline; knows no particular policy."""

from collections.abc import Awaitable, Callable, Coroutine
from functools import update_wrapper
from typing import Any, ParamSpec, TypeVar

from schemawire.resilience.call import Context, Handler
from schemawire.resilience.deadline import current_deadline

P = ParamSpec("P")
R = TypeVar("R")


def _run_call(context: Context) -> Awaitable[Any]:
    # Not a coroutine of its own, which would cost every attempt a frame.
    return context.call()  # type: ignore[no-any-return]  # `__call__` has put it there


class Standalone:
    """Lets a policy, or a whole pipeline, be used without anything around it: `await policy(call)` or `@policy.wrap`.

    A derived class writes `bind`; everything here goes through it, once per policy or decorated function, so a call
    alone costs what it costs in a pipeline, plus its context. The call inherits the deadline of the code around it.
    """

    _alone: Handler[Any] | None = None

    def bind(self, inner: Handler[R]) -> Handler[R]:
        """Return `inner` surrounded by this policy."""
        raise NotImplementedError(f"{type(self).__name__} must say what it puts around a call")

    async def __call__(self, call: Callable[[], Awaitable[R]]) -> R:
        """Run `call` under this policy and return its result.

        Args:
            call: an async callable without arguments; called once for every attempt.

        Raises:
            Exception: whatever `call` raises, or the policy's own refusal.

        *Cancelled:* whatever the policy held is given back.
        """
        handler = self._alone
        if handler is None:
            handler = self._alone = self.bind(_run_call)
        result: R = await handler(Context(deadline=current_deadline(), call=call))
        return result

    def wrap(self, function: Callable[P, Awaitable[R]]) -> Callable[P, Coroutine[Any, Any, R]]:
        """Decorate an async function so that each call runs under this policy; its signature stays.

        `Context.call` is then the pair of positional and keyword arguments.
        """
        wrapped = self._surround(function)
        update_wrapper(wrapped, function)
        return wrapped

    def _surround(self, function: Callable[P, Awaitable[R]]) -> Callable[P, Coroutine[Any, Any, R]]:
        """Return `function` under this policy; derived classes may offer a shorter way that does the same."""

        def run(context: Context) -> Awaitable[R]:
            args, kwargs = context.call
            return function(*args, **kwargs)

        # Bound once, not through `self(…)` at each call: one coroutine less for every call that is made.
        handler = self.bind(run)

        async def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
            return await handler(Context(deadline=current_deadline(), call=(args, kwargs)))

        return wrapped
