"""Why the store says no: one small branch of the error tree, whose codes are those of `protocol.problems`.

    StoreError
    ├── StoreUnavailable    the database cannot take or keep the work now
    ├── StoreLocked         another process has this database file open
    ├── ValueRefused        a text or number that the database cannot hold
    ├── ProjectMissing      no such project (or it was deleted)
    ├── ProjectExists       the project is already there
    ├── ProjectBusy         operations on it are not finished
    ├── VersionMissing      the project has no such version
    ├── VersionMoved        the schema changed since the version that the write expected
    ├── IncompatibleChange  the project's compatibility mode forbids the change
    ├── KeyReused           an idempotency key came back with another request
    ├── DuplicateInFlight   another request with the same idempotency key is being worked on
    ├── OperationMissing    no such operation
    ├── ConversationMissing nothing was said in that session, or it is forgotten
    └── LeaseLost           the operation is not (or no longer) this worker's to finish

Knows nothing of HTTP: the codes alone tell the layer above which status to answer with.
"""

from collections.abc import Sequence

from schemawire.errors import SchemawireError
from schemawire.schema.issues import Issue


class StoreError(SchemawireError):
    """The store refused or failed."""

    code = "store_error"


class StoreUnavailable(StoreError):
    """The database cannot take the work now; nothing of it was kept."""

    code = "store_unavailable"
    retryable = True
    default_fix = "Try again in a moment; if it lasts, look at the database's disk space and at its log."


class StoreLocked(StoreError):
    """Another process has this database file open."""

    code = "store_locked"
    default_fix = "One process owns a SQLite file: stop the other one, talk to it over HTTP, or use PostgreSQL."


class ValueRefused(StoreError):
    """The request holds a text or a number that the database cannot hold."""

    code = "invalid_request"
    default_fix = "Leave out NUL characters, and numbers beyond 64 bits."


class ProjectMissing(StoreError):
    """There is no such project."""

    code = "not_found"
    default_fix = "Check the project id, or create the project."


class ProjectExists(StoreError):
    """The project is already there."""

    code = "conflict"
    default_fix = "Change it with PUT, PATCH or a batch, or choose another project id."


class ProjectBusy(StoreError):
    """Operations on the project are not finished."""

    code = "conflict"
    default_fix = "Wait for them, or cancel them."


class ConversationMissing(StoreError):
    """Nothing was said about the project in that session, or it is forgotten."""

    code = "not_found"
    default_fix = "Check the session id; a conversation that nobody goes on with is forgotten after 90 days."


class VersionMissing(StoreError):
    """The project has no such version."""

    code = "not_found"
    default_fix = "List the versions to see which there are."


class OperationMissing(StoreError):
    """There is no such operation."""

    code = "not_found"
    default_fix = "Check the operation id; finished operations are kept for a limited time."


class LeaseLost(StoreError):
    """The operation is not this worker's to finish: it was cancelled, or another worker took it over."""

    code = "lease_lost"
    default_fix = "Nothing of this attempt was kept; whoever holds the lease goes on."


class KeyReused(StoreError):
    """The idempotency key was used before, for another request."""

    code = "idempotency_key_reused"
    default_fix = "Use a new key for each new request, and the same key only to repeat the same one."


class DuplicateInFlight(StoreError):
    """A request with the same idempotency key is being worked on."""

    code = "duplicate_in_flight"
    retryable = True
    default_fix = "Wait for `retry_after` seconds and repeat it with the same key."


class IncompatibleChange(StoreError):
    """The compatibility mode of the project forbids the change; nothing is written."""

    code = "incompatible"
    default_fix = "Change it so that the mode allows it, change the mode, or let an admin override it."

    def __init__(self, message: str | None = None, *, issues: Sequence[Issue] = ()) -> None:
        super().__init__(message)
        self.issues = tuple(issues)
        """One reason for each forbidden change and version."""


class VersionMoved(StoreError):
    """The schema has changed since the version that the write expected."""

    code = "version_conflict"
    default_fix = "Read the current version, merge, and send again."

    def __init__(
        self,
        message: str | None = None,
        *,
        expected_version: int,
        current_version: int,
        current_digest: str | None,
        conflicts: Sequence[str] = (),
    ) -> None:
        super().__init__(message)
        self.expected_version = expected_version
        self.current_version = current_version
        """0 where there is no such project."""
        self.current_digest = current_digest
        self.conflicts = tuple(conflicts)
        """What changed since the expected version, as `kind:key`; narrowed to what the write touches, where known."""
