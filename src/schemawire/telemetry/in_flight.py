"""A scope around a call that says how many run and which method runs; knows no sink."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from contextvars import ContextVar, Token

from schemawire.telemetry.semantics import OTHER_METHOD

_METHOD: ContextVar[str] = ContextVar("schemawire_method", default=OTHER_METHOD)


def current_method() -> str:
    """Return the method of the call that this runs in."""
    return _METHOD.get()


class InFlight(AbstractContextManager[object]):
    """Tells a counter that a call began, and that it ended.

    Args:
        change: called with 1 at the beginning and with -1 at the end.
        method: of the call.
    """

    def __init__(self, change: Callable[[float], None], method: str) -> None:
        self._change = change
        self._method = method
        self._token: Token[str] | None = None

    def __enter__(self) -> object:
        self._change(1.0)
        self._token = _METHOD.set(self._method)
        return self

    def __exit__(self, *details: object) -> None:
        self._change(-1.0)
        if self._token is not None:
            _METHOD.reset(self._token)
