"""Joins the figures to what they are about: which records they show, and how health and queues are looked at."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from sqlalchemy import Connection, func, select

from schemawire.errors import Failed
from schemawire.service.backend import Backend
from schemawire.service.figures import FigureOptions
from schemawire.service.health import check_health
from schemawire.service.logs import log
from schemawire.service.store.tables import operations
from schemawire.settings.service import ServiceSettings, data_folder
from schemawire.telemetry.metric_store import MetricStoreConfig
from schemawire.telemetry.outside_store import OFF, instance_labels
from schemawire.telemetry.slots import Slot, take_slot

AUTO = "auto"
JOB = "schemawire"


def watch(backend: Backend) -> Backend:
    """Have a backend's figures show its store and its operations, and look after its health; return the backend."""
    figures = backend.figures
    figures.watch("store", backend.store.statistics)
    figures.watch("operations", backend.dispatcher.statistics)
    if backend.models is not None:
        figures.watch("language_model", backend.models.totals)
    figures.look_after(judge=partial(_judge, backend), depths=partial(backend.store.read, count_unfinished))
    return backend


async def _judge(backend: Backend) -> Mapping[str, bool]:
    state = await check_health(backend)
    return {dependency.name: dependency.healthy for dependency in state.dependencies}


def count_unfinished(conn: Connection) -> dict[str, int]:
    """Return how many operations are in each state that is not final."""
    query = (
        select(operations.c.state, func.count()).where(operations.c.finished_at.is_(None)).group_by(operations.c.state)
    )
    return {row[0]: row[1] for row in conn.execute(query)}


def figure_options(settings: ServiceSettings) -> FigureOptions:
    """Return where figures are kept and what is good, as the settings say.

    By default they are in a file beside a SQLite database, else in the user's data folder.
    """
    place, slot = _place(settings)
    number = 0 if slot is None else slot.number
    if number:  # a worker beside the service, or one of several processes that share a port
        place = place.with_name(f"{place.stem}-{number}{place.suffix}")
    return FigureOptions(
        store_url=f"sqlite:///{place.with_suffix('.metrics.db')}" if settings.metrics_store == AUTO
        else settings.metrics_store,
        buffer=place.with_suffix(".metrics-buffer.db"),
        keeping=MetricStoreConfig(
            interval=settings.metrics_interval,
            retention=settings.metrics_retention,
            max_bytes=settings.metrics_max_bytes,
        ),
        labels=instance_labels(JOB, settings.port, number),
        slot=slot,
        availability=settings.metrics_availability_target,
        latency=settings.metrics_latency_target,
        slow=settings.metrics_latency_threshold,
    )  # fmt: skip


def _place(settings: ServiceSettings) -> tuple[Path, Slot | None]:
    """Return where files of figures go, and what keeps them for this process where several share a database."""
    scheme, _, path = settings.database_url.partition(":///")
    if scheme == "sqlite":
        return Path(path).absolute(), None
    place = data_folder() / f"schemawire-{settings.port}.db"
    if settings.metrics_store == OFF or settings.metrics_store.startswith("sqlite"):
        return place, None
    try:
        return place, take_slot(place)
    except Failed as error:
        log.warning("figures may not be kept", code=error.code, reason=error.message)
        return place, None
