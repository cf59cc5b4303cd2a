"""One place where operations are kept and announced, for each engine: stores and dispatchers as processes have them."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial

from sqlalchemy import Connection
from tests.service.store.samples import create, edit

from schemawire.service.dispatch import Dispatcher, DispatchOptions, Engine, Execute, Execution, Polling, new_owner
from schemawire.service.operations import Backoff, Operation
from schemawire.service.store import SqliteStore, Store

ENGINES = ("sqlite", "postgres", "nats", "rabbitmq", "redis")
SHARED = ENGINES[1:]
"""Engines whose store several processes may have open."""
BROKERS = ENGINES[2:]
QUICK = DispatchOptions(concurrency=4, lease=1.5, poll_interval=0.2, backoff=Backoff(first=0.001, most=0.01))
BY_EAR = replace(QUICK, poll_interval=3600.0)
"""Finds nothing by polling, so what is done was heard of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What processes need to work on the same operations."""

    engine_name: str
    database: str
    """A path for SQLite, an address for PostgreSQL."""
    broker_url: str = ""

    def new_store(self) -> Store:
        """Return another store on the same database, not yet started."""
        if self.engine_name == "sqlite":
            return SqliteStore(self.database)
        from schemawire.service.store.postgres import PostgresOptions, PostgresStore

        return PostgresStore(self.database, options=PostgresOptions(connections=8))

    def new_engine(self, store: Store) -> Engine:
        """Return another engine on the same announcements, not yet started."""
        if self.engine_name == "sqlite":
            return Polling()
        if self.engine_name == "postgres":
            from schemawire.service.dispatch.notices import PostgresNotices

            return PostgresNotices(self.database)
        from schemawire.service.dispatch.queue import BrokerQueue

        return BrokerQueue(self.broker_url, store, name=new_owner(), grace=0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """What one process has open."""

    store: Store
    dispatcher: Dispatcher


@asynccontextmanager
async def process(site: Site, execute: Execute, options: DispatchOptions = QUICK) -> AsyncIterator[Process]:
    """Open a store and dispatch, as one process does."""
    async with AsyncExitStack() as stack:
        store = site.new_store()
        await store.start()
        stack.push_async_callback(store.close)
        dispatcher = Dispatcher(store, execute, engine=site.new_engine(store), options=options)
        await dispatcher.start()
        stack.push_async_callback(dispatcher.stop, 5.0)
        yield Process(store=store, dispatcher=dispatcher)


async def apply_once(execution: Execution) -> None:
    """Create the entity that the operation names; a second time would be refused."""
    await execution.finish(effect_of(execution.operation))


def effect_of(operation: Operation) -> Callable[[Connection], int]:
    """Return the work that creates the entity that the operation names, and returns the version."""
    return partial(_create, operation=operation)


def _create(conn: Connection, *, operation: Operation) -> int:
    return edit(operation.project_id, create(str(operation.payload["entity"])))(conn).entry.version
