"""The history of every figure, in a bounded SQLite file: recorded in memory, written by a thread once a second.

Knows neither events nor metrics: it takes names and numbers.
"""

import asyncio
import math
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Self, TypeVar, assert_never

from schemawire.errors import Closed, ConfigurationInvalid, Failed
from schemawire.telemetry.history_file import HistoryFile
from schemawire.telemetry.instruments import OVERFLOW, Sample
from schemawire.telemetry.rollups import TIERS, Point, Tier, require_range, require_tiers, rolled, tier_for
from schemawire.telemetry.series import LONGEST_KEY, Question, Taken, Track, parsed_key, series_key
from schemawire.telemetry.shown import shown

T = TypeVar("T")
_FORGET_EVERY = 60.0
_SMALLEST = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryConfig:
    """Bounds of a history.

    Args:
        tiers: from fine to coarse, each a multiple of the one before and kept longer.
        max_bytes: of the file, from 1 MiB; when it is nearly full the oldest points go.
        max_series: from 1; what comes later is recorded as the series `overflow`.
        max_pending: points that wait to be written, from 1; more are left out and counted.
        interval: seconds between writes, above 0.
    """

    tiers: tuple[Tier, ...] = TIERS
    max_bytes: int = 256 << 20
    max_series: int = 2000
    max_pending: int = 200_000
    interval: float = 1.0

    def __post_init__(self) -> None:
        require_tiers(self.tiers)
        for name, low in (("max_bytes", _SMALLEST), ("max_series", 1), ("max_pending", 1)):
            if getattr(self, name) < low:
                raise ConfigurationInvalid(f"{name}={getattr(self, name)!r} must be a whole number from {low}")
        if not 0 < self.interval < math.inf:
            raise ConfigurationInvalid(f"interval={self.interval!r} must be a number of seconds above 0")


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryStatistics:
    """What became of the measurements so far."""

    recorded: int
    left_out: int
    """Not numbers, or more than may wait."""
    pending: int
    """Points in memory that are not written yet."""
    series: int
    writes: int
    failed_writes: int
    used_bytes: int
    """Of the file, as of the last write."""


class History:
    """Records numbers and answers what they were; belongs to one event loop, and to no other process while it writes.

    A point is written at most `interval` after it was measured; a process that is killed loses that much. A clock that
    goes backwards adds to points that are there already.

    Args:
        path: of the SQLite file; its folder must exist.
        options: bounds.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        path: str | Path,
        options: HistoryConfig = HistoryConfig(),  # frozen
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._path = Path(path)
        self._options = options
        self._clock = clock
        # Invariant: every recorded number is in `_pending`, on its way to the file, in the file, or left out.
        self._pending: dict[str, dict[int, Point]] = {}
        self._points = 0
        self._names: set[str] = set()
        self._recorded = self._left_out = self._writes = self._failed = self._used = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="schemawire-history")
        self._file: HistoryFile | None = None
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self._next_forget = 0.0

    def record(self, series: str, value: float, at: float | None = None) -> None:
        """Take in one number; never waits.

        Args:
            series: its name, such as `calls{outcome="success"}`.
            value: a finite number; any other is left out.
            at: seconds since 1970; now, if not given.
        """
        self._recorded += 1
        moment = self._clock() if at is None else at
        try:
            second = int(moment // 1)
            point = self._pending[series][second]
        except (KeyError, ValueError, OverflowError):
            self._record_new(series, value, moment)
            return
        if math.isfinite(value):
            point.add(value)
        else:
            self._left_out += 1

    def _record_new(self, series: str, value: float, moment: float) -> None:
        is_usable = math.isfinite(value) and math.isfinite(moment) and abs(moment) < 1 << 40
        if not is_usable or self._points >= self._options.max_pending:
            self._left_out += 1
            return
        points = self._pending.setdefault(self._admitted(series), {})
        second = math.floor(moment)
        if second in points:
            points[second].add(value)
        else:
            points[second] = Point(second, 1, value, value, value, value)
            self._points += 1

    def _admitted(self, series: str) -> str:
        series = shown(series, LONGEST_KEY)
        if series in self._names:
            return series
        if len(self._names) >= self._options.max_series:
            return OVERFLOW
        self._names.add(series)
        return series

    def record_samples(self, samples: Iterable[Sample], at: float | None = None) -> None:
        """Take in a reading of metrics, each series by its name and labels, all at one moment: now, if not given."""
        now = self._clock() if at is None else at
        for sample in samples:
            self.record(series_key(sample.name, sample.labels), sample.value, now)

    async def start(self) -> None:
        """Open the file and begin to write to it.

        Raises:
            Failed: the file cannot be used.
        """
        await self._in_thread(self._open)
        self._names.update(await self._in_thread(lambda: self._open().names()))
        if self._task is None:
            self._task = asyncio.create_task(self._write_forever(), name="schemawire-history")

    def _open(self) -> HistoryFile:
        if self._file is None:
            self._file = HistoryFile(self._path, self._options.tiers, self._options.max_bytes)
        return self._file

    async def _write_forever(self) -> None:
        while True:
            await asyncio.sleep(self._options.interval)
            try:
                await self.flush()
            except Failed:  # counted; the numbers stay in memory, and the next turn tries again
                continue

    async def flush(self) -> None:
        """Write what is pending.

        Raises:
            Failed: nothing was written; it is pending again.

        *Cancelled:* the write goes on, and what it does not write is pending again.
        """
        batch, self._pending, self._points = self._pending, {}, 0
        if not batch:
            return
        writing = asyncio.ensure_future(self._in_thread(lambda: self._write(batch)))
        writing.add_done_callback(lambda done: self._settle(batch, done))
        await asyncio.shield(writing)

    def _write(self, batch: dict[str, dict[int, Point]]) -> int:
        file = self._open()
        file.write({name: points.values() for name, points in batch.items()})
        now = self._clock()
        if now >= self._next_forget or now < self._next_forget - 2 * _FORGET_EVERY:
            self._next_forget = now + _FORGET_EVERY
            file.forget(int(now))
        return file.used_bytes()

    def _settle(self, batch: dict[str, dict[int, Point]], done: "asyncio.Future[int]") -> None:
        if not done.cancelled() and done.exception() is None:
            self._writes += 1
            self._used = done.result()
            return
        self._failed += 1
        newer, self._pending, self._points = self._pending, {}, 0
        for source in (batch, newer):
            for name, points in source.items():
                self._take_back(name, points)

    def _take_back(self, name: str, points: dict[int, Point]) -> None:
        kept = self._pending.setdefault(name, {})
        for second, point in points.items():
            if second in kept:
                kept[second].merge(point)
            elif self._points < self._options.max_pending:
                kept[second] = point
                self._points += 1
            else:
                self._left_out += point.count

    async def query(self, series: str, *, window: float, step: float, end: float | None = None) -> list[Point]:
        """Return what was measured, oldest first; steps without a measurement are left out.

        Args:
            series: its name.
            window: how far back, seconds.
            step: seconds of each point; it becomes longer where only coarser points reach back that far.
            end: seconds since 1970; now, if not given.

        Raises:
            ValueError: window or step is out of range, or they ask for too many points.
            Failed: the file cannot be used.
        """
        found, _ = await self._read([series], window, step, end)
        return found.get(series, [])

    async def answer(self, question: Question, *, window: float, step: float, end: float | None = None) -> list[Track]:
        """Return every series that a question asks for; see `query`. Counters must be recorded as growth."""
        if not self._names:
            self._names.update(await self.series())
        wanted = []
        for key in sorted(self._names):
            name, labels = parsed_key(key)
            if question.fits(name, dict(labels)):
                wanted.append(key)
        found, length = await self._read(wanted, window, step, end)
        return [
            Track(*parsed_key(key), tuple((point.at + length, _taken(point, question.kind)) for point in points))
            for key, points in found.items()
        ]

    def step_for(self, window: float, step: float) -> int:
        """Return the step that an answer will have: a longer one where only coarser points reach back that far.

        Raises:
            ValueError: window or step is out of range, or they ask for too many points.
        """
        seconds, length = require_range(window, step)
        tier = tier_for(self._options.tiers, seconds, length)
        return -(-length // tier.step) * tier.step

    async def _read(
        self, names: list[str], window: float, step: float, end: float | None
    ) -> tuple[dict[str, list[Point]], int]:
        seconds, _ = require_range(window, step)
        length = self.step_for(window, step)
        tier = tier_for(self._options.tiers, seconds, length)
        await self.flush()
        until = math.floor(self._clock() if end is None else end) + 1
        begin = until - seconds
        # A step far longer than the window would begin long before anything that is kept: nothing is looked for there.
        begin = max(begin - begin % length, until - until % tier.step - tier.keep)
        found = await self._in_thread(lambda: self._open().read_all(names, tier, begin, until))
        return {name: rolled(points, length) for name, points in found.items()}, length

    async def series(self) -> list[str]:
        """Return the names of all series, sorted.

        Raises:
            Failed: the file cannot be used.
        """
        await self.flush()
        return await self._in_thread(lambda: self._open().names())

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if self._closed:
            raise Closed("The history has been closed.")
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def statistics(self) -> HistoryStatistics:
        """Return the counts so far."""
        return HistoryStatistics(
            recorded=self._recorded,
            left_out=self._left_out,
            pending=self._points,
            series=len(self._names),
            writes=self._writes,
            failed_writes=self._failed,
            used_bytes=self._used,
        )

    async def aclose(self) -> None:
        """Write what is pending and close the file. Safe to call twice.

        Raises:
            Failed: what was pending could not be written; the file is closed all the same.
        """
        if self._closed:
            return
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        try:
            await self.flush()
        finally:
            file, self._closed = self._file, True
            if file is not None:
                await asyncio.get_running_loop().run_in_executor(self._thread, file.close)
            self._thread.shutdown(wait=False)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *details: object) -> None:
        await self.aclose()


def _taken(point: Point, taken: Taken) -> float:
    match taken:
        case Taken.LAST:
            return point.last
        case Taken.MEAN:
            return point.mean
        case Taken.HIGHEST:
            return point.high
        case Taken.GROWTH:
            return point.total
        case _:
            assert_never(taken)
