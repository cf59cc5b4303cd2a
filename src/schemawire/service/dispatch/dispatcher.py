"""Finds operations in the store and has them carried out: polling, leases, retries, take-over and a clean stop.

Knows nothing of what an operation does. The row is the truth; waking up is only a matter of speed.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from sqlalchemy import Connection

from schemawire.errors import SchemawireError
from schemawire.service.dispatch.engine import Ears, Engine, Polling
from schemawire.service.dispatch.execution import Execute, Execution
from schemawire.service.dispatch.options import (
    DispatchOptions,
    DispatchStatistics,
    describe_error,
    may_help_again,
    new_owner,
)
from schemawire.service.logs import log
from schemawire.service.operations import Operation, OperationState, cancel, fail, release
from schemawire.service.store.operations import (
    claim_due,
    expire_leases,
    mark_next,
    next_due,
    require_lease,
    require_operation,
    save_operation,
)
from schemawire.service.store.refusals import LeaseLost, StoreError
from schemawire.service.store.store import Store
from schemawire.telemetry.work_spans import WorkSpans

CLEAN_UP_TIME = 5.0
"""Seconds for giving an operation back when its worker is stopped."""
HOLD_TIME = 1.0
"""Seconds that an announcement waits for a free hand here before it is offered to another process."""
CONTENDED_PAUSE = 0.02
"""Seconds before another look where other processes were quicker."""
GATHERING = 0.002
"""Seconds that a hand that has become free waits for others, so that one claim serves them all."""


class Dispatcher:
    """Works off the operations of one store, a few at once, or only announces them to the processes that do.

    Invariants: an operation is in `_executions` exactly while its task runs; each task ends by settling its row, or
    leaves it to the lease. One dispatcher per process and store.

    Args:
        store: where the operations are; started before this, and closed after it.
        execute: carries out one operation.
        engine: how processes that share the store tell one another of work; polling if not given.
        options: how many at once, how long a lease, how often to look.
        describe: turns an error into the problem document that the operation keeps.
        clock: seconds since 1970-01-01 UTC.
    """

    def __init__(
        self,
        store: Store,
        execute: Execute,
        *,
        engine: Engine | None = None,
        options: DispatchOptions | None = None,
        describe: Callable[[BaseException], Mapping[str, object]] = describe_error,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.owner = new_owner()
        self.engine = engine or Polling()
        self.spans = WorkSpans()
        self.on_end: Callable[[], None] = lambda: None
        """Called after each attempt, when its row is settled."""
        self._store = store
        self._execute = execute
        self._options = options or DispatchOptions()
        self._describe = describe
        self._clock = clock
        self._executions: dict[str, Execution] = {}
        self._wake = asyncio.Event()
        self._is_behind = False
        """There may be work that only a free hand is missing for."""
        self._is_stopping = False
        self._task: asyncio.Task[None] | None = None
        self._counts = DispatchStatistics()
        self._poll_interval = self._options.poll_interval or self.engine.poll_interval
        self._hearers: list[asyncio.Future[bool]] = []

    @property
    def is_working(self) -> bool:
        """Whether this process is meant to carry operations out, and not only to announce them."""
        return self._options.is_working

    @property
    def is_running(self) -> bool:
        """Whether operations are being looked for."""
        return self._task is not None and not self._task.done() and not self._is_stopping

    async def start(self) -> None:
        """Take over what a dead process left behind, and begin to work. Harmless when repeated.

        On a store that only this process can have open, whatever is running was left by a dead one, and is taken
        over at once; otherwise when its lease has run out.

        Raises:
            StoreUnavailable: the store cannot be written; nothing was started.
        """
        if self._task is not None:
            return
        if not self._options.is_working:
            await self.engine.start(None)
            return
        if self._store.is_exclusive:
            left = await self._store.write(partial(expire_leases, now=self._clock(), alive=self.owner))
            self._count(taken_over=left)
        await self._store.write(mark_next)
        self._is_stopping = False
        self._wake = asyncio.Event()  # belongs to the loop of this start
        await self.engine.start(Ears(work=self.hear, cancelled=self.interrupt))
        self._task = asyncio.create_task(self._run(), name="schemawire-dispatcher")

    async def stop(self, timeout: float = 10.0) -> None:
        """Take nothing new, give what runs `timeout` seconds to end, and put the rest back. Harmless when repeated.

        *Cancelled:* what still runs is cancelled and put back.
        """
        task, self._task = self._task, None
        try:
            if task is not None:
                await self.engine.stop_listening()
                await self._drain(task, timeout)
        finally:
            await self.engine.stop()

    async def _drain(self, task: asyncio.Task[None], timeout: float) -> None:
        self._is_stopping = True
        self._wake.set()
        try:
            async with asyncio.timeout(timeout):
                await asyncio.shield(task)
        except TimeoutError:
            log.info("operations put back", count=len(self._executions))
        finally:
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled() and (error := task.exception()) is not None:
                log.error("operations stopped being looked for", exc_info=error)

    def wake(self) -> None:
        """Look for work now, because some was just committed."""
        self._wake.set()

    def note(self, conn: Connection, operation: Operation) -> None:
        """Take part in the transaction that submits an operation."""
        self.engine.note(conn, operation)

    def announce(self, operation_id: str) -> None:
        """See to it that an operation that was just committed is begun, here or elsewhere."""
        self.engine.announce(operation_id)
        self.wake()

    async def hear(self) -> bool:
        """Look for work because somebody announced some; return whether there was a free hand that looked.

        *Cancelled:* the look takes place all the same.
        """
        if not self.is_running:
            return False
        looked: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._hearers.append(looked)
        self._wake.set()
        try:
            async with asyncio.timeout(HOLD_TIME):
                return await looked
        except TimeoutError:
            return False

    async def cancel(self, operation_id: str) -> Operation:
        """Cancel an operation; what its worker has not committed by now is never committed.

        Raises:
            OperationMissing: there is no such operation.
            IllegalTransition: it is finished.
            StoreUnavailable: nothing was changed.
        """
        cancelled = await self._store.write(partial(cancel_operation, operation_id=operation_id, now=self._clock()))
        self.interrupt(operation_id)
        self.engine.announce_cancelled(operation_id)
        self.engine.announce(operation_id)
        self.wake()  # what waited behind it may begin
        return cancelled

    def interrupt(self, operation_id: str) -> None:
        """Have a running operation look at its row now, because that was cancelled elsewhere."""
        if operation_id in self._executions:
            self._executions[operation_id].interrupt()

    def statistics(self) -> DispatchStatistics:
        """Return the counters as they are now."""
        engine = self.engine.statistics()
        return replace(
            self._counts,
            running=len(self._executions),
            announced=engine.announced,
            heard=engine.heard,
            engine_failures=engine.failures,
            engine_connected=engine.is_connected,
        )

    def _count(self, **by: int) -> None:
        self._counts = replace(self._counts, **{name: getattr(self._counts, name) + more for name, more in by.items()})

    async def _run(self) -> None:
        wait = self._poll_interval
        async with asyncio.TaskGroup() as workers:
            while not self._is_stopping:
                is_told = self._wake.is_set() or wait < self._poll_interval
                self._wake.clear()
                try:
                    claimed, wait = await self._look(is_told=is_told)
                except StoreError as error:
                    log.warning("operations cannot be read", code=error.code, reason=error.message)
                    self._count(failed_polls=1)
                    claimed, wait = [], self._poll_interval
                for operation in claimed:
                    self._begin(operation, workers)
                if wait > 0:
                    await self._rest(wait)
                    await asyncio.sleep(GATHERING if self._is_behind else 0)

    async def _look(self, *, is_told: bool) -> tuple[list[Operation], float]:
        """Return newly claimed operations, and how long to rest before the next look."""
        if self._free <= 0:
            self._is_behind = True
            return [], self._poll_interval
        hearers, self._hearers = self._hearers, []
        try:
            return await self._claim(is_told=is_told)
        finally:
            for hearer in hearers:
                if not hearer.done():
                    hearer.set_result(True)

    @property
    def _free(self) -> int:
        return self._options.concurrency - len(self._executions)

    async def _claim(self, *, is_told: bool) -> tuple[list[Operation], float]:
        now, limit = self._clock(), self._free
        claimed: list[Operation] = []
        self._is_behind = False
        if is_told:
            claimed, due = await self._store.write(partial(self._take, now=now, limit=limit))
            self._is_behind = len(claimed) >= limit  # the rest waits for a free hand
        else:
            due = await self._store.read(next_due)
            if due is not None and due <= now:
                return [], 0.0
        if due is None:
            return claimed, self._poll_interval
        if due > now:
            return claimed, min(self._poll_interval, due - now)
        # What is due and was not to be had is in the hands of another process, which takes a moment.
        return claimed, 0.0 if self._store.is_exclusive else CONTENDED_PAUSE

    def _take(self, conn: Connection, *, now: float, limit: int) -> tuple[list[Operation], float | None]:
        claimed = claim_due(conn, self.owner, now=now, lease=self._options.lease, limit=limit)
        return claimed, None if len(claimed) >= limit else next_due(conn)

    async def _rest(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return

    def _begin(self, operation: Operation, workers: asyncio.TaskGroup) -> None:
        options = self._options
        execution = Execution(self._store, operation, owner=self.owner, lease=options.lease, clock=self._clock)
        self._executions[operation.operation_id] = execution
        self._count(claimed=1)
        task = workers.create_task(self._work(execution), name=f"schemawire-operation-{operation.operation_id}")
        task.add_done_callback(partial(self._ended, operation.operation_id))

    def _ended(self, operation_id: str, _: asyncio.Task[None]) -> None:
        ended = self._executions.pop(operation_id)
        if self._is_behind or ended.has_successor:
            self._wake.set()
        self.on_end()

    async def _work(self, execution: Execution) -> None:
        try:
            error = await self._attempt(execution)
        except asyncio.CancelledError:
            await self._put_back(execution)
            raise
        if error is None or execution.is_finished:
            self._count(succeeded=1)
        elif isinstance(error, LeaseLost):
            self._count(lost=1)
        else:
            await self._settle(execution, error)

    async def _attempt(self, execution: Execution) -> Exception | None:
        """Carry out the operation while its lease is kept, and return what went wrong."""
        found: list[Exception] = []
        try:
            async with asyncio.TaskGroup() as group:
                keeper = group.create_task(execution.keep_lease())
                try:
                    await self._carry_out(execution)
                finally:
                    keeper.cancel()
        except* Exception as group_error:
            found.extend(group_error.exceptions)
        return next((error for error in found if isinstance(error, LeaseLost)), found[0] if found else None)

    async def _carry_out(self, execution: Execution) -> None:
        with self.spans.process("operations", execution.operation.trace or {}):
            await self._execute(execution)
            if not execution.is_finished:
                await execution.finish(_nothing)

    async def _settle(self, execution: Execution, error: Exception) -> None:
        if not isinstance(error, SchemawireError):
            log.error("operation failed", operation=execution.operation.operation_id, exc_info=error)
        try:
            settled = await self._store.write(partial(self._note_failure, execution.operation, error))
        except LeaseLost:
            self._count(lost=1)
        except StoreError as trouble:  # the row stays as it is, and is taken over when its lease runs out
            log.warning("operation left to its lease", code=trouble.code, reason=trouble.message)
        else:
            self._count(**{"retried" if settled.state is OperationState.QUEUED else "failed": 1})

    def _note_failure(self, operation: Operation, error: Exception, conn: Connection) -> Operation:
        held = require_lease(conn, operation.operation_id, self.owner)
        wait = self._options.backoff.delay(held.attempts) if may_help_again(error) else None
        problem = self._describe(error)
        settled = fail(held, self.owner, now=self._clock(), error=problem, retry_in=wait)
        save_operation(conn, settled)
        return settled

    async def _put_back(self, execution: Execution) -> None:
        try:
            async with asyncio.timeout(CLEAN_UP_TIME):
                await self._store.write(partial(self._release, execution.operation))
        except (LeaseLost, TimeoutError, SchemawireError):
            return  # finished after all, or left to its lease
        self._count(released=1)

    def _release(self, operation: Operation, conn: Connection) -> None:
        held = require_lease(conn, operation.operation_id, self.owner)
        save_operation(conn, release(held, self.owner, now=self._clock()))


def cancel_operation(conn: Connection, operation_id: str, *, now: float) -> Operation:
    """Cancel an operation in the caller's transaction.

    Raises:
        OperationMissing: there is no such operation.
        IllegalTransition: it is finished.
    """
    cancelled = cancel(require_operation(conn, operation_id, lock=True), now=now)
    save_operation(conn, cancelled)
    return cancelled


def _nothing(_: Connection) -> None:
    return None
