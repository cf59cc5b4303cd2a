"""The conversational face of the handler: say what to change, look at it, apply it, take it back."""

from dataclasses import asdict

from schemawire.analysis import Analyser, ModelAnalyser, OfflineAnalyser, open_models
from schemawire.errors import BadReply
from schemawire.handler.backend import read_object, read_reply, result_of
from schemawire.handler.results import DomainResult, RefineResult
from schemawire.handler.telling import Telling, without_none
from schemawire.protocol import paths
from schemawire.protocol.messages import ConversationPage, RefineRecord, Reply
from schemawire.settings.language_model import LanguageModelSettings


class Refining(Telling):
    """Methods of the conversation about a schema, which the backend keeps per session."""

    async def refine(
        self,
        project_id: str,
        sentence: str,
        session_id: str,
        *,
        apply: bool = False,
        expected_version: int | None = None,
        idempotency_key: str | None = None,
        deadline: float | None = None,
    ) -> RefineResult:
        """Say what to change, such as "add a rating from 1 to 5 to posts", or answer what was asked back.

        Nothing is stored unless `apply` is set, or the sentence says "yes" to what was proposed, or "undo".

        Args:
            project_id: the project; one that is missing comes into being with the first applied change.
            sentence: one or a few requests, 1 to 2,000 characters; or the number of a choice.
            session_id: the conversation, which the backend remembers.
            apply: store what the sentence proposes at once.
            expected_version: refuse when the project's version is another one.
            idempotency_key: give the same one again to repeat a call whose outcome is unknown; made when not given.
            deadline: seconds from now, at most; the client's total timeout if not given.

        Raises:
            VersionConflict: the project is not at the expected version, or moved on while the sentence was being read.
            Invalid: what was proposed cannot be carried out any more.
            SchemawireError: see `Backend.write`.

        *Cancelled:* it is unknown whether it was stored; the same call with the same key finds out.
        """
        path = paths.refine(project_id)
        given = {"sentence": sentence, "sessionId": session_id, "apply": apply or None}
        body = without_none({**given, "expectedVersion": expected_version})

        async def send() -> RefineResult:
            exchange = await self._backend.write("POST", path, body, idempotency_key=idempotency_key, deadline=deadline)
            reply = read_reply(exchange, project_id)
            record = RefineRecord.model_validate(reply.data)
            return RefineResult(
                kind=record.kind, explanation=record.explanation, applied=record.applied, project_id=project_id,
                session_id=session_id, version=reply.version, digest=reply.digest, operations=record.operations,
                changes=record.changes, choices=record.choices, tier=record.tier, usage=record.usage,
            )  # fmt: skip

        return await self._told("POST", path, body, project_id, send)

    async def conversation(
        self, project_id: str, session_id: str, *, after: int | None = None, limit: int | None = None
    ) -> ConversationPage:
        """Return what was said in a conversation, oldest first; give `page.next` as `after` to go on.

        Args:
            project_id: the project.
            session_id: the conversation.
            after: the number of the last turn that is known.
            limit: turns per page, 1 to 1,000; the backend's default if not given.

        Raises:
            NotFound: nothing was said in that session, or it is forgotten; or the project was deleted.
        """
        given = without_none({"sessionId": session_id, "after": after, "limit": limit})
        params = {name: str(value) for name, value in given.items()}
        reply = (await self._backend.read(paths.refine(project_id), params)).read(Reply)
        return ConversationPage.model_validate(reply.data)

    async def undo(
        self,
        project_id: str,
        session_id: str | None = None,
        *,
        expected_version: int | None = None,
        idempotency_key: str | None = None,
        deadline: float | None = None,
    ) -> DomainResult:
        """Take the last change back, as a new version; said again, the one before it goes too.

        Args:
            project_id: the project.
            session_id: only if the last change was made in this conversation.
            expected_version: refuse when the project's version is another one.
            idempotency_key: give the same one again to repeat a call whose outcome is unknown; made when not given.
            deadline: seconds from now, at most; the client's total timeout if not given.

        Raises:
            Conflict: there is nothing to take back, or the last change is of another conversation.
            NotFound: there is no such project.
        """
        path = paths.undo(project_id)
        body = without_none({"sessionId": session_id, "expectedVersion": expected_version})

        async def send() -> DomainResult:
            exchange = await self._backend.write("POST", path, body, idempotency_key=idempotency_key, deadline=deadline)
            reply = read_reply(exchange, project_id)
            if not isinstance(reply.data, dict):
                raise BadReply(f"The reply of {path} does not say what was undone: {read_object(exchange)!r:.80}")
            return result_of(exchange, reply, project_id, reply.data)

        return await self._told("POST", path, body, project_id, send)


def chosen_analyser(given: Analyser | str | None) -> Analyser:
    """Return who reads descriptions: as given, or the language models of the settings, or the offline analyser.

    Raises:
        ConfigurationInvalid: a language model is named incompletely.
        ValueError: there is no analyser of that name.
    """
    if given == "offline":
        return OfflineAnalyser()
    if given is not None and not isinstance(given, str):
        return given
    if given not in (None, "model"):
        raise ValueError(f"there is no analyser {given!r}: use offline, model, or an analyser of your own")
    settings = LanguageModelSettings()
    models = open_models(map(asdict, settings.language_models), settings.language_model_limits())
    if models is None and given == "model":
        raise ValueError("no language model is set: set SCHEMAWIRE_LLM_PROVIDER and SCHEMAWIRE_LLM_MODEL")
    return OfflineAnalyser() if models is None else ModelAnalyser(models)
