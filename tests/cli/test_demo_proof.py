"""The demo's proof: it holds for a store as the service left it, and for no other."""

import asyncio
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from schemawire.cli.demo.proof import drop_one, prove
from schemawire.handler import DomainSchemaHandler
from schemawire.schema import DomainSchema, schema_digest
from schemawire.testing.service_process import ServiceProcess

SCHEMAS = {
    name: DomainSchema.model_validate(
        {
            "name": name,
            "entities": [
                {"name": "Thing", "fields": [{"name": "title", "type": "string"}]},
                {"name": "Other", "fields": [{"name": "size", "type": "integer"}]},
            ],
            "enums": [{"name": "Colour", "values": ["red", "green"]}],
        }
    )
    for name in ("one", "two", "three")
}
SENT = {name: schema_digest(schema) for name, schema in SCHEMAS.items()}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store file that the real service wrote and closed."""
    service = ServiceProcess(tmp_path_factory.mktemp("store"))

    async def write() -> None:
        async with DomainSchemaHandler(service.base_url, service.admin_key) as handler:
            for name, schema in SCHEMAS.items():
                await handler.save_schema(name, schema)

    with service:
        asyncio.run(write())
        service.stop()
    return service.database_path


@pytest.fixture
def store(written: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copy(written, tmp_path / "schemas.db"))


def change(store: Path, *statements: str) -> None:
    """Do something to the file that the service would not do."""
    with closing(sqlite3.connect(store)) as rows, rows:
        for statement in statements:
            rows.execute(statement)


def test_the_proof_holds_for_what_the_service_wrote(store: Path) -> None:
    """Every schema once, each digest recomputed from the stored bytes."""
    proof = prove(store, SENT)
    assert proof.holds, proof.faults
    assert dict(proof.stored) == SENT
    assert (proof.versions, proof.replies) == (3, 3)


def test_the_proof_changes_nothing(store: Path) -> None:
    """The file is opened read-only."""
    before = store.read_bytes()
    prove(store, SENT)
    assert store.read_bytes() == before


def test_a_dropped_schema_is_noticed(store: Path) -> None:
    """Sabotage makes the proof fail and names the project."""
    project = drop_one(store)
    assert any(fault.startswith(f"{project}: not in the store") for fault in prove(store, SENT).faults)


def test_what_was_never_sent_is_noticed(store: Path) -> None:
    """A project too many is as wrong as one too few."""
    fewer = {name: digest for name, digest in SENT.items() if name != "two"}
    assert prove(store, fewer).faults == ("two: in the store, but never sent",)


@pytest.mark.parametrize(
    ("statement", "complaint"),
    [
        ("UPDATE elements SET body = replace(body, 'title', 'titel')", "the stored bytes give digest"),
        ("UPDATE elements SET body = 'x' WHERE kind_rank = 1", "the stored bytes give digest unreadable"),
        ("DELETE FROM elements WHERE kind_rank = 1 AND project_id = 'one'", "one: the stored bytes give digest"),
        ("UPDATE versions SET digest = replace(digest, 'a', 'b')", "has digest"),
        (
            "INSERT INTO versions (project_id, version, digest, parent, header, element_count, created_at, created_by,"
            " session_id, message) SELECT project_id, 2, digest, digest, header, element_count, created_at, created_by,"
            " session_id, message FROM versions WHERE project_id = 'two'",
            "two: 2 versions in the history, 1 was made",
        ),
        (
            "INSERT INTO idempotency SELECT principal, project_id, route, key || 'x', request_hash, status, headers,"
            " body, created_at FROM idempotency WHERE project_id = 'three'",
            "three: 2 applied writes are remembered, 1 was made",
        ),
        ("UPDATE elements SET valid_to = 2 WHERE project_id = 'one'", "one: 3 elements were written and then replaced"),
        ("UPDATE projects SET deleted_at = 1 WHERE project_id = 'one'", "one: not in the store"),
    ],
    ids=["altered", "unreadable", "element lost", "digest", "applied twice", "two keys", "replaced", "deleted"],
)
def test_every_way_of_being_wrong_is_noticed(statement: str, complaint: str, store: Path) -> None:
    """Lost, doubled, altered or replaced: each has its own words."""
    change(store, statement)
    faults = prove(store, SENT).faults
    assert any(complaint in fault for fault in faults), faults
