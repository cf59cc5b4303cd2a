"""The asynchronous face of the handler: submit work, ask how it stands, be told when it is done."""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

from schemawire.errors import DeadlineExceeded, Invalid, Rejected, SchemawireError
from schemawire.handler.backend import Exchange
from schemawire.handler.results import DomainResult
from schemawire.handler.telling import Telling, without_none
from schemawire.protocol import paths
from schemawire.protocol.messages import OperationStatus, Reply
from schemawire.protocol.problems import Problem

POLL_FIRST = 0.05
POLL_LONGEST = 2.0
"""Seconds between two questions for a status: doubling from the first to the longest."""


class Submitting(Telling):
    """Methods around durable operations: the backend finishes them even if it, or this process, is restarted."""

    _watchers: set[asyncio.Task[None]]

    async def submit(
        self,
        project_id: str,
        operations: Sequence[Mapping[str, Any]] | None = None,
        *,
        description: str | None = None,
        session_id: str | None = None,
        atomic: bool = True,
        expected_version: int | None = None,
        message: str | None = None,
        webhook: str | None = None,
        idempotency_key: str | None = None,
        deadline: float | None = None,
    ) -> OperationStatus:
        """Hand work to the backend and return at once; give operations or a description.

        A webhook is a URL, on the backend's list, that is told when the work has ended, whether or not this process
        still runs; its receiver checks the call with `schemawire.protocol.webhooks.verify_webhook`.

        When callbacks are registered, they are called with the outcome once the operation has ended, as long as this
        handler is open.

        Raises:
            ValueError: neither or both of operations and description are given.
            SchemawireError: see `Backend.write`.
        """
        if (operations is None) == (description is None):
            raise ValueError("give either operations or a description")
        body = without_none(
            {
                "operations": None if operations is None else [dict(operation) for operation in operations],
                "description": description,
                "sessionId": session_id,
                "atomic": atomic,
                "expectedVersion": expected_version,
                "message": message,
                "webhook": webhook,
            }
        )
        path = paths.submit(project_id)
        exchange = await self._backend.write("POST", path, body, idempotency_key=idempotency_key, deadline=deadline)
        status = _read_status(exchange)
        if self._callbacks.has("success") or self._callbacks.has("error"):
            self._watch(self._report(status, path, body))
        return status

    async def operation_status(self, operation_id: str) -> OperationStatus:
        """Return how an operation stands.

        Raises:
            NotFound: there is no such operation.
        """
        return _read_status(await self._backend.read(paths.operation_status(operation_id)))

    async def wait_for_operation(self, operation_id: str, *, deadline: float = 60.0) -> OperationStatus:
        """Return an operation's status once it has ended, whatever its end.

        Args:
            operation_id: as `submit` returned it.
            deadline: seconds from now, at most.

        Raises:
            DeadlineExceeded: it has not ended by then; it goes on.
            NotFound: there is no such operation.

        *Cancelled:* the operation goes on.
        """
        end = asyncio.get_running_loop().time() + deadline
        pause = POLL_FIRST
        while True:
            status = await self.operation_status(operation_id)
            if status.is_finished:
                return status
            if asyncio.get_running_loop().time() + pause > end:
                raise DeadlineExceeded(
                    f"Operation {operation_id} is still {status.state} after {deadline:g} s.",
                    fix="It goes on; ask again with `operation_status`.",
                )
            await asyncio.sleep(pause)
            pause = min(POLL_LONGEST, pause * 2)

    async def cancel_operation(self, operation_id: str) -> OperationStatus:
        """Ask the backend to drop an operation that has not ended.

        Raises:
            Conflict: it has ended already.
            NotFound: there is no such operation.
        """
        return _read_status(await self._backend.write("DELETE", paths.operation(operation_id)))

    async def retry_operation(self, operation_id: str, *, idempotency_key: str | None = None) -> OperationStatus:
        """Have what failed, was parked or was cancelled tried again, as a new operation behind the project's others.

        Raises:
            Conflict: it has not ended, or it has succeeded.
            NotFound: there is no such operation.
        """
        path = paths.operation_retry(operation_id)
        return _read_status(await self._backend.write("POST", path, idempotency_key=idempotency_key))

    async def list_operations(
        self, project_id: str | None = None, *, state: str | None = None, limit: int = 100
    ) -> tuple[OperationStatus, ...]:
        """Return the newest operations.

        Args:
            project_id: of one project; of all that the key may see if not given.
            state: in one state, such as `parked`; in any if not given.
            limit: how many at most, 1 to 1,000.
        """
        params = without_none({"projectId": project_id, "state": state, "limit": str(limit)})
        found = (await self._backend.read(paths.OPERATIONS, params=params)).read(Reply).data
        return tuple(OperationStatus.model_validate(record) for record in found["operations"])

    def _watch(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._watchers.add(task)
        task.add_done_callback(self._watchers.discard)

    async def _report(self, status: OperationStatus, path: str, body: dict[str, Any]) -> None:
        try:
            ended = await self.wait_for_operation(status.operation_id, deadline=float("inf"))
        except SchemawireError as error:
            await self._callbacks.error(error, "POST", self._backend.url(path), body)
            return
        if ended.state == "succeeded":
            await self._callbacks.success(_result_of(ended), ended.project_id)
        else:
            await self._callbacks.error(error_of_operation(ended), "POST", self._backend.url(path), body)

    async def _stop_watching(self) -> None:
        watchers = tuple(self._watchers)
        for task in watchers:
            task.cancel()
        await asyncio.gather(*watchers, return_exceptions=True)


def _read_status(exchange: Exchange) -> OperationStatus:
    return OperationStatus.model_validate(exchange.read(Reply).data)


def _result_of(status: OperationStatus) -> DomainResult:
    result = status.result if isinstance(status.result, dict) else {}
    return DomainResult(
        success=True,
        message=result.get("message", f"Operation {status.operation_id} succeeded."),
        project_id=status.project_id,
        version=result.get("version"),
        digest=result.get("digest"),
        data=result.get("data", status.result),
        attempts=status.attempts,
    )


def error_of_operation(status: OperationStatus) -> Rejected:
    """Return the error that an operation which did not succeed stands for."""
    problem = None if status.error is None else Problem.model_validate(status.error)
    detail = f"Operation {status.operation_id} was {status.state}." if problem is None else problem.detail
    fix = None if problem is None else problem.fix
    return Invalid(detail, fix=fix, status=None if problem is None else problem.status, problem=problem)
