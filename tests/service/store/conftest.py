"""A real store, once for each engine, with a check that it leaves no thread behind."""

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from schemawire.service.store import SqliteStore, Store

if TYPE_CHECKING:
    from tests.servers.postgres import Databases

ENGINES = ("sqlite", "postgres")


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """Name the engine that the test runs on."""
    name: str = request.param
    return name


@pytest.fixture
def new_store(engine: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[[], Store]]:
    """Return a function whose every call gives another store on the same database, not yet started."""
    if engine == "sqlite":
        yield lambda: SqliteStore(tmp_path / "schemas.db")
        return
    from schemawire.service.store.postgres import PostgresOptions, PostgresStore

    databases: Databases = request.getfixturevalue("postgres_databases")
    with ExitStack() as stack:
        url = stack.enter_context(databases.fresh())
        yield lambda: PostgresStore(url, options=PostgresOptions(connections=4))


@pytest.fixture
async def store(new_store: Callable[[], Store]) -> AsyncIterator[Store]:
    """An open store, on every engine in turn."""
    opened = new_store()
    await opened.start()
    yield opened
    await opened.close()
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("schemawire")] == []


@pytest.fixture
async def sqlite_store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    """An open store in a file."""
    opened = SqliteStore(tmp_path / "schemas.db")
    await opened.start()
    yield opened
    await opened.close()
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("schemawire")] == []
