"""What the use cases work with, joined in one place and started and stopped together; knows nothing of HTTP."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Protocol

from schemawire.analysis import Analyser, Models, Refiner
from schemawire.service.admission import Gate, KeyRates
from schemawire.service.auditing import AuditTrail
from schemawire.service.dispatch import Dispatcher
from schemawire.service.feeds import ChangeFeeds
from schemawire.service.figures import FigureOptions, Figures
from schemawire.service.keyring import KeyRing
from schemawire.service.logs import log
from schemawire.service.recorder import Recorder
from schemawire.service.retention import keep_swept
from schemawire.service.store.records import IdempotencyScope
from schemawire.service.store.refusals import StoreError
from schemawire.service.store.store import Store
from schemawire.service.terms import Terms
from schemawire.service.webhook_policy import WebhookPolicy

DRAIN_TIMEOUT = 10.0
"""Seconds that running work gets to finish when the service stops; an operation left over is resumed at the start."""


class Companion(Protocol):
    """Something that runs from when the store is open until it closes."""

    async def start(self) -> None:
        """Begin."""

    async def stop(self) -> None:
        """End; harmless when it never began."""


BATCHES_AT_ONCE = 3
"""One that is read, one that is ready, and one that is being written."""


@dataclass(slots=True, kw_only=True)
class Backend:
    """One service."""

    store: Store
    dispatcher: Dispatcher
    analyser: Analyser
    keys: KeyRing
    refiner: Refiner = field(default_factory=Refiner)
    models: Models | None = None
    """The language models that descriptions are sent to; `None`: nobody is asked."""
    terms: Terms = field(default_factory=Terms)
    rates: KeyRates = field(default_factory=lambda: KeyRates(rate=0.0, burst=1))
    gate: Gate = field(default_factory=lambda: Gate(concurrency=0, queue_delay=1.0))
    trail: AuditTrail = field(default_factory=AuditTrail)
    recorder: Recorder = field(default_factory=Recorder)
    webhooks: WebhookPolicy = field(default_factory=WebhookPolicy)
    companions: list[Companion] = field(default_factory=list)
    """What runs beside the dispatcher in a process that carries operations out."""
    figure_options: FigureOptions = field(default_factory=FigureOptions)
    figures: Figures = field(init=False)
    feeds: ChangeFeeds = field(init=False)
    claimed: set[IdempotencyScope] = field(default_factory=set)
    """Idempotency keys of the writes that run now."""
    arriving: set[tuple[str, ...]] = field(default_factory=set)
    """Idempotency keys of the large writes whose bodies are still on their way."""
    batch_turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(BATCHES_AT_ONCE))
    """Large batches wait as bytes: once read, one takes many times the room."""
    sweeping_due: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when much has just been left to the sweeper."""
    large_writes: int = 0
    """How many large writes are under way."""
    is_started: bool = False
    """The store is open and operations are worked off."""
    is_draining: bool = False
    """The process is about to stop: load balancers are told to send requests elsewhere."""

    def __post_init__(self) -> None:
        self.figures = Figures(self.recorder, self.figure_options)
        self.feeds = ChangeFeeds(self.store)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Open the store and start working on operations; at the end finish what runs, and close.

        Raises:
            StoreLocked: another process has the database open.
            StoreUnavailable: the database cannot be opened.
        """
        await self.store.start()
        tending = [
            asyncio.create_task(work, name=f"schemawire-{name}")
            for name, work in (
                (
                    "sweeper",
                    keep_swept(self.store, audit_retention=self.terms.audit_retention, due=self.sweeping_due),
                ),
                ("audit", self.trail.keep_flushing(self.store)),
                ("lag", self.gate.watch_lag()),
            )
        ]
        try:
            try:
                await self.dispatcher.start()
                for companion in self.companions:
                    await companion.start()
                self.is_started = True
                log.info("service started", storeId=self.store.store_id)
                async with self.figures.kept():
                    yield
            finally:
                self.is_draining = True
                for companion in reversed(self.companions):
                    await companion.stop()
                await self.dispatcher.stop(DRAIN_TIMEOUT)
        finally:
            for task in tending:
                task.cancel()
            await asyncio.wait(tending)
            await self.feeds.aclose()
            with suppress(StoreError):
                await self.trail.flush(self.store)
            await self.store.close()
            log.info("service stopped")
