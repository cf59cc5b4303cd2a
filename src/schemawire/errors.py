"""Every error of the project, drawn as one tree; this file imports nothing of ours.

    SchemawireError
    ├── Refused              we did not try: nothing left this process
    │   ├── CircuitOpen          the breaker of every usable endpoint is open
    │   ├── QueueFull            the local queue or its wait limit is exhausted
    │   ├── RateLimited          the local rate limit is exhausted
    │   ├── LoadShed             the local throttle or concurrency limit sheds this priority
    │   ├── NoEndpoint           there is no endpoint to send to
    │   ├── WrongEventLoop       used from a second event loop while the first runs
    │   └── Closed               used after it was closed
    ├── Failed               we tried: the outcome is missing or unusable
    │   ├── DeadlineExceeded     the whole call ran out of time
    │   ├── AttemptTimeout       one attempt ran out of time
    │   ├── ConnectFailed        no connection: the bytes provably never left
    │   ├── ConnectionLost       the connection broke: the bytes may have arrived
    │   ├── RetryBudgetExhausted no budget is left for a further attempt
    │   ├── BadReply             the reply cannot be understood
    │   ├── StreamBroken         a stream ended early or does not verify
    │   ├── ServerFailed         the other side failed (5xx)
    │   └── ModelFailed          a language model gave no usable answer
    │       └── ModelTruncated  ModelDeclined  ModelDraftInvalid
    ├── Rejected             the other side said no
    │   ├── Unauthenticated (401)  Forbidden (403)  NotFound (404)  Conflict (409)
    │   ├── VersionConflict (412)  PayloadTooLarge (413)  Invalid (400, 422)
    │   └── Throttled (429)
    ├── SchemaInvalid        (also ValueError) a schema or an operation breaks the rules
    └── ConfigurationInvalid (also ValueError) a setting or option is out of range

A class's docstring is its default message; `code` is stable, `fix` says what to do, `retryable` whether the same call
may succeed later, `retry_after` (seconds) when.
"""

from collections.abc import Sequence
from typing import ClassVar


class SchemawireError(Exception):
    """Something went wrong in schemawire."""

    code: ClassVar[str] = "error"
    retryable: ClassVar[bool] = False
    default_fix: ClassVar[str] = "Read the cause and the log; report it if it looks like a fault of schemawire."

    def __init__(
        self,
        message: str | None = None,
        *,
        fix: str | None = None,
        retry_after: float | None = None,
        attempts: Sequence[BaseException] = (),
    ) -> None:
        self.message = message or (type(self).__doc__ or "").strip().splitlines()[0]
        self.fix = fix or self.default_fix
        self.retry_after = retry_after
        self.attempts = tuple(attempts)
        """The errors of earlier attempts, oldest first."""
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"[{self.code}] {self.message}"

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.__dict__.copy())


def _rebuild(kind: type[SchemawireError], state: dict[str, object]) -> SchemawireError:
    error = kind.__new__(kind)
    Exception.__init__(error, state.get("message"))
    error.__dict__.update(state)
    return error


class Refused(SchemawireError):
    """The call was refused before anything was sent."""

    code = "refused"
    retryable = True
    default_fix = "Nothing was sent, so it is safe to call again later."


class CircuitOpen(Refused):
    """The circuit breaker is open, so no request was sent."""

    code = "circuit_open"
    default_fix = "The backend has been failing; wait for `retry_after` seconds or look at its health."


class QueueFull(Refused):
    """The local queue in front of the connection pool is full, or waiting in it took too long."""

    code = "queue_full"
    default_fix = "Send fewer requests at once, or raise `max_connections`, the queue size or its wait limit."


class RateLimited(Refused):
    """The client's own rate limit leaves no room for this call."""

    code = "rate_limited"
    default_fix = "Wait for `retry_after` seconds, or raise the client's rate limit."


class LoadShed(Refused):
    """The call was shed because the backend is overloaded and others matter more."""

    code = "load_shed"
    default_fix = "Call again later, or with a higher priority."


class NoEndpoint(Refused):
    """There is no endpoint to send this request to."""

    code = "no_endpoint"
    default_fix = "Check BACKEND_SERVICE_URL and the service discovery behind it."


class StoresDiffer(Refused):
    """The endpoints write to different stores, so a write to one would be missing from the others."""

    code = "stores_differ"
    retryable = False
    default_fix = "List only endpoints that share one database; nothing was written."


class WrongEventLoop(Refused):
    """The client belongs to another event loop that is still running."""

    code = "wrong_event_loop"
    retryable = False
    default_fix = "Make one client per event loop."


class Closed(Refused):
    """The object has been closed."""

    code = "closed"
    retryable = False
    default_fix = "Make a new one, or close it later."


class Failed(SchemawireError):
    """The call was tried and gave no usable result."""

    code = "failed"
    retryable = True
    default_fix = "Reads may be repeated; a write may be repeated with the same idempotency key."


class DeadlineExceeded(Failed):
    """The call did not finish before its deadline."""

    code = "deadline_exceeded"
    default_fix = "Give the call more time, or find out why the backend is slow."


class AttemptTimeout(Failed):
    """One attempt did not finish within its timeout."""

    code = "attempt_timeout"


class ConnectFailed(Failed):
    """No connection could be made, so nothing was sent."""

    code = "connect_failed"
    default_fix = "Check that the backend runs and that its address and port are right."


class ConnectionLost(Failed):
    """The connection broke before the reply was complete."""

    code = "connection_lost"


class ConnectionStale(ConnectionLost):
    """A kept connection had been closed by the other side, before any byte of the reply."""

    code = "connection_stale"


class RetryBudgetExhausted(Failed):
    """The last attempt failed and the retry budget allows no further one."""

    code = "budget_exhausted"
    retryable = False  # the budget is shared: an outer retry would only add to the load that emptied it
    default_fix = "Too many calls are failing at once; look at the backend's health."


class BadReply(Failed):
    """The reply does not have the promised form."""

    code = "bad_reply"
    retryable = False
    default_fix = "Check that the address is that of a schemawire service, and of a version that fits this client."


class StreamBroken(Failed):
    """The stream ended early, or its trailer does not match what arrived."""

    code = "stream_broken"
    default_fix = "Start the stream again, or resume it after the last element that arrived."


class ServerFailed(Failed):
    """The backend failed while answering."""

    code = "server_failed"


class ModelFailed(Failed):
    """The language model gave no usable answer."""

    code = "model_failed"
    default_fix = "Check the model's address, name and key; the offline analyser works without it."

    def __init__(
        self,
        message: str | None = None,
        *,
        fix: str | None = None,
        retry_after: float | None = None,
        attempts: Sequence[BaseException] = (),
        draft: str = "",
        issues: Sequence[object] = (),
    ) -> None:
        super().__init__(message, fix=fix, retry_after=retry_after, attempts=attempts)
        self.draft = draft
        """The beginning of the last answer."""
        self.issues = tuple(issues)
        """What was wrong with it: `schema.Issue` records."""


class ModelTruncated(ModelFailed):
    """The language model's answer was cut at its limit of tokens."""

    code = "model_truncated"
    default_fix = "Raise the limit of tokens, or describe less at once."


class ModelDeclined(ModelFailed):
    """The language model declined to answer."""

    code = "model_declined"
    retryable = False
    default_fix = "Describe the domain in other words, or use another model."


class ModelDraftInvalid(ModelFailed):
    """The language model's draft still breaks the rules after the last round."""

    code = "model_draft_invalid"
    retryable = False
    default_fix = "Use a larger model, or allow more rounds."


class Rejected(SchemawireError):
    """The backend refused the request."""

    code = "rejected"
    default_fix = "Correct the request; the issues say where."

    def __init__(
        self,
        message: str | None = None,
        *,
        fix: str | None = None,
        retry_after: float | None = None,
        attempts: Sequence[BaseException] = (),
        status: int | None = None,
        problem: object = None,
    ) -> None:
        super().__init__(message, fix=fix, retry_after=retry_after, attempts=attempts)
        self.status = status
        """The HTTP status of the refusal."""
        self.problem = problem
        """The problem document of the refusal (`protocol.problems.Problem`), where there was one."""


class Unauthenticated(Rejected):
    """The backend does not know this API key."""

    code = "unauthenticated"
    default_fix = "Set BACKEND_API_KEY to a valid key."


class Forbidden(Rejected):
    """The API key may not do that."""

    code = "forbidden"
    default_fix = "Use a key with the scope and the project that the request needs."


class NotFound(Rejected):
    """What was asked for does not exist."""

    code = "not_found"
    default_fix = "Check the project id, the version or the operation id."


class Conflict(Rejected):
    """The request conflicts with what is stored."""

    code = "conflict"
    default_fix = "Read the current schema, then decide."


class VersionConflict(Conflict):
    """The schema has changed since the version that the request expected."""

    code = "version_conflict"
    default_fix = "Read the current version, merge, and send again."


class PayloadTooLarge(Rejected):
    """The request is larger than the backend accepts."""

    code = "payload_too_large"
    default_fix = "Send fewer operations at once, or stream them."


class Invalid(Rejected):
    """The backend found the request invalid."""

    code = "invalid"


class Throttled(Rejected):
    """The backend asked for fewer requests."""

    code = "throttled"
    retryable = True
    default_fix = "Wait for `retry_after` seconds."


class SchemaInvalid(SchemawireError, ValueError):
    """The schema or operation breaks the rules."""

    code = "schema_invalid"
    default_fix = "Correct what the issues name."

    def __init__(
        self,
        message: str | None = None,
        *,
        issues: Sequence[object] = (),
        fix: str | None = None,
        operation: int | None = None,
    ) -> None:
        super().__init__(message, fix=fix)
        self.issues = tuple(issues)
        """`schema.Issue` records: code, JSON pointer, message, fix."""
        self.operation = operation
        """The index of the operation that failed, where a list of them was given."""


class ConfigurationInvalid(SchemawireError, ValueError):
    """A setting is missing, malformed or out of range."""

    code = "configuration_invalid"
    default_fix = "Correct the named setting; `schemawire explain` shows each value and where it came from."
