"""The migrations: they make exactly the declared tables, all at once or not at all."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, inspect, text

from schemawire.service import store as store_room
from schemawire.service.store import HEAD, SqliteStore, StoreError, current_revision, metadata, migrate


def structure(path: Path) -> dict[str, str]:
    """Return the statement behind every table and index of a file, apart from white space."""
    with closing(sqlite3.connect(path)) as conn:
        found = conn.execute("SELECT name, sql FROM sqlite_master WHERE name NOT LIKE '%alembic%'").fetchall()
    return {name: " ".join((statement or "").split()) for name, statement in found}


async def test_migrated_equals_fresh(tmp_path: Path) -> None:
    """A database that went through every step is the one that the declared tables would make."""
    store = SqliteStore(tmp_path / "migrated.db")
    await store.start()
    assert await store.read(lambda conn: compare_metadata(MigrationContext.configure(conn), metadata)) == []
    await store.close()
    fresh = create_engine(f"sqlite:///{tmp_path / 'fresh.db'}")
    metadata.create_all(fresh)
    fresh.dispose()
    assert structure(tmp_path / "migrated.db") == structure(tmp_path / "fresh.db")


def test_the_newest_step_is_the_one_that_is_named() -> None:
    """`HEAD` saves loading the migration library at every start, so it must not fall behind."""
    scripts = ScriptDirectory(str(Path(str(store_room.__file__)).with_name("migrations")))
    assert scripts.get_heads() == [HEAD]


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


async def test_a_database_of_a_newer_release_is_refused(tmp_path: Path) -> None:
    """An older program never works on tables that it does not know."""
    store = SqliteStore(tmp_path / "a.db")
    await store.start()
    await store.write(lambda conn: conn.execute(text("UPDATE alembic_version SET version_num = '9999'")))
    await store.close()
    for _ in range(2):
        with pytest.raises(StoreError, match="9999"):
            await store.start()


async def test_a_database_of_the_first_release_is_brought_up_to_date(tmp_path: Path) -> None:
    """Tables at an earlier step get the later ones, and what they hold stays."""
    store = SqliteStore(tmp_path / "a.db")
    await store.start()
    store_id = store.store_id

    def go_back(conn: Connection) -> None:
        conn.execute(text("DROP INDEX ix_operations_unfinished"))
        conn.execute(text("DROP TABLE stagings"))
        conn.execute(text("ALTER TABLE projects DROP COLUMN rows_id"))
        conn.execute(text("ALTER TABLE versions DROP COLUMN rows_id"))
        conn.execute(text("UPDATE alembic_version SET version_num = '0001'"))

    await store.write(go_back)
    await store.close()
    await store.start()
    assert store.store_id == store_id
    assert await store.read(current_revision) == HEAD
    assert await store.read(lambda conn: compare_metadata(MigrationContext.configure(conn), metadata)) == []
    await store.close()
