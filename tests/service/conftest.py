"""A real service, once as a process for the whole run and once fresh for tests that kill it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.service.caller import Caller

from schemawire.testing.service_process import ServiceProcess


@pytest.fixture(scope="session")
def shared_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """One service for all tests that leave it running; each uses projects of its own."""
    with ServiceProcess(tmp_path_factory.mktemp("service")) as service:
        yield service


@pytest.fixture
def own_service(tmp_path: Path) -> Iterator[ServiceProcess]:
    """A service for one test, which may kill it."""
    with ServiceProcess(tmp_path) as service:
        yield service


@pytest.fixture
async def call(shared_service: ServiceProcess) -> AsyncIterator[Caller]:
    """Send requests to the shared service with its admin key."""
    async with Caller(shared_service) as caller:
        yield caller
