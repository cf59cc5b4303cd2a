"""What all tests share: a test that needs something which is missing is skipped loudly, and fails in CI."""

import os
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.servers.brokers import Brokers
    from tests.servers.postgres import Databases

NEEDS = "needs "
"""A skip whose reason begins so says that a server or tool is missing here."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip for want of a server into a failure where everything must be there."""
    report = yield
    reason = report.longrepr[2] if report.skipped and isinstance(report.longrepr, tuple) else ""
    if os.environ.get("CI") and reason.removeprefix("Skipped: ").startswith(NEEDS):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped in CI: {reason}"
    return report


@pytest.fixture(scope="session")
def postgres_databases() -> Iterator["Databases"]:
    """Databases on one PostgreSQL server for the whole run: the one that the environment names, or a private one."""
    pytest.importorskip("asyncpg", reason="needs asyncpg")
    from tests.servers.postgres import VARIABLE, Databases, PostgresServer, find_binaries

    with ExitStack() as stack:
        url = os.environ.get(VARIABLE)
        if url is None:
            binaries = find_binaries()
            if binaries is None:
                pytest.skip(f"needs a PostgreSQL server: install one, or name it in {VARIABLE}")
            url = stack.enter_context(PostgresServer(binaries)).url()
        databases = Databases(url)
        stack.callback(databases.close)
        yield databases


@pytest.fixture
def postgres_url(postgres_databases: "Databases") -> Iterator[str]:
    """Give the address of a fresh database with all tables."""
    with postgres_databases.fresh() as url:
        yield url


@pytest.fixture(scope="session")
def brokers() -> Iterator["Brokers"]:
    """Message brokers for the whole run, each started when it is first asked for."""
    pytest.importorskip("faststream", reason="needs faststream")
    from tests.servers.brokers import Brokers

    started = Brokers()
    yield started
    started.close()
