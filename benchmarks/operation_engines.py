"""Operations per second from submission to completion, and how soon one begins, for each engine that announces them.

    python benchmarks/operation_engines.py [--operations 1000] [--postgres URL] [--nats URL] [--rabbitmq URL]
        [--redis URL]

A submitter that carries nothing out and a worker share a fresh database, each with a store of its own, in one process;
on SQLite one dispatcher does both. Each operation creates one entity, and stands in a row from its submission on: a
submission is a durable commit, a claim another (for several at once), the effect with its completion a third. The
peer is the same change written directly, without an operation, by as many callers on the same database. On two cores
the database server and the broker take part of what is measured. Engines whose server does not answer are left out.
"""

import argparse
import asyncio
import socket
import statistics
import tempfile
import time
import uuid
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg  # type: ignore[import-untyped]  # it ships no types
from sqlalchemy import Connection

from schemawire.schema import apply, parse_operations
from schemawire.service.dispatch import Dispatcher, DispatchOptions, Engine, Execution, Polling, new_owner
from schemawire.service.dispatch.notices import PostgresNotices
from schemawire.service.dispatch.queue import BrokerQueue
from schemawire.service.operations import Operation, new_operation
from schemawire.service.store import SqliteStore, SqlView, Store, WriteNote, add_operation, write_changes
from schemawire.service.store.postgres import PostgresStore

CALLERS = 32
PROJECTS = 100
SINGLES = 30
ENGINES = ("sqlite", "postgres", "nats", "rabbitmq", "redis")


def effect(conn: Connection, project_id: str, name: str) -> int:
    """Create one entity."""
    data = {"name": name, "fields": [{"name": "a", "type": "string"}]}
    view = SqlView(conn, project_id, is_writing=True)
    changes = apply(view, parse_operations([{"operation": "create_entity", "data": data}]))
    return write_changes(view, changes, WriteNote(now=time.time())).entry.version


async def execute(execution: Execution) -> None:
    """Carry out an operation."""
    operation = execution.operation
    await execution.finish(partial(effect, project_id=operation.project_id, name=str(operation.payload["name"])))


def store_of(engine: str, database: str) -> Store:
    """Return a store that is not yet started."""
    return SqliteStore(database) if engine == "sqlite" else PostgresStore(database)


def engine_of(engine: str, database: str, url: str, store: Store) -> Engine:
    """Return an engine that is not yet started."""
    if engine == "sqlite":
        return Polling()
    return PostgresNotices(database) if engine == "postgres" else BrokerQueue(url, store, name=new_owner())


class Bench:
    """One engine on one fresh database."""

    def __init__(self, submitter: tuple[Store, Dispatcher], worker: Dispatcher) -> None:
        self.store, self._submitter = submitter
        self._worker = worker
        self._ended = asyncio.Event()
        worker.on_end = self._ended.set

    async def direct(self, count: int) -> float:
        """Return writes per second without operations."""
        waiting = iter(range(count))

        async def call() -> None:
            for number in waiting:
                work = partial(effect, project_id=f"d{number % PROJECTS}", name=f"D{number}")
                await self.store.write(work)

        return await _rate(call, count)

    async def throughput(self, count: int) -> float:
        """Return operations per second, submitted by several callers, until the last one is done."""
        waiting, before, run = iter(range(count)), self._worker.statistics().succeeded, uuid.uuid4().hex[:6]

        async def call() -> None:
            for number in waiting:
                await self.submit(f"p{number % PROJECTS}", f"E{run}_{number}")

        async def done() -> None:
            await call()
            while self._worker.statistics().succeeded < before + count:  # noqa: ASYNC110  # a counter has no event
                await asyncio.sleep(0.002)

        return await _rate(done, count)

    async def submit(self, project_id: str, name: str) -> None:
        """Take an operation in as the service does."""
        operation = new_operation(project_id, "bench", {"name": name}, now=time.time())

        def work(conn: Connection, operation: Operation = operation) -> None:
            self._submitter.note(conn, add_operation(conn, operation))

        await self.store.write(work)
        self._submitter.announce(operation.operation_id)

    async def latency(self) -> float:
        """Return the median seconds from an answered submission to the end of its operation, all else at rest."""
        taken = []
        for number in range(SINGLES):
            await asyncio.sleep(0.03)
            self._ended.clear()
            await self.submit("alone", f"L{number}")
            begun = time.perf_counter()
            await self._ended.wait()
            taken.append(time.perf_counter() - begun)
        return statistics.median(taken)


async def _rate(call: object, count: int) -> float:
    begun = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(CALLERS):
            group.create_task(call())  # type: ignore[operator]  # a function of no arguments
    return count / (time.perf_counter() - begun)


async def measure(engine: str, database: str, url: str, count: int) -> None:
    """Measure one engine, and print its line."""
    async with AsyncExitStack() as stack:
        opened: list[tuple[Store, Dispatcher]] = []
        for is_working in (True, False) if engine != "sqlite" else (True,):
            store = store_of(engine, database)
            await store.start()
            stack.push_async_callback(store.close)
            options = DispatchOptions(concurrency=16, is_working=is_working)
            dispatcher = Dispatcher(store, execute, engine=engine_of(engine, database, url, store), options=options)
            await dispatcher.start()
            stack.push_async_callback(dispatcher.stop)
            opened.append((store, dispatcher))
        bench = Bench(opened[-1], opened[0][1])
        while not all(each.statistics().engine_connected for _, each in opened):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await bench.throughput(50)  # connections and caches
        direct, cpu = await bench.direct(count), time.process_time()
        rate = await bench.throughput(count)
        cpu = (time.process_time() - cpu) / count
        waited = await bench.latency()
        print(f"{engine:10} {rate:9.0f} {direct:13.0f} {rate / direct:7.2f} {cpu * 1e3:14.2f} {waited * 1e3:15.1f}")


async def fresh_database(admin: str) -> str:
    """Make an empty database, and return its address."""
    name = f"bench_{uuid.uuid4().hex[:10]}"
    connection = await asyncpg.connect(admin)
    await connection.execute(f"CREATE DATABASE {name}")
    await connection.close()
    return f"{admin.rpartition('/')[0]}/{name}"


async def drop(admin: str, database: str) -> None:
    """Drop a database that was made here."""
    connection = await asyncpg.connect(admin)
    await connection.execute(f"DROP DATABASE {database.rpartition('/')[2]} WITH (FORCE)")
    await connection.close()


def answers(url: str) -> bool:
    """Tell whether somebody listens at an address."""
    parts = urlsplit(url)
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((parts.hostname or "127.0.0.1", parts.port or 0)) == 0


async def main() -> None:
    """Measure every engine whose servers answer."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--operations", type=int, default=1_000)
    parser.add_argument("--postgres", default="postgresql://postgres@127.0.0.1:5432/postgres")
    parser.add_argument("--nats", default="nats://127.0.0.1:4222")
    parser.add_argument("--rabbitmq", default="amqp://guest:guest@127.0.0.1:5672/")
    parser.add_argument("--redis", default="redis://127.0.0.1:6379")
    given = parser.parse_args()
    print("engine     operations/s  direct writes/s  ratio  CPU ms/operation  begins+ends ms")
    for engine in ENGINES:
        url = given.postgres if engine == "postgres" else getattr(given, engine, "")
        if engine == "sqlite":
            with tempfile.TemporaryDirectory() as folder:
                await measure(engine, str(Path(folder) / "bench.db"), "", given.operations)
        elif not answers(given.postgres) or not answers(url):
            print(f"{engine:10} left out: no server at its address")
        else:
            database = await fresh_database(given.postgres)
            try:
                await measure(engine, database, url, given.operations)
            finally:
                await drop(given.postgres, database)


if __name__ == "__main__":
    asyncio.run(main())
