"""The callbacks a user registers for the outcome of operations, sync or async; knows nothing of what is sent."""

import inspect
from collections.abc import Callable
from typing import Any, Literal, get_args

import structlog

CallbackEvent = Literal["success", "error"]
Callback = Callable[..., Any]

_log = structlog.get_logger("schemawire.handler")


class Callbacks:
    """Callbacks by event, called in the order in which they were registered.

    `success` is called with `(response, project_id)`, `error` with `(error, method, url, data)`. A callback that
    raises is logged and the others still run: the operation's outcome stands whatever a listener does with it.
    """

    def __init__(self) -> None:
        self._registered: dict[str, list[Callback]] = {event: [] for event in get_args(CallbackEvent)}

    def register(self, event: CallbackEvent, callback: Callback) -> None:
        """Add a callback.

        Raises:
            ValueError: there is no such event.
            TypeError: the callback cannot be called.
        """
        if event not in self._registered:
            raise ValueError(f"there is no event {event!r}: use one of {', '.join(sorted(self._registered))}")
        if not callable(callback):
            raise TypeError(f"the callback for {event!r} is a {type(callback).__name__}: give a function")
        self._registered[event].append(callback)

    def unregister(self, event: CallbackEvent, callback: Callback) -> None:
        """Remove a callback; one that is not registered is no error."""
        if callback in self._registered.get(event, ()):
            self._registered[event].remove(callback)

    def has(self, event: CallbackEvent) -> bool:
        """Tell whether anyone listens."""
        return bool(self._registered[event])

    async def success(self, response: object, project_id: str) -> None:
        """Tell that an operation succeeded."""
        await self._run("success", response, project_id)

    async def error(self, error: Exception, method: str, url: str, data: object) -> None:
        """Tell that an operation failed for good."""
        await self._run("error", error, method, url, data)

    async def _run(self, event: CallbackEvent, *arguments: object) -> None:
        for callback in tuple(self._registered[event]):
            try:
                outcome = callback(*arguments)
                if inspect.isawaitable(outcome):
                    await outcome
            except Exception as error:
                _log.error("callback failed", event_name=event, callback=repr(callback), error=repr(error))


async def call_with(callback: Callback, *arguments: object) -> None:
    """Call a sync or async callback; what it raises is the caller's to see.

    *Cancelled:* an async callback is cancelled with its caller.
    """
    outcome = callback(*arguments)
    if inspect.isawaitable(outcome):
        await outcome
