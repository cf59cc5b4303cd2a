"""A process that is killed in the middle of an operation's effect: after its writes, before their commit.

Run as `python victim.py DATABASE`; it prints the operation's id once the effect is written.
"""

import asyncio
import sys
import time
from functools import partial

from sqlalchemy import Connection
from tests.service.store.samples import create, edit

from schemawire.service.dispatch import Dispatcher, DispatchOptions, Execution
from schemawire.service.operations import new_operation
from schemawire.service.store import SqliteStore, add_operation


async def main(path: str) -> None:
    """Submit one operation and hang in the transaction that carries it out."""
    store = SqliteStore(path)
    await store.start()
    operation = new_operation("p", "batch", {"entity": "A"}, now=time.time())
    await store.write(partial(add_operation, operation=operation))

    def hang(conn: Connection) -> None:
        edit("p", create("A"))(conn)
        sys.stdout.write(f"{operation.operation_id}\n")
        sys.stdout.flush()
        time.sleep(60)

    async def execute(execution: Execution) -> None:
        await execution.finish(hang)

    await Dispatcher(store, execute, options=DispatchOptions(lease=3600.0)).start()
    await asyncio.sleep(60)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
