"""Which event loop an object belongs to; the one place that tells a second loop from a successor."""

import asyncio

from schemawire.errors import WrongEventLoop


class LoopOwner:
    """Remembers the event loop of the first use and says when everything bound to it must be made anew.

    Invariant: while the remembered loop runs, no other loop is accepted.
    """

    __slots__ = ("_loop", "_what")

    def __init__(self, what: str) -> None:
        self._what = what
        self._loop: asyncio.AbstractEventLoop | None = None

    def enter(self) -> bool:
        """Return whether this is the first use on the running loop.

        Raises:
            WrongEventLoop: the object is in use on another loop that still runs.
        """
        loop = asyncio.get_running_loop()
        if loop is self._loop:
            return False
        if self._loop is not None and self._loop.is_running():
            raise WrongEventLoop(f"This {self._what} is in use on another event loop that still runs.")
        self._loop = loop
        return True

    @property
    def is_current(self) -> bool:
        """Whether the running loop is the one the object belongs to."""
        try:
            return asyncio.get_running_loop() is self._loop
        except RuntimeError:
            return False
