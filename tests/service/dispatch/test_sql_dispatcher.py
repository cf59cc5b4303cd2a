"""Working off operations: once in effect, retried, parked, cancelled, drained and taken over after a kill."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection
from tests.service.dispatch import victim
from tests.service.store.samples import create, edit

from schemawire.errors import SchemaInvalid, ServerFailed
from schemawire.service.dispatch import Dispatcher, DispatchOptions, Execute, Execution
from schemawire.service.operations import Backoff, IllegalTransition, Operation, OperationState, new_operation
from schemawire.service.store import (
    LeaseLost,
    OperationMissing,
    SqliteStore,
    add_operation,
    find_operation,
    find_project,
    list_operations,
    read_schema,
    sweep_operations,
)

ROOT = Path(__file__).parents[3]
QUICK = DispatchOptions(concurrency=2, lease=30.0, poll_interval=0.05, backoff=Backoff(first=0.001, most=0.01))


def new(project_id: str = "p", **more: Any) -> Operation:
    return new_operation(project_id, "batch", {"entity": "A"}, now=time.time(), **more)


async def submit(store: SqliteStore, *operations: Operation) -> None:
    for operation in operations:
        await store.write(partial(add_operation, operation=operation))


async def status(store: SqliteStore, operation: Operation) -> Operation:
    found = await store.read(partial(find_operation, operation_id=operation.operation_id))
    assert found is not None
    return found


async def until(store: SqliteStore, operation: Operation, is_so: Callable[[Operation], bool]) -> Operation:
    """Return the operation once something is so; the time limit of the test ends a vain wait."""
    while not is_so(found := await status(store, operation)):  # noqa: ASYNC110  # rows have no event
        await asyncio.sleep(0.01)
    return found


def is_finished(operation: Operation) -> bool:
    return operation.state.is_final


@asynccontextmanager
async def dispatching(
    store: SqliteStore, execute: Execute, options: DispatchOptions = QUICK
) -> AsyncIterator[Dispatcher]:
    dispatcher = Dispatcher(store, execute, options=options)
    await dispatcher.start()
    try:
        yield dispatcher
    finally:
        await dispatcher.stop(5.0)


def apply_payload(conn: Connection, operation: Operation) -> dict[str, object]:
    return {"version": edit(operation.project_id, create(str(operation.payload["entity"])))(conn).entry.version}


async def apply_once(execution: Execution) -> None:
    await execution.finish(partial(apply_payload, operation=execution.operation))


async def test_an_operation_is_done_and_says_so(store: SqliteStore) -> None:
    """Submitted, woken for, carried out: the row tells the result, the progress and one attempt."""
    async with dispatching(store, apply_once, DispatchOptions(poll_interval=3600)) as dispatcher:
        operation = new()
        await submit(store, operation)
        dispatcher.wake()
        done = await until(store, operation, is_finished)
    assert (done.state, done.result, done.progress) == (OperationState.SUCCEEDED, {"version": 1}, 1.0)
    assert (done.attempts, done.lease_owner, done.error) == (1, None, None)
    assert dispatcher.statistics().succeeded == 1
    assert not dispatcher.is_running


async def test_effect_and_completion_are_one_commit(store: SqliteStore) -> None:
    """An effect that fails after writing leaves neither the writes nor a completed row."""

    async def fail_once(execution: Execution) -> None:
        def work(conn: Connection) -> dict[str, object]:
            result = apply_payload(conn, execution.operation)
            if execution.operation.attempts == 1:
                raise ServerFailed
            return result

        await execution.finish(work)

    async with dispatching(store, fail_once):
        operation = new()
        await submit(store, operation)
        done = await until(store, operation, is_finished)
    assert (done.state, done.attempts, done.result) == (OperationState.SUCCEEDED, 2, {"version": 1})


async def test_work_without_an_effect_is_completed_too(store: SqliteStore) -> None:
    """An executor that just returns has succeeded."""

    async def nothing(_: Execution) -> None:
        return

    async with dispatching(store, nothing):
        operation = new()
        await submit(store, operation)
        assert (await until(store, operation, is_finished)).state is OperationState.SUCCEEDED


@pytest.mark.parametrize(
    ("error", "state", "attempts", "code"),
    [
        (SchemaInvalid("wrong"), OperationState.FAILED, 1, "schema_invalid"),
        (ServerFailed("down"), OperationState.PARKED, 3, "server_failed"),
        (RuntimeError("secret detail"), OperationState.PARKED, 3, "internal_error"),
    ],
)
async def test_errors_decide_what_becomes_of_an_operation(
    store: SqliteStore, error: Exception, state: OperationState, attempts: int, code: str
) -> None:
    """What cannot succeed fails at once; what could is tried to the last attempt, then parked with its error."""

    async def fail(_: Execution) -> None:
        raise error

    async with dispatching(store, fail) as dispatcher:
        operation = new(max_attempts=3)
        await submit(store, operation)
        done = await until(store, operation, is_finished)
    assert (done.state, done.attempts) == (state, attempts)
    assert done.error is not None
    assert done.error["code"] == code
    assert "secret" not in str(done.error)
    assert (dispatcher.statistics().failed, dispatcher.statistics().retried) == (1, attempts - 1)


async def test_no_more_run_at_once_than_allowed(store: SqliteStore) -> None:
    """The concurrency is a bound, every operation is done, and the more important ones first."""
    running: set[str] = set()
    order: list[int] = []
    most = 0

    async def watch(execution: Execution) -> None:
        nonlocal most
        running.add(execution.operation.operation_id)
        order.append(execution.operation.priority)
        most = max(most, len(running))
        await asyncio.sleep(0)
        running.discard(execution.operation.operation_id)

    operations = [new(f"p{number}", priority=number % 3) for number in range(12)]
    await submit(store, *operations)
    async with dispatching(store, watch) as dispatcher:
        for operation in operations:
            await until(store, operation, is_finished)
    assert most <= 2
    assert order == sorted(order, reverse=True)
    assert dispatcher.statistics().succeeded == 12


async def test_operations_of_one_project_are_done_one_at_a_time_in_order(store: SqliteStore) -> None:
    """Submission decides, whatever the clock or the importance; one that is tried again holds up those behind it."""
    running: dict[str, int] = {}
    order: dict[str, list[int]] = {"a": [], "b": []}

    async def watch(execution: Execution) -> None:
        operation = execution.operation
        assert operation.project_id not in running
        running[operation.project_id] = int(str(operation.payload["number"]))
        await asyncio.sleep(0)
        number = running.pop(operation.project_id)
        if number == 2 and operation.attempts < 3:
            raise ServerFailed
        order[operation.project_id].append(number)

    operations = [
        new_operation(project_id, "batch", {"number": number}, now=1_000.0 - number, priority=number % 3)
        for number in range(6)
        for project_id in ("a", "b")
    ]
    await submit(store, *operations)
    async with dispatching(store, watch):
        for operation in operations:
            await until(store, operation, is_finished)
    assert order == {"a": list(range(6)), "b": list(range(6))}


async def test_what_waits_behind_a_cancelled_operation_begins(store: SqliteStore) -> None:
    """Cancelling the first of a project lets the next one go at once."""

    async def begin(execution: Execution) -> None:
        if execution.operation.operation_id == first.operation_id:
            await asyncio.Event().wait()

    first, second = new(), new()
    await submit(store, first, second)
    async with dispatching(store, begin, DispatchOptions(poll_interval=3600)) as dispatcher:
        await until(store, first, lambda operation: operation.state is OperationState.RUNNING)
        assert (await status(store, second)).state is OperationState.QUEUED
        await dispatcher.cancel(first.operation_id)
        assert (await until(store, second, is_finished)).state is OperationState.SUCCEEDED


async def test_a_cancelled_operation_can_commit_nothing(store: SqliteStore) -> None:
    """Cancelled while it runs, its worker is interrupted, and a late effect is refused."""
    begun = asyncio.Event()
    late: list[BaseException] = []

    async def stubborn(execution: Execution) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            try:
                await apply_once(execution)
            except LeaseLost as error:
                late.append(error)
            raise

    async with dispatching(store, stubborn) as dispatcher:
        operation = new()
        await submit(store, operation)
        await begun.wait()
        cancelled = await dispatcher.cancel(operation.operation_id)
        assert cancelled.state is OperationState.CANCELLED
        while dispatcher.statistics().lost == 0:  # noqa: ASYNC110  # counters have no event
            await asyncio.sleep(0.01)
        with pytest.raises(IllegalTransition):
            await dispatcher.cancel(operation.operation_id)
        with pytest.raises(OperationMissing):
            await dispatcher.cancel("unknown")
    assert len(late) == 1
    assert (await status(store, operation)).state is OperationState.CANCELLED
    assert await store.read(lambda conn: find_project(conn, "p")) is None


async def test_progress_becomes_visible(store: SqliteStore) -> None:
    """What the executor reports can be read while it still works."""
    go = asyncio.Event()

    async def half(execution: Execution) -> None:
        execution.report(0.5)
        execution.report(0.25)  # never falls
        await go.wait()

    async with dispatching(store, half):
        operation = new()
        await submit(store, operation)
        seen = await until(store, operation, lambda found: found.progress > 0)
        assert (seen.state, seen.progress) == (OperationState.RUNNING, 0.5)
        go.set()
        assert (await until(store, operation, is_finished)).progress == 1.0


async def test_a_lease_is_renewed_while_the_work_goes_on(store: SqliteStore) -> None:
    """Work that takes longer than its lease is not taken away from a living worker."""
    options = DispatchOptions(concurrency=2, lease=0.3, poll_interval=0.02)
    attempts: list[int] = []

    async def slow(execution: Execution) -> None:
        attempts.append(execution.operation.attempts)
        await asyncio.sleep(1.0)
        await apply_once(execution)

    async with dispatching(store, slow, options):
        operation = new()
        await submit(store, operation)
        done = await until(store, operation, is_finished)
    assert attempts == [1]
    assert done.state is OperationState.SUCCEEDED


async def test_stopping_finishes_what_is_quick_and_puts_the_rest_back(store: SqliteStore) -> None:
    """At a stop, work in its last moments ends; what does not is queued again, with no attempt counted."""
    begun = {"quick": asyncio.Event(), "endless": asyncio.Event()}

    async def execute(execution: Execution) -> None:
        begun[execution.operation.kind].set()
        if execution.operation.kind == "endless":
            await asyncio.Event().wait()
        await asyncio.sleep(0.05)
        await apply_once(execution)

    quick = new_operation("p", "quick", {"entity": "A"}, now=0.0)
    endless = new_operation("p", "endless", {"entity": "B"}, now=0.0)
    await submit(store, quick, endless)
    dispatcher = Dispatcher(store, execute, options=QUICK)
    await dispatcher.start()
    await asyncio.gather(*(event.wait() for event in begun.values()))
    await dispatcher.stop(0.3)
    assert (await status(store, quick)).state is OperationState.SUCCEEDED
    left = await status(store, endless)
    assert (left.state, left.attempts, left.lease_owner) == (OperationState.QUEUED, 0, None)
    assert dispatcher.statistics().released == 1
    assert [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("schemawire")] == []
    await dispatcher.stop()


async def test_a_stop_that_is_cancelled_still_puts_everything_back(store: SqliteStore) -> None:
    """Whoever stops in a hurry leaves no task and no lease behind."""
    begun = asyncio.Event()

    async def endless(_: Execution) -> None:
        begun.set()
        await asyncio.Event().wait()

    operation = new()
    await submit(store, operation)
    dispatcher = Dispatcher(store, endless, options=QUICK)
    await dispatcher.start()
    await begun.wait()
    stopping = asyncio.create_task(dispatcher.stop(3600))
    await asyncio.sleep(0)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    assert (await status(store, operation)).state is OperationState.QUEUED


async def test_a_dispatcher_can_be_started_again(store: SqliteStore) -> None:
    """Stopped and started, it goes on with what waited."""
    dispatcher = Dispatcher(store, apply_once, options=QUICK)
    for entity in ("A", "B"):
        operation = new_operation("p", "batch", {"entity": entity}, now=0.0)
        await submit(store, operation)
        await dispatcher.start()
        await dispatcher.start()
        assert dispatcher.is_running
        assert (await until(store, operation, is_finished)).state is OperationState.SUCCEEDED
        await dispatcher.stop()


def run_victim(path: Path) -> str:
    """Let a process claim an operation, do everything but commit it, and kill it; return what it said."""
    surroundings = {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(Path(victim.__file__)), str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=surroundings) as process:
        assert process.stdout is not None
        said = process.stdout.readline().strip()
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    return said


async def test_a_killed_workers_operation_is_finished_at_the_next_start(tmp_path: Path) -> None:
    """After SIGKILL in the middle of the effect, the next start does it, once, without waiting for the lease."""
    path = tmp_path / "a.db"
    operation_id = run_victim(path)
    store = SqliteStore(path)
    await store.start()
    left = await store.read(partial(find_operation, operation_id=operation_id))
    assert left is not None
    assert (left.state, left.attempts) == (OperationState.RUNNING, 1)
    assert left.lease_expires_at is not None
    assert left.lease_expires_at > time.time() + 600
    assert await store.read(lambda conn: find_project(conn, "p")) is None
    async with dispatching(store, apply_once) as dispatcher:
        done = await until(store, left, is_finished)
        assert dispatcher.statistics().taken_over == 1
    assert (done.state, done.attempts, done.result) == (OperationState.SUCCEEDED, 2, {"version": 1})
    schema = await store.read(lambda conn: read_schema(conn, "p"))
    assert [entity.name for entity in schema.entities] == ["A"]
    await store.close()


async def test_operations_are_listed_newest_first_and_swept(store: SqliteStore) -> None:
    """Pages follow on one another by the last id; finished rows are forgotten when their time is up."""
    operations = [new_operation("p" if number % 2 else "q", "batch", {}, now=float(number)) for number in range(6)]
    await submit(store, *operations)
    page = await store.read(partial(list_operations, limit=4))
    rest = await store.read(partial(list_operations, before=page[-1].operation_id))
    assert [found.created_at for found in (*page, *rest)] == [5.0, 4.0, 3.0, 2.0, 1.0, 0.0]
    assert {found.project_id for found in await store.read(partial(list_operations, project_id="p"))} == {"p"}
    assert await store.read(partial(list_operations, only=frozenset())) == []
    assert await store.read(partial(list_operations, state=OperationState.RUNNING)) == []
    async with dispatching(store, apply_nothing):
        for operation in operations:
            await until(store, operation, is_finished)
    assert await store.write(partial(sweep_operations, now=time.time(), keep=3600.0)) == 0
    assert await store.write(partial(sweep_operations, now=time.time() + 1.0, keep=0.0)) == 6


async def apply_nothing(_: Execution) -> None:
    return


@pytest.mark.parametrize("bad", [{"concurrency": 0}, {"lease": 0.0}, {"poll_interval": float("nan")}])
def test_options_out_of_range_are_refused(bad: dict[str, Any]) -> None:
    """The message names the option and its range."""
    with pytest.raises(ValueError, match=next(iter(bad))):
        DispatchOptions(**bad)
