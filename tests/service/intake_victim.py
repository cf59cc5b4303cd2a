"""A process that takes a message in and dies after the commit, before the message is acknowledged.

Run as `python intake_victim.py DATABASE BROKER QUEUE KEY`.
"""

import asyncio
import os
import signal
import sys

from schemawire.service.app import build_backend
from schemawire.service.dispatch.brokers import Letter, Verdict
from schemawire.service.intake import Intake
from schemawire.settings.service import ServiceSettings


class Dying(Intake):
    """Takes one message in, and dies."""

    async def _receive(self, letter: Letter) -> Verdict:
        await super()._receive(letter)
        os.kill(os.getpid(), signal.SIGKILL)
        return Verdict.DONE


async def main(database: str, broker: str, queue: str, key: str) -> None:
    """Wait for the message."""
    settings = ServiceSettings(database_url=f"sqlite:///{database}", admin_key=key, run_operations=False)
    backend = build_backend(settings)
    async with backend.running():
        intake = Dying(backend, broker, queue, name="victim", redeliver_after=1.0)
        await intake.start()
        await asyncio.sleep(60)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
