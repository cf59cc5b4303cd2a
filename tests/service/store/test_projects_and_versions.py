"""The repository: versions are gapless, documents come back as they went in, and digests are those of the documents."""

import asyncio
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, func, select, text
from tests.service.store.samples import create, edit, entity, names_in, note, put, schema_of

from schemawire.schema import Entity, MemoryView, SchemaView, apply, parse_operations, parse_schema, schema_digest
from schemawire.service.store import (
    ProjectExists,
    ProjectMissing,
    SqliteStore,
    SqlView,
    Store,
    VersionMissing,
    VersionMoved,
    create_project,
    default_header,
    delete_project,
    find_project,
    find_version,
    list_projects,
    list_versions,
    read_document,
    read_schema,
    require_project,
    restore_version,
    save_settings,
)
from schemawire.service.store.tables import element_references, elements, versions


async def document(store: Store, project_id: str = "p", version: int | None = None) -> dict[str, Any]:
    found = await store.read(partial(read_document, project_id=project_id, version=version))
    parsed: dict[str, Any] = json.loads(found.body)
    return parsed


async def test_a_document_comes_back_as_it_was_submitted(store: Store) -> None:
    """Order, absent keys, explicit nulls, extensions and every script survive; nothing is filled in."""
    submitted = {
        "formatVersion": "1",
        "name": "Łódź",
        "description": None,
        "x-owner": {"team": "β"},
        "entities": [
            entity("Zebra", description=None),
            entity("Apfel", **{"x-colour": "rot"}),
            {"name": "Price", "fields": [{"name": "amount", "type": "decimal", "default": "0.10"}]},
        ],
        "enums": [{"name": "Size", "values": ["L", "S"]}],
        "relationships": [{"name": "eats", "source": "Zebra", "target": "Apfel"}],
        "rules": [],
    }
    await store.write(put("p", parse_schema(submitted)))
    assert await document(store) == submitted


async def test_an_identical_document_makes_no_version(store: Store) -> None:
    """The same schema again answers with the version that is there."""
    first = await store.write(put("p", schema_of("A", "B")))
    again = await store.write(put("p", schema_of("A", "B")))
    assert (first.changed, first.created, again.changed, again.created) == (True, True, False, False)
    assert again.entry == first.entry
    assert await store.read(lambda conn: [each.version for each in list_versions(conn, "p")]) == [1]


async def test_a_replaced_document_keeps_the_submitted_order(store: Store) -> None:
    """Elements put between, moved or taken out stand where the new document says, and the old version is untouched."""
    await store.write(put("p", schema_of("A", "B", "C", "D")))
    written = await store.write(put("p", schema_of("D", "New", "A", "C", "B")))
    assert names_in(await document(store)) == ["D", "New", "A", "C", "B"]
    assert names_in(await document(store, version=1)) == ["A", "B", "C", "D"]
    assert written.entry.digest == schema_digest(schema_of("New", "A", "B", "C", "D"))


async def test_operations_keep_places_and_append(store: Store) -> None:
    """A changed or renamed element stays where it is; a new one comes last."""
    await store.write(put("p", schema_of("A", "B", "C")))
    rename = {"operation": "rename_entity", "data": {"name": "B", "newName": "Bee"}}
    describe = {"operation": "update_entity", "data": {"name": "A", "description": "first"}}
    await store.write(edit("p", create("D"), rename, describe))
    found = await document(store)
    assert names_in(found) == ["A", "Bee", "C", "D"]
    assert found["entities"][0]["description"] == "first"


async def test_a_batch_creates_a_missing_project(store: Store) -> None:
    """Operations on a project that is not there start from an empty schema named after it."""
    written = await store.write(edit("my-blog.v2", create("Post")))
    assert (written.created, written.entry.version) == (True, 1)
    assert (await document(store, "my-blog.v2"))["name"] == "my_blog_v2"


@pytest.mark.parametrize("project_id", ["1", "a" * 128, "9" * 128, "a-b.c_d"])
def test_every_project_id_gives_a_name(project_id: str) -> None:
    """Whatever may name a project also gives its first schema a valid name."""
    assert default_header(project_id).name


async def test_a_stale_write_names_the_current_version_and_the_conflicts(store: Store) -> None:
    """The refusal carries version, digest and the elements that both sides changed; nothing is written."""
    await store.write(put("p", schema_of("A", "B", "C")))
    touch = {"operation": "update_entity", "data": {"name": "B", "description": "theirs"}}
    current = await store.write(edit("p", touch, create("D")))
    mine = {"operation": "update_entity", "data": {"name": "B", "description": "mine"}}
    with pytest.raises(VersionMoved) as caught:
        await store.write(edit("p", mine, expected_version=1))
    moved = caught.value
    assert (moved.expected_version, moved.current_version) == (1, 2)
    assert moved.current_digest == current.entry.digest
    assert moved.conflicts == ("entity:B",)
    other = {"operation": "update_entity", "data": {"name": "C", "description": "mine"}}
    with pytest.raises(VersionMoved) as caught:
        await store.write(edit("p", other, expected_version=1))
    assert caught.value.conflicts == ("entity:B", "entity:D")
    assert (await store.read(lambda conn: require_project(conn, "p"))).version == 2


@pytest.mark.parametrize(("stored", "expected"), [(True, 0), (True, 2), (False, 1)])
async def test_a_wrong_expectation_is_refused(store: Store, stored: bool, expected: int) -> None:
    """0 means that the project must not be there; a number, that exactly this version is the newest."""
    if stored:
        await store.write(put("p", schema_of("A")))
    with pytest.raises(VersionMoved) as caught:
        await store.write(put("p", schema_of("B"), expected_version=expected))
    assert caught.value.current_version == int(stored)
    assert caught.value.conflicts == ()


async def test_creating_twice_is_refused(store: Store) -> None:
    """The second creation finds the project there and changes nothing."""
    await store.write(partial(create_project, project_id="p", schema=schema_of("A"), note=note(0)))
    with pytest.raises(ProjectExists):
        await store.write(partial(create_project, project_id="p", schema=schema_of("B"), note=note()))
    assert names_in(await document(store)) == ["A"]


async def test_parallel_writers_make_gapless_versions(store: Store) -> None:
    """Forty concurrent writers of one project get forty versions, each once, and nothing is lost."""
    await store.write(put("p", schema_of("Start")))
    found = await asyncio.gather(*(store.write(edit("p", create(f"E{number}"))) for number in range(40)))
    assert sorted(each.entry.version for each in found) == list(range(2, 42))
    assert set(names_in(await document(store))) == {"Start"} | {f"E{number}" for number in range(40)}
    entries = await store.read(lambda conn: list_versions(conn, "p"))
    assert [entry.parent for entry in entries[:-1]] == [entry.digest for entry in entries[1:]]


async def test_a_deleted_project_is_gone_until_restored(store: Store) -> None:
    """Deleting hides the project and keeps its versions; restoring one makes it the newest, with the next number."""
    first = await store.write(put("p", schema_of("A", "B")))
    await store.write(put("p", schema_of("B", "C")))
    await store.write(partial(delete_project, project_id="p", now=2.0))
    with pytest.raises(ProjectMissing):
        await store.read(partial(read_document, project_id="p"))
    with pytest.raises(ProjectMissing):
        await store.write(partial(delete_project, project_id="p", now=3.0))
    assert await store.read(list_projects) == []
    back = await store.write(partial(restore_version, project_id="p", version=1, note=note()))
    assert (back.entry.version, back.entry.digest, back.created) == (3, first.entry.digest, True)
    assert names_in(await document(store)) == ["A", "B"]
    assert names_in(await document(store, version=2)) == ["B", "C"]


async def test_a_deleted_project_starts_empty_when_written_again(store: Store) -> None:
    """A batch on a deleted project does not see what was deleted; version numbers go on."""
    relationship = {"name": "r", "source": "A", "target": "B"}
    await store.write(put("p", schema_of("A", "B", relationships=[relationship])))
    await store.write(partial(delete_project, project_id="p", now=2.0))
    written = await store.write(edit("p", create("A"), expected_version=0))
    assert (written.entry.version, written.entry.element_count) == (2, 1)
    assert names_in(await document(store)) == ["A"]
    assert await store.read(lambda conn: list(SqlView(conn, "p").referrers("B"))) == []


async def test_what_is_missing_is_named(store: Store) -> None:
    """A missing project and a missing version are different refusals with one code."""
    await store.write(put("p", schema_of("A")))
    for version in (0, 2, -1):
        with pytest.raises(VersionMissing, match=f"no version {version}"):
            await store.read(partial(find_version, project_id="p", version=version))
        with pytest.raises(VersionMissing):
            await store.write(partial(restore_version, project_id="p", version=version, note=note()))
    with pytest.raises(ProjectMissing):
        await store.write(partial(restore_version, project_id="q", version=1, note=note()))
    with pytest.raises(ProjectMissing):
        await store.read(partial(list_versions, project_id="q"))


async def test_lists_are_paged_by_key(store: Store) -> None:
    """Every project appears once over all pages, in the order of ids; so do versions, newest first."""
    for project_id in ("b", "a", "Z", "0"):
        await store.write(put(project_id, schema_of("A")))
    first = await store.read(partial(list_projects, limit=2))
    rest = await store.read(partial(list_projects, after=first[-1].project_id, limit=9))
    assert [head.project_id for head in (*first, *rest)] == ["0", "Z", "a", "b"]
    allowed = await store.read(partial(list_projects, only=frozenset({"a", "q"})))
    assert [head.project_id for head in allowed] == ["a"]
    for name in "BCD":
        await store.write(edit("a", create(name)))
    page = await store.read(partial(list_versions, project_id="a", limit=2))
    older = await store.read(partial(list_versions, project_id="a", before=page[-1].version))
    assert [entry.version for entry in (*page, *older)] == [4, 3, 2, 1]


async def test_a_version_knows_who_made_it_when_and_why(store: Store) -> None:
    """Author, time, message and session are kept with every version."""
    await store.write(put("p", schema_of("A")))
    entry = await store.read(partial(find_version, project_id="p"))
    assert (entry.created_by, entry.message, entry.created_at, entry.session_id) == ("tester", "why", 1_000.0, None)
    assert (entry.element_count, entry.header_value().name) == (1, "sample")


async def test_settings_of_a_project_are_kept(store: Store) -> None:
    """Settings survive writes; a missing project has none to set."""
    await store.write(put("p", schema_of("A")))
    await store.write(partial(save_settings, project_id="p", settings={"compatibility": "FULL"}, now=5.0))
    await store.write(put("p", schema_of("A", "B")))
    head = await store.read(lambda conn: find_project(conn, "p"))
    assert head is not None
    assert head.settings == {"compatibility": "FULL"}
    with pytest.raises(ProjectMissing):
        await store.write(partial(save_settings, project_id="q", settings={}, now=5.0))


NAMES = st.sampled_from(["A", "B", "C", "D", "E"])


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a valid schema over few names, so that consecutive ones overlap."""
    names = draw(st.lists(NAMES, unique=True, max_size=5))
    described = [entity(name, description=draw(st.sampled_from(["x", "y"]))) for name in names]
    links = []
    for position in range(draw(st.integers(0, 2)) if names else 0):
        ends = {"source": draw(st.sampled_from(names)), "target": draw(st.sampled_from(names))}
        links.append({"name": f"r{position}", **ends})
    return {"formatVersion": "1", "name": "s", "entities": described, "enums": [], "relationships": links, "rules": []}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=st.lists(documents(), min_size=1, max_size=6))
def test_every_version_stays_what_was_written(tmp_path_factory: pytest.TempPathFactory, history: list[Any]) -> None:
    """Whatever was written before and after, each version reads as its document, under the digest of that document."""
    asyncio.run(_write_and_compare(tmp_path_factory.mktemp("history") / "a.db", history))


async def _write_and_compare(path: Path, history: list[Any]) -> None:
    store = SqliteStore(path)
    await store.start()
    try:
        expected: dict[int, tuple[str, Any]] = {}
        for submitted in history:
            schema = parse_schema(submitted)
            written = await store.write(put("p", schema))
            if written.changed:
                expected[written.entry.version] = (schema_digest(schema), submitted)
        assert sorted(expected) == list(range(1, len(expected) + 1))
        for version, (digest, submitted) in expected.items():
            entry = await store.read(partial(find_version, project_id="p", version=version))
            assert (entry.digest, await document(store, version=version)) == (digest, submitted)
        last = parse_schema(history[-1])
        await store.read(lambda conn: _compare_views(SqlView(conn, "p"), MemoryView(last)))
    finally:
        await store.close()


def _compare_views(stored: SchemaView, memory: SchemaView) -> None:
    assert stored.header() == memory.header()
    for kind in ("entity", "enum", "relationship", "rule"):
        assert set(stored.keys(kind)) == set(memory.keys(kind))
        assert stored.count(kind) == memory.count(kind)
        assert all(stored.get(kind, key) == memory.get(kind, key) for key in memory.keys(kind))
    for name in "ABCDE":
        assert set(stored.referrers(name)) == set(memory.referrers(name))


def rows_changed(conn: Connection) -> int:
    """Return the engine's own count of the rows that were written so far."""
    if conn.dialect.name == "sqlite":
        raw: Any = conn.connection.dbapi_connection
        return int(raw.total_changes)
    query = "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_xact_user_tables"
    return int(conn.execute(text(query)).scalar_one())


async def test_one_field_of_a_large_project_costs_a_handful_of_rows(store: Store) -> None:
    """In a project of 20,000 entities, changing one field writes four rows, whatever the size."""
    large = schema_of(*(f"Entity{number}" for number in range(20_000)))
    await store.write(put("large", large))

    def change(conn: Connection, field: str) -> tuple[int, str]:
        before = rows_changed(conn)
        data = {"entity": "Entity7", "name": field, "type": "string"}
        written = edit("large", {"operation": "create_field", "data": data})(conn)
        return rows_changed(conn) - before, written.entry.digest

    for field in ("title", "subtitle"):
        rows, digest = await store.write(partial(change, field=field))
        assert rows <= 4  # the row closed, the row added, the version, the project
    assert digest == schema_digest(await store.read(partial(read_schema, project_id="large")))
    count = await store.read(lambda conn: conn.execute(select(func.count()).select_from(elements)).scalar_one())
    assert count == 20_002


async def test_a_refused_change_leaves_no_row(store: Store) -> None:
    """When the work fails after writing, versions, elements and references are as before."""

    def counts(conn: Connection) -> list[int]:
        tables = (versions, elements, element_references)
        return [conn.execute(select(func.count()).select_from(table)).scalar_one() for table in tables]

    await store.write(put("p", schema_of("A", "B")))
    before = await store.read(counts)

    def fail_after(conn: Connection) -> None:
        operation = {"operation": "create_relationship", "data": {"name": "r", "source": "A", "target": "B"}}
        changes = apply(SqlView(conn, "p"), parse_operations([operation]))
        assert changes.elements
        edit("p", operation)(conn)
        raise LookupError

    with pytest.raises(LookupError):
        await store.write(fail_after)
    assert await store.read(counts) == before
    assert isinstance(await store.read(lambda conn: SqlView(conn, "p").get("entity", "A")), Entity)
