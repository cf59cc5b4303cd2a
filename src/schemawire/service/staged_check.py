"""Judges a staged schema as a whole, page by page: the rules between elements, its digest, and how much there is.

An element whose rules look at nothing else was judged when it was read. The others are judged here against a view
that says which elements it lacks; those are fetched together and the element is judged again, so the number of
queries follows the number of pages and memory follows neither. Knows nothing of who sent the schema.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Connection, and_, select

from schemawire.schema import ELEMENT_KINDS, Element, ElementKind, Header
from schemawire.schema.identity import begin_digest
from schemawire.schema.issues import MAX_ISSUES, Issue, errors_only, invalid, pointer_to
from schemawire.schema.rules import MAX_ELEMENTS, check_element
from schemawire.schema.view import Key
from schemawire.service.store.ordering import STRIDE
from schemawire.service.store.rows import RANK
from schemawire.service.store.staging import BEGINNING, Place, StagedSchema, staged_page
from schemawire.service.store.store import Store
from schemawire.service.store.tables import element_references, elements
from schemawire.service.store.view import parse_element
from schemawire.service.threads import in_background

PAGE = 1_000
PAGE_BYTES = 2_000_000
"""A page has fewer rows where the page before shows that they are large."""
_LOOKING = (b'"references":', b'"extends":', b'"enum":', b'"rules":')
"""What the stored document of an entity holds if one of its rules looks at another element."""
_MAX_REFERRERS = 20_000
_MAX_REMEMBERED_BYTES = 1_000_000
_KEYS_PER_QUERY = 400


def looks_around(kind: ElementKind, body: bytes) -> bool:
    """Tell whether the rules for an element look at others, apart from the one name that entities and enums share."""
    match kind:
        case "entity":
            return any(mark in body for mark in _LOOKING)
        case "enum":
            return False
        case _:
            return True


class NothingElse:
    """A schema without elements: what an element that looks at no other is judged against."""

    def __init__(self, header: Header) -> None:
        self._header = header

    def header(self) -> Header:
        """Return the schema without its elements."""
        return self._header

    def get(self, kind: ElementKind, key: str) -> Element | None:
        """Return `None`."""
        return None

    def referrers(self, name: str) -> Iterable[Key]:
        """Return nothing."""
        return ()

    def keys(self, kind: ElementKind) -> Iterable[str]:
        """Return nothing."""
        return ()

    def count(self, kind: ElementKind) -> int:
        """Return 0."""
        return 0


class _LackingView(NothingElse):
    """What has been fetched of a staged schema; notes what is asked for beyond that.

    Invariant: `_size_bytes` is the sum of the bodies in `_bodies`.
    """

    def __init__(self, header: Header) -> None:
        super().__init__(header)
        self._bodies: dict[Key, bytes | None] = {}
        self._parsed: dict[Key, Element | None] = {}
        self._referrers: dict[str, tuple[Key, ...]] = {}
        self._size_bytes = 0
        self.lacking: set[Key] = set()
        self.lacking_referrers: set[str] = set()

    def get(self, kind: ElementKind, key: str) -> Element | None:
        """Return an element that has been fetched; note the lack of another."""
        place = (kind, key)
        if place in self._parsed:
            return self._parsed[place]
        if place not in self._bodies:
            self.lacking.add(place)
            return None
        body = self._bodies[place]
        element = self._parsed[place] = None if body is None else parse_element(kind, body)
        return element

    def referrers(self, name: str) -> Iterable[Key]:
        """Return the relationships that refer to a name, if they have been fetched; note their lack otherwise."""
        if name not in self._referrers:
            self.lacking_referrers.add(name)
        return self._referrers.get(name, ())

    def know(self, bodies: dict[Key, bytes | None]) -> None:
        """Take in what was fetched."""
        self._bodies |= bodies
        self._size_bytes += sum(len(body) for body in bodies.values() if body)

    def know_referrers(self, found: dict[str, tuple[Key, ...]]) -> None:
        """Take in who refers to some names."""
        self._referrers |= found

    def forget_if_large(self) -> None:
        """Start afresh once much is remembered; parsed elements take many times their bytes."""
        if self._size_bytes > _MAX_REMEMBERED_BYTES or len(self._bodies) > 20_000:
            self._bodies, self._parsed, self._referrers, self._size_bytes = {}, {}, {}, 0


@dataclass(frozen=True, slots=True)
class _Suspect:
    """An element to be judged, and the line that it came in."""

    element: Element
    line: int


async def judge_staged(
    store: Store,
    rows_key: str,
    header: Header,
    *,
    each_page: Callable[[], None] = lambda: None,
    is_known_good: bool = False,
) -> StagedSchema:
    """Return the digest and the counts of a staged schema that obeys every rule.

    Args:
        store: where the rows are.
        rows_key: the id that they stand under; nobody else may write there.
        header: the schema without its elements.
        each_page: called before each page; may raise to give up.
        is_known_good: whether the rules are known to hold, so that only digest and counts are wanted.

    Raises:
        SchemaInvalid: it breaks a rule; pointers begin with the number of the line.
    """
    total = begin_digest(header)
    counts = [0] * len(ELEMENT_KINDS)
    last_ordinal = 0
    after: Place = BEGINNING
    limit = PAGE
    view = _LackingView(header)
    while True:
        each_page()
        rows = await store.read(partial(staged_page, rows_key=rows_key, after=after, limit=limit))
        if not rows:
            break
        total.update(b"".join(bytes(row[3]) for row in rows))
        for row in rows:
            counts[row[0]] += 1
            last_ordinal = max(last_ordinal, row[2])
        if not is_known_good:
            await _judge_page(store, rows_key, view, rows)
        after = (rows[-1][0], rows[-1][1])
        limit = max(10, min(PAGE, PAGE_BYTES * len(rows) // sum(len(row[4]) for row in rows)))
    _refuse_too_many(counts)
    if not is_known_good:
        await _refuse_shared_names(store, rows_key, counts)
    return StagedSchema(
        rows_key=rows_key, header=header, digest=total.hexdigest(), counts=tuple(counts), next_ordinal=last_ordinal
    )


async def _judge_page(store: Store, rows_key: str, view: _LackingView, rows: Sequence[Sequence[Any]]) -> None:
    looking = [row for row in rows if looks_around(ELEMENT_KINDS[row[0]], row[4])]
    if not looking:
        return
    view.forget_if_large()
    view.know({(ELEMENT_KINDS[row[0]], row[1]): row[4] for row in looking})
    pending = await in_background(lambda: list(_parsed(looking)))
    while pending:
        faults, pending = await in_background(partial(_judged, view, pending))
        if faults:
            raise invalid(faults[:MAX_ISSUES])
        if pending:
            keys, names = view.lacking, view.lacking_referrers
            view.lacking, view.lacking_referrers = set(), set()
            view.know_referrers(await store.read(partial(_referrers_of, rows_key=rows_key, names=names)))
            view.know(await store.read(partial(_bodies_of, rows_key=rows_key, keys=keys)))


def _parsed(rows: Iterable[Sequence[Any]]) -> Iterator[_Suspect]:
    for rank, key, ordinal, _, body in rows:
        del key
        yield _Suspect(parse_element(ELEMENT_KINDS[rank], body), ordinal // STRIDE)


def _judged(view: _LackingView, suspects: Sequence[_Suspect]) -> tuple[list[Issue], list[_Suspect]]:
    """Return the faults of the elements that could be judged, and the elements that lack something."""
    faults: list[Issue] = []
    pending: list[_Suspect] = []
    keys: set[Key] = set()
    names: set[str] = set()
    for suspect in suspects:
        view.lacking, view.lacking_referrers = set(), set()
        found = errors_only(check_element(view, suspect.element))
        if view.lacking or view.lacking_referrers:
            pending.append(suspect)
            keys |= view.lacking
            names |= view.lacking_referrers
        else:
            faults += [issue.under(pointer_to(suspect.line, "element")) for issue in found]
    view.lacking, view.lacking_referrers = keys, names
    return faults, pending


def _bodies_of(conn: Connection, rows_key: str, keys: set[Key]) -> dict[Key, bytes | None]:
    found: dict[Key, bytes | None] = dict.fromkeys(keys)
    for kind in ELEMENT_KINDS:
        names = [key for wanted, key in keys if wanted == kind]
        for start in range(0, len(names), _KEYS_PER_QUERY):
            query = select(elements.c.key, elements.c.body).where(
                elements.c.project_id == rows_key,
                elements.c.kind_rank == RANK[kind],
                elements.c.key.in_(names[start : start + _KEYS_PER_QUERY]),
                elements.c.valid_to.is_(None),
            )
            found.update(((kind, key), body) for key, body in conn.execute(query))
    return found


def _referrers_of(conn: Connection, rows_key: str, names: set[str]) -> dict[str, tuple[Key, ...]]:
    """Return the relationships that refer to each name; rules for elements ask for no others."""
    found: dict[str, list[Key]] = {name: [] for name in names}
    pending = sorted(names)
    for start in range(0, len(pending), _KEYS_PER_QUERY):
        chunk = pending[start : start + _KEYS_PER_QUERY]
        rows = _relationships_of(conn, rows_key, chunk)
        if len(rows) > _MAX_REFERRERS:  # one at a time then: all together they would be too much to hold
            rows = [row for name in chunk for row in _relationships_of(conn, rows_key, [name])]
        for name, key in rows:
            found[name].append(("relationship", key))
    for name, keys in found.items():
        if len(keys) > _MAX_REFERRERS:
            message = (
                f"entity {name!r} has references and more than {_MAX_REFERRERS} relationships to hold them against"
            )
            raise invalid([Issue(code="too_many", pointer="", message=message, fix="Split the entity.")])
    return {name: tuple(keys) for name, keys in found.items()}


def _relationships_of(conn: Connection, rows_key: str, names: Sequence[str]) -> list[tuple[str, str]]:
    query = select(element_references.c.refers_to, element_references.c.key).where(
        element_references.c.project_id == rows_key,
        element_references.c.refers_to.in_(names),
        element_references.c.kind_rank == RANK["relationship"],
    )
    return [(row.refers_to, row.key) for row in conn.execute(query.limit(_MAX_REFERRERS + 1))]


def _refuse_too_many(counts: Sequence[int]) -> None:
    for kind, count in zip(ELEMENT_KINDS, counts, strict=True):
        if count > MAX_ELEMENTS[kind]:
            message = f"the schema has more than {MAX_ELEMENTS[kind]} elements of kind {kind}"
            raise invalid([Issue(code="too_many", pointer="", message=message, fix="Split the schema.")])


async def _refuse_shared_names(store: Store, rows_key: str, counts: Sequence[int]) -> None:
    """Refuse an entity and an enum of one name.

    Raises:
        SchemaInvalid: there are such.
    """
    if not (counts[RANK["entity"]] and counts[RANK["enum"]]):
        return

    def find(conn: Connection) -> list[tuple[str, int]]:
        enum, entity = elements.alias(), elements.alias()
        query = (
            select(entity.c.key, entity.c.ordinal)
            .join(
                enum,
                and_(
                    enum.c.project_id == rows_key, enum.c.kind_rank == RANK["enum"], enum.c.key == entity.c.key,
                    enum.c.valid_to.is_(None),
                ),
            )
            .where(
                entity.c.project_id == rows_key, entity.c.kind_rank == RANK["entity"], entity.c.valid_to.is_(None)
            )
            .limit(MAX_ISSUES)
        )  # fmt: skip
        return [(row.key, row.ordinal) for row in conn.execute(query)]

    issues = [
        Issue(
            code="duplicate_name",
            pointer=pointer_to(ordinal // STRIDE, "element", "name"),
            message=f"{name!r} names both an entity and an enum",
            fix="Rename one of them: entities and enums share one set of names.",
        )
        for name, ordinal in await store.read(find)
    ]
    if issues:
        raise invalid(issues)
