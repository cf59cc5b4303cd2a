"""Killing workers again and again: every acknowledged operation is carried out, and none of them twice."""

import asyncio
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.service.dispatch import busy_victim

from schemawire.service.dispatch import Dispatcher
from schemawire.service.operations import Operation, OperationState
from schemawire.service.store import SqliteStore, list_operations, list_versions, read_schema

ROOT = Path(__file__).parents[3]


def kill_while_working(path: Path, turn: int, after: int) -> set[str]:
    """Run a worker, kill it with SIGKILL after so many acknowledged submissions, and return all that it named."""
    command = [sys.executable, str(Path(busy_victim.__file__)), str(path), str(turn)]
    named: set[str] = set()
    surroundings = {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=surroundings) as process:
        assert process.stdout is not None
        for count, line in enumerate(process.stdout, 1):
            named |= {line.strip()} if line.endswith("\n") else set()  # the last one may be cut
            if count == after:
                process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    return named


async def finish_everything(store: SqliteStore) -> list[Operation]:
    """Work off what is left, and return every operation."""
    dispatcher = Dispatcher(store, busy_victim.execute, options=busy_victim.OPTIONS)
    await dispatcher.start()
    while True:
        found = await store.read(lambda conn: list_operations(conn, limit=1_000))
        if all(operation.state.is_final for operation in found):
            await dispatcher.stop()
            return found
        await asyncio.sleep(0.02)


async def run_rounds(path: Path, rounds: int) -> None:
    acknowledged: set[str] = set()
    for turn in range(rounds):
        acknowledged |= kill_while_working(path, turn, after=random.Random(turn).randint(1, 15))
    store = SqliteStore(path)
    await store.start()
    operations = await finish_everything(store)
    schema = await store.read(lambda conn: read_schema(conn, "p"))
    versions = await store.read(lambda conn: list_versions(conn, "p", limit=1_000))
    await store.close()
    assert acknowledged <= {operation.operation_id for operation in operations}
    assert {operation.state for operation in operations} == {OperationState.SUCCEEDED}
    wanted = sorted(str(operation.payload["entity"]) for operation in operations)
    assert sorted(entity.name for entity in schema.entities) == wanted
    assert len(versions) == len(operations)  # each took effect once, in a version of its own
    assert sorted(str(operation.result) for operation in operations) == sorted(str(each.version) for each in versions)


async def test_every_acknowledged_operation_is_carried_out_once(tmp_path: Path) -> None:
    """Two workers killed at work; the third finds everything that was promised."""
    await run_rounds(tmp_path / "a.db", rounds=2)


@pytest.mark.soak
@pytest.mark.timeout(600)
async def test_every_acknowledged_operation_is_carried_out_once_over_many_kills(tmp_path: Path) -> None:
    """The same over many rounds on one file."""
    await run_rounds(tmp_path / "a.db", rounds=30)
