"""Real faults under the store: a disk that is full, a clock that jumps; what was acknowledged is there, once."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection
from tests.servers.postgres import PostgresServer, find_binaries, run_sql
from tests.service.caller import Caller, create_entity
from tests.service.store.samples import create, edit, entity, note

from schemawire.schema import apply, parse_operations
from schemawire.service.store import (
    SqliteStore,
    SqlView,
    Store,
    StoreUnavailable,
    list_versions,
    read_schema,
    write_changes,
)
from schemawire.testing.service_process import ServiceProcess


@contextmanager
def small_file_system(folder: Path) -> Iterator[Path]:
    """Make a file system of its own with room for very little."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=3m,mode=777", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("only where a small file system may be mounted")
    try:
        (folder / "ballast").write_bytes(b"x" * 1_000_000)
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A small file system for this test."""
    with small_file_system(tmp_path / "disk") as folder:
        yield folder


def large(name: str) -> dict[str, object]:
    """Return the operation that creates an entity of some 20 kB."""
    return {"operation": "create_entity", "data": entity(name, description="x" * 19_000)}


async def fill_up(store: Store) -> tuple[set[str], StoreUnavailable]:
    """Write from several callers until the disk is full; return what was acknowledged, and the refusal."""
    acknowledged: set[str] = set()

    async def caller(number: int) -> StoreUnavailable:
        for step in range(10_000):
            name = f"E{number}_{step}"
            try:
                await store.write(edit("p", large(name)))
            except StoreUnavailable as refusal:
                return refusal
            acknowledged.add(name)
        raise AssertionError("the disk was never full")

    refusals = await asyncio.gather(*(caller(number) for number in range(4)))
    return acknowledged, refusals[0]


async def test_a_full_disk_under_sqlite_loses_nothing(small_disk: Path) -> None:
    """Writes are refused as retryable while reads go on; with room again they succeed, and nothing is missing."""
    store = SqliteStore(small_disk / "a.db")
    await store.start()
    acknowledged, refusal = await fill_up(store)
    assert refusal.retryable
    assert refusal.retry_after
    assert "full" in refusal.message
    names = {each.name for each in (await store.read(partial(read_schema, project_id="p"))).entities}
    assert names == acknowledged
    (small_disk / "ballast").unlink()
    assert (await store.write(edit("p", create("After")))).changed
    await store.close()
    await store.start()
    schema = await store.read(partial(read_schema, project_id="p"))
    assert {each.name for each in schema.entities} == acknowledged | {"After"}
    assert await store.read(lambda conn: conn.exec_driver_sql("PRAGMA integrity_check").scalar_one()) == "ok"
    await store.close()


@pytest.mark.timeout(60)
async def test_a_full_disk_under_the_service_is_a_503(small_disk: Path, tmp_path: Path) -> None:
    """Over HTTP a full disk is `store_unavailable` with Retry-After, and the service goes on by itself afterwards."""
    environment = {"SCHEMAWIRE_DATABASE_URL": f"sqlite:///{small_disk / 'a.db'}"}
    acknowledged = 0
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(ServiceProcess(tmp_path / "service", environment=environment))
        call = await stack.enter_async_context(Caller(service))
        for step in range(1_000):
            operation = create_entity(f"E{step}")
            operation["data"]["description"] = "x" * 19_000
            answer = await call("POST", "batch", json={"projectId": "p", "sessionId": "s", "operations": [operation]})
            if answer.status != 200:
                break
            acknowledged += 1
        assert (answer.status, answer.code) == (503, "store_unavailable")
        assert answer.headers["Retry-After"]
        assert (await call("GET", "p")).json()["version"] == acknowledged
        (small_disk / "ballast").unlink()
        again = {"projectId": "p", "sessionId": "s", "operations": [create_entity("After")]}
        assert (await call("POST", "batch", json=again)).json()["version"] == acknowledged + 1


@pytest.fixture
def small_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server with a table space on a small disk."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("needs a PostgreSQL server")
    with PostgresServer(binaries) as server, small_file_system(server.folder / "disk") as folder:
        space = folder / "space"
        space.mkdir()
        shutil.chown(space, "postgres")
        run_sql(server.url(), f"CREATE TABLESPACE small LOCATION '{space}'")
        yield server
        server.stop()  # before its disk goes


async def test_a_full_disk_under_postgresql_loses_nothing(small_server: PostgresServer) -> None:
    """The same there: refused as retryable, nothing acknowledged is missing, and with room again all goes on."""
    from schemawire.service.store.postgres import PostgresOptions, PostgresStore

    small_disk = small_server.folder / "disk"
    store = PostgresStore(small_server.url(), options=PostgresOptions(connections=4))
    await store.start()
    run_sql(
        small_server.url(),
        "ALTER TABLE elements SET TABLESPACE small",
        "ALTER TABLE elements ALTER COLUMN body SET STORAGE EXTERNAL",  # x repeated would be packed very small
    )
    acknowledged, refusal = await fill_up(store)
    assert refusal.retryable
    assert "disk space" in refusal.message
    schema = await store.read(partial(read_schema, project_id="p"))
    assert {each.name for each in schema.entities} == acknowledged
    (small_disk / "ballast").unlink()
    assert (await store.write(edit("p", create("After")))).changed
    entries = await store.read(partial(list_versions, project_id="p", limit=1_000))
    assert [entry.version for entry in entries] == list(range(len(acknowledged) + 1, 0, -1))
    await store.close()


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """A PostgreSQL server for one test, which may stop it."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("needs a PostgreSQL server")
    with PostgresServer(binaries) as server:
        yield server


@pytest.mark.timeout(60)
async def test_the_service_outlives_its_database(own_server: PostgresServer, tmp_path: Path) -> None:
    """While the database is away every request is a 503 to be repeated; once it is back all is as it was."""
    environment = {"SCHEMAWIRE_DATABASE_URL": own_server.url()}
    body = {"projectId": "p", "sessionId": "s", "operations": [create_entity("Before")]}
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(ServiceProcess(tmp_path / "service", environment=environment))
        call = await stack.enter_async_context(Caller(service))
        assert (await call("POST", "batch", json=body)).status == 200
        await asyncio.to_thread(own_server.stop)
        body["operations"] = [create_entity("After")]
        key = {"Idempotency-Key": "after"}
        for method, path, content in (("GET", "p", None), ("POST", "batch", body), ("GET", "", None)):
            answer = await call(method, path.rstrip("/") or "/api/domain-schema", json=content, headers=key)
            assert (answer.status, answer.code) == (503, "store_unavailable")
            assert answer.headers["Retry-After"]
        assert (await call("GET", "/health/live")).status == 200
        assert (await call("GET", "/health/ready")).status == 503
        await asyncio.to_thread(own_server.start)
        assert (await call("POST", "batch", json=body, headers=key)).json()["version"] == 2
        assert (await call("POST", "batch", json=body, headers=key)).json()["version"] == 2
        assert (await call("GET", "/health/ready")).status == 200
        names = [each["name"] for each in (await call("GET", "p")).json()["data"]["entities"]]
        assert names == ["Before", "After"]


async def test_a_clock_that_jumps_harms_no_version(store: Store) -> None:
    """Set back by a year and forth again, versions stay gapless and in order, and each keeps the time it was told."""
    times = [1_000.0, 1_000.0 - 31_536_000, 4_102_444_800.0, 999.5]

    def at(moment: float, name: str, conn: Connection) -> int:
        view = SqlView(conn, "p", is_writing=True)
        changes = apply(view, parse_operations([create(name)]))
        return write_changes(view, changes, note(now=moment)).entry.version

    found = [await store.write(partial(at, moment, f"E{index}")) for index, moment in enumerate(times)]
    assert found == [1, 2, 3, 4]
    entries = await store.read(partial(list_versions, project_id="p"))
    assert [entry.created_at for entry in entries] == times[::-1]
