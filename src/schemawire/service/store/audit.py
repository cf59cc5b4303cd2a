"""The audit log: who did what to which project, when, from where, and how it ended; lines are added, never changed.

A line about something that was done is written in the transaction that did it. Knows nothing of HTTP.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select

from schemawire.service.store.portions import delete_oldest
from schemawire.service.store.prepared import Prepared
from schemawire.service.store.tables import audit

_ADD = Prepared(insert(audit))
_COLUMNS = tuple(column.name for column in audit.c)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditLine:
    """One line."""

    line_id: str
    """Sorts by time."""
    at: float
    principal: str
    action: str
    """What was asked for: a method and a route."""
    project_id: str | None = None
    outcome: str
    """`done`, or the code of the problem that it ended with."""
    version: int | None = None
    """The version that it made or left as the newest."""
    request_id: str = ""
    address: str | None = None
    client: str | None = None
    detail: str | None = None


def new_line_id(now: float) -> str:
    """Return an id that sorts behind those of earlier microseconds."""
    return f"{int(now * 1_000_000):014x}{secrets.token_hex(9)}"


def add_audit(conn: Connection, lines: Sequence[AuditLine]) -> None:
    """Add lines."""
    _ADD.run_each(conn, [{name: getattr(line, name) for name in _COLUMNS} for line in lines])


def list_audit(
    conn: Connection,
    *,
    before: str | None = None,
    limit: int = 100,
    project_id: str | None = None,
    principal: str | None = None,
) -> list[AuditLine]:
    """Return lines, newest first.

    Args:
        conn: a connection.
        before: the id that the page starts below.
        limit: how many at most, 1 to 1,000.
        project_id: only those about this project.
        principal: only those about this caller.
    """
    query = select(audit).order_by(audit.c.line_id.desc()).limit(max(1, min(limit, 1_000)))
    if before is not None:
        query = query.where(audit.c.line_id < before)
    if project_id is not None:
        query = query.where(audit.c.project_id == project_id)
    if principal is not None:
        query = query.where(audit.c.principal == principal)
    return [AuditLine(**row._mapping) for row in conn.execute(query)]


def sweep_audit(conn: Connection, *, now: float, keep: float) -> int:
    """Forget a portion of the lines older than `keep` seconds, and return how many they were."""
    return delete_oldest(conn, audit.c.at, before=now - keep)
