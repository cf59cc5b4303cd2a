"""Durable writes of the store against the bare drivers doing the same statements, in one run; and one service or two.

    python benchmarks/store_writes.py [--seconds 3] [--postgres postgresql://postgres@127.0.0.1:5432/postgres]

A single write creates one entity in one project: look at the project and the two names, add an element row and a
version row, move the project's head, commit. The bare driver sends those statements and nothing else: no schema is
read or checked, no digest computed, no JSON made. A batch creates 1,000 entities in a project of its own. The last
part asks real services over HTTP, one process or two on one PostgreSQL database, each writer in a project of its own.
"""

import argparse
import asyncio
import os
import sqlite3
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
from sqlalchemy import Connection

from schemawire.schema import apply, parse_operations
from schemawire.schema.lookups import looked_up
from schemawire.service.collector import ease_collector
from schemawire.service.store import SqliteStore, SqlView, Store, WriteNote, write_changes
from schemawire.testing.service_process import ServiceProcess

CALLERS = 32
BATCH = 1_000
BODY = b'{"name":"E0","fields":[{"name":"a","type":"string"}]}'
ELEMENT = "INSERT INTO elements (project_id, kind_rank, key, valid_from, valid_to, ordinal, digest, body) VALUES "
VERSION = (
    "INSERT INTO versions (project_id, version, digest, parent, header, element_count, created_at, created_by,"
    " session_id, message, rows_id) VALUES "
)
HEAD = "UPDATE projects SET version = {}, digest = {}, header = {}, counts = {}, updated_at = {} WHERE project_id = {}"
LOOK = "SELECT body FROM elements WHERE project_id = {} AND kind_rank = {} AND key = {} AND valid_to IS NULL"


def create(name: str) -> dict[str, Any]:
    """Return the operation that creates an entity."""
    return {"operation": "create_entity", "data": {"name": name, "fields": [{"name": "a", "type": "string"}]}}


def write(conn: Connection, project_id: str, documents: list[dict[str, Any]]) -> int:
    """Do what the service does for a write, from the decoded request on."""
    view = SqlView(conn, project_id, is_writing=True)
    operations = parse_operations(documents)
    view.look_ahead(looked_up(operations))
    changes = apply(view, operations)
    return write_changes(view, changes, WriteNote(now=time.time())).entry.version


async def rate(do: Callable[[int], Awaitable[object]], seconds: float, callers: int) -> tuple[float, float]:
    """Return how many are done in a second, and the processor time of this process for each."""
    numbers, done = count(), 0
    until, started, spent = time.perf_counter() + seconds, time.perf_counter(), time.process_time()

    async def caller() -> None:
        nonlocal done
        while time.perf_counter() < until:
            await do(next(numbers))
            done += 1

    await asyncio.gather(*(caller() for _ in range(callers)))
    return done / (time.perf_counter() - started), (time.process_time() - spent) / done


async def of_the_store(store: Store, seconds: float) -> dict[str, tuple[float, float]]:
    """Measure a store: single writes in one project by many at once, and batches one after the other."""
    run = uuid.uuid4().hex[:8]
    await store.write(partial(write, project_id=run, documents=[create("First")]))
    single = await rate(
        lambda number: store.write(partial(write, project_id=run, documents=[create(f"E{number}")])), seconds, CALLERS
    )
    names = [create(f"E{number}") for number in range(BATCH)]
    batch = await rate(
        lambda number: store.write(partial(write, project_id=f"{run}-{number}", documents=names)), seconds, 1
    )
    return {"single": single, "batch": (batch[0] * BATCH, batch[1] / BATCH)}


def bare_sqlite(path: Path, seconds: float, *, group: int) -> float:
    """Return the writes per second of `sqlite3`, with so many in one commit."""
    _with_project(path)
    conn = sqlite3.connect(path, isolation_level=None)
    conn.execute("PRAGMA synchronous=FULL")
    until, done, started = time.perf_counter() + seconds, 0, time.perf_counter()
    element, version = ELEMENT + "(?,?,?,?,?,?,?,?)", VERSION + "(?,?,?,?,?,?,?,?,?,?,?)"
    head, look, digest = HEAD.format(*"??????"), LOOK.format(*"???"), os.urandom(32)
    while time.perf_counter() < until:
        conn.execute("BEGIN IMMEDIATE")
        for _ in range(group):
            done += 1
            conn.execute("SELECT * FROM projects WHERE project_id = ?", ("bare",)).fetchone()
            for rank in (0, 1):
                conn.execute(look, ("bare", rank, f"E{done}")).fetchone()
            conn.execute(element, ("bare", 0, f"E{done}", done, None, done, digest, BODY))
            conn.execute(version, ("bare", done, "d" * 64, None, b"{}", done, 1.0, "x", None, None, None))
            conn.execute(head, (done, "d" * 64, b"{}", "[1]", 1.0, "bare"))
        conn.execute("COMMIT")
    conn.close()
    return done / (time.perf_counter() - started)


def bare_sqlite_batch(path: Path, seconds: float) -> float:
    """Return the rows per second of `executemany`, 1,000 in one commit."""
    conn = sqlite3.connect(path, isolation_level=None)
    conn.execute("PRAGMA synchronous=FULL")
    until, done, started = time.perf_counter() + seconds, 0, time.perf_counter()
    digest = os.urandom(32)
    while time.perf_counter() < until:
        rows = [(f"bare-{done}", 0, f"E{number}", 1, None, number, digest, BODY) for number in range(BATCH)]
        conn.execute("BEGIN IMMEDIATE")
        conn.executemany(ELEMENT + "(?,?,?,?,?,?,?,?)", rows)
        conn.execute("COMMIT")
        done += BATCH
    conn.close()
    return done / (time.perf_counter() - started)


async def bare_asyncpg(url: str, seconds: float) -> tuple[float, float]:
    """Return writes and batch rows per second of `asyncpg`, each writer in a project of its own."""
    import asyncpg  # type: ignore[import-untyped]  # it ships no types

    pool = await asyncpg.create_pool(url, min_size=5, max_size=5)
    digest, run = os.urandom(32), uuid.uuid4().hex[:8]
    element, version = ELEMENT + "($1,$2,$3,$4,$5,$6,$7,$8)", VERSION + "($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11)"
    head, look = HEAD.format("$1", "$2", "$3", "$4", "$5", "$6"), LOOK.format("$1", "$2", "$3")

    async def one(number: int) -> None:
        project_id = f"{run}-{number % CALLERS}"
        async with pool.acquire() as conn, conn.transaction():
            await conn.fetchrow("SELECT * FROM projects WHERE project_id = $1 FOR UPDATE", project_id)
            for rank in (0, 1):
                await conn.fetchrow(look, project_id, rank, f"E{number}")
            await conn.execute(element, project_id, 0, f"E{number}", number, None, number, digest, BODY)
            await conn.execute(version, project_id, number, "d" * 64, None, b"{}", 1, 1.0, "x", None, None, None)
            await conn.execute(head, number, "d" * 64, b"{}", "[1]", 1.0, project_id)

    async def batch(number: int) -> None:
        rows = [(f"{run}-b{number}", 0, f"E{each}", 1, None, each, digest, BODY) for each in range(BATCH)]
        async with pool.acquire() as conn, conn.transaction():
            await conn.executemany(element, rows)

    single, many = (await rate(one, seconds, CALLERS))[0], (await rate(batch, seconds, 1))[0] * BATCH
    await pool.close()
    return single, many


async def of_services(url: str, processes: int, seconds: float) -> float:
    """Return the writes per second of so many service processes on one database, over HTTP."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        services = [
            ServiceProcess(folder / str(number), admin_key="k" * 32, environment={"SCHEMAWIRE_DATABASE_URL": url})
            for number in range(processes)
        ]
        for service in services:
            await stack.enter_async_context(service)
        session = await stack.enter_async_context(aiohttp.ClientSession(headers=services[0].headers))
        run, names = uuid.uuid4().hex[:8], count()

        async def one(number: int) -> None:
            place = number % CALLERS
            body = {"projectId": f"{run}-{place}", "sessionId": "s", "operations": [create(f"E{next(names)}")]}
            base_url = services[place % processes].base_url
            async with session.post(f"{base_url}/api/domain-schema/batch", json=body) as reply:
                reply.raise_for_status()
                await reply.read()

        await rate(one, 0.5, CALLERS)
        return (await rate(one, seconds, CALLERS))[0]


def show(name: str, figure: float, bare: float, spent: float | None = None) -> None:
    """Print one line."""
    processor = "" if spent is None else f"{spent * 1e6:10.0f} µs"
    print(f"{name:44} {figure:10,.0f}/s {bare:12,.0f}/s {figure / bare:8.2f} {processor}")


async def main(seconds: float, postgres: str | None) -> None:
    """Measure and print."""
    ease_collector()
    print(f"{'':44} {'schemawire':>12} {'bare driver':>14} {'ratio':>8} {'processor':>13}")
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteStore(Path(folder) / "a.db")
        await store.start()
        ours = await of_the_store(store, seconds)
        await store.close()
        each = await asyncio.to_thread(bare_sqlite, store.path, seconds, group=1)
        grouped = await asyncio.to_thread(partial(bare_sqlite, store.path, seconds, group=CALLERS))
        rows = await asyncio.to_thread(bare_sqlite_batch, store.path, seconds)
    show("SQLite, single writes, 32 at once", ours["single"][0], each, ours["single"][1])
    show("  … the driver with 32 writes in one commit", ours["single"][0], grouped)
    show("SQLite, batches of 1,000 (operations, rows)", ours["batch"][0], rows, ours["batch"][1])
    if postgres:
        await _on_postgres(postgres, seconds)


def _with_project(path: Path) -> None:
    conn = sqlite3.connect(path)
    for table in ("elements", "versions", "projects"):
        conn.execute(f"DELETE FROM {table}")
    conn.execute(
        "INSERT INTO projects (project_id, name, version, digest, header, counts, next_ordinal, created_at, updated_at,"
        " settings) VALUES ('bare', 'bare', 0, 'd', x'7b7d', '[1]', 1, 1.0, 1.0, '{}')"
    )
    conn.commit()
    conn.close()


async def _on_postgres(admin_url: str, seconds: float) -> None:
    import asyncpg

    from schemawire.service.store.postgres import PostgresStore

    name = f"schemawire_bench_{uuid.uuid4().hex[:8]}"
    admin = await asyncpg.connect(admin_url)
    await admin.execute(f'CREATE DATABASE "{name}"')
    url = f"{admin_url.rpartition('/')[0]}/{name}"
    try:
        store = PostgresStore(url)
        await store.start()
        ours = await of_the_store(store, seconds)

        def spread(number: int) -> Awaitable[int]:
            documents = [create(f"E{number}")]
            return store.write(partial(write, project_id=f"m{number % CALLERS}", documents=documents))

        many = await rate(spread, seconds, CALLERS)
        await store.close()
        single, rows = await bare_asyncpg(url, seconds)
        show("PostgreSQL, single writes, 32 projects", many[0], single, many[1])
        show("PostgreSQL, single writes, one project", ours["single"][0], single, ours["single"][1])
        show("PostgreSQL, batches of 1,000", ours["batch"][0], rows, ours["batch"][1])
        one, two = await of_services(url, 1, seconds), await of_services(url, 2, seconds)
        print(f"PostgreSQL over HTTP, 32 callers: one process {one:,.0f}/s, two {two:,.0f}/s, ratio {two / one:.2f}")
    finally:
        await admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        await admin.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--postgres", default=os.environ.get("SCHEMAWIRE_TEST_POSTGRES_URL"))
    options = parser.parse_args()
    asyncio.run(main(options.seconds, options.postgres))
