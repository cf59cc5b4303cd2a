"""Error replies: RFC 9457 problem documents, their codes and statuses; knows neither client nor server."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

PROBLEM_TYPE = "application/problem+json"

STATUS_OF_CODE: dict[str, int] = {
    "invalid_json": 400,
    "invalid_request": 400,
    "invalid_project_id": 400,
    "unauthenticated": 401,
    "forbidden": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "not_acceptable": 406,
    "conflict": 409,
    "merge_conflict": 409,
    "duplicate_in_flight": 409,
    "operation_finished": 409,
    "incompatible": 409,
    "version_conflict": 412,
    "payload_too_large": 413,
    "unsupported_media_type": 415,
    "schema_invalid": 422,
    "operation_invalid": 422,
    "nothing_recognised": 422,
    "idempotency_key_reused": 422,
    "throttled": 429,
    "internal_error": 500,
    "not_implemented": 501,
    "overloaded": 503,
    "draining": 503,
    "store_unavailable": 503,
    "deadline_exceeded": 504,
}
"""Every code the service answers with, and its HTTP status. Codes are stable; statuses follow RFC 9110."""


class ProblemIssue(BaseModel):
    """One thing that is wrong: where (a JSON pointer into the request), what, and what to do."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)

    code: str
    pointer: str = ""
    message: str
    fix: str = ""
    severity: str = "error"


class Problem(BaseModel):
    """A whole error reply."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)

    type: str = "about:blank"
    title: str
    status: Annotated[int, Field(ge=400, le=599)]
    code: str
    detail: str
    fix: str = ""
    retryable: bool = False
    errors: tuple[ProblemIssue, ...] = ()
    request_id: str = ""
    current_version: int | None = None
    """The version that is stored, where the request expected another one."""
    current_digest: str | None = None
    conflicts: tuple[str, ...] = ()
    """The elements that both sides changed, as `kind:key`."""

    def to_json(self) -> bytes:
        """Return the reply's body; members that do not apply are left out."""
        return self.model_dump_json(by_alias=True, exclude_none=True).encode()
