"""Conversations about projects: where each stands, what was said, and which versions were undone.

Everything runs in the caller's transaction. Knows nothing of what a sentence means.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError

from schemawire.service.store.portions import delete_oldest
from schemawire.service.store.projects import find_project
from schemawire.service.store.refusals import ConversationMissing, DuplicateInFlight, ProjectMissing
from schemawire.service.store.tables import conversation_turns, conversations, undone_versions

RETENTION = 90 * 86_400.0
"""Seconds for which a conversation that nobody goes on with is kept."""
_TURN = tuple(
    conversation_turns.c[name]
    for name in ("number", "said", "kind", "explanation", "version", "principal", "created_at")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What was said once, and what came of it."""

    number: int
    """From 1."""
    said: str
    kind: str
    explanation: str
    version: int | None
    """The one that it stored, if it stored one."""
    principal: str
    created_at: float


def find_talk(conn: Connection, project_id: str, session_id: str) -> tuple[dict[str, Any], int]:
    """Return where a conversation stands and how many turns it has had; an empty one if there is none."""
    row = conn.execute(
        select(conversations.c.talk, conversations.c.turns).where(
            conversations.c.project_id == project_id, conversations.c.session_id == session_id
        )
    ).one_or_none()
    return ({}, 0) if row is None else (json.loads(row.talk), row.turns)


def add_turn(
    conn: Connection, project_id: str, session_id: str, turn: Mapping[str, Any], talk: Mapping[str, Any], *, now: float
) -> int:
    """Keep what was said and where the conversation stands after it, and return the turn's number, from 1.

    Args:
        conn: in a write transaction.
        project_id: the project.
        session_id: the conversation.
        turn: `said`, `kind`, `explanation`, `version` and `principal`.
        talk: the new state.
        now: the time.

    Raises:
        DuplicateInFlight: another process has just stored a turn of this conversation; nothing of this one is kept.
    """
    _, turns = find_talk(conn, project_id, session_id)
    here = {"project_id": project_id, "session_id": session_id}
    state = {"talk": json.dumps(talk), "turns": turns + 1, "updated_at": now}
    if turns:
        mine = (conversations.c.project_id == project_id, conversations.c.session_id == session_id)
        conn.execute(update(conversations).where(*mine).values(**state))
    try:
        if not turns:
            conn.execute(insert(conversations).values(**here, **state, created_at=now))
        conn.execute(insert(conversation_turns).values(**here, **turn, number=turns + 1, created_at=now))
    except IntegrityError as error:
        raise DuplicateInFlight("another turn of this conversation was being stored", retry_after=0.1) from error
    return turns + 1


def list_turns(conn: Connection, project_id: str, session_id: str, *, after: int = 0, limit: int = 100) -> list[Turn]:
    """Return the turns of a conversation, oldest first.

    Args:
        conn: a connection.
        project_id: the project; one that is only talked about so far need not be there.
        session_id: the conversation.
        after: the number of the last turn of the page before.
        limit: how many at most, 1 to 1,000.

    Raises:
        ProjectMissing: the project was deleted.
        ConversationMissing: nothing was said in that session, or it is forgotten.
    """
    head = find_project(conn, project_id, include_deleted=True)
    if head is not None and head.is_deleted:
        raise ProjectMissing(f"there is no project {project_id!r}")
    if not find_talk(conn, project_id, session_id)[1]:
        raise ConversationMissing(f"there is no conversation {session_id!r} about {project_id!r}")
    t = conversation_turns.c
    mine = select(*_TURN).where(t.project_id == project_id, t.session_id == session_id, t.number > after)
    rows = conn.execute(mine.order_by(t.number).limit(max(1, min(limit, 1_000))))
    return [Turn(**row._mapping) for row in rows]


def undone_content(conn: Connection, project_id: str, version: int) -> int:
    """Return the version whose content a version has: itself, unless it undid something."""
    while True:
        query = select(undone_versions.c.restored).where(
            undone_versions.c.project_id == project_id, undone_versions.c.version == version
        )
        restored: int | None = conn.execute(query).scalar_one_or_none()
        if restored is None:
            return version
        version = restored


def note_undone(conn: Connection, project_id: str, version: int, restored: int) -> None:
    """Keep which version's content a new version brought back."""
    conn.execute(insert(undone_versions).values(project_id=project_id, version=version, restored=restored))


def sweep_conversations(conn: Connection, *, now: float, keep: float = RETENTION) -> int:
    """Forget a portion of what nobody has gone on with for `keep` seconds, and return how many rows that were."""
    before = now - keep
    turns = delete_oldest(conn, conversation_turns.c.created_at, before=before)
    return turns + delete_oldest(conn, conversations.c.updated_at, before=before)
