"""Whether the next version of a project may follow the ones before it; asked by every write, in its transaction.

Knows nothing of what makes a change harmful, nor of HTTP.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import Connection, select

from schemawire.schema import (
    ELEMENT_KINDS,
    MODES,
    Changes,
    DomainSchema,
    Element,
    Entity,
    JudgedChange,
    Key,
    Mode,
    followed,
    is_transitive,
    judge,
    kind_of,
    references_of,
    renames_between,
    violations,
)
from schemawire.schema.issues import Issue
from schemawire.schema.operations import Rename
from schemawire.service.store.elements import require_row, to_entry, valid_at
from schemawire.service.store.records import ProjectHead, VersionEntry, WriteNote
from schemawire.service.store.refusals import IncompatibleChange
from schemawire.service.store.tables import elements, versions
from schemawire.service.store.view import SqlView, parse_element

MODE = "compatibility"
"""The project's setting."""
MAX_REASONS = 100
WHOLE_UP_TO = 300
"""Elements up to which both schemas are compared as a whole at once; of larger ones first what the change touches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionVerdict:
    """What stands between one version and the next one: nothing, if the step is compatible."""

    version: int
    changes: tuple[JudgedChange, ...]
    mode: Mode

    @property
    def found(self) -> tuple[JudgedChange, ...]:
        """The changes that the mode forbids."""
        return tuple(change for change in self.changes if change.violates(self.mode))


def mode_of(head: ProjectHead | None, default: str = "NONE") -> Mode:
    """Return the mode that a project is under."""
    chosen = None if head is None else head.settings.get(MODE)
    return cast(Mode, chosen if chosen in MODES else default)


def check_compatible(view: SqlView, changes: Changes, note: WriteNote, order: Sequence[Key] | None = None) -> None:
    """Refuse changes that the project's mode forbids, unless an admin overrides it; a new project has nothing to keep.

    Raises:
        IncompatibleChange: it does; each reason names the version and the place.
    """
    mode = mode_of(view.head, note.default_mode)
    if view.head is None or mode == "NONE" or note.override_compatibility or changes.is_empty:
        return
    if not is_transitive(mode) and view.head.element_count > WHOLE_UP_TO and _is_fine_nearby(view, changes, mode):
        return
    new = schema_after(view, changes, order)
    verdicts = [verdict for verdict in verdicts_of(view.conn, view.head, new, mode) if verdict.found]
    if verdicts:
        raise refusal(view.project_id, mode, verdicts)


def refusal(project_id: str, mode: Mode, verdicts: Sequence[VersionVerdict]) -> IncompatibleChange:
    """Return the error that says which changes a mode forbids, and why."""
    issues = [issue for verdict in verdicts for issue in reasons_of(verdict, mode)]
    numbers = ", ".join(str(verdict.version) for verdict in verdicts[:5])
    more = "" if len(verdicts) <= 5 else " and others"
    return IncompatibleChange(
        f"this is not {mode} compatible with version {numbers}{more} of {project_id}: {issues[0].message}",
        issues=issues[:MAX_REASONS],
    )


def reasons_of(verdict: VersionVerdict, mode: Mode) -> list[Issue]:
    """Return why a version forbids the step, change by change."""
    return [
        Issue(
            code=change.difference.code,
            pointer=change.difference.pointer,
            message=f"against version {verdict.version}: {change.reason(mode)}",
            fix="Leave it as it was, add a new thing beside it, or let an admin override the mode.",
        )
        for change in verdict.found
    ]


def schema_after(view: SqlView, changes: Changes, order: Sequence[Key] | None = None) -> DomainSchema:
    """Return the whole schema that changes lead to, which is not stored yet."""
    bodies = view.bodies()
    fresh = {(change.kind, change.key): change.after for change in changes.elements}
    there: dict[Key, Element] = {}
    for key, body in bodies.items():
        if key not in fresh:
            there[key] = parse_element(key[0], body)
    there.update({key: element for key, element in fresh.items() if element is not None})
    keys = [key for key in order if key in there] if order is not None else list(there)
    return DomainSchema.assemble(changes.header_after, (there[key] for key in keys))


def verdicts_of(conn: Connection, head: ProjectHead, new: DomainSchema, mode: Mode) -> Iterator[VersionVerdict]:
    """Yield what a mode says about the step from the newest version, and if it is transitive, from every earlier one.

    An earlier version is compared under the names that the versions after it gave its things.
    """
    memory: dict[bytes, Element] = {}
    if not is_transitive(mode):
        entry = require_row(conn, head.project_id, head.version)
        yield _verdict(mode, entry.version, _recall(conn, entry, memory), new)
        return
    following: DomainSchema | None = None
    steps: list[tuple[Rename, ...]] = []
    seen: set[str] = set()
    for entry in _newest_first(conn, head.project_id):
        old = _recall(conn, entry, memory)
        if following is not None:
            steps.insert(0, renames_between(old, following))
        following = old
        if entry.digest not in seen:
            seen.add(entry.digest)
            yield _verdict(mode, entry.version, followed(old, steps), new)


def verdict_of(conn: Connection, entry: VersionEntry, new: DomainSchema, mode: Mode) -> VersionVerdict:
    """Return what a mode says about the step from one version, whatever lies between."""
    return _verdict(mode, entry.version, _recall(conn, entry, {}), new)


def _verdict(mode: Mode, version: int, old: DomainSchema, new: DomainSchema) -> VersionVerdict:
    return VersionVerdict(version=version, changes=tuple(judge(old, new)), mode=mode)


def _newest_first(conn: Connection, project_id: str) -> list[VersionEntry]:
    query = select(versions).where(versions.c.project_id == project_id).order_by(versions.c.version.desc())
    return [to_entry(row) for row in conn.execute(query)]


def _recall(conn: Connection, entry: VersionEntry, memory: dict[bytes, Element]) -> DomainSchema:
    """Return the schema of a version; an element that another version has too is parsed once."""
    query = (
        select(elements.c.kind_rank, elements.c.body)
        .where(valid_at(entry.rows_key, entry.version))
        .order_by(elements.c.kind_rank, elements.c.ordinal)
    )
    found: list[Element] = []
    for rank, body in conn.execute(query):
        place = bytes([rank]) + body
        element = memory.get(place)
        if element is None:
            element = memory[place] = parse_element(ELEMENT_KINDS[rank], body)
        found.append(element)
    return DomainSchema.assemble(entry.header_value(), found)


def _is_fine_nearby(view: SqlView, changes: Changes, mode: Mode) -> bool:
    """Tell whether a step is compatible as far as the changed elements and what they touch show.

    A violation found here may be none (a renaming whose traces lie further away), so it is looked at again as a whole;
    but what is fine here is fine.
    """
    before = {(change.kind, change.key): change.before for change in changes.elements}
    after = {(change.kind, change.key): change.after for change in changes.elements}
    around = {key: element for key in _around(view, changes) if (element := view.get(*key)) is not None}
    old, new = (
        DomainSchema.assemble(header, [e for e in {**around, **side}.values() if e is not None])
        for header, side in ((changes.header_before, before), (changes.header_after, after))
    )
    return not violations(mode, old, new)


def _around(view: SqlView, changes: Changes) -> set[Key]:
    """Return the elements that decide how the changed ones are judged: what they name, their line, and their users."""
    found: set[Key] = set()
    pending = [element for change in changes.elements for element in (change.before, change.after) if element]
    while pending:
        element = pending.pop()
        near: set[Key] = {
            (kind, name)
            for name in references_of(element)
            for kind in ("entity", "enum")
            if view.get(kind, name) is not None
        }
        if isinstance(element, Entity) or kind_of(element) == "enum":
            near.update(view.referrers(element.key))
        for key in near - found:
            found.add(key)
            relative = view.get(*key)
            if _is_of_one_line(element, relative):
                pending.append(cast(Any, relative))
    return found


def _is_of_one_line(element: Element, other: Element | None) -> bool:
    if not isinstance(element, Entity) or not isinstance(other, Entity):
        return False
    return element.extends == other.name or other.extends == element.name
