"""The migrations: on every engine they make exactly the declared tables, all at once or not at all."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, inspect, text

from schemawire.service import store as store_room
from schemawire.service.store import HEAD, SqliteStore, Store, StoreError, current_revision, metadata, migrate

if TYPE_CHECKING:
    from tests.servers.postgres import Databases

MIGRATIONS = Path(str(store_room.__file__)).with_name("migrations")

_COLUMNS = """
    SELECT table_name, ordinal_position, column_name, data_type, character_maximum_length, collation_name, is_nullable,
           column_default
    FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'alembic_version'
    ORDER BY table_name, ordinal_position
"""
_INDEXES = "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version' ORDER BY 1"


def structure(conn: Connection) -> list[object]:
    """Return what the engine itself says of every table and index."""
    if conn.dialect.name == "postgresql":
        return [tuple(row) for query in (_COLUMNS, _INDEXES) for row in conn.execute(text(query))]
    query = "SELECT name, sql FROM sqlite_master WHERE name NOT LIKE '%alembic%' ORDER BY name"
    return [(name, " ".join((statement or "").split())) for name, statement in conn.execute(text(query))]


@contextmanager
def empty_store(engine: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[[], Store]]:
    """Make stores on a database without tables."""
    if engine == "sqlite":
        yield lambda: SqliteStore(tmp_path / "empty.db")
        return
    from schemawire.service.store.postgres import PostgresStore

    databases: Databases = request.getfixturevalue("postgres_databases")
    with databases.fresh(migrated=False) as url:
        yield lambda: PostgresStore(url)


@pytest.fixture
def new_empty_store(engine: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[[], Store]]:
    """Return a function whose every call gives another store on the same empty database."""
    with ExitStack() as stack:
        yield stack.enter_context(empty_store(engine, tmp_path, request))


async def test_migrated_equals_fresh(new_empty_store: Callable[[], Store]) -> None:
    """A database that went through every step is the one that the declared tables would make."""
    store = new_empty_store()
    await store.start()
    assert await store.read(lambda conn: compare_metadata(MigrationContext.configure(conn), metadata)) == []
    migrated = await store.read(structure)

    def make_afresh(conn: Connection) -> list[object]:
        metadata.drop_all(conn)
        metadata.create_all(conn)
        return structure(conn)

    assert await store.write(make_afresh) == migrated
    await store.close()


def test_the_newest_step_is_the_one_that_is_named() -> None:
    """`HEAD` saves loading the migration library at every start, so it must not fall behind."""
    assert ScriptDirectory(str(MIGRATIONS)).get_heads() == [HEAD]


def test_a_migration_that_breaks_leaves_nothing(tmp_path: Path) -> None:
    """Every step runs in the caller's transaction, tables and all."""
    engine = create_engine(f"sqlite:///{tmp_path / 'a.db'}", isolation_level="AUTOCOMMIT")
    with engine.connect() as conn:
        conn.exec_driver_sql("BEGIN IMMEDIATE")
        migrate(conn, now=1.0)
        assert current_revision(conn) == HEAD
        conn.exec_driver_sql("ROLLBACK")
        assert inspect(conn).get_table_names() == []
    engine.dispose()


async def test_a_database_of_a_newer_release_is_refused(new_store: Callable[[], Store]) -> None:
    """An older program never works on tables that it does not know."""
    store = new_store()
    await store.start()
    await store.write(lambda conn: conn.execute(text("UPDATE alembic_version SET version_num = '9999'")))
    await store.close()
    for _ in range(2):
        with pytest.raises(StoreError, match="9999"):
            await store.start()


async def test_a_database_of_the_first_release_is_brought_up_to_date(new_empty_store: Callable[[], Store]) -> None:
    """Tables at an earlier step get the later ones, and what they hold stays."""

    def go_back_to_the_first(conn: Connection) -> None:
        conn.execute(text("DROP TABLE alembic_version"))
        metadata.drop_all(conn)
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = conn
        command.upgrade(config, "0001")
        conn.execute(text("INSERT INTO store_meta (store_id, created_at) VALUES ('the-first', 1.0)"))

    store = new_empty_store()
    await store.start()
    await store.write(go_back_to_the_first)
    await store.close()
    await store.start()
    assert store.store_id == "the-first"
    assert await store.read(current_revision) == HEAD
    assert await store.read(lambda conn: compare_metadata(MigrationContext.configure(conn), metadata)) == []
    await store.close()


@pytest.mark.parametrize("engine", ["postgres"], indirect=True)
async def test_processes_that_start_at_once_migrate_once(new_empty_store: Callable[[], Store]) -> None:
    """Of several stores on an empty database one makes the tables, and all agree on who they are."""
    stores = [new_empty_store() for _ in range(4)]
    try:
        await asyncio.gather(*(store.start() for store in stores))
        assert len({store.store_id for store in stores}) == 1
        assert await stores[0].read(current_revision) == HEAD
    finally:
        await asyncio.gather(*(store.close() for store in stores))


@pytest.mark.parametrize("engine", ["postgres"], indirect=True)
async def test_a_long_migration_has_no_time_limit(
    new_empty_store: Callable[[], Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit of a statement is for requests; a step may take longer, and whoever waits for it waits on."""
    from schemawire.service.store import postgres

    def slow(conn: Connection, *, now: float) -> str:
        conn.execute(text("SELECT pg_sleep(0.6)"))
        return migrate(conn, now=now)

    monkeypatch.setattr(postgres, "migrate", slow)
    stores = [new_empty_store() for _ in range(2)]
    for store in stores:
        assert isinstance(store, postgres.PostgresStore)
        store._options = postgres.PostgresOptions(statement_timeout=0.2)
    try:
        await asyncio.gather(*(store.start() for store in stores))
        assert len({store.store_id for store in stores}) == 1
    finally:
        await asyncio.gather(*(store.close() for store in stores))
