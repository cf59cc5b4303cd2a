"""The conversation about a project's schema, kept by the service, and taking changes back. Knows no HTTP server.

A sentence is understood outside of any transaction, since a language model may take its time; what it comes to is
stored only on the very version that it was understood on.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

from sqlalchemy import Connection

from schemawire.analysis import Proposal, Talk
from schemawire.protocol.messages import ConversationPage, RefineRecord, RefineRequest, TurnRecord, UndoRequest
from schemawire.schema import DomainSchema, Operation, apply, apply_to_schema, compare, parse_operations
from schemawire.service.backend import Backend
from schemawire.service.language import usage_document
from schemawire.service.once import write_once
from schemawire.service.refusals import RequestRefused
from schemawire.service.replies import Answer, encode
from schemawire.service.store import versions as store
from schemawire.service.store.conversations import Turn, add_turn, find_talk, list_turns, note_undone, undone_content
from schemawire.service.store.elements import read_schema, require_row
from schemawire.service.store.records import Written, timestamp
from schemawire.service.store.refusals import ProjectMissing
from schemawire.service.store.store import Store
from schemawire.service.store.view import SqlView
from schemawire.service.write_request import WriteRequest, expected_version
from schemawire.service.writes import note_of

_NOTHING_PENDING = "There is nothing to apply: say what to change first."
_DISCARDED = "Nothing was changed."


class _Scene:
    """What a sentence is understood on: the schema, its version, and where the conversation stands."""

    def __init__(self, conn: Connection, project_id: str, session_id: str) -> None:
        head = SqlView(conn, project_id).head
        self.version = 0 if head is None else head.version
        self.schema = DomainSchema(name="domain") if head is None else read_schema(conn, project_id)
        self.talk = Talk.of(find_talk(conn, project_id, session_id)[0])


async def refine(backend: Backend, write: WriteRequest, wanted: RefineRequest) -> Answer:
    """Return what a sentence comes to; changes are stored only if that was asked for.

    Raises:
        SchemaInvalid: the sentence is empty or too long.
        VersionMoved: the project is not at the expected version, or has moved on while the sentence was being read.
    """
    project_id, session_id = write.project_id, wanted.session_id
    scene: _Scene = await backend.store.read(partial(_Scene, project_id=project_id, session_id=session_id))
    proposal = await backend.refiner.refine(wanted.sentence, scene.schema, scene.talk)
    turn = _Turn(write, wanted, scene, proposal)
    return await write_once(backend, write, turn.store)


class _Turn:
    """One turn of the conversation, carried out inside a write transaction."""

    def __init__(self, write: WriteRequest, wanted: RefineRequest, scene: _Scene, proposal: Proposal) -> None:
        self._write, self._wanted, self._scene, self._proposal = write, wanted, scene, proposal

    def store(self, conn: Connection) -> Answer:
        """Store the turn, and the new version if there is to be one."""
        view = SqlView(conn, self._write.project_id, is_writing=True)
        stated = expected_version(self._write, view.head, self._wanted.expected_version)
        store.check_expected(view, stated)
        proposal = self._proposal
        match proposal.kind:
            case "change":
                written = self._apply(view, proposal.operations) if self._wanted.apply else None
                talk = (
                    Talk()
                    if written
                    else Talk(pending=_documents(proposal.operations), explanation=proposal.explanation)
                )
                record = self._record(proposal.operations, written=written)
            case "apply":
                operations = parse_operations(list(self._scene.talk.pending)) if self._scene.talk.pending else []
                written, talk = (self._apply(view, operations) if operations else None), Talk()
                record = self._record(operations, written=written, kind="change" if operations else "answer")
            case "undo":
                written, talk, record = self._undo(conn)
            case "question":
                written, talk = None, self._asked()
                record = self._record(())
            case "answer" | "discard":
                written, talk = None, (Talk() if proposal.kind == "discard" else self._scene.talk)
                record = self._record(())
        self._keep(conn, record, talk, written)
        return _answer(self._write, view if written is None else None, written, record)

    def _asked(self) -> Talk:
        proposal = self._proposal
        return Talk(choices=proposal.choices, template=proposal.template)

    def _apply(self, view: SqlView, operations: Sequence[Operation]) -> Written:
        note = note_of(
            self._write, self._scene.version, session_id=self._wanted.session_id, message=self._wanted.sentence
        )
        store.check_expected(view, self._scene.version)
        return store.write_changes(view, apply(view, operations), note)

    def _undo(self, conn: Connection) -> tuple[Written | None, Talk, RefineRecord]:
        if self._scene.talk.pending:
            return None, Talk(), self._record((), explanation="The proposal is dropped; nothing was changed.")
        wanted = UndoRequest(session_id=self._wanted.session_id)
        undone, restored, written = undo_in(conn, self._write, wanted)
        before, after = (read_schema(conn, self._write.project_id, version) for version in (undone, restored))
        changes = tuple(asdict(difference) for difference in compare(before, after))
        record = self._record((), written=written, explanation=f"Version {undone} is undone.")
        return written, Talk(), record.model_copy(update={"changes": changes})

    def _record(
        self,
        operations: Sequence[Operation],
        *,
        written: Written | None = None,
        kind: str | None = None,
        explanation: str | None = None,
    ) -> RefineRecord:
        proposal = self._proposal
        told = {"apply": self._scene.talk.explanation or _NOTHING_PENDING, "discard": _DISCARDED}
        changes = compare(self._scene.schema, apply_to_schema(self._scene.schema, operations)) if operations else ()
        return RefineRecord(
            session_id=self._wanted.session_id,
            kind=kind or proposal.kind,
            explanation=explanation or told.get(proposal.kind) or proposal.explanation,
            applied=written is not None and written.changed,
            operations=_documents(operations),
            changes=tuple(asdict(difference) for difference in changes),
            choices=tuple(choice.label for choice in proposal.choices),
            tier=proposal.tier,
            usage=usage_document(proposal.usage),
        )

    def _keep(self, conn: Connection, record: RefineRecord, talk: Talk, written: Written | None) -> None:
        turn = {
            "said": self._wanted.sentence,
            "kind": record.kind,
            "explanation": record.explanation,
            "version": None if written is None else written.entry.version,
            "principal": self._write.principal,
        }
        project_id, session_id = self._write.project_id, self._wanted.session_id
        add_turn(conn, project_id, session_id, turn, talk.to_document(), now=time.time())


def _documents(operations: Sequence[Operation]) -> tuple[dict[str, Any], ...]:
    return tuple(operation.to_document() for operation in operations)


def _answer(write: WriteRequest, view: SqlView | None, written: Written | None, record: RefineRecord) -> Answer:
    head = view.head if view is not None else None
    entry = written.entry if written is not None else None
    return Answer(
        message=record.explanation.splitlines()[0][:500] if record.explanation else record.kind,
        payload=record.to_json(),
        project_id=write.project_id,
        version=entry.version if entry else head.version if head else None,
        digest=entry.digest if entry else head.digest if head else None,
    )


async def page_of_turns(store: Store, project_id: str, session_id: str, *, after: int, limit: int) -> ConversationPage:
    """Return what was said in a conversation, oldest first, behind the turn `after`; `next` continues the list.

    Raises:
        ProjectMissing: the project was deleted.
        ConversationMissing: nothing was said in that session, or it is forgotten.
    """
    turns = await store.read(
        partial(list_turns, project_id=project_id, session_id=session_id, after=after, limit=limit)
    )
    following = turns[-1].number if len(turns) == limit else None
    return ConversationPage(session_id=session_id, turns=tuple(map(_turn_record, turns)), next=following)


def _turn_record(turn: Turn) -> TurnRecord:
    return TurnRecord(
        number=turn.number, said=turn.said, kind=turn.kind, explanation=turn.explanation, version=turn.version,
        created_at=timestamp(turn.created_at), created_by=turn.principal,
    )  # fmt: skip


async def undo(backend: Backend, write: WriteRequest, wanted: UndoRequest) -> Answer:
    """Take the last change back, as a version of its own; said again, the one before it goes.

    Raises:
        ProjectMissing: there is no such project.
        RequestRefused: there is nothing to take back, or the last change is of another conversation.
        VersionMoved: a precondition fails.
    """

    def work(conn: Connection) -> Answer:
        undone, restored, written = undo_in(conn, write, wanted)
        record = {"undone": undone, "restored": restored, "version": written.entry.version}
        return Answer(
            message=f"version {undone} of {write.project_id} is undone",
            payload=encode(record),
            project_id=write.project_id,
            version=written.entry.version,
            digest=written.entry.digest,
        )

    return await write_once(backend, write, work)


def undo_in(conn: Connection, write: WriteRequest, wanted: UndoRequest) -> tuple[int, int, Written]:
    """Take the last change back; return the version that was undone, the one whose content is back, and the write.

    Raises:
        ProjectMissing, RequestRefused, VersionMoved: as in `undo`.
    """
    head = SqlView(conn, write.project_id, is_writing=True).head  # locked, so that two undo one after the other
    if head is None:
        raise ProjectMissing(f"there is no project {write.project_id!r}")
    expected = expected_version(write, head, wanted.expected_version)
    undone = undone_content(conn, write.project_id, head.version)
    entry = require_row(conn, write.project_id, undone)
    if wanted.session_id is not None and entry.session_id != wanted.session_id:
        raise RequestRefused(
            "conflict",
            f"the last change, version {undone}, was not made in this conversation",
            fix="Undo it without the session, or restore the version you want.",
        )
    if undone == 1:
        raise RequestRefused(
            "conflict", "version 1 is the first: there is nothing before it", fix="Delete the project instead."
        )
    restored = undone_content(conn, write.project_id, undone - 1)
    message = wanted.message or f"undo of version {undone}"
    note = note_of(write, expected, session_id=wanted.session_id, message=message)
    written = store.restore_version(conn, write.project_id, restored, note)
    if written.changed:
        note_undone(conn, write.project_id, written.entry.version, restored)
    return undone, restored, written
