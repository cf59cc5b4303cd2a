"""Whether the service can do its work now; knows nothing of who asks."""

import asyncio
import time
from typing import Literal

from sqlalchemy import Connection, text

from schemawire._version import __version__
from schemawire.protocol.messages import Dependency, HealthReply
from schemawire.service.backend import Backend
from schemawire.service.language import model_dependencies

PROBE_TIMEOUT = 2.0


async def check_health(backend: Backend) -> HealthReply:
    """Return the state of the service and of everything it needs."""
    needed, announcing = (await _probe_store(backend), _dispatcher(backend)), _announcing(backend)
    dependencies = (*needed, *announcing, *model_dependencies(backend.models))
    backend.figures.note_health({dependency.name: dependency.healthy for dependency in dependencies})
    status: Literal["healthy", "degraded", "unhealthy", "draining"] = "healthy"
    if not all(dependency.healthy for dependency in announcing):
        status = "degraded"
    if not all(dependency.healthy for dependency in needed):
        status = "unhealthy"
    if backend.is_draining:
        status = "draining"
    return HealthReply(
        status=status,
        version=__version__,
        store_id=backend.store.store_id,
        uptime=round(backend.recorder.uptime, 3),
        dependencies=dependencies,
    )


async def _probe_store(backend: Backend) -> Dependency:
    started = time.monotonic()
    try:
        async with asyncio.timeout(PROBE_TIMEOUT):
            await backend.store.read(_select_one)
    except Exception as error:  # whatever it is, the answer is that the store does not answer
        return Dependency(name="store", healthy=False, detail=type(error).__name__)
    return Dependency(name="store", healthy=True, response_time=round(time.monotonic() - started, 6))


def _select_one(conn: Connection) -> None:
    conn.execute(text("SELECT 1"))


def _dispatcher(backend: Backend) -> Dependency:
    if not backend.dispatcher.is_working:
        return Dependency(name="operations", healthy=True, detail="left to workers")
    running = backend.dispatcher.is_running
    return Dependency(name="operations", healthy=running, detail="" if running else "no worker is running")


def _announcing(backend: Backend) -> tuple[Dependency, ...]:
    """Return how operations are announced, where that can fail; without it they begin a little later."""
    name = backend.dispatcher.engine.name
    if name == "polling":
        return ()
    connected = backend.dispatcher.engine.statistics().is_connected
    detail = "" if connected else "not connected; operations are found by polling"
    return (Dependency(name=name, healthy=connected, detail=detail),)
