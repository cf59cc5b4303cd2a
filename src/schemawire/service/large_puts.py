"""A whole schema sent as one document: a large one is put in place first, so that it never holds other writers long.

Knows nothing of HTTP servers.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

from sqlalchemy import Connection, select

from schemawire.errors import SchemaInvalid
from schemawire.schema import (
    ELEMENT_KINDS,
    ELEMENT_TYPES,
    Change,
    Changes,
    DomainSchema,
    Element,
    Header,
    check,
    element_digest,
    kind_of,
    parse_part,
)
from schemawire.schema.identity import digest_of
from schemawire.schema.issues import MAX_ISSUES, Issue, pointer_to, refuse
from schemawire.service.backend import Backend
from schemawire.service.once import write_once
from schemawire.service.replies import Answer
from schemawire.service.staged_writes import Staged, put_in_place, staging_area, switch
from schemawire.service.store.elements import valid_at
from schemawire.service.store.ordering import STRIDE
from schemawire.service.store.refusals import VersionMoved
from schemawire.service.store.rows import RANK, current_rows
from schemawire.service.store.staging import Place, StagedRow, StagedSchema, staged_row
from schemawire.service.store.tables import elements
from schemawire.service.store.versions import check_expected, write_changes
from schemawire.service.store.view import SqlView, parse_element
from schemawire.service.threads import in_background, in_proportion
from schemawire.service.write_request import WriteRequest, expected_version
from schemawire.service.writes import answer_of, note_of, read_schema_document, store_schema

LARGE = 1_000
"""Elements from which on a schema is stored in portions."""
FEW = 1_000
"""Changes up to which they are written as such, although the schema is large."""
_ROWS_PER_THREAD_TURN = 500


async def put_schema(backend: Backend, write: WriteRequest, document: dict[str, Any]) -> Answer:
    """Make this the newest schema of a project, which is made if it is missing.

    Raises:
        SchemaInvalid: the schema breaks the rules.
        VersionMoved: a precondition fails.
        IncompatibleChange: the project's compatibility mode forbids it.
    """
    schema = await in_proportion(write.size_bytes, partial(_read, document))
    if sum(1 for _ in islice(schema.elements(), LARGE)) < LARGE:
        return await store_schema(backend, write, schema)
    plan = await in_background(lambda: _Plan.of(schema))
    for _ in range(3):
        found = await backend.store.read(partial(_compare, project_id=write.project_id, plan=plan))
        if found is None:
            break
        try:
            return await _write_few(backend, write, *found)
        except _MovedOn:
            continue
    return await _replace(backend, write, plan)


def _read(document: dict[str, Any]) -> DomainSchema:
    """Return a schema that obeys every rule; a large one is read part by part.

    Reading it at once would be one step for the interpreter, and nothing else would run for a quarter of a second.
    """
    lists = {kind: document.get(name, []) for kind, name in DomainSchema.COLLECTIONS.items()}
    if any(not isinstance(found, list) for found in lists.values()) or sum(map(len, lists.values())) < LARGE:
        return read_schema_document(document)
    names = set(DomainSchema.COLLECTIONS.values())
    header = parse_part(Header, {key: value for key, value in document.items() if key not in names})
    parts: list[Element] = []
    issues: list[Issue] = []
    for kind, found in lists.items():
        for position, part in enumerate(found):
            try:
                parts.append(
                    parse_part(ELEMENT_TYPES[kind], part, pointer_to(DomainSchema.COLLECTIONS[kind], position))
                )
            except SchemaInvalid as error:
                issues += [issue for issue in error.issues if isinstance(issue, Issue)]
            if len(issues) >= MAX_ISSUES:
                break
    refuse(issues)
    schema = DomainSchema.assemble(header, parts)
    refuse(check(schema))
    return schema


@dataclass(frozen=True, slots=True)
class _Plan:
    """A schema with what comparing and storing it takes."""

    schema: DomainSchema
    digests: dict[Place, bytes]
    """In the document's order."""

    @classmethod
    def of(cls, schema: DomainSchema) -> "_Plan":
        digests = {(RANK[kind_of(element)], element.key): element_digest(element) for element in schema.elements()}
        return cls(schema, digests)

    @property
    def header(self) -> Header:
        return self.schema.header()

    def digest(self) -> str:
        return digest_of(self.header, (self.digests[place] for place in sorted(self.digests)))


class _MovedOn(Exception):
    """The project is at another version than the one that was compared with."""


def _compare(conn: Connection, project_id: str, plan: _Plan) -> tuple[int, Changes] | None:
    """Return the newest version and the few changes that make it the planned schema; `None` if they are not few."""
    view = SqlView(conn, project_id)
    if view.head is None:
        return None
    query = select(elements.c.kind_rank, elements.c.key, elements.c.digest, elements.c.ordinal)
    rows = conn.execute(query.where(valid_at(view.rows_key, view.head.version)))
    there = {(row.kind_rank, row.key): (bytes(row.digest), row.ordinal) for row in rows}
    gone = [place for place in there if place not in plan.digests]
    come = [place for place, digest in plan.digests.items() if place not in there or there[place][0] != digest]
    if len(gone) + len(come) > FEW or not _keeps_order({place: there[place][1] for place in there}, plan.digests):
        return None
    return view.head.version, _changes(view, plan, gone, come)


def _keeps_order(ordinals: dict[Place, int], wanted: Iterable[Place]) -> bool:
    """Tell whether the elements that stay are in the wanted order, and new ones come last."""
    last: Place = (-1, "")
    last_ordinal = 0
    for place in wanted:
        ordinal = ordinals.get(place)
        if place[0] != last[0]:
            last_ordinal = -1
        if ordinal is None:
            last_ordinal = 2**62
        elif ordinal <= last_ordinal:
            return False
        else:
            last_ordinal = ordinal
        last = place
    return True


def _changes(view: SqlView, plan: _Plan, gone: Sequence[Place], come: Sequence[Place]) -> Changes:
    wanted = set(come)
    fresh = {
        (RANK[kind_of(element)], element.key): element
        for element in plan.schema.elements()
        if (RANK[kind_of(element)], element.key) in wanted
    }
    keys = [(ELEMENT_KINDS[rank], key) for rank, key in (*gone, *come)]
    before = current_rows(view.conn, view.rows_key, keys)
    found = [
        Change(
            kind=ELEMENT_KINDS[place[0]],
            key=place[1],
            before=parse_element(ELEMENT_KINDS[place[0]], before[place].body) if place in before else None,
            after=fresh.get(place),
        )
        for place in (*gone, *come)
    ]
    return Changes(header_before=view.header(), header_after=plan.header, elements=tuple(found))


async def _write_few(backend: Backend, write: WriteRequest, version: int, changes: Changes) -> Answer:
    def work(conn: Connection) -> Answer:
        view = SqlView(conn, write.project_id, is_writing=True)
        expected = expected_version(write, view.head)
        check_expected(view, expected)
        try:
            check_expected(view, version)
        except VersionMoved:
            raise _MovedOn from None
        return answer_of(write, write_changes(view, changes, note_of(write, expected)))

    return await write_once(backend, write, work)


async def _replace(backend: Backend, write: WriteRequest, plan: _Plan) -> Answer:
    async with staging_area(backend, write.project_id) as rows_key:
        numbered = list(enumerate(plan.schema.elements(), 1))
        for start in range(0, len(numbered), _ROWS_PER_THREAD_TURN):
            write.check_deadline()
            some = numbered[start : start + _ROWS_PER_THREAD_TURN]
            rows: list[StagedRow] = await in_background(
                lambda some=some: [staged_row(rows_key, element, number * STRIDE) for number, element in some]  # type: ignore[misc]  # bound now
            )
            await put_in_place(backend.store, rows_key, rows)
        counts = tuple(len(getattr(plan.schema, DomainSchema.COLLECTIONS[kind])) for kind in ELEMENT_KINDS)
        staged = StagedSchema(
            rows_key=rows_key,
            header=plan.header,
            digest=await in_background(plan.digest),
            counts=counts,
            next_ordinal=len(numbered) * STRIDE,
        )
        return await switch(backend, write, Staged(schema=staged), answer_of)
