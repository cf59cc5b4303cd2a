"""Where figures are kept over time: one face for every store, and the one that needs no other program.

Knows nothing of what is measured: it is given a function that reads all figures.
"""

import asyncio
import logging
import math
import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from schemawire.errors import ConfigurationInvalid, Failed
from schemawire.telemetry.history import History, HistoryConfig, HistoryStatistics
from schemawire.telemetry.instruments import Sample
from schemawire.telemetry.readings import Deltas, condensed
from schemawire.telemetry.rollups import TIERS, Tier
from schemawire.telemetry.series import Question, Track
from schemawire.telemetry.shipping import ShippingStatistics

_log = logging.getLogger("schemawire.telemetry")

Source = Callable[[], Iterable[Sample]]


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricStoreConfig:
    """How often figures are read, and how long they are kept.

    Args:
        interval: seconds between readings, above 0.
        retention: seconds for which hourly points are kept, from 3600; outside stores have their own.
        max_bytes: of the file, or of what waits for an outside store, from 1 MiB.
    """

    interval: float = 1.0
    retention: float = 400 * 86_400.0
    max_bytes: int = 128 << 20

    def __post_init__(self) -> None:
        if not 0 < self.interval < math.inf:
            raise ConfigurationInvalid(f"interval={self.interval!r} must be a number of seconds above 0")
        if not 3600 <= self.retention < math.inf:
            raise ConfigurationInvalid(f"retention={self.retention!r} must be a number of seconds from 3600")
        if self.max_bytes < 1 << 20:
            raise ConfigurationInvalid(f"max_bytes={self.max_bytes!r} must be a whole number from {1 << 20}")

    def tiers(self) -> tuple[Tier, ...]:
        """Return the tiers, none kept longer than the retention."""
        cut = [Tier(tier.step, min(tier.keep, int(self.retention))) for tier in TIERS]
        last = cut[-1]
        return (*(tier for tier in cut[:-1] if tier.keep < last.keep), last)


class MetricStore(Protocol):
    """Keeps the figures of one source and answers what they were, in the same way for every kind of store."""

    kind: str

    async def start(self) -> None:
        """Open it, and begin to read.

        Raises:
            Failed: it cannot be used.
        """

    def step_for(self, window: float, step: float) -> int:
        """Return the step that an answer will have.

        Raises:
            ValueError: window or step is out of range, or they ask for too many values.
        """

    async def answer(self, question: Question, *, window: float, step: float) -> list[Track]:
        """Return every series that a question asks for, a value for each step of the window, up to now.

        Args:
            question: which series.
            window: how far back, seconds.
            step: seconds for each value; a store may answer with a longer one.

        Raises:
            ValueError: window or step is out of range, or they ask for too many values.
            Failed: the store cannot be asked.
        """

    def statistics(self) -> HistoryStatistics | ShippingStatistics:
        """Return what became of the figures so far."""

    async def aclose(self) -> None:
        """Take a last reading and close. Safe to call twice."""


class LocalStore:
    """Keeps figures in a SQLite file of its own, which one process has open at a time.

    Args:
        path: of the file; its folder is made where it is missing.
        source: reads all figures.
        options: intervals and bounds.
        clock: seconds since 1970.
    """

    kind = "sqlite"

    def __init__(
        self, path: Path, source: Source, options: MetricStoreConfig, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._path = path
        self._source = source
        self._interval = options.interval
        self._clock = clock
        self._deltas = Deltas()
        bounds = HistoryConfig(
            tiers=options.tiers(), max_bytes=options.max_bytes, interval=max(1.0, options.interval), max_series=5000
        )
        self._history = History(path, bounds, clock=clock)
        self._task: asyncio.Task[None] | None = None
        self._lock = -1
        self._has_failed = False

    async def start(self) -> None:
        """Open the file and begin to read; see `MetricStore.start`."""
        if self._task is not None:
            return
        try:
            self._lock = _locked(self._path)
            await self._history.start()
        except BaseException:
            self._let_go()
            raise
        self.read()
        self._task = asyncio.create_task(self._read_forever(), name="schemawire-metrics")

    async def _read_forever(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            try:
                self.read()
            except Exception:  # a source that fails must not end the history of all the others
                if not self._has_failed:
                    _log.exception("figures could not be read")
                self._has_failed = True

    def read(self) -> None:
        """Take one reading; never waits."""
        now = self._clock()
        self._history.record_samples(self._deltas.of(condensed(self._source())), now)

    def step_for(self, window: float, step: float) -> int:
        """Return the step that an answer will have; see `MetricStore.step_for`."""
        return self._history.step_for(window, step)

    async def answer(self, question: Question, *, window: float, step: float) -> list[Track]:
        """Return every series that a question asks for; see `MetricStore.answer`."""
        return await self._history.answer(question, window=window, step=step)

    def statistics(self) -> HistoryStatistics:
        """Return the counts so far."""
        return self._history.statistics()

    async def aclose(self) -> None:
        """Take a last reading and close; what cannot be written any more is lost. Safe to call twice."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
            self.read()
        with suppress(Failed):
            await self._history.aclose()
        self._let_go()

    def _let_go(self) -> None:
        lock, self._lock = self._lock, -1
        if lock >= 0:
            os.close(lock)


def _locked(path: Path) -> int:
    """Return a descriptor that holds the file for this process, however it ends."""
    import fcntl  # not on Windows, where a client's metrics must work all the same

    lock = -1
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))  # for its owner alone, if it is new
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if lock >= 0:
            os.close(lock)
        fix = "Name another file in SCHEMAWIRE_METRICS_STORE; one process has such a file open at a time."
        raise Failed(f"The metrics file {path.name!r} cannot be opened: {error.strerror}", fix=fix) from error
    return lock
