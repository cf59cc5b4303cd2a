"""What the repository returns: frozen records of stored rows; knows neither SQL nor HTTP.

Times are seconds since 1970-01-01 UTC; `timestamp` gives them the form in which they travel.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from schemawire.schema.model import ELEMENT_KINDS, ElementKind, Header

JsonValue = object
"""Anything that `json.loads` returns."""


def timestamp(seconds: float) -> str:
    """Return a time as RFC 3339 text in UTC with milliseconds.

    >>> timestamp(0.25)
    '1970-01-01T00:00:00.250Z'
    """
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteNote:
    """Who writes, when and why; and which version the writer believes to be the newest."""

    now: float
    created_by: str | None = None
    session_id: str | None = None
    message: str | None = None
    expected_version: int | None = None
    """`None` for any; 0 for "the project must not be there"."""
    default_mode: str = "NONE"
    """The compatibility mode of a project that has not chosen one."""
    override_compatibility: bool = False
    """Store it whatever the mode says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectHead:
    """A project as it is now."""

    project_id: str
    name: str
    version: int
    digest: str
    header: bytes
    """The schema's header as compact JSON."""
    counts: tuple[int, ...]
    """How many elements of each kind there are, in the order of `ELEMENT_KINDS`."""
    created_at: float
    updated_at: float
    next_ordinal: int
    """The highest place that an element has been given."""
    deleted_at: float | None = None
    settings: Mapping[str, JsonValue] = field(default_factory=dict)
    rows_id: str | None = None

    @property
    def rows_key(self) -> str:
        """The id that the rows of its elements stand under."""
        return self.rows_id or self.project_id

    @property
    def element_count(self) -> int:
        """How many elements there are."""
        return sum(self.counts)

    @property
    def is_deleted(self) -> bool:
        """Whether the project was deleted; its versions are still there."""
        return self.deleted_at is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionEntry:
    """One version of a project's schema, without its elements."""

    project_id: str
    version: int
    digest: str
    parent: str | None
    """The digest of the version before."""
    header: bytes
    """The schema's header as compact JSON."""
    element_count: int
    created_at: float
    created_by: str | None = None
    session_id: str | None = None
    message: str | None = None
    rows_id: str | None = None

    @property
    def rows_key(self) -> str:
        """The id that the rows of its elements stand under."""
        return self.rows_id or self.project_id

    def header_value(self) -> Header:
        """Return the schema's header."""
        return Header.model_validate_json(self.header)

    def header_document(self) -> dict[str, JsonValue]:
        """Return the schema's header as JSON."""
        document: dict[str, JsonValue] = json.loads(self.header)
        return document


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What a write did: the version that is now the newest, and whether this write made it."""

    entry: VersionEntry
    changed: bool
    created: bool = False
    """Whether the project was not there before (or was deleted)."""
    rows_touched: int = 0
    """How many element rows were inserted or closed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDocument:
    """A whole schema as JSON, put together from the stored bytes of its elements."""

    entry: VersionEntry
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementRow:
    """One stored element: its document as it was submitted."""

    kind: ElementKind
    key: str
    body: bytes

    @property
    def cursor(self) -> str:
        """The cursor behind this element."""
        return f"{self.kind}:{self.key}"


def parse_cursor(cursor: str) -> tuple[int, str]:
    """Return the rank of the kind, and the key, of the element that a cursor stands behind.

    Raises:
        ValueError: it is not a cursor.
    """
    kind, colon, key = cursor.partition(":")
    if not colon or kind not in ELEMENT_KINDS:
        raise ValueError(f"{cursor[:40]!r} is not a cursor: use the `cursor` of the last element that arrived")
    return ELEMENT_KINDS.index(kind), key


@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotencyScope:
    """Within what an idempotency key is unique."""

    principal: str
    project_id: str
    route: str
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredReply:
    """A reply that was stored together with the write that it answers."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRecord:
    """An API key, without the key itself."""

    key_id: str
    name: str
    scopes: frozenset[str]
    projects: frozenset[str] | None
    """The projects it may touch; `None` for all."""
    created_at: float
    expires_at: float | None = None
    revoked_at: float | None = None
    rate: float | None = None
    """Requests per second; `None` as the service's settings say."""
    replaced_by: str | None = None
    """The key that it was rotated to."""

    def is_valid(self, now: float) -> bool:
        """Tell whether the key may still be used."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)
