"""What the service answers when it does not do as asked: one exception, and every error turned into a problem.

Knows nothing of HTTP servers; the frontier writes problems out.
"""

from collections.abc import Iterable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

from pydantic import ValidationError

from schemawire.errors import Closed, SchemaInvalid, SchemawireError
from schemawire.protocol.problems import STATUS_OF_CODE, Problem, ProblemIssue
from schemawire.schema.issues import Issue, pointer_to
from schemawire.service.store.refusals import IncompatibleChange, VersionMoved

DEFAULT_FIX: Mapping[str, str] = {
    "invalid_json": "Send one JSON document in UTF-8.",
    "invalid_request": "Correct what the errors name.",
    "invalid_project_id": "Choose another project id.",
    "unauthenticated": "Send `Authorization: Bearer KEY` with a valid key.",
    "forbidden": "Use a key with the scope and the project that the request needs.",
    "not_found": "Check the path, the project id, the version or the operation id.",
    "method_not_allowed": "Use one of the methods that the Allow header names.",
    "not_acceptable": "Ask for application/json, or for the media type that the documentation names.",
    "conflict": "Read the current schema, then decide.",
    "merge_conflict": "Rename or correct what the errors name, or replace the schema instead of merging.",
    "duplicate_in_flight": "Wait for Retry-After, then send the same request with the same key again.",
    "operation_finished": "Read its status; what is finished cannot be cancelled.",
    "incompatible": "Change it so that the mode allows it, change the mode, or let an admin override it.",
    "version_conflict": "Read the current version, merge, and send again.",
    "payload_too_large": "Send fewer operations at once.",
    "unsupported_media_type": "Send `Content-Type: application/json`, in UTF-8 and not compressed.",
    "schema_invalid": "Correct what the errors name.",
    "operation_invalid": "Correct what the errors name.",
    "nothing_recognised": "Name things and what they have, such as `A blog has posts; each post has a title.`",
    "idempotency_key_reused": "Use a new key for a new request.",
    "throttled": "Wait for Retry-After.",
    "internal_error": "Tell the operator the request id; repeating with the same Idempotency-Key is safe.",
    "not_implemented": "Use another format or endpoint.",
    "overloaded": "Wait for Retry-After.",
    "draining": "Send the request again; another process will answer.",
    "store_unavailable": "Repeat with the same Idempotency-Key; if it lasts, look at /health.",
    "deadline_exceeded": "Give the request more time; nothing was done.",
}
"""What to do about each code where nothing more precise is known."""

RETRYABLE = frozenset(
    {"duplicate_in_flight", "throttled", "internal_error", "overloaded", "draining", "store_unavailable"}
)
"""Codes after which the same request may succeed."""


class RequestRefused(SchemawireError):
    """The service did not do what the request asked for."""

    code = "request_refused"

    def __init__(
        self,
        reason: str,
        detail: str,
        *,
        fix: str | None = None,
        retry_after: float | None = None,
        issues: Iterable[Issue] = (),
        headers: Mapping[str, str] | None = None,
        current: tuple[int, str] | None = None,
        conflicts: Sequence[str] = (),
    ) -> None:
        super().__init__(detail, fix=fix or DEFAULT_FIX[reason], retry_after=retry_after)
        self.reason = reason
        """One of the codes of `STATUS_OF_CODE`."""
        self.issues = tuple(issues)
        self.headers = dict(headers or {})
        self.current = current
        """Version and digest that are stored, where the request expected others."""
        self.conflicts = tuple(conflicts)

    @property
    def status(self) -> int:
        """The HTTP status that goes with the reason."""
        return STATUS_OF_CODE[self.reason]

    def to_problem(self) -> Problem:
        """Return the problem document."""
        version, digest = self.current or (None, None)
        return Problem(
            title=HTTPStatus(self.status).phrase,
            status=self.status,
            code=self.reason,
            detail=self.message,
            fix=self.fix,
            retryable=self.reason in RETRYABLE,
            errors=tuple(ProblemIssue(**issue.to_document()) for issue in self.issues),
            current_version=version,
            current_digest=digest,
            conflicts=self.conflicts,
        )


def refusal_of(error: Exception) -> RequestRefused | None:
    """Return the refusal that an expected error stands for, or `None` for one that nobody expected."""
    match error:
        case RequestRefused():
            return error
        case SchemaInvalid():
            return _of_schema_invalid(error)
        case ValidationError():
            return refusal_of_validation(error)
        case VersionMoved():
            current = (error.current_version, error.current_digest) if error.current_digest else None
            return RequestRefused(error.code, error.message, fix=error.fix, current=current, conflicts=error.conflicts)
        case IncompatibleChange():
            return RequestRefused(error.code, error.message, fix=error.fix, issues=error.issues)
        case Closed():  # the store or its writer is on its way out
            return RequestRefused("draining", "The service is stopping.", retry_after=1.0)
        case SchemawireError() if error.code in STATUS_OF_CODE:
            return RequestRefused(error.code, error.message, fix=error.fix, retry_after=error.retry_after)
    return None


def internal_error() -> RequestRefused:
    """Return the refusal that tells a stranger nothing but the request id."""
    return RequestRefused("internal_error", "The service failed while handling the request.")


def _of_schema_invalid(error: SchemaInvalid) -> RequestRefused:
    issues = tuple(issue for issue in error.issues if isinstance(issue, Issue))
    reason = "schema_invalid" if error.operation is None else "operation_invalid"
    if issues and all(issue.code == "merge_conflict" for issue in issues):
        reason = "merge_conflict"
    return RequestRefused(reason, error.message, fix=error.fix, issues=issues)


def refusal_of_validation(error: ValidationError, *, pointer: str = "") -> RequestRefused:
    """Return the refusal for a body that does not have the promised form, one issue per finding."""
    found = error.errors(include_url=False, include_input=False)[:100]
    issues = [_issue_of(finding, pointer) for finding in found]
    about_project = len(issues) == 1 and issues[0].pointer == f"{pointer}/projectId" and issues[0].code == "value_error"
    reason = "invalid_project_id" if about_project else "invalid_request"
    first = issues[0]
    more = f", and {len(issues) - 1} more" if len(issues) > 1 else ""
    return RequestRefused(reason, f"{first.message} (at {first.pointer or '/'}){more}", issues=issues)


def _issue_of(finding: Mapping[str, Any], pointer: str) -> Issue:
    kind = str(finding["type"])
    fix = {"extra_forbidden": "Remove the key, or correct its spelling.", "missing": "Add the key."}.get(kind, "")
    message = str(finding["msg"]).removeprefix("Value error, ")
    if kind == "extra_forbidden":
        message = f"unknown key {str(finding['loc'][-1])[:60]!r}"
    return Issue(code=kind, pointer=pointer + pointer_to(*finding["loc"])[:500], message=message, fix=fix)
