"""What every write carries besides its content: who, until when, under which key, on top of which version."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from schemawire.protocol.headers import parse_etag
from schemawire.service.refusals import RequestRefused
from schemawire.service.store.records import ProjectHead


@dataclass(frozen=True, slots=True, kw_only=True)
class Trail:
    """Where a request came from, for the audit log."""

    request_id: str = ""
    address: str | None = None
    client: str | None = None


NO_TRAIL = Trail()


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteRequest:
    """One write that was asked for."""

    project_id: str
    principal: str
    route: str
    key: str | None = None
    """The idempotency key."""
    request_hash: bytes = b""
    """SHA-256 over everything that makes two requests the same."""
    size_bytes: int = 0
    """The size of the body."""
    if_match: str | None = None
    if_none_match: str | None = None
    default_mode: str = "NONE"
    """The compatibility mode of a project that has not chosen one."""
    override_compatibility: bool = False
    """Store it whatever the mode says."""
    is_dry_run: bool = False
    """Find out what would happen, and store nothing."""
    message: str | None = None
    """Why, where the body has no place for it."""
    session_id: str | None = None
    trail: Trail = NO_TRAIL
    check_deadline: Callable[[], None] = lambda: None
    """Raises once nobody waits for the write any more."""


def hash_request(*parts: str | bytes | None) -> bytes:
    """Return the SHA-256 over parts of a request, each with its length, so that no two lists of parts collide."""
    seen = hashlib.sha256()
    for part in parts:
        content = b"" if part is None else part.encode() if isinstance(part, str) else part
        seen.update(b"%d:" % (-1 if part is None else len(content)))
        seen.update(content)
    return seen.digest()


def expected_version(write: WriteRequest, head: ProjectHead | None, stated: int | None = None) -> int | None:
    """Return the version that the write builds on: 0 for "none may be there", `None` for any.

    Args:
        write: the write with its `If-Match` and `If-None-Match`.
        head: the project as it is now.
        stated: the version that the body expects.

    Raises:
        RequestRefused: a precondition fails in a way that no version number can say, or two contradict each other.
    """
    named = _named_version(write, head)
    if named is not None and stated is not None and named != stated:
        raise RequestRefused("invalid_request", "The headers and expectedVersion name different versions.")
    return stated if named is None else named


def _named_version(write: WriteRequest, head: ProjectHead | None) -> int | None:
    if write.if_none_match is not None:
        if write.if_none_match.strip() != "*":
            raise RequestRefused(
                "invalid_request", "On a write, If-None-Match can only be `*`.", fix="Use If-Match with an entity tag."
            )
        return 0
    if write.if_match is None:
        return None
    if write.if_match.strip() == "*":
        if head is None:
            raise _conflict("there is no such project", head)
        return None
    return _version_of_tags(write.if_match, head)


def _version_of_tags(if_match: str, head: ProjectHead | None) -> int:
    tags = [tag for tag in map(parse_etag, if_match.split(",")) if tag is not None]
    if head is not None and (head.version, head.digest) in tags:
        return head.version
    if not tags:
        raise _conflict("If-Match holds no entity tag of this service", head)
    version = max(version for version, _ in tags)
    if head is not None and version == head.version:
        raise _conflict(f"version {version} has another content than If-Match says", head)
    return version


def _conflict(reason: str, head: ProjectHead | None) -> RequestRefused:
    current = None if head is None else (head.version, head.digest)
    return RequestRefused("version_conflict", f"The precondition fails: {reason}.", current=current)
