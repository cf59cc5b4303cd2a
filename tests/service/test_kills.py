"""SIGKILL of services and workers at random moments under load: nothing acknowledged is missing or doubled."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from tests.service.bombardment import Tally, WorkerProcess, bombard, reckon
from tests.service.caller import Caller

from schemawire.testing.service_process import ServiceProcess

LEASE = {"SCHEMAWIRE_OPERATION_LEASE": "2", "SCHEMAWIRE_LOG_LEVEL": "WARNING"}


async def run_on_sqlite(folder: Path, *, rounds: int) -> str:
    started = time.monotonic()
    with ServiceProcess(folder, environment=LEASE) as service:
        tally = await bombard(service, [partial(restart, service)], rounds=rounds, seed=rounds)
        async with Caller(service) as call:
            count = await reckon(call, tally)
    return _outcome(tally, rounds=rounds, count=count, seconds=time.monotonic() - started)


def _outcome(tally: Tally, *, rounds: int, count: int, seconds: float) -> str:
    return (
        f"{rounds} kills, {count} writes, {tally.repeats} repeats, slowest start {tally.slowest_start:.1f} s, "
        f"{seconds:.0f} s in all"
    )


def restart(service: ServiceProcess) -> None:
    """Kill the service and start it again; on a busy machine that takes its time."""
    service.kill()
    service.start()
    service.wait_ready(120.0)


@contextmanager
def on_postgres(folder: Path, url: str) -> Iterator[tuple[ServiceProcess, list[WorkerProcess]]]:
    """One service that carries nothing out, and two workers."""
    environment = {**LEASE, "SCHEMAWIRE_DATABASE_URL": url, "SCHEMAWIRE_RUN_OPERATIONS": "false"}
    with ServiceProcess(folder, environment=environment) as service:
        workers = [WorkerProcess(folder, environment) for _ in range(2)]
        for worker in workers:
            worker.start()
        try:
            yield service, workers
        finally:
            for worker in workers:
                worker.kill()


async def run_on_postgres(folder: Path, url: str, *, rounds: int) -> str:
    started = time.monotonic()
    with on_postgres(folder, url) as (service, workers):
        targets: list[Callable[[], None]] = [partial(restart, service), *(worker.restart for worker in workers)]
        tally = await bombard(service, targets, rounds=rounds, seed=rounds)
        async with Caller(service) as call:
            count = await reckon(call, tally)
        for worker in workers:
            worker.wait_ready()
            assert worker.stop() == 0
    return _outcome(tally, rounds=rounds, count=count, seconds=time.monotonic() - started)


@pytest.mark.timeout(90)
async def test_a_killed_service_on_sqlite_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """Batches and operations, repeated until they are acknowledged, while the one process dies twice."""
    await run_on_sqlite(tmp_path, rounds=2)


@pytest.mark.timeout(120)
async def test_killed_services_and_workers_on_postgres_lose_and_double_nothing(
    tmp_path: Path, postgres_url: str
) -> None:
    """The same with two workers beside the service: whoever dies, the others go on."""
    await run_on_postgres(tmp_path, postgres_url, rounds=3)


@pytest.mark.soak
@pytest.mark.timeout(1800)
async def test_fifty_kills_on_sqlite(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Fifty rounds on one file."""
    outcome = await run_on_sqlite(tmp_path, rounds=50)
    with capsys.disabled():
        print(f"\nSQLite: {outcome}")


@pytest.mark.soak
@pytest.mark.timeout(1800)
async def test_fifty_kills_on_postgres(tmp_path: Path, postgres_url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Fifty rounds on one database."""
    outcome = await run_on_postgres(tmp_path, postgres_url, rounds=50)
    with capsys.disabled():
        print(f"\nPostgreSQL: {outcome}")
