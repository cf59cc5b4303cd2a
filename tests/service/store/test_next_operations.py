"""The mark on the next operation of each project: always on the first that is unfinished, and found by an index."""

import asyncio
import random
from collections.abc import Callable
from functools import partial

from sqlalchemy import Connection, Text, bindparam, select, text
from sqlalchemy.dialects import sqlite

from schemawire.service.operations import Operation, OperationState, cancel, complete, new_operation
from schemawire.service.store import (
    SqliteStore,
    Store,
    add_operation,
    claim_due,
    mark_next,
    next_due,
    require_operation,
    save_completed,
    save_operation,
)
from schemawire.service.store import operations as room
from schemawire.service.store.tables import operations

LEASE = 1_000.0


def marks(conn: Connection) -> tuple[set[str], set[str]]:
    """Return the unfinished operations that are marked, and those that ought to be."""
    columns = operations.c
    query = select(columns.project_id, columns.operation_id, columns.is_next).where(columns.finished_at.is_(None))
    rows = conn.execute(query.order_by(columns.project_id, columns.created_at)).all()
    firsts: dict[str, str] = {}
    for project_id, operation_id, _ in rows:
        firsts.setdefault(project_id, operation_id)
    return {row.operation_id for row in rows if row.is_next}, set(firsts.values())


def cancel_one(conn: Connection, operation_id: str) -> None:
    operation = require_operation(conn, operation_id, lock=True)
    if not operation.state.is_final:
        save_operation(conn, cancel(operation, now=2.0))


def end_one(conn: Connection, held: Operation) -> bool:
    return save_completed(conn, complete(held, "me", now=2.0), held)


async def test_the_first_unfinished_operation_of_each_project_is_marked(store: Store) -> None:
    """Whatever is added, claimed, done and cancelled in whatever order, the mark is on the first and on no other."""
    draw, known, held = random.Random(7), list[str](), list[Operation]()
    for step in range(60):
        match draw.randrange(4):
            case 0 | 1:
                operation = new_operation(draw.choice("abc"), "batch", {}, now=1.0 + step, priority=draw.randrange(3))
                known.append((await store.write(partial(add_operation, operation=operation))).operation_id)
            case 2:
                held += await store.write(partial(claim_due, owner="me", now=500.0, lease=LEASE, limit=2))
                if held:
                    await store.write(partial(end_one, held=held.pop(draw.randrange(len(held)))))
            case _ if known:
                gone = known.pop(draw.randrange(len(known)))
                await store.write(partial(cancel_one, operation_id=gone))
                held = [each for each in held if each.operation_id != gone]
        marked, firsts = await store.read(marks)
        assert marked == firsts


async def test_parallel_writers_leave_no_project_without_a_next(new_store: Callable[[], Store]) -> None:
    """While some add, some cancel and some finish, nothing is ever left that nobody would claim."""
    store = new_store()
    await store.start()
    ended = asyncio.Event()

    async def add() -> None:
        for number in range(30):
            operation = new_operation("p", "batch", {}, now=1.0)
            await store.write(partial(add_operation, operation=operation))
            if number % 3 == 0:
                await store.write(partial(cancel_one, operation_id=operation.operation_id))

    async def work() -> None:
        while not ended.is_set() or await store.read(next_due) is not None:
            for held in await store.write(partial(claim_due, owner="me", now=500.0, lease=LEASE, limit=1)):
                await asyncio.gather(store.write(partial(end_one, held=held)), return_exceptions=True)

    async with asyncio.timeout(15), asyncio.TaskGroup() as group:
        workers = [group.create_task(work()) for _ in range(2)]
        await asyncio.gather(add(), add())
        ended.set()
        await asyncio.gather(*workers)
    unfinished = select(operations.c.operation_id).where(operations.c.finished_at.is_(None))
    assert await store.read(lambda conn: conn.execute(unfinished).all()) == []
    await store.close()


async def test_a_mark_that_is_missing_is_made_up_for(store: Store) -> None:
    """What a process has left that knew nothing of marks is found after the next start."""
    first, second = (new_operation("p", "batch", {}, now=now) for now in (1.0, 2.0))
    for operation in (first, second):
        await store.write(partial(add_operation, operation=operation))
    await store.write(lambda conn: conn.execute(operations.update().values(is_next=False)))
    assert await store.read(next_due) is None
    await store.write(mark_next)
    claimed = await store.write(partial(claim_due, owner="me", now=5.0, lease=LEASE, limit=5))
    assert [each.operation_id for each in claimed] == [first.operation_id]
    assert claimed[0].state is OperationState.RUNNING


async def test_claiming_reads_no_more_than_it_takes(sqlite_store: SqliteStore) -> None:
    """However much waits, the next operations come out of an index in their order, unsorted."""
    statement = room._CLAIMABLE.compile(dialect=sqlite.dialect(paramstyle="named"))
    plain = text(f"EXPLAIN QUERY PLAN {statement}").bindparams(bindparam("now", type_=Text))

    def plan(conn: Connection) -> str:
        values = {name: value for name, value in statement.params.items() if value is not None}
        return " / ".join(row.detail for row in conn.execute(plain, {"now": 1.0, "most": 4, **values}))

    assert "USING INDEX ix_operations_next" in (found := await sqlite_store.read(plan))
    assert "TEMP B-TREE" not in found
