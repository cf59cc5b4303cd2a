"""What the demo plays in front of: the real service as its own process, and a proxy that breaks connections to it."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from schemawire.cli.demo.plan import Plan
from schemawire.testing.chaos_proxy import ChaosProxy
from schemawire.testing.service_process import ServiceProcess


class Backdrop:
    """The service and the proxy, for as long as the block runs; leaving it stops both, however it is left.

    Args:
        folder: where the database and the log are kept.
        plan: how often and how connections are broken.
    """

    def __init__(self, folder: Path, plan: Plan) -> None:
        self._service = ServiceProcess(folder)
        self._proxy = ChaosProxy("127.0.0.1", self._service.port, **plan.chaos())
        self._open = AsyncExitStack()
        self.faults: Mapping[str, int] = {}
        """What the proxy did, by kind; complete once the block has been left."""

    async def __aenter__(self) -> Self:
        try:
            await self.start()
            await self._open.enter_async_context(self._proxy)
        except BaseException:
            self._service.kill()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._open.aclose()
            self.faults = self.faults_so_far
        finally:
            # Asked to finish where all went well, so that the store file is whole without its log beside it.
            self._service.stop() if error is None else self._service.kill()
