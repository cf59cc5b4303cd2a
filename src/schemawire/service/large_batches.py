"""A batch that is sent as lines and answered as lines: one result each, and a trailer that says it is stored.

A large one is carried out on a copy of the project's rows, portion by portion while others write, and switched over to
at the end: as a whole or not at all, whether its operations are judged together or each on its own. Knows nothing of
HTTP servers.
"""

import json
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from sqlalchemy import Connection

from schemawire.errors import SchemaInvalid
from schemawire.protocol.messages import BatchHeader, BatchRequest, BatchTrailer, OperationResult
from schemawire.schema import Change, Changes, Element, Header, Operation, parse_operation
from schemawire.schema.apply import apply
from schemawire.schema.issues import Issue, invalid, pointer_to
from schemawire.schema.lookups import looked_up
from schemawire.schema.steps import step
from schemawire.schema.view import Key, Overlay
from schemawire.service.backend import Backend
from schemawire.service.batches import POINTER, run_batch
from schemawire.service.operation_lines import OperationLines
from schemawire.service.refusals import RequestRefused, refusal_of
from schemawire.service.replies import Answer, encode
from schemawire.service.staged_check import judge_staged
from schemawire.service.staged_writes import Staged, patiently, staging_area, switch
from schemawire.service.store import staging
from schemawire.service.store.elements import require_row
from schemawire.service.store.idempotency import find_reply
from schemawire.service.store.ordering import STRIDE
from schemawire.service.store.projects import default_header
from schemawire.service.store.records import IdempotencyScope, VersionEntry, Written
from schemawire.service.store.rows import RANK, current_rows
from schemawire.service.store.staging import StagedRow, StagedView, staged_row
from schemawire.service.store.versions import check_expected
from schemawire.service.store.view import SqlView
from schemawire.service.threads import in_background
from schemawire.service.write_request import WriteRequest, expected_version

LARGE = 10_000
"""Operations above which a batch is carried out on a copy."""
_LARGE_BYTES = 16 * 1024 * 1024
_PORTION = 250
_RESULTS_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Origin:
    """What a batch is carried out on."""

    entry: VersionEntry | None
    header: Header
    counts: tuple[int, ...]
    next_ordinal: int


@dataclass(slots=True, kw_only=True)
class _Copy:
    """The copy that a batch works on, as it stands."""

    rows_key: str
    header: Header
    counts: list[int]
    next_ordinal: int
    applied: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Portion:
    """What a portion of operations changes, and what became of each."""

    header: Header
    results: list[dict[str, Any]]
    changes: tuple[Change, ...] = ()
    ordinals: dict[tuple[int, str], int] = field(default_factory=dict)
    """Of the elements that are there already."""


async def answer_lines(backend: Backend, write: WriteRequest, lines: OperationLines) -> AsyncGenerator[bytes, None]:
    """Return the lines of the reply to a batch; a small one has been carried out when this returns.

    Raises:
        RequestRefused: there is nothing to do, or a precondition is malformed.
        SchemaInvalid: an operation of a small atomic batch cannot be carried out; nothing was done.
        VersionMoved: a precondition fails.
    """
    stated = lines.stated
    if not lines.count:
        raise RequestRefused("invalid_request", "The batch has no operations.", fix="Send one operation per line.")
    if lines.count > LARGE or lines.size_bytes > _LARGE_BYTES:
        asked = replace(write, is_dry_run=write.is_dry_run or stated.dry_run)
        replayed = await backend.store.read(partial(_find_replay, write=asked))
        if replayed is not None:
            return _replayed(replayed)
        await backend.store.read(partial(_check_precondition, write=asked, stated=stated))
        return _carried_out(backend, asked, lines)
    documents = await in_background(lambda: lines.documents(0, LARGE))
    wanted = BatchRequest(
        project_id=stated.project_id,
        session_id=stated.session_id,
        operations=tuple(document if isinstance(document, dict) else {} for document in documents),
        atomic=stated.atomic,
        expected_version=stated.expected_version,
        dry_run=stated.dry_run,
        message=stated.message,
    )
    answer = await run_batch(backend, replace(write, size_bytes=lines.size_bytes), wanted)
    return _small(stated.project_id, answer)


async def _small(project_id: str, answer: Answer) -> AsyncGenerator[bytes, None]:
    envelope = json.loads(answer.body())
    results: list[dict[str, Any]] = envelope["data"]
    for start in range(0, len(results), _RESULTS_AT_ONCE):
        yield b"".join(_result_line(result) for result in results[start : start + _RESULTS_AT_ONCE])
    trailer = BatchTrailer(
        project_id=project_id,
        version=envelope["version"],
        digest=envelope["digest"],
        operation_count=len(results),
        applied=sum(result["success"] for result in results),
        replayed=answer.is_replay,
    )
    yield trailer.to_json() + b"\n"


async def _replayed(body: bytes) -> AsyncGenerator[bytes, None]:
    trailer = BatchTrailer.model_validate(json.loads(body)["data"])
    yield trailer.model_copy(update={"replayed": True}).to_json() + b"\n"


async def _carried_out(backend: Backend, write: WriteRequest, lines: OperationLines) -> AsyncGenerator[bytes, None]:
    stated = lines.stated
    base = await backend.store.read(partial(_base_of, project_id=write.project_id))
    async with staging_area(backend, write.project_id) as rows_key:
        await _clone(backend, write, base, rows_key)
        copy = _Copy(rows_key=rows_key, header=base.header, counts=list(base.counts), next_ordinal=base.next_ordinal)
        for first in range(0, lines.count, _PORTION):
            write.check_deadline()
            operations, errors = await in_background(partial(_read, lines, first, stated.atomic))
            work = partial(_apply, copy=copy, operations=operations, is_atomic=stated.atomic)
            portion = await backend.store.read(work)
            await _keep(backend, copy, portion)
            results = sorted([*errors, *portion.results], key=lambda result: result["index"])
            copy.applied += sum(result["success"] for result in results)
            yield b"".join(_result_line(result) for result in results)
        judged = await judge_staged(
            backend.store, rows_key, copy.header, each_page=write.check_deadline, is_known_good=not stated.atomic
        )
        staged = Staged(
            schema=replace(judged, next_ordinal=copy.next_ordinal),
            session_id=stated.session_id,
            message=stated.message,
            expected=stated.expected_version,
            on_top_of=0 if base.entry is None else base.entry.version,
        )
        answer = await switch(backend, write, staged, partial(_answer, lines.count, copy.applied))
    yield encode(json.loads(answer.body())["data"]) + b"\n"


def _answer(count: int, applied: int, write: WriteRequest, written: Written) -> Answer:
    entry = written.entry
    trailer = BatchTrailer(
        project_id=write.project_id, version=entry.version, digest=entry.digest, operation_count=count, applied=applied
    )
    return Answer(
        message=f"{applied} of {count} operations applied",
        payload=trailer.to_json(),
        project_id=write.project_id,
        version=entry.version,
        digest=entry.digest,
    )


def _find_replay(conn: Connection, write: WriteRequest) -> bytes | None:
    if write.key is None or write.is_dry_run:
        return None
    scope = IdempotencyScope(
        principal=write.principal, project_id=write.project_id, route=write.route, key=write.key
    )  # fmt: skip
    stored = find_reply(conn, scope, write.request_hash)
    return None if stored is None else stored.body


def _check_precondition(conn: Connection, write: WriteRequest, stated: BatchHeader) -> None:
    view = SqlView(conn, write.project_id)
    check_expected(view, expected_version(write, view.head, stated.expected_version))


def _base_of(conn: Connection, project_id: str) -> _Origin:
    view = SqlView(conn, project_id)
    if view.head is None:
        return _Origin(entry=None, header=default_header(project_id), counts=(0,) * len(RANK), next_ordinal=STRIDE)
    entry = require_row(conn, project_id, view.head.version)
    return _Origin(entry=entry, header=view.header(), counts=view.head.counts, next_ordinal=view.head.next_ordinal)


async def _clone(backend: Backend, write: WriteRequest, base: _Origin, rows_key: str) -> None:
    if base.entry is None:
        return
    entry, limit = base.entry, staging.ROWS_AT_ONCE
    place: staging.Place | None = staging.BEGINNING
    while place is not None:
        write.check_deadline()
        copying = partial(staging.clone_elements, entry=entry, rows_key=rows_key, after=place, limit=limit)
        place = await patiently(backend.store, copying)
    referrer: tuple[str, int, str] | None = ("", -1, "")
    while referrer is not None:
        await patiently(backend.store, partial(staging.touch_staging, rows_key=rows_key, now=time.time()))
        referring = partial(
            staging.clone_references, source=entry.rows_key, rows_key=rows_key, after=referrer, limit=limit
        )
        referrer = await patiently(backend.store, referring)


def _read(
    lines: OperationLines, first: int, is_atomic: bool
) -> tuple[list[tuple[int, Operation]], list[dict[str, Any]]]:
    """Return a portion of the operations by index, and the results of those that are malformed."""
    operations: list[tuple[int, Operation]] = []
    errors: list[dict[str, Any]] = []
    for index, document in enumerate(lines.documents(first, _PORTION), first):
        try:
            operations.append((index, parse_operation(document, POINTER + pointer_to(index))))
        except SchemaInvalid as error:
            error.operation = index
            if is_atomic:
                raise
            name = document.get("operation") if isinstance(document, dict) else None
            errors.append(_failure(index, name if isinstance(name, str) else "", error))
    return operations, errors


def _apply(conn: Connection, copy: _Copy, operations: Sequence[tuple[int, Operation]], is_atomic: bool) -> _Portion:
    view = StagedView(conn, copy.rows_key, copy.header, copy.counts)
    view.look_ahead(looked_up([operation for _, operation in operations]))
    overlay = Overlay(view)
    results = [_applied(overlay, index, operation, is_atomic) for index, operation in operations]
    changes = overlay.changes()
    there: list[Key] = [(change.kind, change.key) for change in changes if change.before is not None]
    stored = current_rows(conn, copy.rows_key, there)
    return _Portion(
        header=overlay.header(),
        results=results,
        changes=changes,
        ordinals={place: row.ordinal for place, row in stored.items()},
    )


def _applied(overlay: Overlay, index: int, operation: Operation, is_atomic: bool) -> dict[str, Any]:
    """Carry out one operation; by itself it must leave a valid schema, in an atomic batch only the whole must."""
    place = POINTER + pointer_to(index)
    if is_atomic:
        try:
            keys = step(overlay, operation, place)
        except SchemaInvalid as error:
            error.operation = index
            raise
        return _success(index, operation.operation, keys)
    try:
        outcome = apply(overlay, [operation], pointer=POINTER)
    except SchemaInvalid as error:
        return _failure(index, operation.operation, _at(error, index))
    _take_over(overlay, outcome)
    return _success(index, operation.operation, list(outcome.outcomes[0].elements))


def _take_over(overlay: Overlay, changes: Changes) -> None:
    """Make the overlay show what one good operation has changed; what was renamed keeps its place."""
    overlay.set_header(changes.header_after)
    arrived: set[Key] = set()
    for change in changes.elements:
        if change.former_key is not None and change.after is not None:
            overlay.move(change.kind, change.former_key, change.after)
            arrived |= {(change.kind, change.key), (change.kind, change.former_key)}
    for change in changes.elements:
        if (change.kind, change.key) in arrived:
            continue
        if change.after is None:
            overlay.remove(change.kind, change.key)
        else:
            overlay.put(change.after)


def _at(error: SchemaInvalid, index: int) -> SchemaInvalid:
    here, there = POINTER + pointer_to(0), POINTER + pointer_to(index)
    issues = [issue for issue in error.issues if isinstance(issue, Issue)]
    return invalid(
        [replace(issue, pointer=there + issue.pointer.removeprefix(here)) for issue in issues], operation=index
    )


async def _keep(backend: Backend, copy: _Copy, portion: _Portion) -> None:
    """Make the copy show what a portion has changed."""
    copy.header = portion.header
    gone = [change.before for change in portion.changes if change.before is not None]
    come: list[tuple[Element, int]] = []
    for change in portion.changes:
        copy.counts[RANK[change.kind]] += (change.after is not None) - (change.before is not None)
        if change.after is not None:
            come.append((change.after, _ordinal_of(copy, portion, change)))
    rows = await in_background(lambda: [staged_row(copy.rows_key, element, ordinal) for element, ordinal in come])
    await patiently(backend.store, partial(_exchange, rows_key=copy.rows_key, gone=gone, rows=rows))


def _ordinal_of(copy: _Copy, portion: _Portion, change: Change) -> int:
    rank = RANK[change.kind]
    for key in (change.key, change.former_key):
        if key is not None and (rank, key) in portion.ordinals:
            return portion.ordinals[rank, key]
    copy.next_ordinal += STRIDE
    return copy.next_ordinal


def _exchange(conn: Connection, rows_key: str, gone: Sequence[Element], rows: Sequence[StagedRow]) -> None:
    staging.unstage_rows(conn, rows_key, gone)
    staging.stage_rows(conn, rows_key, rows, now=time.time())


def _success(index: int, name: str, keys: Sequence[Key]) -> dict[str, Any]:
    kind, key = keys[0] if keys else (None, None)
    result = OperationResult(index=index, operation=name, success=True, changed=bool(keys), kind=kind, key=key)
    return result.model_dump(by_alias=True)


def _failure(index: int, name: str, error: SchemaInvalid) -> dict[str, Any]:
    refusal = refusal_of(error)
    problem = None if refusal is None else json.loads(refusal.to_problem().to_json())
    failed = OperationResult(index=index, operation=name[:60], success=False, error=problem)
    return failed.model_dump(by_alias=True)


def _result_line(result: dict[str, Any]) -> bytes:
    return encode({"type": "result", **result}) + b"\n"
