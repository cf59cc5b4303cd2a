"""Reading another version than the newest one, or a part of a schema. Knows nothing of HTTP servers."""

import json
import re
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import Connection

from schemawire.protocol.headers import format_etag
from schemawire.schema import ELEMENT_KINDS, DomainSchema, ElementKind
from schemawire.service.reads import is_tag_in
from schemawire.service.refusals import RequestRefused
from schemawire.service.replies import IMMUTABLE, REVALIDATE, Answer, encode
from schemawire.service.store.elements import assemble_document, find_version, find_version_at
from schemawire.service.store.records import StoredDocument, VersionEntry
from schemawire.service.store.store import Store
from schemawire.service.threads import in_proportion

MAX_PATHS = 100
MAX_TIME_LENGTH = 40
_PATH = re.compile(r"[A-Za-z][A-Za-z0-9-]*(\.[A-Za-z][A-Za-z0-9-]*){0,7}")
_KIND_OF_LIST: dict[str, ElementKind] = {name: kind for kind, name in DomainSchema.COLLECTIONS.items()}
_HEADER = frozenset({"formatVersion", "name", "description"})

Tree = dict[str, "Tree"]
"""Members that are wanted, each with what is wanted below it; nothing below stands for all of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which version of a schema is wanted, and how much of it."""

    version: int | None = None
    moment: float | None = None
    """Seconds since 1970: the version that was the newest then."""
    kinds: frozenset[ElementKind] = frozenset(ELEMENT_KINDS)
    members: Tree | None = None
    """`None` for all."""


def selection_of(*, version: int | None, at: str | None, include: str | None, fields: str | None) -> Selection:
    """Return what the query asks for.

    Raises:
        RequestRefused: a part of it is malformed, or two parts contradict each other.
    """
    if version is not None and at is not None:
        raise RequestRefused("invalid_request", "version and at name a version each.", fix="Send one of the two.")
    members = None if fields is None else _tree_of(fields)
    kinds = frozenset(ELEMENT_KINDS) if include is None else _kinds_of(include)
    if members is not None:
        kinds = frozenset(kind for kind in kinds if DomainSchema.COLLECTIONS[kind] in members)
    moment = None if at is None else _moment_of(at)
    return Selection(version=version, moment=moment, kinds=kinds, members=members)


async def read_selected(store: Store, project_id: str, wanted: Selection, *, known_tags: str | None) -> Answer:
    """Return the wanted part of the wanted version, or that the caller's copy is still good.

    Raises:
        ProjectMissing: there is no such project.
        VersionMissing: it has, or had, no such version.
    """

    def is_known(entry: VersionEntry) -> bool:
        return known_tags is not None and is_tag_in(known_tags, format_etag(entry.version, entry.digest))

    def work(conn: Connection) -> StoredDocument:
        if wanted.moment is not None:
            entry = find_version_at(conn, project_id, wanted.moment)
        else:
            entry = find_version(conn, project_id, wanted.version)
        if is_known(entry):
            return StoredDocument(entry=entry, body=b"")
        return assemble_document(conn, entry, kinds=wanted.kinds)

    document = await store.read(work)
    entry, body = document.entry, document.body
    if body and wanted.members is not None:
        body = await in_proportion(len(body), partial(_pruned, body, wanted.members))
    return Answer(
        message=f"version {entry.version} of {project_id}",
        payload=body,
        project_id=project_id,
        version=entry.version,
        digest=entry.digest,
        status=200 if body else 304,
        headers={"Cache-Control": REVALIDATE if wanted.version is None else IMMUTABLE},
    )


def _kinds_of(include: str) -> frozenset[ElementKind]:
    if include == "none":
        return frozenset()
    names = include.split(",")
    unknown = [name for name in names if name not in _KIND_OF_LIST]
    if unknown:
        known = ", ".join(_KIND_OF_LIST)
        raise RequestRefused(
            "invalid_request", f"include: {unknown[0][:40]!r} is no list.", fix=f"Use {known}, or none."
        )
    return frozenset(_KIND_OF_LIST[name] for name in names)


def _tree_of(fields: str) -> Tree:
    paths = fields.split(",")
    known = _HEADER | _KIND_OF_LIST.keys()
    for path in paths:
        first = path.partition(".")[0]
        if not _PATH.fullmatch(path) or not (first in known or first.startswith("x-")):
            fix = f"Begin with one of {', '.join(sorted(known))}, and go down with dots."
            raise RequestRefused("invalid_request", f"fields: {path[:80]!r} leads nowhere.", fix=fix)
    if len(paths) > MAX_PATHS:
        raise RequestRefused("invalid_request", f"fields: more than {MAX_PATHS} paths.")
    tree: Tree = {}
    for path in sorted(paths):
        _grow(tree, path.split("."))
    return tree


def _grow(tree: Tree, names: list[str]) -> None:
    for position, name in enumerate(names):
        if name in tree and not tree[name] and position < len(names):
            return  # all of it is wanted already
        tree = tree.setdefault(name, {})


def _pruned(body: bytes, members: Tree) -> bytes:
    return encode(_prune(json.loads(body), members))


def _prune(value: Any, members: Tree) -> Any:
    if not members:
        return value
    if isinstance(value, list):
        return [_prune(entry, members) for entry in value]
    if isinstance(value, dict):
        return {name: _prune(value[name], below) for name, below in members.items() if name in value}
    return value


def _moment_of(text: str) -> float:
    problem = RequestRefused(
        "invalid_request",
        f"at: {text[:MAX_TIME_LENGTH]!r} is not a time with its zone.",
        fix="Write it as RFC 3339 does, such as 2026-11-23T01:02:03Z; a + must be sent as %2B.",
    )
    if len(text) > MAX_TIME_LENGTH or "T" not in text.upper():
        raise problem
    try:
        moment = datetime.fromisoformat(text.upper())
        if moment.tzinfo is None:
            raise problem
        return moment.timestamp()
    except (ValueError, OverflowError):
        raise problem from None
