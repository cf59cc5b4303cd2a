"""A real service, once as a process for the whole run and once fresh for tests that kill it."""

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.service.caller import Caller

from schemawire.testing.service_process import ServiceProcess

if TYPE_CHECKING:
    from tests.servers.postgres import Databases


@pytest.fixture(scope="session", params=["sqlite", "postgres"])
def shared_service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServiceProcess]:
    """One service on each engine for all tests that leave it running; each uses projects of its own."""
    with service_on(request.param, tmp_path_factory.mktemp("service"), request) as service:
        yield service


@contextmanager
def service_on(engine: str, folder: Path, request: pytest.FixtureRequest) -> Iterator[ServiceProcess]:
    """Run a service on a fresh database of an engine."""
    with ExitStack() as stack:
        environment = {}
        if engine == "postgres":
            databases: Databases = request.getfixturevalue("postgres_databases")
            environment["SCHEMAWIRE_DATABASE_URL"] = stack.enter_context(databases.fresh(migrated=False))
        yield stack.enter_context(ServiceProcess(folder, environment=environment))


@pytest.fixture
def own_service(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServiceProcess]:
    """A service for one test, which may kill it; on SQLite, unless the test names engines."""
    with service_on(getattr(request, "param", "sqlite"), tmp_path, request) as service:
        yield service


@pytest.fixture
async def call(shared_service: ServiceProcess) -> AsyncIterator[Caller]:
    """Send requests to the shared service with its admin key."""
    async with Caller(shared_service) as caller:
        yield caller
