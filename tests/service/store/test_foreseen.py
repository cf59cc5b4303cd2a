"""Large changes are worked out before their turn, and hold only if the project is still as it was."""

from collections.abc import Sequence
from functools import partial

from sqlalchemy import Connection

from schemawire.schema import Changes, Operation, apply, parse_operations, schema_digest
from schemawire.service.foreseen import MANY, Foreseen, changes_of, foresee
from schemawire.service.store import SqlView, Store, WriteNote, Written, read_schema, write_changes

PROJECT = "large"


def creating(count: int, prefix: str = "E") -> list[Operation]:
    return parse_operations(
        [{"operation": "create_entity", "data": {"name": f"{prefix}{number}"}} for number in range(count)]
    )


def store_changes(conn: Connection, operations: Sequence[Operation], foreseen: Foreseen | None = None) -> Written:
    def never(view: SqlView, operations: Sequence[Operation]) -> Changes:
        raise AssertionError("worked out twice")

    view = SqlView(conn, PROJECT, is_writing=True)
    is_good = foreseen is not None and foreseen.stored == view.stored
    changes, ready = changes_of(view, operations, never if is_good else apply, foreseen)
    return write_changes(view, changes, WriteNote(now=1.0), ready=ready)


async def test_what_was_foreseen_is_what_would_have_been_done(store: Store) -> None:
    """The version is the same, digest and all, whether its changes were worked out before or in the transaction."""
    operations = creating(MANY)
    foreseen = await foresee(store, PROJECT, operations, apply)
    assert foreseen is not None
    written = await store.write(partial(store_changes, operations=operations, foreseen=foreseen))
    schema = await store.read(partial(read_schema, project_id=PROJECT))
    assert written.entry.version == 1
    assert (len(schema.entities), schema_digest(schema)) == (MANY, written.entry.digest)


async def test_what_was_foreseen_of_another_state_is_worked_out_anew(store: Store) -> None:
    """A write that came in between is neither lost nor overlooked."""
    operations = creating(MANY)
    foreseen = await foresee(store, PROJECT, operations, apply)
    await store.write(partial(store_changes, operations=creating(1, prefix="Between")))
    written = await store.write(partial(store_changes, operations=operations, foreseen=foreseen))
    schema = await store.read(partial(read_schema, project_id=PROJECT))
    assert written.entry.version == 2
    assert (len(schema.entities), schema_digest(schema)) == (MANY + 1, written.entry.digest)


async def test_little_and_what_cannot_be_done_is_not_foreseen(store: Store) -> None:
    """A small change is done in its turn, and an error is said by the transaction, which knows of repeated requests."""
    assert await foresee(store, PROJECT, creating(MANY - 1), apply) is None
    assert await foresee(store, PROJECT, creating(MANY) + creating(1), apply) is None
