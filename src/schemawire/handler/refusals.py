"""Error replies turned into the project's errors: the one place that reads a status and a problem document."""

from collections.abc import Mapping

from pydantic import ValidationError

from schemawire.errors import (
    BadReply,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    PayloadTooLarge,
    Rejected,
    SchemawireError,
    ServerFailed,
    Throttled,
    Unauthenticated,
    VersionConflict,
)
from schemawire.protocol.problems import PROBLEM_TYPE, Problem

_BY_STATUS: dict[int, type[Rejected]] = {
    400: Invalid,
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    412: VersionConflict,
    413: PayloadTooLarge,
    422: Invalid,
    429: Throttled,
}
_SHOWN_ISSUES = 5


def error_of_reply(status: int, headers: Mapping[str, str], body: bytes, *, where: str) -> SchemawireError:
    """Return the error that an unsuccessful reply stands for.

    Args:
        status: the HTTP status, 3xx to 5xx.
        headers: of the reply; only its content type and `Retry-After` are read.
        body: the whole body.
        where: method and path, for the message.
    """
    problem = read_problem(headers, body)
    retry_after = _seconds(headers.get("retry-after"))
    if problem is None:
        return _without_problem(status, where, retry_after)
    message = _describe(problem, where)
    if status >= 500:
        return ServerFailed(message, fix=problem.fix or None, retry_after=retry_after)
    kind = _BY_STATUS.get(status, Rejected)
    return kind(message, fix=problem.fix or None, retry_after=retry_after, status=status, problem=problem)


def read_problem(headers: Mapping[str, str], body: bytes) -> Problem | None:
    """Return the problem document of a reply, or `None` where it has none that can be read."""
    if PROBLEM_TYPE not in headers.get("content-type", ""):
        return None
    try:
        return Problem.model_validate_json(body)
    except ValidationError:
        return None


def _without_problem(status: int, where: str, retry_after: float | None) -> SchemawireError:
    message = f"{where} was answered with status {status}, and not by a schemawire service."
    if status >= 500:
        return ServerFailed(message, retry_after=retry_after)
    if status in _BY_STATUS:
        return _BY_STATUS[status](message, fix=BadReply.default_fix, retry_after=retry_after, status=status)
    return BadReply(message)


def _describe(problem: Problem, where: str) -> str:
    lines = [f"{where}: {problem.detail}"]
    lines += [f"  {issue.pointer or '/'}: {issue.message}" for issue in problem.errors[:_SHOWN_ISSUES]]
    if len(problem.errors) > _SHOWN_ISSUES:
        lines.append(f"  … and {len(problem.errors) - _SHOWN_ISSUES} more")
    return "\n".join(lines)


def _seconds(text: str | None) -> float | None:
    # A date in Retry-After has been honoured by the transport already; here only the plain form is passed on.
    try:
        return None if text is None else max(0.0, float(text))
    except ValueError:
        return None
