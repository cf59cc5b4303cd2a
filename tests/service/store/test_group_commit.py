"""The writer thread: shared commits, private failures, and answers that are only given for what is durable."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert, select, text
from sqlalchemy.exc import IntegrityError
from tests.service.store.samples import create, edit, put, schema_of

from schemawire.errors import Closed, ConfigurationInvalid
from schemawire.service.store import (
    SqliteOptions,
    SqliteStore,
    StoreLocked,
    StoreUnavailable,
    find_project,
    find_version,
)
from schemawire.service.store.tables import idempotency


@pytest.fixture
def store(sqlite_store: SqliteStore) -> SqliteStore:
    """These tests are about the file."""
    return sqlite_store


def add_row(key: str) -> Callable[[Connection], str]:
    """Return a small work: one row of a table without rules."""

    def work(conn: Connection) -> str:
        values = {"principal": "p", "project_id": "p", "route": "r", "request_hash": b"", "status": 1, "headers": "{}"}
        conn.execute(insert(idempotency).values(**values, body=b"", created_at=0.0, key=key))
        return key

    return work


def row_keys(conn: Connection) -> set[str]:
    return set(conn.execute(select(idempotency.c.key)).scalars())


class Held:
    """Keeps the writer busy until it is let go, so that works gather behind it."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.go = threading.Event()

    def __call__(self, conn: Connection) -> None:
        self.begun.set()
        assert self.go.wait(10)


async def hold(store: SqliteStore) -> tuple[Held, asyncio.Task[None]]:
    held = Held()
    task = asyncio.create_task(store.write(held))
    await asyncio.to_thread(held.begun.wait, 10)
    return held, task


async def test_waiting_writes_share_commits(store: SqliteStore) -> None:
    """A hundred concurrent writes are made durable by a few commits, and each is answered with its own result."""
    before = store.statistics()
    found = await asyncio.gather(*(store.write(add_row(str(number))) for number in range(100)))
    after = store.statistics()
    assert found == [str(number) for number in range(100)]
    assert after.writes - before.writes == 100
    assert after.commits - before.commits < 50
    assert after.largest_group > 1
    assert len(await store.read(row_keys)) == 100


async def test_a_failing_work_undoes_itself_alone(store: SqliteStore) -> None:
    """In one group, a work that raises after writing keeps nothing, and its neighbours keep everything."""

    def fail_late(conn: Connection) -> None:
        add_row("bad")(conn)
        raise LookupError("on purpose")

    held, holder = await hold(store)
    works = [store.write(add_row("first")), store.write(fail_late), store.write(add_row("last"))]
    tasks = [asyncio.ensure_future(work) for work in works]
    await asyncio.sleep(0)
    held.go.set()
    first, bad, last = await asyncio.gather(*tasks, return_exceptions=True)
    await holder
    assert (first, last) == ("first", "last")
    assert isinstance(bad, LookupError)
    assert await store.read(row_keys) == {"first", "last"}
    assert store.statistics().failed_writes == 1


async def test_a_broken_rule_of_the_tables_is_the_callers_error(store: SqliteStore) -> None:
    """A duplicate key is not mistaken for a database that cannot work."""
    await store.write(add_row("same"))
    with pytest.raises(IntegrityError):
        await store.write(add_row("same"))


async def test_nobody_is_told_of_a_commit_that_failed(store: SqliteStore) -> None:
    """When the shared commit fails, every work of the group gets the error, the refused ones too."""

    def refuse(_: Connection) -> None:
        raise LookupError("read from what was never kept")

    def break_commit(conn: Connection) -> None:
        conn.execute(text("CREATE TABLE parents (id INTEGER PRIMARY KEY)"))
        conn.execute(text("CREATE TABLE children (p INTEGER REFERENCES parents(id) DEFERRABLE INITIALLY DEFERRED)"))
        conn.execute(text("INSERT INTO children VALUES (7)"))  # found out by COMMIT alone

    await enforce_foreign_keys(store)
    held, holder = await hold(store)
    tasks = [asyncio.ensure_future(store.write(work)) for work in (add_row("good"), refuse, break_commit)]
    await asyncio.sleep(0)
    held.go.set()
    found = await asyncio.gather(holder, *tasks, return_exceptions=True)
    assert [type(each) for each in found] == [StoreUnavailable] * 4
    assert await store.read(row_keys) == set()
    assert await store.write(add_row("later")) == "later"
    assert store.statistics().failed_commits == 2  # this one, and the one that switched the checks on


async def enforce_foreign_keys(store: SqliteStore) -> None:
    """Switch deferred checks on; SQLite takes the switch outside of transactions alone."""

    def work(conn: Connection) -> None:
        raw = conn.connection.dbapi_connection
        assert isinstance(raw, sqlite3.Connection)
        raw.execute("COMMIT")
        raw.execute("PRAGMA foreign_keys=ON")

    with pytest.raises(StoreUnavailable):  # the writer notices that its transaction is gone
        await store.write(work)


async def test_a_full_disk_refuses_and_keeps_nothing(store: SqliteStore) -> None:
    """When the database cannot grow, the write is unavailable and retryable; with room again the store goes on."""
    await store.write(add_row("before"))

    def limit(pages: int) -> Callable[[Connection], None]:
        def work(conn: Connection) -> None:
            now = conn.exec_driver_sql("PRAGMA page_count").scalar_one()
            conn.exec_driver_sql(f"PRAGMA max_page_count={now + pages}")

        return work

    def add_much(conn: Connection) -> None:
        for number in range(2_000):
            add_row(f"{number}-{'x' * 200}")(conn)

    await store.write(limit(2))
    with pytest.raises(StoreUnavailable) as caught:
        await store.write(add_much)
    assert caught.value.retryable
    assert caught.value.retry_after
    assert await store.read(row_keys) == {"before"}
    await store.write(limit(10_000))
    assert await store.write(add_row("after")) == "after"


async def test_a_full_disk_does_not_take_neighbours_along_in_silence(store: SqliteStore) -> None:
    """A neighbour of a write that found the disk full is either durable or told that it is not."""

    def fill(conn: Connection) -> None:
        now = conn.exec_driver_sql("PRAGMA page_count").scalar_one()
        conn.exec_driver_sql(f"PRAGMA max_page_count={now}")
        for number in range(2_000):
            add_row(f"{number}-{'x' * 200}")(conn)

    held, holder = await hold(store)
    tasks = [asyncio.ensure_future(store.write(work)) for work in (add_row("first"), fill, add_row("last"))]
    await asyncio.sleep(0)
    held.go.set()
    await asyncio.gather(holder, return_exceptions=True)
    found = await asyncio.gather(*tasks, return_exceptions=True)
    kept = await store.read(row_keys)
    assert isinstance(found[1], StoreUnavailable)
    assert kept == {each for each in found if isinstance(each, str)}


async def test_the_queue_is_bounded(tmp_path: Path) -> None:
    """A write beyond the limit is refused at once, with a time to come back, and the others are done."""
    store = SqliteStore(tmp_path / "a.db", options=SqliteOptions(max_waiting_writes=2))
    await store.start()
    held, holder = await hold(store)
    waiting = [asyncio.ensure_future(store.write(add_row(str(number)))) for number in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable, match="too many writes") as caught:
        await store.write(add_row("more"))
    assert caught.value.retry_after
    held.go.set()
    await asyncio.gather(holder, *waiting)
    assert await store.read(row_keys) == {"0", "1"}
    await store.close()


async def test_a_write_cancelled_while_it_waits_never_runs(store: SqliteStore) -> None:
    """Cancelled before its turn means not done, and its place in the queue is free again."""
    held, holder = await hold(store)
    task = asyncio.create_task(store.write(add_row("cancelled")))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    held.go.set()
    await holder
    assert await store.write(add_row("next")) == "next"
    assert await store.read(row_keys) == {"next"}


async def test_closing_finishes_what_was_accepted(tmp_path: Path) -> None:
    """Every write accepted before the close is answered and durable; later ones are refused."""
    store = SqliteStore(tmp_path / "a.db")
    await store.start()
    tasks = [asyncio.ensure_future(store.write(add_row(str(number)))) for number in range(20)]
    await asyncio.sleep(0)
    await store.close()
    assert set(await asyncio.gather(*tasks)) == {str(number) for number in range(20)}
    with pytest.raises(Closed):
        await store.write(add_row("late"))
    await store.close()
    await store.start()
    assert len(await store.read(row_keys)) == 20
    await store.close()


async def test_readers_cannot_write(store: SqliteStore) -> None:
    """A work handed to `read` by mistake changes nothing."""
    with pytest.raises(StoreUnavailable, match="readonly"):
        await store.read(add_row("sneaked in"))
    assert await store.read(row_keys) == set()


async def test_reads_see_whole_writes_only(store: SqliteStore) -> None:
    """A read beside a running write sees the state before it."""
    await store.write(put("p", schema_of("A")))

    class Slow(Held):
        def __call__(self, conn: Connection) -> None:
            edit("p", create("B"))(conn)
            super().__call__(conn)

    slow = Slow()
    task = asyncio.create_task(store.write(slow))
    await asyncio.to_thread(slow.begun.wait, 10)
    assert (await store.read(lambda conn: find_version(conn, "p"))).version == 1
    slow.go.set()
    await task
    assert (await store.read(lambda conn: find_version(conn, "p"))).version == 2


async def test_one_process_per_file(store: SqliteStore) -> None:
    """A second opener gets a clear error that names the holder, and disturbs nothing."""
    second = SqliteStore(store.path)
    with pytest.raises(StoreLocked, match="pid"):
        await second.start()
    await store.write(add_row("still there"))


async def test_the_store_keeps_its_identity(tmp_path: Path) -> None:
    """The store's id belongs to the file: the same after every start, another for another file."""
    found = []
    for name in ("a.db", "a.db", "b.db"):
        store = SqliteStore(tmp_path / name)
        await store.start()
        found.append(store.store_id)
        await store.close()
    assert found[0] == found[1] != found[2]


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """Somebody else's file is neither opened nor changed, and the lock is given back."""
    path = tmp_path / "notes.txt"
    path.write_bytes(b"these are notes, not a database\n" * 200)
    store = SqliteStore(path)
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match="cannot be used as a database"):
            await store.start()
    assert path.read_bytes().startswith(b"these are notes")


def test_a_database_in_memory_is_refused() -> None:
    """Several connections cannot share it, so it would look empty to every reader."""
    with pytest.raises(ConfigurationInvalid):
        SqliteStore(":memory:")


@pytest.mark.parametrize("options", [{"readers": 0}, {"max_group": 0}, {"max_waiting_writes": 10**7}])
def test_options_out_of_range_are_refused(options: dict[str, int]) -> None:
    """The message names the option and its range."""
    with pytest.raises(ValueError, match=next(iter(options))):
        SqliteOptions(**options)


async def test_the_safe_modes_are_on(store: SqliteStore) -> None:
    """Write-ahead log, full synchronisation and no memory map: what durability and the WAL defect ask for."""

    def modes(conn: Connection) -> list[object]:
        names = ("journal_mode", "synchronous", "mmap_size")
        return [conn.exec_driver_sql(f"PRAGMA {name}").scalar_one_or_none() for name in names]

    assert await store.write(modes) == ["wal", 2, 0]
    assert await store.read(lambda conn: conn.exec_driver_sql("PRAGMA query_only").scalar_one()) == 1
    assert await store.read(lambda conn: find_project(conn, "p")) is None


async def test_a_cancelled_start_gives_the_file_back(tmp_path: Path) -> None:
    """A start cancelled half-way leaves neither the lock nor a thread, and the next one succeeds."""
    store = SqliteStore(tmp_path / "a.db")
    starting = asyncio.create_task(store.start())
    await asyncio.sleep(0)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("schemawire")] == []
    assert not store.statistics().is_open
    await store.start()
    assert await store.write(add_row("open")) == "open"
    await store.close()


async def test_a_write_cancelled_while_it_runs_is_there_as_a_whole(store: SqliteStore) -> None:
    """A work that has begun is committed although its caller has gone, and the writer goes on."""

    class Noted(Held):
        def __call__(self, conn: Connection) -> None:
            add_row("first half")(conn)
            super().__call__(conn)
            add_row("second half")(conn)

    noted = Noted()
    task = asyncio.create_task(store.write(noted))
    await asyncio.to_thread(noted.begun.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    noted.go.set()
    assert await store.write(add_row("next")) == "next"
    assert await store.read(row_keys) == {"first half", "second half", "next"}
