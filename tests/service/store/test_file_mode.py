"""The files of a store: for their owner alone when they are made, and left as they are when they are there."""

import os
import stat
from pathlib import Path

import pytest
from tests.service.store.samples import put, schema_of

from schemawire.service.store import SqliteStore, StoreUnavailable


def modes_in(directory: Path) -> dict[str, int]:
    """Return the permissions of every file."""
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}


async def test_new_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    """The database, its log and its lock, whatever the process's mask lets others have."""
    former = os.umask(0)
    store = SqliteStore(tmp_path / "schemas.db")
    try:
        await store.start()
        await store.write(put("p", schema_of("A")))
        assert modes_in(tmp_path) == dict.fromkeys(
            ("schemas.db", "schemas.db-shm", "schemas.db-wal", "schemas.db.lock"), 0o600
        )
    finally:
        os.umask(former)
        await store.close()


async def test_the_mode_of_a_file_that_is_there_is_its_owners_business(tmp_path: Path) -> None:
    """An operator may share a database with a group; a start does not undo that."""
    store = SqliteStore(tmp_path / "schemas.db")
    await store.start()
    await store.close()
    store.path.chmod(0o640)
    await store.start()
    await store.close()
    assert modes_in(tmp_path)["schemas.db"] == 0o640


async def test_a_path_that_cannot_be_a_file_is_refused(tmp_path: Path) -> None:
    """The refusal says which path, and leaves no lock held."""
    (tmp_path / "schemas.db").mkdir()
    store = SqliteStore(tmp_path / "schemas.db")
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match=r"schemas\.db"):
            await store.start()
