"""What every engine promises, on the real servers: nothing acknowledged is lost, nothing is done twice."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Connection, update
from tests.service.dispatch import engine_victim
from tests.service.dispatch.engines import (
    BROKERS,
    BY_EAR,
    ENGINES,
    SHARED,
    Process,
    Site,
    apply_once,
    process,
)

from schemawire.errors import ServerFailed
from schemawire.service.dispatch import DispatchOptions, Execution
from schemawire.service.operations import Operation, OperationState, new_operation
from schemawire.service.store import Store, add_operation, list_operations, list_versions, tables
from schemawire.service.store.outbox import note_in_outbox, unannounced

if TYPE_CHECKING:
    from tests.servers.brokers import Brokers

pytestmark = pytest.mark.timeout(60)
"""The first test of each broker waits for its start."""

ROOT = Path(__file__).parents[3]
ANNOUNCE_ONLY = DispatchOptions(is_working=False)


@pytest.fixture
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Site:
    """A fresh database, and the engine's broker where it has one."""
    name: str = request.param
    if name == "sqlite":
        return Site(engine_name=name, database=str(tmp_path / "schemas.db"))
    database: str = request.getfixturevalue("postgres_url")
    if name == "postgres":
        return Site(engine_name=name, database=database)
    brokers: Brokers = request.getfixturevalue("brokers")
    return Site(engine_name=name, database=database, broker_url=brokers.get(name).url)


on_every_engine = pytest.mark.parametrize("site", ENGINES, indirect=True)
on_shared_engines = pytest.mark.parametrize("site", SHARED, indirect=True)
on_brokers = pytest.mark.parametrize("site", BROKERS, indirect=True)


def new(entity: str = "A", project_id: str = "p", **more: Any) -> Operation:
    return new_operation(project_id, "batch", {"entity": entity}, now=time.time(), **more)


async def submit(at: Process, *operations: Operation) -> None:
    """Submit as the service does: noted in the same transaction, announced after the commit."""
    for operation in operations:

        def work(conn: Connection, operation: Operation = operation) -> None:
            at.dispatcher.note(conn, add_operation(conn, operation))

        await at.store.write(work)
        at.dispatcher.announce(operation.operation_id)


async def all_operations(store: Store) -> list[Operation]:
    return await store.read(partial(list_operations, limit=1_000))


async def until_finished(store: Store, count: int) -> list[Operation]:
    """Return every operation once so many have ended; the time limit of the test ends a vain wait."""
    while True:
        found = [operation for operation in await all_operations(store) if operation.state.is_final]
        if len(found) >= count:
            return found
        await asyncio.sleep(0.02)


async def until(is_so: Callable[[], bool]) -> None:
    """Return once something is so; the time limit of the test ends a vain wait."""
    while not is_so():  # noqa: ASYNC110  # counters have no event
        await asyncio.sleep(0.01)


def is_connected(at: Process) -> bool:
    return at.dispatcher.statistics().engine_connected


async def assert_once(store: Store, count: int, project_id: str = "p") -> None:
    """Each operation has taken effect, in a version of its own."""
    versions = await store.read(partial(list_versions, project_id=project_id, limit=1_000))
    assert sorted(version.version for version in versions) == list(range(1, count + 1))


@on_every_engine
async def test_the_operation_of_a_killed_worker_is_taken_over(site: Site) -> None:
    """SIGKILL between the effect and its commit: another process carries the operation out, and it took effect once."""
    store = site.new_store()
    await store.start()
    operation = new()
    await store.write(partial(add_operation, operation=operation))
    await store.close()
    with victim_of(site) as victim:
        assert victim.stdout is not None
        line = await asyncio.to_thread(victim.stdout.readline)
        assert line.strip() == operation.operation_id
        victim.kill()
        victim.wait(10)
    async with process(site, apply_once) as survivor:
        done = (await until_finished(survivor.store, 1))[0]
        assert (done.state, done.attempts) == (OperationState.SUCCEEDED, 2)
        await assert_once(survivor.store, 1)


def victim_of(site: Site) -> subprocess.Popen[str]:
    command = [sys.executable, str(Path(engine_victim.__file__)), site.engine_name, site.database, site.broker_url]
    surroundings = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=surroundings)


@on_shared_engines
async def test_work_is_heard_of_without_polling(site: Site) -> None:
    """A process that only submits reaches one that would look again in an hour."""
    async with process(site, apply_once, BY_EAR) as worker, process(site, apply_once, ANNOUNCE_ONLY) as service:
        await until(lambda: is_connected(worker) and is_connected(service))
        await submit(service, *(new(f"E{number}") for number in range(10)))
        await until_finished(service.store, 10)
        await assert_once(service.store, 10)
        assert worker.dispatcher.statistics().heard > 0
        assert not service.dispatcher.is_running


@on_every_engine
async def test_an_announcement_too_many_has_no_effect(site: Site) -> None:
    """The same operation announced again and again, before and after it was done, is carried out once."""
    async with process(site, apply_once) as worker:
        operation = new()
        await submit(worker, operation)
        for _ in range(20):
            worker.dispatcher.announce(operation.operation_id)
        await until_finished(worker.store, 1)
        for _ in range(20):
            worker.dispatcher.announce(operation.operation_id)
        await submit(worker, new("B"))
        await until_finished(worker.store, 2)
        await assert_once(worker.store, 2)
        assert worker.dispatcher.statistics().succeeded == 2


@on_brokers
async def test_what_a_dead_process_did_not_announce_is_announced_by_another(site: Site) -> None:
    """The outbox row, written with the operation, outlives the process that should have published it."""
    async with process(site, apply_once, BY_EAR) as worker:
        await until(lambda: is_connected(worker))
        operation = new()

        def submit_and_die(conn: Connection) -> None:
            add_operation(conn, operation)
            note_in_outbox(conn, operation.operation_id, now=time.time())

        await worker.store.write(submit_and_die)
        await until_finished(worker.store, 1)
        await assert_once(worker.store, 1)
        while await worker.store.read(partial(unannounced, before=time.time(), limit=10)) != ([], []):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


@on_brokers
async def test_nothing_is_lost_while_the_broker_is_away(site: Site, brokers: "Brokers") -> None:
    """Operations submitted before, while and after the broker is down are all carried out, once each."""
    broker = brokers.get(site.engine_name)
    async with process(site, apply_once) as worker, process(site, apply_once, ANNOUNCE_ONLY) as service:
        await submit(service, *(new(f"A{number}") for number in range(5)))
        await asyncio.to_thread(broker.kill)
        number = 0
        while service.dispatcher.statistics().engine_failures == 0 or number < 5:
            await submit(service, new(f"B{number}"))
            number += 1
            await asyncio.sleep(0.05)
        await asyncio.to_thread(broker.start)
        await submit(service, *(new(f"C{number}") for number in range(5)))
        await until_finished(service.store, number + 10)
        await assert_once(service.store, number + 10)
        assert {operation.state for operation in await all_operations(worker.store)} == {OperationState.SUCCEEDED}
        heard = worker.dispatcher.statistics().heard
        while worker.dispatcher.statistics().heard == heard:  # the link of each process finds the broker again
            service.dispatcher.announce("anything")
            await asyncio.sleep(0.1)


@on_every_engine
async def test_poison_is_parked_with_its_error_and_stops_nobody(site: Site) -> None:
    """What fails at every attempt is given up with its reason; the operations behind it go on."""

    async def execute(execution: Execution) -> None:
        if execution.operation.payload["entity"] == "Poison":
            raise ServerFailed("on purpose")
        await apply_once(execution)

    async with process(site, execute) as worker:
        poison = new("Poison", max_attempts=2)
        await submit(worker, poison, new("A"))
        done = {each.operation_id: each for each in await until_finished(worker.store, 2)}
        parked = done.pop(poison.operation_id)
        assert (parked.state, parked.attempts) == (OperationState.PARKED, 2)
        assert parked.error is not None
        assert parked.error["detail"] == "on purpose"
        assert [each.state for each in done.values()] == [OperationState.SUCCEEDED]
        await assert_once(worker.store, 1)


@on_every_engine
async def test_what_is_cancelled_while_it_runs_is_never_committed(site: Site) -> None:
    """Cancelled by another process where there can be one; the worker's own commit comes too late."""
    began, go_on = asyncio.Event(), asyncio.Event()

    async def execute(execution: Execution) -> None:
        if execution.operation.payload["entity"] == "A":
            began.set()
            await go_on.wait()
        await apply_once(execution)

    async with process(site, execute) as worker, second_process(site, worker) as other:
        operation = new("A")
        await submit(worker, operation)
        await began.wait()
        cancelled = await other.dispatcher.cancel(operation.operation_id)
        assert cancelled.state is OperationState.CANCELLED
        go_on.set()
        await submit(other, new("B"))
        states = {each.payload["entity"]: each.state for each in await until_finished(other.store, 2)}
        assert states == {"A": OperationState.CANCELLED, "B": OperationState.SUCCEEDED}
        await assert_once(other.store, 1)
        await until(lambda: worker.dispatcher.statistics().lost == 1)


class second_process:  # noqa: N801  # reads as the function it is
    """Open another process that only announces; the first one itself where the store is for one process alone."""

    def __init__(self, site: Site, first: Process) -> None:
        self._opened = None if site.engine_name == "sqlite" else process(site, apply_once, ANNOUNCE_ONLY)
        self._first = first

    async def __aenter__(self) -> Process:
        return self._first if self._opened is None else await self._opened.__aenter__()

    async def __aexit__(self, *reason: Any) -> None:
        if self._opened is not None:
            await self._opened.__aexit__(*reason)


@on_every_engine
async def test_operations_of_one_project_are_done_one_at_a_time_in_order(site: Site) -> None:
    """Whatever the importance and the number of workers: submission decides."""
    running: set[str] = set()
    order: dict[str, list[str]] = {"a": [], "b": []}

    async def execute(execution: Execution) -> None:
        operation = execution.operation
        assert operation.project_id not in running
        running.add(operation.project_id)
        await asyncio.sleep(0.001)
        order[operation.project_id].append(str(operation.payload["entity"]))
        running.discard(operation.project_id)  # before the commit, behind which the next one may begin elsewhere
        await apply_once(execution)

    async with process(site, execute) as first:
        operations = [new(f"E{n}", project_id, priority=n % 3) for n in range(6) for project_id in ("a", "b")]
        if site.engine_name == "sqlite":
            await submit(first, *operations)
            await until_finished(first.store, 12)
        else:
            async with process(site, execute) as second:
                await submit(second, *operations)
                await until_finished(first.store, 12)
        assert order == {"a": [f"E{n}" for n in range(6)], "b": [f"E{n}" for n in range(6)]}
        await assert_once(first.store, 6, "a")


@on_every_engine
async def test_a_worker_that_lost_its_lease_commits_nothing(site: Site) -> None:
    """An attempt that was taken over while it stalled ends without an effect; the newer one counts."""
    began, go_on = asyncio.Event(), asyncio.Event()

    async def stall(execution: Execution) -> None:
        if execution.operation.attempts == 1:
            began.set()
            await go_on.wait()
        await apply_once(execution)

    async with process(site, stall) as worker:
        operation = new()
        await submit(worker, operation)
        await began.wait()
        await worker.store.write(partial(hand_over, operation_id=operation.operation_id))
        go_on.set()
        await until(lambda: worker.dispatcher.statistics().lost == 1)
        await worker.store.write(partial(expire, operation_id=operation.operation_id))
        done = (await until_finished(worker.store, 1))[0]
        assert (done.state, done.attempts) == (OperationState.SUCCEEDED, 2)
        await assert_once(worker.store, 1)


def hand_over(conn: Connection, *, operation_id: str) -> None:
    """Make the lease somebody else's, as if it had run out and been taken."""
    here = tables.operations.c.operation_id == operation_id
    conn.execute(update(tables.operations).where(here).values(lease_owner="another"))


def expire(conn: Connection, *, operation_id: str) -> None:
    """End the lease, as if its owner had died long ago."""
    here = tables.operations.c.operation_id == operation_id
    conn.execute(update(tables.operations).where(here).values(lease_expires_at=0.0))


@on_every_engine
async def test_a_stopping_worker_ends_what_it_can_and_leaves_the_rest_to_others(site: Site) -> None:
    """What runs is finished, what cannot be is put back with its attempt uncounted, and nothing new begins."""
    began = asyncio.Event()

    async def execute(execution: Execution) -> None:
        if execution.operation.project_id == "endless" and execution.operation.session_id is None:
            began.set()
            await asyncio.sleep(3600)
        await apply_once(execution)

    async with process(site, execute) as worker:
        await submit(worker, new("A", "endless"), new("A", "brief"), new("B", "brief"))
        await began.wait()
        await worker.dispatcher.stop(0.2)
        states = {(each.project_id, each.payload["entity"]): each for each in await all_operations(worker.store)}
        assert states["endless", "A"].state is OperationState.QUEUED
        assert states["endless", "A"].attempts == 0
        assert not any(each.state is OperationState.RUNNING for each in states.values())
    async with process(site, apply_once) as other:
        await until_finished(other.store, 3)
        await assert_once(other.store, 2, "brief")
        await assert_once(other.store, 1, "endless")
