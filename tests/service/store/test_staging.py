"""Staged rows: invisible until the switch-over, swept when nobody comes back, and never half of anything."""

from functools import partial
from typing import Any

import pytest
from sqlalchemy import Connection, func, select
from tests.service.store.samples import note, put, schema_of

from schemawire.schema import DomainSchema, Header, digest_of, element_digest
from schemawire.service.retention import sweep
from schemawire.service.store import SqlView, Store, StoreUnavailable, read_document, staging
from schemawire.service.store.ordering import STRIDE
from schemawire.service.store.portions import PORTION
from schemawire.service.store.staging import StagedSchema, staged_row
from schemawire.service.store.tables import element_references, elements, stagings

MANY = schema_of("A", "B", relationships=[{"name": "r", "source": "A", "target": "B"}])


async def staged(store: Store, schema: DomainSchema, *, now: float = 1_000.0) -> StagedSchema:
    """Stage a schema's rows."""
    rows_key = await store.write(partial(staging.open_staging, project_id="p", now=now))
    parts = list(schema.elements())
    rows = [staged_row(rows_key, part, number * STRIDE) for number, part in enumerate(parts, 1)]
    await store.write(partial(staging.stage_rows, rows_key=rows_key, rows=rows, now=now))
    in_order = sorted(parts, key=lambda part: (rows[parts.index(part)].rank, part.key))
    counts = tuple(len(getattr(schema, name)) for name in DomainSchema.COLLECTIONS.values())
    return StagedSchema(
        rows_key=rows_key, header=schema.header(), digest=digest_of(schema.header(), map(element_digest, in_order)),
        counts=counts, next_ordinal=len(parts) * STRIDE,
    )  # fmt: skip


def switch(conn: Connection, schema: StagedSchema, expected: int | None = None) -> Any:
    """Switch the project over."""
    return staging.switch_over(SqlView(conn, "p", is_writing=True), schema, note(expected))


def count(conn: Connection, rows_key: str) -> tuple[int, int]:
    """Return how many element rows and references stand under an id."""
    queries = (select(func.count()).where(table.c.project_id == rows_key) for table in (elements, element_references))
    first, second = (conn.execute(query).scalar_one() for query in queries)
    return first, second


async def test_staged_rows_become_a_version_at_once(store: Store) -> None:
    """Before the switch nobody sees them; after it the document is the one that was staged, and the old one stays."""
    await store.write(put("p", schema_of("Old")))
    ready = await staged(store, MANY)
    assert b"Old" in (await store.read(partial(read_document, project_id="p"))).body
    written = await store.write(partial(switch, schema=ready))
    assert (written.entry.version, written.entry.digest, written.changed) == (2, ready.digest, True)
    new = await store.read(partial(read_document, project_id="p"))
    assert DomainSchema.model_validate_json(new.body) == MANY
    assert b"Old" in (await store.read(partial(read_document, project_id="p", version=1))).body
    assert await store.read(lambda conn: conn.execute(select(func.count()).select_from(stagings)).scalar_one()) == 1


async def test_the_sweep_takes_what_nobody_came_back_for(store: Store) -> None:
    """Abandoned rows and rows past their time go, portion by portion; those that are worked on and stored ones stay."""
    await store.write(put("p", MANY))
    large = schema_of(*(f"E{number}" for number in range(PORTION + 10)))
    abandoned, old, young = [await staged(store, each, now=at) for each, at in ((large, 5e9), (MANY, 0.0), (MANY, 5e9))]
    await store.write(partial(staging.abandon_staging, rows_key=abandoned.rows_key))
    assert await sweep(store, 5e9) > 0
    for gone in (abandoned, old):
        assert await store.read(partial(count, rows_key=gone.rows_key)) == (0, 0)
    assert await store.read(partial(count, rows_key=young.rows_key)) == (3, 2)
    assert await store.read(partial(count, rows_key="p")) == (3, 2)


async def test_the_sweep_takes_the_references_of_rows_that_were_replaced(store: Store) -> None:
    """After a switch the index of who refers to whom is that of the new rows alone; old versions stay readable."""
    await store.write(put("p", MANY))
    await store.write(partial(switch, schema=await staged(store, schema_of("New"))))
    await sweep(store, 5e9)
    assert await store.read(partial(count, rows_key="p")) == (3, 0)
    first = await store.read(partial(read_document, project_id="p", version=1))
    assert DomainSchema.model_validate_json(first.body) == MANY


async def test_rows_that_are_being_swept_can_become_nothing(store: Store) -> None:
    """Whoever comes back too late is refused, and the project is as it was."""
    await store.write(put("p", MANY))
    late = await staged(store, schema_of("New"), now=0.0)
    await store.write(partial(staging.sweep_stagings, now=5e9))
    with pytest.raises(StoreUnavailable):
        await store.write(partial(switch, schema=late))
    with pytest.raises(StoreUnavailable):
        await store.write(partial(staging.stage_rows, rows_key=late.rows_key, rows=[], now=5e9))
    newest = await store.read(partial(read_document, project_id="p"))
    assert (newest.entry.version, DomainSchema.model_validate_json(newest.body)) == (1, MANY)


async def test_a_copy_of_rows_is_complete(store: Store) -> None:
    """Copied a few at a time, elements and references are those of the version."""
    await store.write(put("p", MANY))
    entry = (await store.read(partial(read_document, project_id="p"))).entry
    rows_key = await store.write(partial(staging.open_staging, project_id="p", now=0.0))
    place: Any = staging.BEGINNING
    while place is not None:
        place = await store.write(
            partial(staging.clone_elements, entry=entry, rows_key=rows_key, after=place, limit=1)
        )  # fmt: skip
    referrer: Any = ("", -1, "")
    while referrer is not None:
        referrer = await store.write(
            partial(staging.clone_references, source="p", rows_key=rows_key, after=referrer, limit=1)
        )  # fmt: skip
    assert await store.read(partial(count, rows_key=rows_key)) == (3, 2)
    page = await store.read(partial(staging.staged_page, rows_key=rows_key, after=staging.BEGINNING, limit=10))
    assert [(row[0], row[1]) for row in page] == [(0, "A"), (0, "B"), (2, "r")]
    assert Header(name="sample") == MANY.header()
