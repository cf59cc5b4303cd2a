"""What an operator does to a store while no request needs it: migrate, back up, restore. Prints nothing.

A back-up is written beside its final name, read again to its end, and only then put in place.
"""

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, TypeVar

from sqlalchemy import Connection

from schemawire.errors import ConfigurationInvalid
from schemawire.service.app import open_store
from schemawire.service.store.backups import (
    BackupInvalid,
    BackupSummary,
    check_backup,
    restore_backup,
    verify,
    write_backup,
)
from schemawire.service.store.migrate import HEAD, current_revision
from schemawire.service.store.store import Store
from schemawire.settings.service import ServiceSettings

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationState:
    """How far a database has come."""

    found: str | None
    """The step it has reached; `None` if it has no tables."""
    wanted: str = HEAD

    @property
    def is_current(self) -> bool:
        """Whether there is nothing to do."""
        return self.found == self.wanted


async def migration_state(settings: ServiceSettings) -> MigrationState:
    """Return how far the database has come, and change nothing.

    Raises:
        StoreUnavailable: it cannot be read.
    """
    return MigrationState(found=await _peek(settings, current_revision))


async def migrate_store(settings: ServiceSettings) -> str:
    """Bring the tables up to date, and return the store's id; of several processes at once one does it.

    Raises:
        StoreLocked: another process has the SQLite file open.
        StoreUnavailable: the database cannot be opened or migrated; nothing was changed.
        StoreError: it was made by a newer release.
    """
    store = open_store(settings)
    await store.start()
    await store.close()
    return store.store_id


async def back_up(settings: ServiceSettings, path: Path, *, overwrite: bool = False) -> BackupSummary:
    """Write a store into one file, also while services work on it, and check that file.

    Args:
        settings: they name the database.
        path: the file to make.
        overwrite: whether a file that is there may be replaced.

    Raises:
        ConfigurationInvalid: the file is there already, or cannot be written.
        StoreUnavailable: the database cannot be read, or a schema in it is not what its digest says.

    *Cancelled:* no file is left behind, apart from the one that was there.
    """
    part = _beside(path, overwrite=overwrite)
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)  # it holds hashes of keys
        with os.fdopen(descriptor, "wb") as out:
            written = await _peek(settings, partial(_write, out=out))
            out.flush()
            os.fsync(out.fileno())
        with part.open("rb") as source:
            checked = await asyncio.to_thread(check_backup, source)
        if checked != written:
            raise BackupInvalid("what was read back is not what was written", fix="Look at the disk.")
        part.replace(path)
    except OSError as error:
        raise ConfigurationInvalid(
            f"{str(path)!r} cannot be written: {error.strerror or error}", fix="Name a file in a folder with room."
        ) from error
    finally:
        part.unlink(missing_ok=True)
    return written


def _beside(path: Path, *, overwrite: bool) -> Path:
    """Return where to write before the file gets its name."""
    if path.exists() and not overwrite:
        raise ConfigurationInvalid(f"{str(path)!r} is there already", fix="Name another file, or add --overwrite.")
    return path.with_name(f".{path.name}.{os.getpid()}.part")


def _write(conn: Connection, *, out: IO[bytes]) -> BackupSummary:
    verify(conn)  # a back-up of something damaged would be taken for a good one
    return write_backup(conn, out, now=time.time())


async def check(path: Path) -> BackupSummary:
    """Read a back-up to its end and return what it holds.

    Raises:
        BackupInvalid: it is cut short, was changed, or is none.
        ConfigurationInvalid: it cannot be read.
    """
    with _opened(path) as source:
        return await asyncio.to_thread(check_backup, source)


async def restore(settings: ServiceSettings, path: Path) -> BackupSummary:
    """Fill an empty database from a back-up, all or nothing, and verify it.

    Raises:
        BackupInvalid: the file cannot be used.
        StoreNotEmpty: the database holds something; nothing was changed.
        StoreLocked: a service has the SQLite file open.
        StoreUnavailable: the database cannot be opened, or cannot keep what was restored.
    """
    with _opened(path) as source:
        store = open_store(settings)
        await store.start()
        try:
            return await store.write(partial(restore_backup, source=source))
        finally:
            await store.close()


def _opened(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except OSError as error:
        raise ConfigurationInvalid(
            f"{str(path)!r} cannot be read: {error.strerror}", fix="Name a file made by `schemawire backup`."
        ) from error


async def _peek(settings: ServiceSettings, work: Callable[[Connection], T]) -> T:
    store: Store = open_store(settings)
    return await store.peek(work)
