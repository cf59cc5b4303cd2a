"""What a store is to those who use it: a place that runs repository code on a connection; knows no SQL.

Repository code is plain synchronous SQLAlchemy Core that takes a `Connection`; an engine decides on which thread, in
which transaction and together with whom it runs.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from sqlalchemy import Connection

from schemawire.service.store.heads import HeadMemory

T = TypeVar("T")

POSTGRES_SCHEMES = ("postgresql", "postgresql+asyncpg", "postgres")
"""How the address of a PostgreSQL database begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreStatistics:
    """What a store has done since its start, and what it is doing now."""

    writes: int = 0
    """Writes answered, refused ones included."""
    failed_writes: int = 0
    """Writes whose work raised, or whose commit failed."""
    commits: int = 0
    failed_commits: int = 0
    largest_group: int = 0
    """The most writes that shared one commit."""
    waiting_writes: int = 0
    reads: int = 0
    active_reads: int = 0
    is_open: bool = False


class Store(Protocol):
    """Runs repository code durably (`write`) or on a snapshot (`read`)."""

    @property
    def store_id(self) -> str:
        """The identity of the stored rows: the same after every start, and for every process that shares them."""

    @property
    def is_exclusive(self) -> bool:
        """Whether this process is the only one that works on the store."""

    @property
    def heads(self) -> HeadMemory | None:
        """The newest documents in memory; `None` where other processes write too."""

    async def start(self) -> None:
        """Open the store and bring its tables up to date.

        Raises:
            StoreLocked: another process has it open.
            StoreUnavailable: it cannot be opened or migrated; nothing was changed.
        """

    async def close(self) -> None:
        """Finish what was accepted, refuse the rest, and let go of every thread and file. Harmless when repeated."""

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` on one consistent snapshot that it cannot change, and return what it returns.

        Raises:
            StoreUnavailable: the database cannot be read.

        *Cancelled:* the work may run on to its end, unheard.
        """

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a savepoint of its own and return what it returns, once that is durably committed.

        `work` sees what every earlier answered write did. If it raises, its own changes (and nobody else's) are
        undone, and the error is raised here. It must change nothing but the database: where several processes write,
        a work that the database undid may run once more, and at most one of its runs is kept.

        Raises:
            StoreUnavailable: the queue is full, or the database cannot keep the work: nothing of it was kept.

        *Cancelled:* a work that has not begun never runs; one that has begun is committed or undone as a whole, and
        the caller cannot tell which: that is what idempotency keys are for.
        """

    async def peek(self, work: Callable[[Connection], T]) -> T:
        """Run `work` on one snapshot of a store that need not be started; nothing is migrated, made or locked.

        Raises:
            StoreUnavailable: there is no such database, or it cannot be read.
        """

    def statistics(self) -> StoreStatistics:
        """Return the counters as they are now."""
