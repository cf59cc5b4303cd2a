"""The writing face of the handler: batches, whole schemas, deletion and restoring."""

from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import Any

from schemawire.errors import BadReply
from schemawire.handler.backend import new_key, read_reply, result_of
from schemawire.handler.results import BatchResult, DomainResult
from schemawire.handler.telling import Telling, without_none
from schemawire.handler.uploading import Source, Upload, Uploader
from schemawire.protocol import paths
from schemawire.protocol.messages import OperationResult
from schemawire.schema import DomainSchema, parse_operations

Document = Mapping[str, Any]


class Writing(Telling):
    """Methods that change what is stored; each is applied exactly once, however often it has to be sent."""

    _uploader: Uploader

    async def batch_operations(
        self,
        operations: Sequence[Document],
        project_id: str,
        session_id: str | None = None,
        *,
        atomic: bool = True,
        expected_version: int | None = None,
        dry_run: bool = False,
        message: str | None = None,
        idempotency_key: str | None = None,
        deadline: float | None = None,
    ) -> BatchResult:
        """Apply operations: as a whole, or (`atomic=False`) one by one with a result for each.

        Args:
            operations: `{"operation": "create_entity", "data": {…}}` and the like; at most 10,000.
            project_id: the project, created when missing.
            session_id: the conversation that the change belongs to.
            atomic: all or nothing.
            expected_version: refuse when the project's version is another one.
            dry_run: say what would happen, and store nothing.
            message: kept with the new version.
            idempotency_key: give the same one again to repeat a call whose outcome is unknown; made when not given.
            deadline: seconds from now, at most; the client's total timeout if not given.

        Raises:
            SchemaInvalid: an operation is malformed; found here, before anything is sent.
            Invalid: the backend refuses the operations; of an atomic batch nothing is stored.
            VersionConflict: the project is not at `expected_version`.
            SchemawireError: see `Backend.write`.

        *Cancelled:* it is unknown whether the batch was applied; the same call with the same key finds out.
        """
        documents = [dict(operation) for operation in operations]
        if atomic:
            parse_operations(documents)
        body = batch_body(
            project_id,
            documents,
            sessionId=session_id,
            atomic=atomic,
            expectedVersion=expected_version,
            dryRun=dry_run,
            message=message,
        )

        async def send() -> BatchResult:
            exchange = await self._backend.write(
                "POST", paths.BATCH, body, idempotency_key=idempotency_key, deadline=deadline
            )
            reply = read_reply(exchange, project_id)
            results = _read_results(reply.data, len(documents))
            return BatchResult(
                success=all(result.success for result in results),
                message=reply.message,
                project_id=project_id,
                version=reply.version,
                digest=reply.digest,
                data=results,
                attempts=exchange.attempts,
            )

        return await self._told("POST", paths.BATCH, body, project_id, send)

    async def upload_schema(
        self,
        project_id: str,
        source: Source,
        session_id: str | None = None,
        *,
        header: Document | None = None,
        message: str | None = None,
        if_match: str | None = None,
        on_progress: Callable[[int], None] | None = None,
        idempotency_key: str | None = None,
        deadline: float = inf,
    ) -> DomainResult:
        """Store a schema of any length in place of what is there, sent element by element and never held whole.

        A try that is cut is repeated from the start until it is acknowledged or the deadline has passed; it is applied
        once. The backend stores all of it or nothing.

        Args:
            project_id: where it is stored; the project is created when missing.
            source: a schema, a document, a `Path` to a file (a document, or the lines that the command `stream` and
                `GET …/stream` write), or a function that returns the elements anew each time it is called, each as
                `{"kind": "entity", "element": {…}}`.
            session_id: the conversation that the change belongs to.
            header: `name` and `description` of the schema, where the source is a function.
            message: kept with the new version.
            if_match: refuse when the project's entity tag is another one.
            on_progress: called with the number of elements sent so far.
            idempotency_key: give the same one again to repeat a call whose outcome is unknown; made when not given.
            deadline: seconds from now, at most.

        Raises:
            Invalid: the schema breaks the rules; pointers begin with the number of the line.
            VersionConflict: the project is not what `if_match` names.
            OSError, ValueError: the file cannot be read, or holds no schema.
            SchemawireError: see `Backend.write`.

        *Cancelled:* it is unknown whether it was stored; the same call with the same key finds out.
        """
        upload = Upload(
            source=source, header=header, session_id=session_id, message=message, on_progress=on_progress
        )  # fmt: skip
        key = idempotency_key or new_key()

        async def send() -> DomainResult:
            return await self._uploader.send(project_id, upload, if_match=if_match, key=key, deadline=deadline)

        return await self._told("PUT", paths.stream(project_id), {}, project_id, send)

    async def save_schema(
        self,
        project_id: str,
        schema: DomainSchema | Document,
        session_id: str | None = None,
        *,
        expected_version: int | None = None,
        message: str | None = None,
        idempotency_key: str | None = None,
        deadline: float | None = None,
    ) -> DomainResult:
        """Store a whole schema in place of what is there; an identical one makes no new version.

        Raises:
            SchemaInvalid: the document has not the form of a schema; found here, before anything is sent.
            Invalid: the schema breaks the rules; the issues say where.
            VersionConflict: the project is not at `expected_version`.
        """
        document = schema.to_document() if isinstance(schema, DomainSchema) else dict(schema)
        result = await self.batch_operations(
            [{"operation": "replace_schema", "data": document}],
            project_id,
            session_id,
            expected_version=expected_version,
            message=message,
            idempotency_key=idempotency_key,
            deadline=deadline,
        )
        return DomainResult(
            success=result.success,
            message=result.message,
            project_id=project_id,
            version=result.version,
            digest=result.digest,
            data=document,
            attempts=result.attempts,
        )

    async def delete_project(self, project_id: str, *, deadline: float | None = None) -> DomainResult:
        """Delete a project; its history stays, and `restore` brings it back.

        Raises:
            NotFound: there is no such project.
        """
        return await self._change("DELETE", paths.project(project_id), None, project_id, deadline=deadline)

    async def restore(
        self, project_id: str, version: int, *, message: str | None = None, deadline: float | None = None
    ) -> DomainResult:
        """Make an old version the newest again, as a new version.

        Raises:
            NotFound: there is no such version.
        """
        body = without_none({"version": version, "message": message})
        return await self._change("POST", paths.restore(project_id), body, project_id, deadline=deadline)

    async def _change(
        self, method: str, path: str, body: dict[str, Any] | None, project_id: str, *, deadline: float | None
    ) -> DomainResult:
        async def send() -> DomainResult:
            exchange = await self._backend.write(method, path, body, deadline=deadline)
            reply = read_reply(exchange, project_id)
            return result_of(exchange, reply, project_id, reply.data)

        return await self._told(method, path, body, project_id, send)


def batch_body(project_id: str, operations: Sequence[Document], **options: object) -> dict[str, Any]:
    """Return the body of a batch request; options without a value are left to the backend's default.

    Raises:
        ValueError: the project id is not one.
    """
    return {"projectId": paths.check_project_id(project_id), "operations": list(operations), **without_none(options)}


def _read_results(data: object, expected: int) -> tuple[OperationResult, ...]:
    if not isinstance(data, list) or len(data) != expected:
        count = len(data) if isinstance(data, list) else 0
        raise BadReply(f"The reply has {count} results for {expected} operations.")
    return tuple(OperationResult.model_validate(row) for row in data)
