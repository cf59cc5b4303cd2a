"""How workers hear that there is work: the row is the truth, and an engine only saves them from waiting for a look.

Knows nothing of databases and brokers.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Connection

from schemawire.service.operations import Operation


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStatistics:
    """What an engine has done since its start."""

    is_connected: bool = True
    """Whether announcements travel at the moment; without them operations are found by polling alone."""
    announced: int = 0
    heard: int = 0
    failures: int = 0
    """Announcements that could not be sent, and connections that were refused or lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ears:
    """What an engine calls when it hears something; both are safe to call for nothing."""

    work: Callable[[], Awaitable[bool]]
    """There may be work; returns whether somebody with a free hand has looked."""
    cancelled: Callable[[str], None]
    """This operation was cancelled somewhere."""


class Engine(Protocol):
    """Announces operations among processes that share a store."""

    name: str
    poll_interval: float
    """Seconds between two looks at the store that are right for it."""

    def note(self, conn: Connection, operation: Operation) -> None:
        """Take part in the transaction that submits an operation."""

    async def start(self, ears: Ears | None) -> None:
        """Begin to announce, and to listen if there are ears; the store is open. Harmless when repeated.

        It does not wait until the other side answers.
        """

    async def stop_listening(self) -> None:
        """Hear nothing any more, and go on announcing."""

    async def stop(self) -> None:
        """End everything. Harmless when repeated."""

    def announce(self, operation_id: str) -> None:
        """Tell the others of an operation that was just committed."""

    def announce_cancelled(self, operation_id: str) -> None:
        """Tell the others that an operation was just cancelled."""

    def statistics(self) -> EngineStatistics:
        """Return the counters as they are now."""


class Polling:
    """Announces nothing: right where one process has the store for itself, and enough where work may wait a second."""

    name = "polling"
    poll_interval = 1.0

    def note(self, conn: Connection, operation: Operation) -> None:
        """Do nothing."""

    async def start(self, ears: Ears | None) -> None:
        """Do nothing."""

    async def stop_listening(self) -> None:
        """Do nothing."""

    async def stop(self) -> None:
        """Do nothing."""

    def announce(self, operation_id: str) -> None:
        """Do nothing."""

    def announce_cancelled(self, operation_id: str) -> None:
        """Do nothing."""

    def statistics(self) -> EngineStatistics:
        """Return that all is well."""
        return EngineStatistics()
