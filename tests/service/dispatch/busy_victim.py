"""A process that submits operations and works them off until it is killed, saying what it acknowledged.

Run as `python busy_victim.py DATABASE ROUND`; it prints the id of each operation whose submission is durable.
"""

import asyncio
import sys
import time
from functools import partial

from sqlalchemy import Connection
from tests.service.store.samples import create, edit

from schemawire.service.dispatch import Dispatcher, DispatchOptions, Execution
from schemawire.service.operations import Operation, new_operation
from schemawire.service.store import SqliteStore, add_operation

OPTIONS = DispatchOptions(concurrency=4, lease=3600.0, poll_interval=0.05)


async def execute(execution: Execution) -> None:
    """Create the entity that the operation names; a second time would be refused."""
    await execution.finish(partial(apply_payload, operation=execution.operation))


def apply_payload(conn: Connection, operation: Operation) -> int:
    """Carry out the operation and return the version."""
    return edit("p", create(str(operation.payload["entity"])))(conn).entry.version


async def main(path: str, turn: str) -> None:
    """Submit without end while the dispatcher works."""
    store = SqliteStore(path)
    await store.start()
    dispatcher = Dispatcher(store, execute, options=OPTIONS)
    await dispatcher.start()
    for number in range(100_000):
        operation = new_operation("p", "batch", {"entity": f"E{turn}_{number}"}, now=time.time(), max_attempts=1_000)
        await store.write(partial(add_operation, operation=operation))
        dispatcher.wake()
        sys.stdout.write(f"{operation.operation_id}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
