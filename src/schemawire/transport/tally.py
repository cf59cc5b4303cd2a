"""Counts the calls of a client and tells its listener how each ended; decides nothing."""

import asyncio
from contextlib import AbstractContextManager, nullcontext
from contextvars import copy_context
from dataclasses import dataclass

from schemawire.events import CallFinished, Listener, opens_scope
from schemawire.resilience.call import Context
from schemawire.transport.attempt import Call, outcome_of

OUTCOMES = ("success", "rejected", "failed", "refused", "cancelled")
_NOTHING = nullcontext()
_HEARD_IN = "heard in"
"""Where a context notes the variables in which the end of its call is told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallCounts:
    """How the calls of a client have ended."""

    started: int
    in_flight: int
    success: int
    """Ended with a status below 400."""
    rejected: int
    """Ended with a 4xx."""
    failed: int
    """Ended with a 5xx or without a response."""
    refused: int
    """Never left this process."""
    cancelled: int
    attempts: int


class Tally:
    """Counters of calls. Invariant: every started call is in flight or has exactly one outcome."""

    def __init__(self, name: str, listener: Listener | None) -> None:
        self._name = name
        self._listener = listener
        self.opens_scopes = opens_scope(listener, "call_scope")
        self._started = 0
        self._attempts = 0
        self._ended = dict.fromkeys(OUTCOMES, 0)

    def begin(self) -> None:
        """Begin a call."""
        self._started += 1

    def scope(self, call: Call, route: str) -> AbstractContextManager[object]:
        """Begin a call and return the listener's scope around it."""
        self.begin()
        if self._listener is None or not self.opens_scopes:
            return _NOTHING
        return self._listener.call_scope(self._name, call.method, route)

    def keep_scope(self, context: Context) -> None:
        """Have the end of a call, whose body is still to be read, told in the scope that is open now.

        Only its context variables are kept: while the caller reads, nothing of the scope is in force.
        """
        if self._listener is not None:
            context.state[_HEARD_IN] = copy_context()

    def finish(self, context: Context, route: str, *, status: int | None, error: BaseException | None) -> None:
        """End a call, with the status of its response or the error that took its place."""
        outcome = outcome_of(status, error)
        call: Call = context.call
        self._ended[outcome] += 1
        self._attempts += call.sent
        if self._listener is None:
            return
        event = CallFinished(
            name=self._name,
            method=call.method,
            route=route,
            outcome=outcome,
            duration=asyncio.get_running_loop().time() - call.started,
            attempts=call.sent,
            status=status,
            error=error,
            waits={name: value for name, value in context.state.items() if value.__class__ is float},
        )
        if _HEARD_IN in context.state:
            context.state[_HEARD_IN].run(self._listener.on_event, event)
        else:
            self._listener.on_event(event)

    def counts(self) -> CallCounts:
        """Return the present counts."""
        in_flight = self._started - sum(self._ended.values())
        return CallCounts(started=self._started, in_flight=in_flight, attempts=self._attempts, **self._ended)
