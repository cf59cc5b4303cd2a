"""The tables, in SQL that every engine understands; `migrations/` makes exactly these.

An element's row is valid from one version up to (not including) another, so that any version of a schema is one
ordered range of rows, and a write costs what it changes. Element rows stand under the `rows_id` of their project's
version, which is the project's own id until a large write has put a whole new set of rows in their place: the columns
`project_id` of `elements` and `element_references` hold that id. Knows nothing of who reads or writes.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    true,
)
from sqlalchemy.types import TypeEngine

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)


def _ordered(length: int) -> TypeEngine[str]:
    """Return text that sorts by code point on every engine, as the digest of a schema asks for."""
    return String(length).with_variant(String(length, collation="C"), "postgresql")


def _project() -> TypeEngine[str]:
    return _ordered(128)


def _key() -> TypeEngine[str]:
    return _ordered(260)  # a rule's key is entity.name, each up to 128


store_meta = Table(
    "store_meta",
    metadata,
    Column("store_id", String(32), nullable=False),
    Column("created_at", Double, nullable=False),
    PrimaryKeyConstraint("store_id"),
)

projects = Table(
    "projects",
    metadata,
    Column("project_id", _project(), nullable=False),
    Column("name", String(128), nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("header", LargeBinary, nullable=False),
    Column("counts", Text, nullable=False),
    Column("next_ordinal", BigInteger, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    Column("deleted_at", Double),
    Column("settings", Text, nullable=False),
    Column("rows_id", _project()),  # where the rows of its elements stand; NULL: under its own id
    PrimaryKeyConstraint("project_id"),
)

versions = Table(
    "versions",
    metadata,
    Column("project_id", _project(), nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("parent", String(64)),
    Column("header", LargeBinary, nullable=False),
    Column("element_count", BigInteger, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("created_by", Text),
    Column("session_id", Text),
    Column("message", Text),
    Column("rows_id", _project()),  # as in `projects`, at the time of this version
    PrimaryKeyConstraint("project_id", "version"),  # two writers can never make the same version
)

elements = Table(
    "elements",
    metadata,
    Column("project_id", _project(), nullable=False),
    Column("kind_rank", SmallInteger, nullable=False),
    Column("key", _key(), nullable=False),
    Column("valid_from", BigInteger, nullable=False),
    Column("valid_to", BigInteger),  # NULL while it is current
    Column("ordinal", BigInteger, nullable=False),
    Column("digest", LargeBinary(32), nullable=False),
    Column("body", LargeBinary, nullable=False),
    PrimaryKeyConstraint("project_id", "kind_rank", "key", "valid_from"),
)
Index(
    "uq_elements_current",
    elements.c.project_id,
    elements.c.kind_rank,
    elements.c.key,
    unique=True,
    sqlite_where=elements.c.valid_to.is_(None),
    postgresql_where=elements.c.valid_to.is_(None),
)

element_references = Table(
    "element_references",
    metadata,
    Column("project_id", _project(), nullable=False),
    Column("refers_to", _key(), nullable=False),
    Column("kind_rank", SmallInteger, nullable=False),
    Column("key", _key(), nullable=False),
    PrimaryKeyConstraint("project_id", "refers_to", "kind_rank", "key"),
)

stagings = Table(
    "stagings",
    metadata,
    Column("rows_id", _project(), nullable=False),
    Column("project_id", _project(), nullable=False),
    Column(
        "what", String(16), nullable=False
    ),  # what may go: "everything" once its time is over, "garbage", "references"
    Column("touched_at", Double, nullable=False),
    PrimaryKeyConstraint("rows_id"),
    Index(None, "touched_at"),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("principal", String(200), nullable=False),
    Column("project_id", String(128), nullable=False),
    Column("route", String(200), nullable=False),
    Column("key", String(255), nullable=False),
    Column("request_hash", LargeBinary(32), nullable=False),
    Column("status", Integer, nullable=False),
    Column("headers", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("created_at", Double, nullable=False),
    PrimaryKeyConstraint("principal", "project_id", "route", "key"),
    Index(None, "created_at"),
)

operations = Table(
    "operations",
    metadata,
    Column("operation_id", String(32), nullable=False),
    Column("project_id", _project(), nullable=False),
    Column("kind", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("payload", Text, nullable=False),
    Column("progress", Double, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("max_attempts", Integer, nullable=False),
    Column("lease_owner", String(128)),
    Column("lease_expires_at", Double),
    Column("available_at", Double, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("session_id", Text),
    Column("principal", Text),
    Column("idempotency_key", String(255)),
    Column("result", Text),
    Column("error", Text),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    Column("finished_at", Double),
    Column("webhook", Text),
    Column("trace", Text),
    Column("is_next", Boolean, nullable=False, server_default=false()),  # none of its project before it is unfinished
    PrimaryKeyConstraint("operation_id"),
    Index(None, "project_id", "created_at", "operation_id"),
    Index(None, "created_at", "operation_id"),
)
_HAS_ENDED = operations.c.finished_at.is_not(None)
Index(None, operations.c.finished_at, sqlite_where=_HAS_ENDED, postgresql_where=_HAS_ENDED)
Index(
    "ix_operations_unfinished",
    operations.c.project_id,
    operations.c.created_at,
    sqlite_where=operations.c.finished_at.is_(None),
    postgresql_where=operations.c.finished_at.is_(None),
)
IS_NEXT = operations.c.is_next.is_(true()) & operations.c.finished_at.is_(None)
"""An operation that may be claimed before all others of its project; the condition of the indexes that find it."""
Index(
    "ix_operations_next",
    operations.c.priority.desc(),
    operations.c.available_at,
    operations.c.operation_id,
    sqlite_where=IS_NEXT,
    postgresql_where=IS_NEXT,
)
Index(
    "ix_operations_due",
    operations.c.state,
    operations.c.available_at,
    sqlite_where=IS_NEXT,
    postgresql_where=IS_NEXT,
)

outbox = Table(
    "outbox",
    metadata,
    Column("operation_id", String(32), nullable=False),
    Column("created_at", Double, nullable=False),
    PrimaryKeyConstraint("operation_id"),
    Index(None, "created_at"),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("delivery_id", String(32), nullable=False),
    Column("operation_id", String(32), nullable=False),
    Column("project_id", _project(), nullable=False),
    Column("url", Text, nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", Double, nullable=False),  # of a delivery that is being tried: when another process may try it
    Column("error", Text),
    Column("created_at", Double, nullable=False),
    Column("finished_at", Double),
    PrimaryKeyConstraint("delivery_id"),
    Index(None, "operation_id"),
    Index(None, "finished_at"),
)
Index(
    "ix_deliveries_unfinished",
    deliveries.c.due_at,
    sqlite_where=deliveries.c.finished_at.is_(None),
    postgresql_where=deliveries.c.finished_at.is_(None),
)

keys = Table(
    "keys",
    metadata,
    Column("key_id", String(32), nullable=False),
    Column("sha256", LargeBinary(32), nullable=False),
    Column("name", String(200), nullable=False),
    Column("scopes", Text, nullable=False),
    Column("projects", Text),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double),
    Column("revoked_at", Double),
    Column("rate", Double),  # requests per second; NULL: as the service's settings say
    Column("replaced_by", String(32)),
    PrimaryKeyConstraint("key_id"),
    UniqueConstraint("sha256"),
)

audit = Table(
    "audit",
    metadata,
    Column("line_id", _ordered(32), nullable=False),
    Column("at", Double, nullable=False),
    Column("principal", String(200), nullable=False),
    Column("action", String(200), nullable=False),
    Column("project_id", _project()),
    Column("outcome", String(64), nullable=False),
    Column("version", BigInteger),
    Column("request_id", String(128), nullable=False),
    Column("address", String(100)),
    Column("client", String(100)),
    Column("detail", Text),
    PrimaryKeyConstraint("line_id"),
    Index(None, "at"),
    Index(None, "project_id", "line_id"),
)

conversations = Table(
    "conversations",
    metadata,
    Column("project_id", _project(), nullable=False),
    Column("session_id", _ordered(200), nullable=False),
    Column("talk", Text, nullable=False),
    Column("turns", Integer, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("updated_at", Double, nullable=False),
    PrimaryKeyConstraint("project_id", "session_id"),
    Index(None, "updated_at"),
)

conversation_turns = Table(
    "conversation_turns",
    metadata,
    Column("project_id", _project(), nullable=False),
    Column("session_id", _ordered(200), nullable=False),
    Column("number", Integer, nullable=False),
    Column("said", Text, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("explanation", Text, nullable=False),
    Column("version", BigInteger),  # that the turn made
    Column("principal", String(200), nullable=False),
    Column("created_at", Double, nullable=False),
    PrimaryKeyConstraint("project_id", "session_id", "number"),
    Index(None, "created_at"),
)

undone_versions = Table(
    "undone_versions",
    metadata,
    Column("project_id", _project(), nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("restored", BigInteger, nullable=False),  # whose content it has
    PrimaryKeyConstraint("project_id", "version"),
)
