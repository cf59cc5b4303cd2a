"""A worker that is killed in the middle of an operation's effect: after its writes, before their commit.

Run as `python engine_victim.py ENGINE DATABASE BROKER`; it prints the id of the operation once its effect is written.
"""

import asyncio
import sys
import time

from sqlalchemy import Connection
from tests.service.dispatch.engines import QUICK, Site, effect_of, process

from schemawire.service.dispatch import Execution


async def main(site: Site) -> None:
    """Take an operation and hang in the transaction that carries it out."""

    async def execute(execution: Execution) -> None:
        def hang(conn: Connection) -> None:
            effect_of(execution.operation)(conn)
            sys.stdout.write(f"{execution.operation.operation_id}\n")
            sys.stdout.flush()
            time.sleep(60)

        await execution.finish(hang)

    async with process(site, execute, QUICK):
        await asyncio.sleep(60)


if __name__ == "__main__":
    asyncio.run(main(Site(engine_name=sys.argv[1], database=sys.argv[2], broker_url=sys.argv[3])))
