"""The command line with and without a backend, and one real service for all of these tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.command_line import CommandLine

from schemawire.testing.service_process import ServiceProcess


@pytest.fixture
def cli(tmp_path: Path) -> CommandLine:
    """The command line without a backend."""
    return CommandLine(tmp_path, {"BACKEND_SERVICE_URL": "http://127.0.0.1:9"})


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """One real service for the tests of this folder; each test uses projects of its own."""
    with ServiceProcess(tmp_path_factory.mktemp("service")) as running:
        yield running


@pytest.fixture
def online(tmp_path: Path, service: ServiceProcess) -> CommandLine:
    """The command line with a backend and a key."""
    return CommandLine(tmp_path, {"BACKEND_SERVICE_URL": service.base_url, "BACKEND_API_KEY": service.admin_key})
