"""The newest documents in memory: never older than what anybody was told, and never more than allowed."""

import asyncio
import random

from sqlalchemy import Connection
from tests.service.store.samples import create, edit, note, put, schema_of

from schemawire.service.reads import read_project
from schemawire.service.store import SqliteStore, Store, StoredDocument, VersionEntry, delete_project, restore_version
from schemawire.service.store.heads import HeadMemory


def document(project_id: str, size: int = 10) -> StoredDocument:
    """Return a document of so many bytes."""
    entry = VersionEntry(
        project_id=project_id, version=1, digest="0" * 64, parent=None, header=b"{}", element_count=0, created_at=0.0
    )
    return StoredDocument(entry=entry, body=b"x" * size)


def test_what_was_read_before_a_write_is_not_kept() -> None:
    """A ticket from before a write is void after it; only the newest ticket counts."""
    heads = HeadMemory()
    ticket = heads.begin("p")
    heads.forget(["p"])
    heads.keep(ticket, document("p"), "p")
    assert heads.find("p") is None
    older, newer = heads.begin("p"), heads.begin("p")
    heads.keep(older, document("p"), "p")
    assert heads.find("p") is None
    heads.keep(newer, document("p"), "p")
    assert heads.find("p") is not None


def test_the_longest_unused_goes_first_and_large_ones_are_not_kept() -> None:
    """The sum of all bodies stays within its limit."""
    heads = HeadMemory(max_bytes=100, max_document_bytes=50)
    for project_id, size in (("a", 40), ("b", 40), ("large", 51)):
        heads.keep(heads.begin(project_id), document(project_id, size), project_id)
    assert heads.find("a") is not None
    heads.keep(heads.begin("c"), document("c", 40), "c")
    kept = [name for name in ("a", "b", "c", "large") if heads.find(name)]
    assert (kept, heads.size_bytes) == (["a", "c"], 80)


async def test_every_read_sees_what_was_acknowledged_before_it(store: Store) -> None:
    """Readers beside a writer never see a version older than the newest acknowledged one."""
    await store.write(put("p", schema_of("A")))
    acknowledged = 1

    async def write_many() -> None:
        nonlocal acknowledged
        for number in range(60):
            acknowledged = (await store.write(edit("p", create(f"E{number}")))).entry.version

    async def read_many() -> None:
        while acknowledged < 61:
            known = acknowledged
            answer = await read_project(store, "p")
            assert answer.version is not None
            assert answer.version >= known
            assert f'"E{answer.version - 2}"'.encode() in answer.payload or answer.version == 1
            await asyncio.sleep(random.random() / 2_000)

    async with asyncio.TaskGroup() as group:
        group.create_task(write_many())
        for _ in range(4):
            group.create_task(read_many())


async def test_deletion_restoring_and_undone_writes_are_seen(store: Store) -> None:
    """Whatever changes the newest document takes it out of memory; a write that was undone does no harm."""
    await store.write(put("p", schema_of("A")))
    first = await read_project(store, "p")
    assert (await read_project(store, "p")).payload == first.payload
    await store.write(put("p", schema_of("A", "B")))
    assert (await read_project(store, "p")).version == 2

    def undone(conn: Connection) -> None:
        edit("p", create("C"))(conn)
        raise RuntimeError("undone")

    try:
        await store.write(undone)
    except RuntimeError:
        assert b'"C"' not in (await read_project(store, "p")).payload
    await store.write(lambda conn: delete_project(conn, "p", now=2_000.0))
    missing = await asyncio.gather(read_project(store, "p"), return_exceptions=True)
    assert [type(each).__name__ for each in missing] == ["ProjectMissing"]
    await store.write(lambda conn: restore_version(conn, "p", 1, note()))
    assert (await read_project(store, "p")).payload == first.payload


async def test_a_known_tag_is_answered_from_memory(sqlite_store: SqliteStore) -> None:
    """304 whether the document is in memory or not, and no reading once it is."""
    await sqlite_store.write(put("p", schema_of("A")))
    tag = (await read_project(sqlite_store, "p")).all_headers()["ETag"]
    reads = sqlite_store.statistics().reads
    answer = await read_project(sqlite_store, "p", known_tags=tag)
    assert (answer.status, sqlite_store.statistics().reads) == (304, reads)
    assert (await read_project(sqlite_store, "p", known_tags='"other"')).status == 200
