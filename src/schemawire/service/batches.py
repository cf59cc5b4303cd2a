"""Many operations on one project: all or none, or each on its own; one result each. Knows nothing of HTTP servers."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from sqlalchemy import Connection

from schemawire.errors import SchemaInvalid
from schemawire.protocol.messages import BatchRequest, OperationResult
from schemawire.schema import Changes, Operation, Outcome, apply, apply_each, parse_operation, parse_operations
from schemawire.schema.issues import Issue, invalid, pointer_to
from schemawire.service.backend import Backend
from schemawire.service.foreseen import Carry, Foreseen, changes_of, foresee
from schemawire.service.once import write_once
from schemawire.service.refusals import RequestRefused, refusal_of
from schemawire.service.replies import Answer, encode
from schemawire.service.store.versions import check_expected, write_changes
from schemawire.service.store.view import SqlView
from schemawire.service.threads import in_proportion
from schemawire.service.write_request import WriteRequest, expected_version
from schemawire.service.writes import note_of

POINTER = "/operations"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadBatch:
    """Operations read from their wire form; the ones that could not be read have an error in their place."""

    names: tuple[str, ...]
    operations: tuple[Operation, ...]
    places: tuple[int, ...]
    """The index in the request of each operation."""
    errors: dict[int, SchemaInvalid]


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchDone:
    """What became of a batch: one result per operation, and the version that is now the newest, if there is one."""

    results: list[dict[str, Any]]
    version: int | None = None
    digest: str | None = None


async def run_batch(backend: Backend, write: WriteRequest, wanted: BatchRequest) -> Answer:
    """Apply a batch, or with `dry_run` find out what it would do.

    Raises:
        RequestRefused: there is nothing to do, or a precondition is malformed.
        SchemaInvalid: an operation of an atomic batch is malformed or cannot be carried out; nothing was done.
        VersionMoved: a precondition fails.
    """
    batch = await in_proportion(write.size_bytes, partial(read_batch, wanted.operations, atomic=wanted.atomic))
    write = replace(write, is_dry_run=wanted.dry_run or write.is_dry_run)
    seen = await foresee(backend.store, write.project_id, batch.operations, _carry_of(wanted))
    return await write_once(backend, write, lambda conn: _answer(write, store_batch(conn, write, wanted, batch, seen)))


def read_batch(documents: Sequence[Any], *, atomic: bool) -> ReadBatch:
    """Return the operations of a batch.

    Raises:
        RequestRefused: there are none.
        SchemaInvalid: `atomic`, and one of them is malformed.
    """
    if not documents:
        raise RequestRefused("invalid_request", "The list of operations is empty.", fix="Send at least one operation.")
    names = tuple(_name_of(document) for document in documents)
    if atomic:
        operations = tuple(parse_operations(documents, POINTER))
        return ReadBatch(names=names, operations=operations, places=tuple(range(len(names))), errors={})
    good: list[tuple[int, Operation]] = []
    errors: dict[int, SchemaInvalid] = {}
    for index, document in enumerate(documents):
        try:
            good.append((index, parse_operation(document, POINTER + pointer_to(index))))
        except SchemaInvalid as error:
            error.operation = index
            errors[index] = error
    return ReadBatch(
        names=names,
        operations=tuple(operation for _, operation in good),
        places=tuple(index for index, _ in good),
        errors=errors,
    )


def store_batch(
    conn: Connection, write: WriteRequest, wanted: BatchRequest, batch: ReadBatch, foreseen: Foreseen | None = None
) -> BatchDone:
    """Carry out a batch on a connection inside a write transaction, and return one result per operation.

    Args:
        conn: the connection.
        write: who asks, and on what terms.
        wanted: what was asked for.
        batch: its operations.
        foreseen: what they change, if it was worked out before.

    Raises:
        SchemaInvalid: an operation of an atomic batch cannot be carried out.
        VersionMoved: a precondition fails.
    """
    view = SqlView(conn, write.project_id, is_writing=True)
    expected = expected_version(write, view.head, wanted.expected_version)
    note = note_of(write, expected, session_id=wanted.session_id, message=wanted.message)
    check_expected(view, expected)
    changes, ready = changes_of(view, batch.operations, _carry_of(wanted), foreseen)
    if view.head is None and not any(outcome.error is None for outcome in changes.outcomes):
        return BatchDone(results=_results(batch, changes, None))
    entry = write_changes(view, changes, note, ready=ready).entry
    return BatchDone(results=_results(batch, changes, entry.version), version=entry.version, digest=entry.digest)


def _carry_of(wanted: BatchRequest) -> Carry:
    return partial(apply if wanted.atomic else apply_each, pointer=POINTER)


def _answer(write: WriteRequest, done: BatchDone) -> Answer:
    applied = sum(result["success"] for result in done.results)
    return Answer(
        message=f"{applied} of {len(done.results)} operations applied",
        payload=encode(done.results),
        project_id=write.project_id,
        version=done.version,
        digest=done.digest,
    )


def _results(batch: ReadBatch, changes: Changes, version: int | None) -> list[dict[str, Any]]:
    outcomes = dict(zip(batch.places, changes.outcomes, strict=True))
    return [
        _failure(index, name, batch.errors[index])
        if index in batch.errors
        else _result(index, outcomes[index], version)
        for index, name in enumerate(batch.names)
    ]


def _result(index: int, outcome: Outcome, version: int | None) -> dict[str, Any]:
    if outcome.error is not None:
        return _failure(index, outcome.operation, _relocated(outcome.error, outcome.index, index))
    kind, key = outcome.elements[0] if outcome.elements else (None, None)
    return {  # the form of `OperationResult`, a tenth as long in the making
        "index": index,
        "operation": outcome.operation,
        "success": True,
        "changed": outcome.changed,
        "kind": kind,
        "key": key,
        "version": version,
        "error": None,
    }


def _failure(index: int, name: str, error: SchemaInvalid) -> dict[str, Any]:
    refusal = refusal_of(error)
    problem = None if refusal is None else json.loads(refusal.to_problem().to_json())
    failed = OperationResult(index=index, operation=name, success=False, error=problem)
    return failed.model_dump(by_alias=True)


def _relocated(error: SchemaInvalid, place: int, index: int) -> SchemaInvalid:
    """Point an error at the operation's place in the request, where unreadable ones stood before it."""
    if place == index:
        return error
    here, there = POINTER + pointer_to(place), POINTER + pointer_to(index)
    issues = [
        replace(issue, pointer=there + issue.pointer.removeprefix(here))
        for issue in error.issues
        if isinstance(issue, Issue)
    ]
    return invalid(issues, operation=index)


def _name_of(document: Any) -> str:
    name = document.get("operation") if isinstance(document, dict) else None
    return name[:60] if isinstance(name, str) else ""
