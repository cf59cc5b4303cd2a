"""Sends metrics to a time-series store that may be away: read every few seconds, kept on disk until it has them.

Each reading carries its own time, so sending it again says the same again: Prometheus ignores the repetition, and
VictoriaMetrics does with `-dedup.minScrapeInterval`.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self, TypeVar

from schemawire.errors import ConfigurationInvalid, SchemawireError
from schemawire.telemetry.instruments import Sample
from schemawire.telemetry.readings import Births
from schemawire.telemetry.remote_write import Target
from schemawire.telemetry.spool import Spool
from schemawire.transport import Client, TimeoutConfig
from schemawire.transport.message import HeaderSource

T = TypeVar("T")
_REFUSED = frozenset({400, 413, 422})
"""The store has read the batch and will never take it; any other answer may change with its configuration."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShippingConfig:
    """How often metrics are read and sent.

    Args:
        interval: seconds between readings, above 0.
        timeout: seconds for one delivery, above 0.
        max_bytes: of what waits on disk, from 64 KiB; above it the oldest readings go.
    """

    interval: float = 10.0
    timeout: float = 10.0
    max_bytes: int = 64 << 20

    def __post_init__(self) -> None:
        for name in ("interval", "timeout"):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigurationInvalid(f"{name}={getattr(self, name)!r} must be a number of seconds above 0")
        if self.max_bytes < 1 << 16:
            raise ConfigurationInvalid(f"max_bytes={self.max_bytes!r} must be a whole number from {1 << 16}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ShippingStatistics:
    """What became of the samples since the start; `waiting_bytes` may be from before it."""

    taken: int
    delivered: int
    refused: int
    """The store will not have them."""
    dropped: int
    """There was no room to keep them."""
    failed_deliveries: int
    waiting_bytes: int
    last_problem: str
    """Why the last delivery failed: a status or an error's code; empty when it did not."""


class Shipper:
    """Reads metrics at an interval and delivers them in order; belongs to one event loop.

    Args:
        endpoint: the store's base URL.
        target: how the store wants its samples: `RemoteWrite()` or `LineProtocol()`.
        buffer: the file where readings wait; its folder must exist. No two processes may share it.
        source: returns the samples, such as `metrics.samples`.
        options: intervals and bounds.
        headers: sent along, such as `Authorization`.
        labels: added to every series, such as `instance`, so that several programs can share a store.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        endpoint: str,
        target: Target,
        buffer: str | Path,
        source: Callable[[], Iterable[Sample]],
        *,
        options: ShippingConfig = ShippingConfig(),  # frozen
        headers: HeaderSource = (),
        labels: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._target = target
        self._source = source
        self._labels = tuple((labels or {}).items())
        self._births = Births()
        self._options = options
        self._clock = clock
        # No policies: the order of readings must hold, and what fails is sent again from disk.
        timeouts = TimeoutConfig(total=options.timeout)
        self._client = Client(endpoint, timeout=timeouts, retry=None, breaker=None, headers=headers, name="telemetry")
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="schemawire-shipping")
        self._path = Path(buffer)
        self._spool: Spool | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._keeping = asyncio.Lock()
        self._sending = asyncio.Lock()
        self._taken = self._delivered = self._refused = self._dropped = self._failed = 0
        self._problem = ""
        self._closed = False

    async def start(self) -> None:
        """Open the buffer, and begin to read and to deliver.

        Raises:
            Failed: the buffer cannot be used.
        """
        await self._in_thread(self._open)
        if not self._tasks:
            self._tasks = [asyncio.create_task(self._every(self.read)), asyncio.create_task(self._every(self.deliver))]

    async def _every(self, step: Callable[[], Awaitable[object]]) -> None:
        while True:
            await asyncio.sleep(self._options.interval)
            try:
                await step()
            except SchemawireError as error:
                self._problem = error.code
            except Exception as error:  # a source that fails must not keep what is there from being delivered
                self._problem = type(error).__name__

    def _open(self) -> Spool:
        if self._spool is None:
            self._spool = Spool(self._path, self._options.max_bytes)
        return self._spool

    async def read(self) -> None:
        """Take one reading and keep it on disk.

        Raises:
            Failed: it could not be kept, and is lost.

        *Cancelled:* what has been read is kept all the same.
        """
        now = self._clock()
        samples = [Sample(each.name, each.labels + self._labels, each.value) for each in self._source()]
        zeros, before = self._births.new(samples, now)
        self._taken += len(samples)
        await asyncio.shield(self._keep_both((zeros, before), (samples, now)))

    async def _keep_both(self, *readings: tuple[list[Sample], float]) -> None:
        async with self._keeping:
            for samples, at in readings:
                await self._keep(samples, at)

    async def _keep(self, samples: list[Sample], at: float) -> None:
        body = self._target.encode(samples, at)
        if not body:
            return
        try:
            self._dropped += await self._in_thread(lambda: self._open().put(body, len(samples)))
        except SchemawireError:
            self._dropped += len(samples)
            raise

    async def deliver(self) -> bool:
        """Send what waits, oldest first, until all is delivered or a delivery fails; tell whether all was.

        Raises:
            Failed: the buffer cannot be used.

        *Cancelled:* a batch under way stays in the buffer and is sent again.
        """
        async with self._sending:
            while (batch := await self._in_thread(lambda: self._open().first())) is not None:
                number, samples, body = batch
                if not await self._send(samples, body):
                    return False
                await self._in_thread(partial(self._open().remove, number, len(body)))
            return True

    async def _send(self, samples: int, body: bytes) -> bool:
        """Send one batch, and tell whether it is done with."""
        try:
            response = await self._client.request(
                "POST", self._target.path, params=self._target.params, headers=self._target.headers, body=body
            )
        except SchemawireError as error:
            self._failed += 1
            self._problem = error.code
            return False
        if response.is_success:
            self._delivered += samples
            self._problem = ""
            return True
        self._problem = f"status {response.status}"
        if response.status in _REFUSED:
            self._refused += samples
            return True
        self._failed += 1
        return False

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def statistics(self) -> ShippingStatistics:
        """Return the counts so far."""
        return ShippingStatistics(
            taken=self._taken,
            delivered=self._delivered,
            refused=self._refused,
            dropped=self._dropped,
            failed_deliveries=self._failed,
            waiting_bytes=0 if self._spool is None else self._spool.size_bytes,
            last_problem=self._problem,
        )

    async def aclose(self) -> None:
        """Take a last reading, try to deliver, and close; what is not delivered waits on disk for the next start.

        Safe to call twice.
        """
        if self._closed:
            return
        self._closed = True
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        try:
            await self.read()
            await self.deliver()
        except SchemawireError as error:
            self._problem = error.code
        finally:
            spool = self._spool
            if spool is not None:
                await self._in_thread(spool.close)
            self._thread.shutdown(wait=False)
            await self._client.aclose()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *details: object) -> None:
        await self.aclose()
