"""Streaming a version: complete, in order, resumable at every element, and deaf to later writes."""

import asyncio
from contextlib import aclosing
from functools import partial

import pytest
from tests.service.store.samples import create, edit, put, schema_of

from schemawire.schema import digest_of, element_digest
from schemawire.service.store import (
    ElementRow,
    Store,
    element_page,
    find_version,
    parse_cursor,
    stream_elements,
)
from schemawire.service.store.view import parse_element

MIXED = schema_of(
    "Zoo",
    "Ark",
    "ark",
    "Öl",
    enums=[{"name": "Size", "values": ["S"]}],
    relationships=[{"name": "holds", "source": "Zoo", "target": "Ark"}],
    rules=[{"name": "polite", "kind": "text", "expression": "Be polite."}],
)


async def collect(store: Store, version: int, *, after: str | None = None, chunk_size: int = 3) -> list[str]:
    chunks = stream_elements(store, "p", version, after=after, chunk_size=chunk_size)
    return [row.cursor async for chunk in chunks for row in chunk]


@pytest.mark.parametrize("chunk_size", [1, 2, 7, 8, 100])
async def test_a_stream_is_ordered_and_matches_its_digest(store: Store, chunk_size: int) -> None:
    """Whatever the chunk size, elements come by kind, then key in code point order: the order of the digest."""
    written = await store.write(put("p", MIXED))
    rows: list[ElementRow] = []
    async for chunk in stream_elements(store, "p", 1, chunk_size=chunk_size):
        assert 0 < len(chunk) <= chunk_size
        rows.extend(chunk)
    assert [row.cursor for row in rows] == [
        "entity:Ark", "entity:Zoo", "entity:ark", "entity:Öl", "enum:Size", "relationship:holds", "rule:polite",
    ]  # fmt: skip
    digests = (element_digest(parse_element(row.kind, row.body)) for row in rows)
    assert digest_of(MIXED.header(), digests) == written.entry.digest


async def test_a_stream_resumes_behind_every_element(store: Store) -> None:
    """Cut anywhere, the rest comes without a gap or a repeat."""
    await store.write(put("p", MIXED))
    whole = await collect(store, 1)
    for position, cursor in enumerate(whole, 1):
        assert await collect(store, 1, after=cursor) == whole[position:]


async def test_a_pinned_stream_does_not_see_later_writes(store: Store) -> None:
    """Between any two chunks the project may change, be replaced or deleted; the version read stays the same."""
    names = [f"E{number:03}" for number in range(60)]
    await store.write(put("p", schema_of(*names)))
    found: list[str] = []
    async for chunk in stream_elements(store, "p", 1, chunk_size=7):
        found += [row.key for row in chunk]
        await store.write(edit("p", create(f"New{len(found)}")))
        await store.write(put("p", schema_of(*names[::2])))
    assert found == names
    assert (await store.read(partial(find_version, project_id="p"))).version > 10


async def test_a_stream_runs_beside_a_busy_writer(store: Store) -> None:
    """With a writer that never rests, a stream of an old version is complete."""
    names = [f"E{number:03}" for number in range(200)]
    await store.write(put("p", schema_of(*names)))
    done = asyncio.Event()

    async def keep_writing() -> None:
        for number in range(500):
            if done.is_set():
                return
            await store.write(edit("p", create(f"New{number}")))

    async with asyncio.TaskGroup() as group:
        group.create_task(keep_writing())
        found = await collect(store, 1, chunk_size=10)
        done.set()
    assert found == [f"entity:{name}" for name in names]


async def test_an_abandoned_stream_holds_nothing(store: Store) -> None:
    """Closed early, or left standing, a stream keeps neither a reader nor a snapshot."""
    await store.write(put("p", MIXED))
    for _ in range(20):  # far more than there are readers
        async with aclosing(stream_elements(store, "p", 1, chunk_size=1)) as chunks:
            await anext(chunks)
            assert store.statistics().active_reads == 0
    assert len(await collect(store, 1)) == 7


@pytest.mark.parametrize("cursor", ["", "entity", "thing:A", "entity-A", ":A"])
async def test_a_bad_cursor_is_refused(store: Store, cursor: str) -> None:
    """What is not a cursor is a mistake of the caller, not an empty page."""
    with pytest.raises(ValueError, match="not a cursor"):
        parse_cursor(cursor)
    with pytest.raises(ValueError, match="not a cursor"):
        await store.read(partial(element_page, rows_key="p", version=1, after=cursor))
