"""What the demo plays in front of: the real service as its own process, and a proxy that breaks connections to it."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from schemawire.errors import Failed
from schemawire.testing.chaos_proxy import ChaosProxy
from schemawire.testing.child_process import ServiceDidNotStart
from schemawire.testing.service_process import ServiceProcess
from schemawire.testing.toxics import BlackHole, Toxic

_POLL_INTERVAL = 0.002


class Backdrop:
    """The service and the proxy, for as long as the block runs; leaving it ends both, however it is left.

    Args:
        folder: where the database and the log are kept.
        toxics: what goes wrong on the connections.
        seed: of the faults.
    """

    def __init__(self, folder: Path, toxics: tuple[Toxic, ...], seed: int) -> None:
        self._service = ServiceProcess(folder.absolute())  # the process gets the folder as its own
        self._proxy = ChaosProxy("127.0.0.1", self._service.port, *toxics, seed=seed)
        self._toxics = toxics

    @property
    def url(self) -> str:
        """The proxy's address: all that the client knows."""
        return self._proxy.url

    @property
    def key(self) -> str:
        """The service's API key."""
        return self._service.admin_key

    @property
    def database(self) -> Path:
        """The store file."""
        return self._service.database_path

    @property
    def log(self) -> Path:
        """The service's log, across its restart."""
        return self._service.log_path

    @property
    def is_running(self) -> bool:
        """Whether the service process is alive."""
        return self._service.is_running

    @property
    def process_id(self) -> int:
        """The service's process."""
        return self._service.pid

    def describe(self) -> str:
        """Return who listens where."""
        return f"proxy {self._proxy.url} → service {self._service.base_url}, process {self._service.pid}"

    def faults(self) -> Mapping[str, int]:
        """Return on how many connections each kind of fault took effect; the held replies of the kill are not in it."""
        found = self._proxy.statistics().toxics
        return {toxic.kind: found.get(toxic.kind, 0) for toxic in self._toxics}

    def connections(self) -> int:
        """Return how many connections the client has opened."""
        return self._proxy.statistics().connections

    async def __aenter__(self) -> Self:
        try:
            await self.start()
            await self._proxy.start()
        except BaseException:
            self._service.kill()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._proxy.stop()
        finally:
            if error is None:
                await asyncio.to_thread(self._service.stop)  # asked to finish: the proof reads a file at rest
            else:
                self._service.kill()

    async def start(self) -> None:
        """Start the service and return once it answers.

        Raises:
            Failed: it does not start; the message holds the end of its log.

        *Cancelled:* leaving the block ends the process, and with it the thread that waits for it.
        """
        self._service.start()
        try:
            await asyncio.to_thread(self._service.wait_ready)
        except ServiceDidNotStart as error:
            raise Failed(str(error), fix="The log above says why; `schemawire serve` shows it too.") from error

    async def kill_holding_replies(self, limit: float) -> int:
        """End the service with SIGKILL at the worst moment: writes are committed and their replies are lost.

        From now on the proxy swallows what the service answers. As soon as it has swallowed something, the service is
        killed and every connection is reset.

        Args:
            limit: seconds after which the service is killed even if nothing was swallowed.

        Returns:
            How many replies were swallowed.
        """
        self._proxy.toxics = (BlackHole(),)
        end = asyncio.get_running_loop().time() + limit
        while not self._swallowed() and asyncio.get_running_loop().time() < end:  # noqa: ASYNC110  # the proxy only counts
            await asyncio.sleep(_POLL_INTERVAL)
        self._service.kill()
        await self._proxy.cut_all()
        self._proxy.toxics = self._toxics
        return self._swallowed()

    def _swallowed(self) -> int:
        return self._proxy.statistics().toxics.get(BlackHole.kind, 0)
