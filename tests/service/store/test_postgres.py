"""What PostgreSQL adds: other processes that write, connections that are lost, limits, and addresses that are wrong."""

import asyncio
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from functools import partial

import pytest
from sqlalchemy import Connection, text
from tests.servers.postgres import PostgresServer, find_binaries, run_sql
from tests.service.store.samples import create, edit, note, put, schema_of

from schemawire.errors import Closed, ConfigurationInvalid
from schemawire.service.backend import Backend
from schemawire.service.once import write_once
from schemawire.service.replies import Answer
from schemawire.service.store import (
    DuplicateInFlight,
    StoreUnavailable,
    create_project,
    find_project,
    list_projects,
    list_versions,
    read_schema,
)
from schemawire.service.store.locks import lock_number, try_lock
from schemawire.service.store.postgres import PostgresOptions, PostgresStore
from schemawire.service.store.refusals import ValueRefused
from schemawire.service.write_request import WriteRequest


@pytest.fixture
async def open_store(postgres_url: str) -> AsyncIterator[Callable[..., PostgresStore]]:
    """Return a function that gives another store on the same database, closed at the end; the caller starts it."""
    async with AsyncExitStack() as stack:

        def opened(**options: float) -> PostgresStore:
            limits: dict[str, float] = {"connections": 4, **options}
            store = PostgresStore(postgres_url, options=PostgresOptions(**limits))  # type: ignore[arg-type]  # ints too
            stack.push_async_callback(store.close)
            return store

        yield opened
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("schemawire")] == []


@pytest.fixture
async def pair(open_store: Callable[..., PostgresStore]) -> tuple[PostgresStore, PostgresStore]:
    """Two stores on one database, as two processes would have them."""
    first, second = open_store(), open_store()
    await first.start()
    await second.start()
    return first, second


async def test_one_of_two_creators_wins(pair: tuple[PostgresStore, PostgresStore]) -> None:
    """A project that both create at once is there once, and the other one is told."""
    for number in range(10):
        work = partial(create_project, project_id=f"p{number}", schema=schema_of("A"), note=note())
        found = await asyncio.gather(*(store.write(work) for store in pair for _ in range(2)), return_exceptions=True)
        kinds = sorted(type(each).__name__ for each in found)
        assert kinds == ["ProjectExists"] * 3 + ["Written"]


async def test_writers_of_two_processes_share_one_row_of_versions(pair: tuple[PostgresStore, PostgresStore]) -> None:
    """Parallel writes to a project that is not there yet make gapless versions, and none is lost."""
    works = [(store, edit("p", create(f"E{index}"))) for index, store in enumerate(pair * 10)]
    written = await asyncio.gather(*(store.write(work) for store, work in works))
    assert sorted(each.entry.version for each in written) == list(range(1, 21))
    schema = await pair[0].read(partial(read_schema, project_id="p"))
    assert {entity.name for entity in schema.entities} == {f"E{number}" for number in range(20)}


async def test_a_write_is_seen_by_the_other_process_at_once(pair: tuple[PostgresStore, PostgresStore]) -> None:
    """Nothing in memory hides what another process has written."""
    first, second = pair
    assert first.store_id == second.store_id
    assert first.heads is None
    for number in range(5):
        await first.write(edit("p", create(f"E{number}")))
        seen = await second.read(partial(read_schema, project_id="p"))
        assert len(seen.entities) == number + 1


async def test_a_deadlock_is_resolved_inside(pair: tuple[PostgresStore, PostgresStore]) -> None:
    """Two writers that lock the same rows in opposite order both get their turn."""
    for project_id in "ab":
        await pair[0].write(put(project_id, schema_of("A")))
    tries: list[str] = []

    def both(conn: Connection, first: str, second: str) -> str:
        tries.append(first)
        edit(first, create(f"By_{first}_{len(tries)}"))(conn)
        conn.execute(text("SELECT pg_sleep(0.2)"))
        edit(second, create(f"By_{first}_{len(tries)}"))(conn)
        return first

    works = [partial(both, first="a", second="b"), partial(both, first="b", second="a")]
    assert await asyncio.gather(*(store.write(work) for store, work in zip(pair, works, strict=True))) == ["a", "b"]
    assert len(tries) > 2  # one was undone, and done again
    for project_id in "ab":
        assert len(await pair[0].read(partial(list_versions, project_id=project_id))) == 3


def backend_on(store: PostgresStore) -> Backend:
    """Return as much of a backend as a write needs, as another process would have it."""
    return Backend(store=store, dispatcher=None, analyser=None, keys=None)  # type: ignore[arg-type]  # not touched


async def test_one_key_in_two_processes_is_one_write(pair: tuple[PostgresStore, PostgresStore]) -> None:
    """A request sent to two processes at once is done once; the other one is told to ask again, then replayed."""
    runs: list[int] = []

    def work(conn: Connection) -> Answer:
        runs.append(1)
        conn.execute(text("SELECT pg_sleep(0.1)"))
        written = edit("p", create("Once"))(conn)
        return Answer(message="done", project_id="p", version=written.entry.version)

    write = WriteRequest(project_id="p", principal="t", route="r", key="k", request_hash=b"h" * 32)
    backends = [backend_on(store) for store in pair]
    found = await asyncio.gather(*(write_once(each, write, work) for each in backends), return_exceptions=True)
    assert sorted(type(each).__name__ for each in found) == ["Answer", "DuplicateInFlight"]
    assert next(each for each in found if isinstance(each, DuplicateInFlight)).retry_after
    again = [await write_once(each, write, work) for each in backends]
    assert [each.is_replay for each in again] == [True, True]
    assert len(runs) == 1
    assert [entry.version for entry in await pair[0].read(partial(list_versions, project_id="p"))] == [1]


async def test_locks_by_name_are_held_until_the_end_of_the_write(pair: tuple[PostgresStore, PostgresStore]) -> None:
    """While one has the name, another one does not get it; after the commit it does."""
    first, second = pair

    def hold(conn: Connection) -> bool:
        mine = try_lock(conn, "a", "b")
        conn.execute(text("SELECT pg_sleep(0.3)"))
        return mine

    holding = asyncio.create_task(first.write(hold))
    await asyncio.sleep(0.1)
    assert not await second.write(lambda conn: try_lock(conn, "a", "b"))
    assert await second.write(lambda conn: try_lock(conn, "ab"))
    assert await holding
    assert await second.write(lambda conn: try_lock(conn, "a", "b"))
    assert lock_number("a", "b") != lock_number("ab")


async def test_a_read_cannot_write_and_sees_one_moment(pair: tuple[PostgresStore, PostgresStore]) -> None:
    """A work handed to `read` changes nothing, and what others commit meanwhile stays out of its sight."""
    first, second = pair
    await first.write(put("p", schema_of("A")))
    with pytest.raises(StoreUnavailable, match="read-only"):
        await first.read(edit("p", create("B")))

    def look_twice(conn: Connection) -> tuple[int, int]:
        def look() -> int:
            head = find_project(conn, "p")
            return 0 if head is None else head.version

        before = look()
        conn.execute(text("SELECT pg_sleep(0.3)"))
        return before, look()

    looking = asyncio.create_task(first.read(look_twice))
    await asyncio.sleep(0.1)
    await second.write(edit("p", create("B")))
    assert await looking == (1, 1)


async def test_a_statement_has_a_time_limit(open_store: Callable[..., PostgresStore]) -> None:
    """A statement that takes too long is stopped, the error is retryable, and the connection works on."""
    store = open_store(statement_timeout=0.2)
    await store.start()
    started = time.monotonic()
    with pytest.raises(StoreUnavailable) as caught:
        await store.write(lambda conn: conn.execute(text("SELECT pg_sleep(10)")))
    assert time.monotonic() - started < 5
    assert caught.value.retryable
    assert (await store.write(put("p", schema_of("A")))).entry.version == 1


async def test_the_line_in_front_of_the_database_is_bounded(open_store: Callable[..., PostgresStore]) -> None:
    """Beyond the limit a write is refused at once, with a time to come back; the others are done."""
    store = open_store(connections=2, max_waiting_writes=1)
    await store.start()

    def sleep(conn: Connection) -> str:
        conn.execute(text("SELECT pg_sleep(0.3)"))
        return "done"

    tasks = [asyncio.create_task(store.write(sleep)) for _ in range(3)]
    found = await asyncio.gather(*tasks, return_exceptions=True)
    refused = [each for each in found if isinstance(each, StoreUnavailable)]
    assert (len(refused), found.count("done")) == (1, 2)
    assert refused[0].retry_after


async def test_cancelled_writes_never_begin_or_end_whole(open_store: Callable[..., PostgresStore]) -> None:
    """One that waits never runs; one that runs goes on to its commit, and its connection is given back."""
    store = open_store(connections=2)
    await store.start()
    begun = threading.Event()

    def slow(conn: Connection) -> None:
        edit("p", create("First"))(conn)
        begun.set()
        conn.execute(text("SELECT pg_sleep(0.3)"))
        edit("p", create("Second"))(conn)

    running = asyncio.create_task(store.write(slow))
    await asyncio.to_thread(begun.wait, 5)
    waiting = asyncio.create_task(store.write(edit("p", create("Never"))))
    await asyncio.sleep(0.05)
    for task in (waiting, running):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await store.write(edit("p", create("Last")))
    schema = await store.read(partial(read_schema, project_id="p"))
    assert [entity.name for entity in schema.entities] == ["First", "Second", "Last"]


async def test_closing_finishes_what_was_accepted(open_store: Callable[..., PostgresStore]) -> None:
    """Every write accepted before the close is answered and durable; later ones are refused; it can be opened again."""
    store = open_store()
    await store.start()
    tasks = [asyncio.create_task(store.write(edit("p", create(f"E{number}")))) for number in range(10)]
    await asyncio.sleep(0.02)
    await store.close()
    assert len({written.entry.version for written in await asyncio.gather(*tasks)}) == 10
    with pytest.raises(Closed):
        await store.write(put("p", schema_of("A")))
    await store.close()
    await store.start()
    assert len((await store.read(partial(read_schema, project_id="p"))).entities) == 10


async def test_lists_are_in_the_order_of_code_points(pair: tuple[PostgresStore, PostgresStore]) -> None:
    """Ids sort as on SQLite, whatever language the database speaks."""
    ids = ["B", "a", "A", "_a".strip("_"), "Z", "b.c", "b-c", "b_c", "1", "10", "9"]
    for project_id in ids:
        await pair[0].write(put(project_id, schema_of("A")))
    found = [head.project_id for head in await pair[1].read(list_projects)]
    assert found == sorted(set(ids))


async def test_the_address_can_ask_for_a_pooler(postgres_url: str) -> None:
    """With `?pgbouncer=true` no statement is prepared under a name that the next transaction might not find."""
    store = PostgresStore(f"{postgres_url}?pgbouncer=true")
    await store.start()
    await asyncio.gather(*(store.write(edit("p", create(f"E{number}"))) for number in range(5)))
    assert len((await store.read(partial(read_schema, project_id="p"))).entities) == 5
    await store.close()


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgresql://postgres@127.0.0.1:1/x", "cannot be used"),
        ("postgresql://nobody:se%40cret@{place}", "cannot be used"),
        ("postgresql://postgres:secret@{host}/there_is_none", "no database of that name"),
    ],
)
async def test_a_database_that_is_not_there_is_said_so(postgres_url: str, url: str, reason: str) -> None:
    """The reason names the address, never the password, and leaves no thread behind."""
    place = postgres_url.rpartition("@")[2]
    store = PostgresStore(url.format(place=place, host=place.partition("/")[0]))
    with pytest.raises(StoreUnavailable, match=reason) as caught:
        await store.start()
    assert "cret" not in str(caught.value)
    assert caught.value.retryable
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("schemawire")] == []


@pytest.mark.parametrize("url", ["postgresql://host", "postgresql://", "mysql://u@h/d", "postgresql://h:port/d", ""])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    """The message says what to write, and repeats nothing that may be a password."""
    with pytest.raises(ConfigurationInvalid, match="not the address"):
        PostgresStore(url)


def test_a_missing_driver_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra, the message names what to install."""
    monkeypatch.setattr("schemawire.service.store.postgres.find_spec", lambda _: None)
    with pytest.raises(ConfigurationInvalid) as caught:
        PostgresStore("postgresql://u@h/d")
    assert "postgres]" in (caught.value.fix or "")


@pytest.mark.parametrize("options", [{"connections": 1}, {"statement_timeout": 0}, {"max_waiting_reads": 0}])
def test_options_out_of_range_are_refused(options: dict[str, int]) -> None:
    """The message names the option and its range."""
    with pytest.raises(ValueError, match=next(iter(options))):
        PostgresOptions(**options)


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """A server for one test, which may kill it."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("needs a PostgreSQL server")
    with PostgresServer(binaries) as server:
        yield server


async def test_a_database_that_restarts_under_load_loses_nothing(own_server: PostgresServer) -> None:
    """While it crashes and comes back, writes fail with a retryable error or are there; afterwards all goes on."""
    store = PostgresStore(own_server.url(), options=PostgresOptions(connections=6))
    await store.start()
    acknowledged: set[str] = set()
    refused: list[StoreUnavailable] = []
    is_over, is_well = asyncio.Event(), asyncio.Event()
    goal = 10**9

    async def caller(number: int) -> None:
        step = 0
        while not is_over.is_set():
            step += 1
            try:
                await store.write(edit("p", create(f"E{number}_{step}")))
            except StoreUnavailable as error:
                refused.append(error)
                await asyncio.sleep(0.02)
            else:
                acknowledged.add(f"E{number}_{step}")
                if len(acknowledged) >= goal:
                    is_well.set()

    async def break_it() -> None:
        nonlocal goal
        await asyncio.sleep(0.5)
        await asyncio.to_thread(own_server.stop, signal.SIGQUIT)
        with pytest.raises(StoreUnavailable):
            await store.read(partial(find_project, project_id="p"))
        await asyncio.to_thread(own_server.start)
        goal = len(acknowledged) + 20
        await is_well.wait()
        is_over.set()

    async with asyncio.TaskGroup() as group:
        group.create_task(break_it())
        for number in range(6):
            group.create_task(caller(number))
    schema = await store.read(partial(read_schema, project_id="p"))
    entries = await store.read(partial(list_versions, project_id="p", limit=1_000))
    await store.close()
    names = [entity.name for entity in schema.entities]
    assert acknowledged <= set(names)
    assert len(names) == len(set(names)) == len(entries)
    assert [entry.version for entry in entries] == list(range(len(entries), 0, -1))
    assert refused
    assert all(error.retryable and error.retry_after for error in refused)


async def test_idle_connections_that_were_cut_are_replaced_unseen(
    pair: tuple[PostgresStore, PostgresStore], postgres_url: str
) -> None:
    """When an administrator or a firewall has cut every connection, the next read and write succeed."""
    first, _ = pair
    await first.write(put("p", schema_of("A")))
    await first.read(partial(find_project, project_id="p"))
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> {me}"
    await asyncio.to_thread(run_sql, postgres_url, cut.format(me="pg_backend_pid()"))
    assert (await first.write(edit("p", create("B")))).entry.version == 2
    assert await first.read(partial(find_project, project_id="p")) is not None


async def test_a_value_that_the_database_cannot_hold_is_the_callers_mistake(
    pair: tuple[PostgresStore, PostgresStore],
) -> None:
    """A NUL in a text and a number beyond 64 bits are refused as such, not as a database to be tried again."""
    for work in (
        partial(find_project, project_id="a\0b"),
        lambda conn: list_versions(conn, "p", before=2**70),
    ):
        await pair[0].write(put("p", schema_of("A")))
        with pytest.raises(ValueRefused) as caught:
            await pair[0].read(work)
        assert not caught.value.retryable


async def test_connections_to_a_database_that_takes_no_writes_are_given_up(
    open_store: Callable[..., PostgresStore], postgres_url: str
) -> None:
    """As after a failover: writes are refused as retryable, and a new connection finds whoever takes them now."""
    store = open_store()
    await store.start()
    await store.close()
    name = postgres_url.rpartition("/")[2]
    read_only = f'ALTER DATABASE "{name}" SET default_transaction_read_only = on'  # holds for connections made later
    await asyncio.to_thread(run_sql, postgres_url, read_only)
    await store.start()
    for _ in range(3):
        with pytest.raises(StoreUnavailable) as caught:
            await store.write(put("p", schema_of("A")))
        assert caught.value.retryable
    writable = f'ALTER DATABASE "{name}" SET default_transaction_read_only = off'
    await asyncio.to_thread(run_sql, postgres_url, "SET default_transaction_read_only = off", writable)
    assert (await store.write(put("p", schema_of("A")))).entry.version == 1


async def test_statements_survive_a_changed_table(pair: tuple[PostgresStore, PostgresStore], postgres_url: str) -> None:
    """When a newer release changes a table beside running services, the next read and write go on by themselves."""
    for store in pair:
        await store.write(edit("p", create(f"By{id(store)}")))
        await store.read(partial(list_versions, project_id="p"))
    change = "ALTER TABLE versions ALTER COLUMN created_by TYPE varchar(4000)"
    await asyncio.to_thread(run_sql, postgres_url, change, "ALTER TABLE projects ADD COLUMN later text")
    for store in pair:
        await store.write(edit("p", create(f"Later{id(store)}")))
        assert await store.read(partial(list_versions, project_id="p"))


@pytest.mark.parametrize("query", ["password=hush", "sslmode=disable&user=u&options=-c", "statement_timeout=1"])
def test_unknown_options_of_an_address_are_refused(query: str) -> None:
    """What the driver would choke on, or an error would show, is refused at once by its name alone."""
    with pytest.raises(ConfigurationInvalid, match="options that are not known") as caught:
        PostgresStore(f"postgresql://h/d?{query}")
    assert "hush" not in str(caught.value)


async def test_the_usual_name_of_the_tls_option_is_understood(postgres_url: str) -> None:
    """`sslmode` works as in other programs: switched off it connects, asked for it is not left out in silence."""
    store = PostgresStore(f"{postgres_url}?sslmode=disable")
    await store.start()
    await store.close()
    strict = PostgresStore(f"{postgres_url}?sslmode=require")
    with pytest.raises(StoreUnavailable):
        await strict.start()
