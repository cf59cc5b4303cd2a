"""All figures of one service: read at any moment, kept over time, judged against objectives; serves no address."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from schemawire.errors import SchemawireError
from schemawire.service.logs import log
from schemawire.service.metrics import labelled_gauge, objective_families, record_families, request_families
from schemawire.service.panels import drawn, listed
from schemawire.service.recorder import Recorder
from schemawire.telemetry.changes import HealthLog, HealthStatistics
from schemawire.telemetry.instruments import AnyFamily, Sample
from schemawire.telemetry.metric_store import MetricStore, MetricStoreConfig
from schemawire.telemetry.objectives import BurnMeter, Objective, ObjectiveState
from schemawire.telemetry.outside_store import OFF, open_metric_store
from schemawire.telemetry.series import Question, is_growing, summed
from schemawire.telemetry.slots import Slot

LOOK_INTERVAL = 10.0
"""Seconds between two looks at health and at the queue."""
_SEED_TIMEOUT = 2.0
_SEEDS = ((21_600, 10), (30 * 86_400, 3600))
"""Window and step of what an earlier process left for the objectives."""

Judge = Callable[[], Awaitable[Mapping[str, bool]]]
Depths = Callable[[], Awaitable[Mapping[str, int]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureOptions:
    """Where figures are kept and what is good."""

    store_url: str = OFF
    buffer: Path = Path("metrics-buffer.db")
    keeping: MetricStoreConfig = field(default_factory=MetricStoreConfig)
    labels: Mapping[str, str] = field(default_factory=dict)
    """Added to every series in an outside store."""
    slot: Slot | None = None
    """What keeps the files and the labels for this process alone; released at the end."""
    availability: float = 0.999
    latency: float = 0.99
    slow: float = 0.5
    """Seconds above which a request is slow."""


class Figures:
    """Joins counters, states and objectives; belongs to one event loop.

    A store of figures that cannot be used never keeps the service from working: it is logged, and the history is off.

    Args:
        recorder: counts requests.
        options: where figures are kept and what is good.
        clock: seconds since 1970.

    Raises:
        ConfigurationInvalid: the options name no store.
    """

    def __init__(
        self, recorder: Recorder, options: FigureOptions | None = None, *, clock: Callable[[], float] = time.time
    ) -> None:
        options = options or FigureOptions()
        recorder.slow = options.slow
        self.health = HealthLog(clock=clock)
        self._recorder = recorder
        self._clock = clock
        self._records: dict[str, Callable[[], Any]] = {}
        self._judge: Judge | None = None
        self._depths: Depths | None = None
        self._healthy: dict[str, float] = {}
        self._queue = {"queued": 0.0, "running": 0.0}
        self._meters = {
            "availability": BurnMeter(Objective(name="availability", target=options.availability)),
            "latency": BurnMeter(Objective(name="latency", target=options.latency, threshold=options.slow)),
        }
        self._told = dict.fromkeys(self._meters, (0, 0))
        self._store: MetricStore | None = open_metric_store(
            options.store_url, self.samples, buffer=options.buffer, options=options.keeping, labels=options.labels,
            clock=clock,
        )  # fmt: skip
        self._problem = "" if self._store else "no store of figures is set"
        self._slot = options.slot

    def watch(self, name: str, read: Callable[[], Any]) -> None:
        """Show the numbers of a record of statistics too, read anew each time, as metrics that begin with `name`."""
        self._records[name] = read

    def look_after(self, *, judge: Judge, depths: Depths) -> None:
        """Say how health (by dependency) and queues (by state) are asked for; both are asked every few seconds."""
        self._judge, self._depths = judge, depths

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """Keep figures over time while the block runs; never raises for want of a store."""
        await self._open()
        task = asyncio.create_task(self._look_forever(), name="schemawire-figures")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
            if self._store is not None:
                await self._store.aclose()
            if self._slot is not None:
                self._slot.release()

    async def _open(self) -> None:
        if self._store is None:
            return
        try:
            await self._store.start()
        except SchemawireError as error:
            log.warning("figures are not kept", code=error.code, reason=error.message, fix=error.fix)
            store, self._store, self._problem = self._store, None, error.message
            await store.aclose()
            return
        with suppress(SchemawireError, TimeoutError):
            async with asyncio.timeout(_SEED_TIMEOUT):
                await self._seed(self._store)

    async def _seed(self, store: MetricStore) -> None:
        """Tell the meters what was counted before this process began."""
        for window, step in _SEEDS:
            total, bad = [
                summed(await store.answer(Question(metric=f"schemawire_slo_{name}_total"), window=window, step=step),
                       ("objective",))
                for name in ("requests", "bad_requests")
            ]  # fmt: skip
            for name, meter in self._meters.items():
                add = meter.add_fine if step < 3600 else meter.add_coarse
                failed = bad.get((name,), {})
                for at, count in total.get((name,), {}).items():
                    add(at - step / 2, round(count), round(failed.get(at, 0.0)))

    async def _look_forever(self) -> None:
        while True:
            try:
                await self._look()
                self.objectives()
            except Exception:  # whatever it is, the next look may find better
                log.exception("figures could not be looked at")
            await asyncio.sleep(LOOK_INTERVAL)

    async def _look(self) -> None:
        if self._judge is not None:
            self.note_health(await self._judge())
        if self._depths is not None:
            with suppress(SchemawireError):  # the health check says so already
                found = await self._depths()
                self._queue = {state: float(found.get(state, 0)) for state in {*self._queue, *found}}

    def note_health(self, healthy: Mapping[str, bool]) -> None:
        """Take in how each dependency is; changes are remembered."""
        self._healthy = {name: float(is_well) for name, is_well in healthy.items()}
        for name, is_well in healthy.items():
            self.health.note(name, "healthy" if is_well else "unhealthy", healthy=is_well)

    def objectives(self) -> list[ObjectiveState]:
        """Return how each objective stands now."""
        now, totals = self._clock(), self._totals()
        for name, meter in self._meters.items():
            (total, bad), (before, bad_before) = totals[name], self._told[name]
            meter.add(now, total - before, bad - bad_before)
        self._told = totals
        return [meter.state(now) for meter in self._meters.values()]

    def _totals(self) -> dict[str, tuple[int, int]]:
        counted = self._recorder
        return {"availability": (counted.judged, counted.errors), "latency": (counted.timed, counted.late)}

    def families(self) -> list[AnyFamily]:
        """Return every metric as it is now."""
        found = [*request_families(self._recorder)]
        for name, read in self._records.items():
            found += record_families(f"schemawire_{name}", read())
        if self._store is not None:
            found += record_families("schemawire_metrics_store", self._store.statistics())
        found += objective_families(self.objectives(), self._totals())
        found.append(labelled_gauge("schemawire_healthy", "Whether a dependency is well.", "dependency", self._healthy))
        unwell = float(sum(value == 0 for value in self._healthy.values()))
        found.append(
            labelled_gauge("schemawire_unhealthy_dependencies", "How many are not well.", "of", {"all": unwell})
        )
        found.append(labelled_gauge("schemawire_operations_queue", "Unfinished operations.", "state", self._queue))
        return [family for family in found if next(family.samples(), None)]

    def samples(self) -> Iterator[Sample]:
        """Yield every number as it is now."""
        for family in self.families():
            yield from family.samples()

    def health_statistics(self) -> HealthStatistics:
        """Return the latest changes of health."""
        return self.health.statistics()

    async def history(self, window: int, step: int, metric: str | None = None) -> dict[str, Any]:
        """Return what the figures were; where the store cannot be asked, why.

        Args:
            window: how far back, seconds.
            step: seconds of each point; the answer says where it had to be longer.
            metric: every series of this metric in place of the usual lines.

        Raises:
            ValueError: window, step or metric make no sense.
        """
        if self._store is None:
            return {"store": OFF, "window": window, "step": step, "problem": self._problem, "lines": {}}
        length = self._store.step_for(window, step)
        question = None if metric is None else Question(metric=metric)
        ask = partial(self._store.answer, window=window, step=length)
        found: dict[str, Any] = {"store": self._store.kind, "window": window, "step": length}
        try:
            if question is None:
                return {**found, "lines": await drawn(ask, length)}
            kind = "growth" if is_growing(question.metric) else "last"
            return {**found, "metric": metric, "kind": kind, "series": listed(await ask(question))}
        except SchemawireError as error:
            return {**found, "problem": error.message, "lines": {}}
