"""Back-ups: the whole store in one file, from either engine into either, verified; nothing is restored in part."""

import asyncio
import base64
import gzip
import io
import json
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import Connection, select, text
from tests.service.store.samples import create, edit, put, schema_of

from schemawire.service.store import (
    HEAD,
    IdempotencyScope,
    KeyRecord,
    SqliteStore,
    Store,
    StoredReply,
    StoreUnavailable,
    add_key,
    current_revision,
    delete_project,
    find_reply,
    list_projects,
    list_versions,
    metadata,
    read_document,
    store_reply,
)
from schemawire.service.store.backups import BackupInvalid, StoreNotEmpty, check_backup, restore_backup, write_backup
from schemawire.service.store.migrate import upgrade
from schemawire.service.store.tables import elements

if TYPE_CHECKING:
    from tests.servers.postgres import Databases

SCOPE = IdempotencyScope(principal="t", project_id="p", route="r", key="κ")


async def fill(store: Store) -> None:
    """Put something of every sort into a store: histories, bytes, a deleted project, a reply, a key."""
    await store.write(put("p", schema_of("A", "Łódź", "Ω")))
    for number in range(5):
        await store.write(edit("p", create(f"E{number}")))
    await store.write(edit("p", {"operation": "delete_entity", "data": {"name": "A"}}))
    await store.write(put("gone", schema_of("X")))
    await store.write(partial(delete_project, project_id="gone", now=5.5))
    reply = StoredReply(status=201, headers={"ETag": '"ü"'}, body=bytes(range(256)))
    await store.write(partial(store_reply, scope=SCOPE, request_hash=b"\0" * 32, reply=reply, now=0.1))
    record = KeyRecord(key_id="k", name="n", scopes=frozenset({"read"}), projects=frozenset({"p"}), created_at=1 / 3)
    await store.write(partial(add_key, record=record, sha256=b"\xff" * 32))


def everything(conn: Connection) -> dict[str, list[tuple[object, ...]]]:
    """Return all rows of all tables."""
    return {
        table.name: [tuple(row) for row in conn.execute(select(table).order_by(*table.primary_key.columns))]
        for table in metadata.sorted_tables
    }


async def backup_of(store: Store) -> bytes:
    out = io.BytesIO()
    await store.peek(partial(write_backup, out=out, now=7.0))
    return out.getvalue()


@pytest.mark.parametrize("target", ["sqlite", "postgres"])
async def test_a_backup_is_restored_on_either_engine(
    store: Store, target: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Every row of every table comes back, on the other engine too, and the store is the same one as before."""
    await fill(store)
    data = await backup_of(store)
    summary = check_backup(io.BytesIO(data))
    assert summary.store_id == store.store_id
    assert summary.rows["versions"] == 8
    if target == "sqlite":
        restored: Store = SqliteStore(tmp_path / "restored.db")
        await prove_restored(store, restored, data)
        return
    from schemawire.service.store.postgres import PostgresStore

    databases: Databases = request.getfixturevalue("postgres_databases")
    with databases.fresh(migrated=False) as url:
        await prove_restored(store, PostgresStore(url), data)


async def prove_restored(store: Store, restored: Store, data: bytes) -> None:
    await restored.start()
    try:
        await restored.write(lambda conn: restore_backup(conn, io.BytesIO(data)))
        assert await restored.read(everything) == await store.read(everything)
        await restored.close()
        await restored.start()
        assert restored.store_id == store.store_id
        found = await restored.read(partial(find_reply, scope=SCOPE, request_hash=b"\0" * 32))
        assert found is not None
        assert found.body == bytes(range(256))
        documents = [await each.read(partial(read_document, project_id="p", version=3)) for each in (store, restored)]
        assert documents[0].body == documents[1].body
        assert (await restored.write(edit("p", create("After")))).entry.version == 8
        assert await backup_of(store) == data  # nothing but the content decides what a back-up looks like
    finally:
        await restored.close()


async def test_a_backup_of_a_busy_store_is_one_moment(store: Store) -> None:
    """Beside writers, the file shows the state between two writes: every schema has its digest."""
    await store.write(put("p", schema_of("A")))
    done = asyncio.Event()

    async def keep_writing() -> None:
        for number in range(400):
            if done.is_set():
                return
            await store.write(edit("p", create(f"E{number}")))

    async with asyncio.TaskGroup() as group:
        group.create_task(keep_writing())
        backups = [await backup_of(store) for _ in range(3)]
        done.set()
    for data in backups:
        summary = check_backup(io.BytesIO(data))
        assert summary.rows["versions"] == summary.rows["elements"]


async def test_nothing_is_restored_over_something(store: Store) -> None:
    """A store that holds a row keeps it."""
    await fill(store)
    before = await store.read(everything)
    data = await backup_of(store)
    with pytest.raises(StoreNotEmpty):
        await store.write(lambda conn: restore_backup(conn, io.BytesIO(data)))
    assert await store.read(everything) == before


async def test_a_damaged_backup_restores_nothing(sqlite_store: SqliteStore, tmp_path: Path) -> None:
    """Cut at any place or changed in any byte, it is refused, and the store stays empty and usable."""
    await fill(sqlite_store)
    data = await backup_of(sqlite_store)
    empty = SqliteStore(tmp_path / "empty.db")
    await empty.start()
    cuts = [data[:size] for size in range(0, len(data) - 1, 61)]
    changed = [data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :] for at in range(0, len(data), 71)]
    for damaged in [*cuts, b"notes", b"", gzip.compress(b"{}\n"), gzip.compress(b'{"schemawireBackup": 2}\n')]:
        with pytest.raises(BackupInvalid):
            await empty.write(lambda conn, damaged=damaged: restore_backup(conn, io.BytesIO(damaged)))  # type: ignore[misc]  # bound at once
    for damaged in changed:
        try:
            check_backup(io.BytesIO(damaged))
        except BackupInvalid:
            continue
        assert gzip.decompress(damaged) == gzip.decompress(data)  # a byte of the file's own header
    assert await empty.read(list_projects) == []
    assert (await empty.write(put("p", schema_of("A")))).entry.version == 1
    await empty.close()


def resealed(data: bytes, change: Callable[[list[object]], None]) -> bytes:
    """Return a back-up with an element changed and its last line made to agree, as a forger would."""
    lines = gzip.decompress(data).splitlines(keepends=True)
    number = list(json.loads(lines[0])["tables"]).index("elements")
    for position, line in enumerate(lines[1:-1], 1):
        row = json.loads(line)
        if row[0] == number:
            change(row)
            lines[position] = json.dumps(row).encode() + b"\n"
    trailer = json.loads(lines[-1]) | {"sha256": sha256(b"".join(lines[:-1])).hexdigest()}
    return gzip.compress(b"".join(lines[:-1]) + json.dumps(trailer).encode() + b"\n")


async def test_a_forged_element_is_found_by_its_digest(sqlite_store: SqliteStore, tmp_path: Path) -> None:
    """A file whose sums agree is still compared with the digests of the schemas."""
    await fill(sqlite_store)

    def forge(row: list[object]) -> None:
        row[8] = base64.b64encode(base64.b64decode(str(row[8])).replace(b"uuid", b"text")).decode()

    data = resealed(await backup_of(sqlite_store), forge)
    assert check_backup(io.BytesIO(data)).rows["elements"]
    assert list(elements.c).index(elements.c.body) == 7
    empty = SqliteStore(tmp_path / "empty.db")
    await empty.start()
    with pytest.raises(BackupInvalid, match="not the one that was written"):
        await empty.write(lambda conn: restore_backup(conn, io.BytesIO(data)))
    await empty.close()


async def test_a_backup_of_an_earlier_release_is_brought_up_to_date(store: Store, tmp_path: Path) -> None:
    """Tables of the first step are restored as they were, and then take every later step."""

    def go_back(conn: Connection) -> None:
        metadata.drop_all(conn)
        conn.execute(text("DROP TABLE alembic_version"))
        upgrade(conn, "0001")
        conn.execute(text("INSERT INTO store_meta (store_id, created_at) VALUES ('old', 1.0)"))
        conn.execute(
            text("INSERT INTO keys VALUES ('k', :hash, 'n', '[]', NULL, 1.0, NULL, NULL)"), {"hash": b"\1" * 32}
        )

    await store.write(go_back)

    def by_hand(conn: Connection) -> bytes:
        names = {
            "store_meta": ["store_id", "created_at"],
            "keys": [column.name for column in metadata.tables["keys"].c][:8],
        }
        tables = {name: [[each, each == "sha256"] for each in columns] for name, columns in names.items()}
        header = {"schemawireBackup": 1, "revision": "0001", "storeId": "old", "createdAt": 1.0, "tables": tables}
        rows: list[list[object]] = [
            [0, "old", 1.0],
            [1, "k", base64.b64encode(b"\1" * 32).decode(), "n", "[]", None, 1.0, None, None],
        ]
        body = b"".join(json.dumps(line).encode() + b"\n" for line in (header, *rows))
        return gzip.compress(body + json.dumps({"rows": 2, "sha256": sha256(body).hexdigest()}).encode() + b"\n")

    data = await store.read(by_hand)
    fresh = SqliteStore(tmp_path / "fresh.db")
    await fresh.start()
    await fresh.write(lambda conn: restore_backup(conn, io.BytesIO(data)))
    assert await fresh.read(current_revision) == HEAD
    assert await fresh.read(lambda conn: conn.execute(text("SELECT name FROM keys")).scalar_one()) == "n"
    await fresh.close()


async def test_a_store_is_looked_at_without_being_opened(new_store: Callable[[], Store], engine: str) -> None:
    """A look migrates nothing, locks nothing, and works beside the process that has the store open."""
    store = new_store()
    if engine == "sqlite":
        with pytest.raises(StoreUnavailable, match="cannot be read"):
            await store.peek(list_projects)
    await store.start()
    await store.write(put("p", schema_of("A")))
    other = new_store()
    assert [entry.version for entry in await other.peek(partial(list_versions, project_id="p"))] == [1]
    with pytest.raises(StoreUnavailable):
        await other.peek(put("p", schema_of("B")))
    await store.close()
    assert len(await other.peek(list_projects)) == 1
