"""The one deadline of a call, handed down a context variable so that nested calls inherit it; knows no policy.

A deadline is an absolute time of the event loop's clock. It never grows: a nested scope can only bring it forward.
"""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar, Token
from types import TracebackType

from schemawire.errors import ConfigurationInvalid, DeadlineExceeded

DEADLINE: ContextVar[float] = ContextVar("schemawire_deadline", default=math.inf)
"""The deadline that calls started here inherit; read it through `current_deadline`, bring it forward by `Inherited`."""


def current_deadline() -> float:
    """Return the deadline that a call started here inherits, or infinity where there is none."""
    return DEADLINE.get()


def remaining() -> float:
    """Return the seconds left until the inherited deadline: infinity without one, never below zero.

    Raises:
        RuntimeError: there is a deadline, but no event loop is running, so there is no clock to hold it against.
    """
    deadline = DEADLINE.get()
    if deadline == math.inf:
        return math.inf
    return max(0.0, deadline - asyncio.get_running_loop().time())


class Inherited:
    """A scope in which nested calls inherit a deadline; it hands the deadline down but does not enforce it."""

    __slots__ = ("_at", "_token")

    def __init__(self, at: float) -> None:
        self._at = at
        self._token: Token[float] | None = None

    def __enter__(self) -> float:
        """Bring the inherited deadline forward to the given time, and return the one that now holds."""
        at = min(self._at, DEADLINE.get())
        self._token = DEADLINE.set(at)
        return at

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._token is not None:
            DEADLINE.reset(self._token)
            self._token = None


@asynccontextmanager
async def within(seconds: float) -> AsyncIterator[float]:
    """Give the block a deadline, enforced here and inherited by every call made inside; yields the absolute deadline.

    Args:
        seconds: time from now, not negative; an earlier inherited deadline wins.

    Raises:
        ConfigurationInvalid: `seconds` is negative or not a number.
        DeadlineExceeded: the block did not finish in time.

    *Cancelled:* the cancellation passes through unchanged; the deadline no longer holds.
    """
    if not seconds >= 0:
        raise ConfigurationInvalid(f"within({seconds!r}) must be a number of seconds from 0 up")
    at = min(DEADLINE.get(), asyncio.get_running_loop().time() + seconds)
    timer = asyncio.timeout_at(None if at == math.inf else at)
    try:
        async with timer:
            with Inherited(at):
                yield at
    except TimeoutError as error:
        if timer.expired():
            raise DeadlineExceeded(f"The block did not finish within {seconds:g} s") from error
        raise
