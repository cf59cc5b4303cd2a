"""A clock that jumps, forward or backward, may delay work or have it begun twice; it is never committed twice."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import pytest
from tests.service.dispatch.engines import effect_of

from schemawire.service.dispatch import Dispatcher, DispatchOptions, Execution
from schemawire.service.operations import Operation, OperationState, new_operation
from schemawire.service.store import add_operation, find_operation, find_project
from schemawire.service.store.postgres import PostgresOptions, PostgresStore

OPTIONS = DispatchOptions(concurrency=1, lease=30.0, poll_interval=0.02)
HOUR = 3_600.0


class Clock:
    """Stands still until somebody moves it."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class Worker:
    """A process's dispatcher whose work waits for leave to commit, and which tells how that went."""

    def __init__(self, store: PostgresStore, clock: Clock) -> None:
        self.store = store
        self.has_begun = asyncio.Event()
        self.may_commit = asyncio.Event()
        self.is_over = asyncio.Event()
        self.has_committed = False
        self.dispatcher = Dispatcher(store, self._carry_out, options=OPTIONS, clock=clock)

    async def _carry_out(self, execution: Execution) -> None:
        self.has_begun.set()
        await self.may_commit.wait()
        try:
            await execution.finish(effect_of(execution.operation))
            self.has_committed = True
        finally:
            self.is_over.set()


@pytest.fixture
async def opened(postgres_url: str) -> AsyncIterator[list[PostgresStore]]:
    """The store of two processes."""
    async with AsyncExitStack() as stack:
        stores = [PostgresStore(postgres_url, options=PostgresOptions(connections=4)) for _ in range(2)]
        for store in stores:
            await store.start()
            stack.push_async_callback(store.close)
        yield stores


@asynccontextmanager
async def working(store: PostgresStore, clock: Clock) -> AsyncIterator[Worker]:
    worker = Worker(store, clock)
    await worker.dispatcher.start()
    try:
        yield worker
    finally:
        worker.may_commit.set()
        await worker.dispatcher.stop(5.0)


async def submit(store: PostgresStore, clock: Clock) -> Operation:
    operation = new_operation("p", "batch", {"entity": "A"}, now=clock())
    await store.write(partial(add_operation, operation=operation))
    return operation


async def check_done_once(store: PostgresStore, operation: Operation, *, attempts: int) -> None:
    found = await store.read(partial(find_operation, operation_id=operation.operation_id))
    head = await store.read(partial(find_project, project_id="p"))
    assert found is not None
    assert head is not None
    assert (found.state, found.attempts, head.version) == (OperationState.SUCCEEDED, attempts, 1)


@pytest.mark.parametrize("first_to_commit", [0, 1])
async def test_a_jump_forward_lets_another_worker_begin_and_only_one_commit(
    opened: list[PostgresStore], first_to_commit: int
) -> None:
    """The lease seems to be over, so a second worker takes it; the first one's commit is refused, early or late."""
    clock = Clock()
    operation = await submit(opened[0], clock)
    async with working(opened[0], clock) as old:
        await old.has_begun.wait()
        clock.now += HOUR
        async with working(opened[1], clock) as new:
            await new.has_begun.wait()
            for worker in (old, new) if first_to_commit == 0 else (new, old):
                worker.may_commit.set()
                await worker.is_over.wait()
            assert (old.has_committed, new.has_committed) == (False, True)
            async with asyncio.timeout(5):
                while not old.dispatcher.statistics().lost:  # noqa: ASYNC110  # a counter has no event
                    await asyncio.sleep(0.01)
    await check_done_once(opened[0], operation, attempts=2)


async def test_a_jump_backward_takes_nothing_from_who_works(opened: list[PostgresStore]) -> None:
    """The lease seems to last longer, so nobody else begins, and the worker commits."""
    clock = Clock()
    operation = await submit(opened[0], clock)
    async with working(opened[0], clock) as first, working(opened[1], clock) as second:
        begun = [asyncio.create_task(worker.has_begun.wait()) for worker in (first, second)]
        await asyncio.wait(begun, return_when=asyncio.FIRST_COMPLETED)
        clock.now -= HOUR
        await asyncio.sleep(0.3)  # a dozen looks of the other one
        assert sum(worker.has_begun.is_set() for worker in (first, second)) == 1
        at_work = first if first.has_begun.is_set() else second
        at_work.may_commit.set()
        await at_work.is_over.wait()
        assert at_work.has_committed
        for task in begun:
            task.cancel()
    await check_done_once(opened[0], operation, attempts=1)


async def test_a_lease_that_was_renewed_after_a_jump_is_the_workers_again(opened: list[PostgresStore]) -> None:
    """A worker that lives notes the new time before anybody takes its work; the old worker's lease then holds."""
    clock = Clock()
    operation = await submit(opened[0], clock)
    async with working(opened[0], clock) as old:
        await old.has_begun.wait()
        clock.now += HOUR
        old.dispatcher.interrupt(operation.operation_id)
        async with asyncio.timeout(5):
            while (await _expiry(opened[0], operation)) <= clock():  # noqa: ASYNC110  # rows have no event
                await asyncio.sleep(0.01)
        async with working(opened[1], clock) as other:
            await asyncio.sleep(0.2)
            assert not other.has_begun.is_set()
            old.may_commit.set()
            await old.is_over.wait()
    await check_done_once(opened[0], operation, attempts=1)


async def _expiry(store: PostgresStore, operation: Operation) -> float:
    found = await store.read(partial(find_operation, operation_id=operation.operation_id))
    assert found is not None
    return found.lease_expires_at or 0.0
