"""`SyncDomainSchemaHandler`: the same handler for code without an event loop; it keeps one of its own in a thread."""

import asyncio
import threading
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, Self, TypeVar

from schemawire.analysis import Draft
from schemawire.errors import Closed
from schemawire.handler.callbacks import Callback, CallbackEvent
from schemawire.handler.handler import DomainSchemaHandler
from schemawire.handler.results import (
    BatchResult,
    DomainResult,
    HealthStatus,
    RefineResult,
    StoredSchema,
    StreamSummary,
)
from schemawire.handler.uploading import Source
from schemawire.protocol.messages import ConversationPage, OperationStatus, ProjectPage, VersionRecord
from schemawire.schema import DomainSchema

T = TypeVar("T")


class LoopThread:
    """An event loop in a daemon thread, started with the first call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closed = False

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` on the loop and return its result; an interrupt (Ctrl-C) cancels it.

        Raises:
            Closed: the thread has been stopped.
            RuntimeError: called from the loop's own thread, which would wait for itself.
        """
        try:
            loop = self._running_loop()
        except BaseException:
            work.close()
            raise
        future = asyncio.run_coroutine_threadsafe(work, loop)
        try:
            return future.result()
        except KeyboardInterrupt:
            future.cancel()
            raise

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._closed:
                raise Closed("The handler has been closed.")
            if threading.current_thread() is self._thread:
                raise RuntimeError("a callback of the synchronous handler must not call the handler and wait for it")
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=_serve, args=(self._loop,), name="schemawire-handler", daemon=True
                )
                self._thread.start()
            return self._loop

    def stop(self) -> None:
        """Stop the loop and wait for the thread; a second call does nothing."""
        with self._lock:
            self._closed = True
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    loop.run_forever()
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


class SyncDomainSchemaHandler:
    """`DomainSchemaHandler` with methods that block until they are done.

    Takes the same arguments, and may be shared by threads.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._thread = LoopThread()
        self._handler = DomainSchemaHandler(*args, **kwargs)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection and stop the thread; a second call does nothing."""
        try:
            self._thread.run(self._handler.aclose())
        except Closed:
            return
        self._thread.stop()

    def analyze(self, description: str) -> Draft:
        """See `DomainSchemaHandler.analyze`."""
        return self._thread.run(self._handler.analyze(description))

    def analyze_and_send_domain(
        self, domain_description: str, project_id: str, session_id: str | None = None, **options: Any
    ) -> DomainResult:
        """See `DomainSchemaHandler.analyze_and_send_domain`."""
        return self._thread.run(
            self._handler.analyze_and_send_domain(domain_description, project_id, session_id, **options)
        )

    def batch_operations(
        self, operations: Sequence[Mapping[str, Any]], project_id: str, session_id: str | None = None, **options: Any
    ) -> BatchResult:
        """See `DomainSchemaHandler.batch_operations`."""
        return self._thread.run(self._handler.batch_operations(operations, project_id, session_id, **options))

    def stream_large_schema(self, project_id: str, callback: Callback, **options: Any) -> StreamSummary:
        """See `DomainSchemaHandler.stream_large_schema`; the callback runs in the handler's thread."""
        return self._thread.run(self._handler.stream_large_schema(project_id, callback, **options))

    def save_schema(
        self, project_id: str, schema: DomainSchema | Mapping[str, Any], session_id: str | None = None, **options: Any
    ) -> DomainResult:
        """See `DomainSchemaHandler.save_schema`."""
        return self._thread.run(self._handler.save_schema(project_id, schema, session_id, **options))

    def upload_schema(
        self, project_id: str, source: Source, session_id: str | None = None, **options: Any
    ) -> DomainResult:
        """See `DomainSchemaHandler.upload_schema`; the source and `on_progress` run in the handler's thread."""
        return self._thread.run(self._handler.upload_schema(project_id, source, session_id, **options))

    def delete_project(self, project_id: str) -> DomainResult:
        """See `DomainSchemaHandler.delete_project`."""
        return self._thread.run(self._handler.delete_project(project_id))

    def restore(self, project_id: str, version: int, *, message: str | None = None) -> DomainResult:
        """See `DomainSchemaHandler.restore`."""
        return self._thread.run(self._handler.restore(project_id, version, message=message))

    def refine(self, project_id: str, sentence: str, session_id: str, **options: Any) -> RefineResult:
        """See `DomainSchemaHandler.refine`."""
        return self._thread.run(self._handler.refine(project_id, sentence, session_id, **options))

    def conversation(
        self, project_id: str, session_id: str, *, after: int | None = None, limit: int | None = None
    ) -> ConversationPage:
        """See `DomainSchemaHandler.conversation`."""
        return self._thread.run(self._handler.conversation(project_id, session_id, after=after, limit=limit))

    def undo(self, project_id: str, session_id: str | None = None, **options: Any) -> DomainResult:
        """See `DomainSchemaHandler.undo`."""
        return self._thread.run(self._handler.undo(project_id, session_id, **options))

    def get_schema(self, project_id: str, *, version: int | None = None) -> StoredSchema:
        """See `DomainSchemaHandler.get_schema`."""
        return self._thread.run(self._handler.get_schema(project_id, version=version))

    def get_entity(self, project_id: str, name: str) -> dict[str, Any]:
        """See `DomainSchemaHandler.get_entity`."""
        return self._thread.run(self._handler.get_entity(project_id, name))

    def list_projects(
        self, *, limit: int | None = None, after: str | None = None, deleted: bool = False
    ) -> ProjectPage:
        """See `DomainSchemaHandler.list_projects`."""
        return self._thread.run(self._handler.list_projects(limit=limit, after=after, deleted=deleted))

    def versions(self, project_id: str) -> tuple[VersionRecord, ...]:
        """See `DomainSchemaHandler.versions`."""
        return self._thread.run(self._handler.versions(project_id))

    def diff(self, project_id: str, old: int, new: int) -> list[dict[str, Any]]:
        """See `DomainSchemaHandler.diff`."""
        return self._thread.run(self._handler.diff(project_id, old, new))

    def export(self, project_id: str, export_format: str = "json") -> str:
        """See `DomainSchemaHandler.export`."""
        return self._thread.run(self._handler.export(project_id, export_format))

    def submit(
        self, project_id: str, operations: Sequence[Mapping[str, Any]] | None = None, **options: Any
    ) -> OperationStatus:
        """See `DomainSchemaHandler.submit`; callbacks run in the handler's thread."""
        return self._thread.run(self._handler.submit(project_id, operations, **options))

    def operation_status(self, operation_id: str) -> OperationStatus:
        """See `DomainSchemaHandler.operation_status`."""
        return self._thread.run(self._handler.operation_status(operation_id))

    def wait_for_operation(self, operation_id: str, *, deadline: float = 60.0) -> OperationStatus:
        """See `DomainSchemaHandler.wait_for_operation`."""
        return self._thread.run(self._handler.wait_for_operation(operation_id, deadline=deadline))

    def cancel_operation(self, operation_id: str) -> OperationStatus:
        """See `DomainSchemaHandler.cancel_operation`."""
        return self._thread.run(self._handler.cancel_operation(operation_id))

    def retry_operation(self, operation_id: str, *, idempotency_key: str | None = None) -> OperationStatus:
        """See `DomainSchemaHandler.retry_operation`."""
        return self._thread.run(self._handler.retry_operation(operation_id, idempotency_key=idempotency_key))

    def list_operations(
        self, project_id: str | None = None, *, state: str | None = None, limit: int = 100
    ) -> tuple[OperationStatus, ...]:
        """See `DomainSchemaHandler.list_operations`."""
        return self._thread.run(self._handler.list_operations(project_id, state=state, limit=limit))

    def health_check(self) -> HealthStatus:
        """See `DomainSchemaHandler.health_check`."""
        return self._thread.run(self._handler.health_check())

    def get_metrics(
        self, *, window: int | None = None, step: int | None = None, metric: str | None = None
    ) -> dict[str, Any]:
        """See `DomainSchemaHandler.get_metrics`."""
        return self._thread.run(self._handler.get_metrics(window=window, step=step, metric=metric))

    def validate_configuration(self) -> dict[str, Any]:
        """See `DomainSchemaHandler.validate_configuration`."""
        return self._thread.run(self._handler.validate_configuration())

    def get_configuration_for_environment(self, environment: str) -> dict[str, dict[str, Any]]:
        """See `DomainSchemaHandler.get_configuration_for_environment`."""
        return self._handler.get_configuration_for_environment(environment)

    def register_callback(self, event: CallbackEvent, callback: Callback) -> None:
        """See `DomainSchemaHandler.register_callback`; callbacks run in the handler's thread."""
        self._handler.register_callback(event, callback)
