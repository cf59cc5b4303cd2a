"""A purged project is gone at once, and its rows soon: in portions, and never those of a new project of its name."""

from functools import partial

import pytest
from sqlalchemy import func, select
from tests.service.store.samples import note, put, schema_of

from schemawire.schema import DomainSchema
from schemawire.service.retention import sweep
from schemawire.service.store import SqlView, Store, StoreUnavailable, read_document, replace_schema, staging
from schemawire.service.store.portions import PORTION
from schemawire.service.store.purging import purge_project
from schemawire.service.store.refusals import ProjectMissing
from schemawire.service.store.tables import element_references, elements, metadata, stagings, store_meta

FIRST = schema_of("A", "B", relationships=[{"name": "r", "source": "A", "target": "B"}])
SECOND = schema_of("B", "C", relationships=[{"name": "r", "source": "B", "target": "C"}])


async def rows_left(store: Store) -> int:
    """Count the element rows and references of all projects."""
    counts = [select(func.count()).select_from(table) for table in (elements, element_references)]
    return await store.read(lambda conn: sum(conn.execute(query).scalar_one() for query in counts))


async def newest(store: Store) -> DomainSchema:
    document = await store.read(partial(read_document, project_id="p"))
    return DomainSchema.model_validate_json(document.body)


async def test_a_new_project_of_a_purged_ones_name_keeps_its_rows(store: Store) -> None:
    """The sweep that comes later takes the old rows alone, also when that happens again before it came."""
    await store.write(put("p", FIRST))
    await store.write(partial(purge_project, project_id="p"))
    with pytest.raises(ProjectMissing):
        await store.read(partial(read_document, project_id="p"))
    for schema in (SECOND, FIRST):
        written = await store.write(partial(replace_schema, project_id="p", schema=schema, note=note()))
        assert (written.entry.version, written.entry.parent) == (1, None)
        assert await newest(store) == schema
        if schema is SECOND:
            assert await store.write(partial(purge_project, project_id="p")) >= len(list(SECOND.elements()))
    await sweep(store, 2_000.0)
    assert await newest(store) == FIRST
    written = await store.write(partial(replace_schema, project_id="p", schema=SECOND, note=note()))
    assert (written.entry.version, await newest(store)) == (2, SECOND)
    assert await store.read(lambda conn: set(SqlView(conn, "p").referrers("C"))) == {("relationship", "r")}


async def test_nothing_of_a_purged_project_is_left_in_any_table(store: Store) -> None:
    """After the sweep every table is as empty as in a new store."""
    await store.write(put("p", FIRST))
    await store.write(put("p", SECOND))
    await store.write(partial(purge_project, project_id="p"))
    await sweep(store, 2_000.0)
    for table in metadata.sorted_tables:
        if table is not store_meta:
            query = select(func.count()).select_from(table)
            assert await store.read(lambda conn, query=query: conn.execute(query).scalar_one()) == 0, table.name  # type: ignore[misc]  # bound now


async def test_a_large_project_is_deleted_in_portions(store: Store) -> None:
    """The purge itself touches no element row, and no later write more than a portion of each table."""
    wide = schema_of(*(f"E{number}" for number in range(2 * PORTION + 10)))
    await store.write(put("p", wide))
    before = await rows_left(store)
    await store.write(partial(purge_project, project_id="p"))
    assert await rows_left(store) == before
    while await store.write(partial(staging.sweep_stagings, now=2_000.0)):
        left = await rows_left(store)
        assert before - left <= 2 * PORTION
        before = left
    assert await rows_left(store) == 0


async def test_an_upload_into_a_purged_project_is_told_and_leaves_nothing(store: Store) -> None:
    """Its rows become garbage with the others, and nobody can add to them."""
    await store.write(put("p", FIRST))
    rows_key = await store.write(partial(staging.open_staging, project_id="p", now=1_000.0))
    await store.write(partial(purge_project, project_id="p"))
    with pytest.raises(StoreUnavailable):
        await store.write(partial(staging.touch_staging, rows_key=rows_key, now=1_001.0))
    await sweep(store, 2_000.0)
    assert await store.read(lambda conn: conn.execute(select(func.count()).select_from(stagings)).scalar_one()) == 0
