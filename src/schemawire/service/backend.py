"""What the use cases work with, joined in one place and started and stopped together; knows nothing of HTTP."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from schemawire.analysis import Analyser
from schemawire.service.dispatch import Dispatcher
from schemawire.service.figures import FigureOptions, Figures
from schemawire.service.keyring import KeyRing
from schemawire.service.logs import log
from schemawire.service.recorder import Recorder
from schemawire.service.retention import keep_swept
from schemawire.service.store.records import IdempotencyScope
from schemawire.service.store.store import Store
from schemawire.service.terms import Terms

DRAIN_TIMEOUT = 10.0
"""Seconds that running work gets to finish when the service stops; an operation left over is resumed at the start."""


@dataclass(slots=True, kw_only=True)
class Backend:
    """One service."""

    store: Store
    dispatcher: Dispatcher
    analyser: Analyser
    keys: KeyRing
    terms: Terms = field(default_factory=Terms)
    recorder: Recorder = field(default_factory=Recorder)
    figure_options: FigureOptions = field(default_factory=FigureOptions)
    figures: Figures = field(init=False)
    claimed: set[IdempotencyScope] = field(default_factory=set)
    """Idempotency keys of the writes that run now."""
    arriving: set[tuple[str, ...]] = field(default_factory=set)
    """Idempotency keys of the large writes whose bodies are still on their way."""
    large_writes: int = 0
    """How many large writes are under way."""
    is_draining: bool = False
    """The process is about to stop: load balancers are told to send requests elsewhere."""

    def __post_init__(self) -> None:
        self.figures = Figures(self.recorder, self.figure_options)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Open the store and start working on operations; at the end finish what runs, and close.

        Raises:
            StoreLocked: another process has the database open.
            StoreUnavailable: the database cannot be opened.
        """
        await self.store.start()
        sweeper = asyncio.create_task(keep_swept(self.store), name="schemawire-sweeper")
        try:
            await self.dispatcher.start()
            log.info("service started", storeId=self.store.store_id)
            try:
                async with self.figures.kept():
                    yield
            finally:
                self.is_draining = True
                await self.dispatcher.stop(DRAIN_TIMEOUT)
        finally:
            sweeper.cancel()
            await asyncio.wait([sweeper])
            await self.store.close()
            log.info("service stopped")
