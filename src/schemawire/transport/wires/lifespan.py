"""The lifespan of an ASGI application that is called in-process: started once, stopped once; serves no requests."""

import asyncio
import contextvars
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from schemawire.errors import ConnectFailed

_LOG = logging.getLogger("schemawire.transport.inprocess")
_Message = MutableMapping[str, Any]


class Lifespan:
    """Runs the lifespan of `app` in a task of its own.

    An application that knows no lifespan is taken as started, as ASGI has it.

    Invariant: `_outcome` is done once startup has ended, with an error where it failed.
    """

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self._app = app
        self._task: asyncio.Task[None] | None = None
        self._outcome: asyncio.Future[None] | None = None
        self._stopping = asyncio.Event()
        self._begun = False
        self.state: dict[str, Any] = {}
        """What the application has put into its lifespan state."""

    @property
    def is_started(self) -> bool:
        """Whether startup has ended well."""
        outcome = self._outcome
        return outcome is not None and outcome.done() and not outcome.cancelled() and outcome.exception() is None

    async def start(self) -> None:
        """Start the application; several callers wait for the same start.

        Raises:
            ConnectFailed: it refused to start; the next call tries again.

        *Cancelled:* the start goes on.
        """
        if self._outcome is None:
            loop = asyncio.get_running_loop()
            self._outcome = loop.create_future()
            self._begun = False
            self._task = loop.create_task(self._run(self._outcome), context=contextvars.Context())
        outcome = self._outcome
        try:
            await asyncio.shield(outcome)
        except ConnectFailed:
            if self._outcome is outcome:
                self._outcome = None
            raise

    async def stop(self, limit: float) -> None:
        """Tell the application to stop, wait for it for `limit` seconds, then end it."""
        if self._task is None:
            return
        self._stopping.set()
        _, late = await asyncio.wait({self._task}, timeout=limit)
        for task in late:
            task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None

    async def _run(self, outcome: "asyncio.Future[None]") -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        try:
            await self._app(scope, self._receive, lambda message: self._send(message, outcome))
        except Exception as error:
            if outcome.done():
                _LOG.exception("the application failed while it was stopping")
            elif self._begun:
                outcome.set_exception(ConnectFailed(f"The application failed to start: {error!r}"))
        finally:
            if not outcome.done():
                outcome.set_result(None)  # It raised before it asked for anything: it knows no lifespan.

    async def _receive(self) -> _Message:
        if not self._begun:
            self._begun = True
            return {"type": "lifespan.startup"}
        await self._stopping.wait()
        return {"type": "lifespan.shutdown"}

    async def _send(self, message: _Message, outcome: "asyncio.Future[None]") -> None:
        match message["type"]:
            case "lifespan.startup.complete" if not outcome.done():
                outcome.set_result(None)
            case "lifespan.startup.failed" if not outcome.done():
                outcome.set_exception(ConnectFailed(f"The application failed to start: {message.get('message', '')}"))
            case "lifespan.shutdown.failed":
                _LOG.error("the application failed while it was stopping: %s", message.get("message", ""))
            case _:
                pass
