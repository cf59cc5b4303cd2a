"""Killing the process in the middle of writes: what was acknowledged is there once, and the store opens again."""

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Connection, select
from tests.service.store import victim

from schemawire.schema import schema_digest
from schemawire.service.store import SqliteStore, list_versions, read_schema
from schemawire.service.store.tables import idempotency

ROOT = Path(__file__).parents[3]


def kill_while_writing(path: Path, turn: int, acknowledged: dict[str, int], after: int) -> None:
    """Let a process write, kill it with SIGKILL after so many acknowledgements, and note all that it had given."""
    command = [sys.executable, str(Path(victim.__file__)), str(path), str(turn)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}
    ) as process:
        assert process.stdout is not None
        for count, line in enumerate(process.stdout, 1):
            if line.endswith("\n"):  # the last one may be cut
                name, version = line.split()
                acknowledged[name] = int(version)
            if count == after:
                process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL


async def prove(path: Path, acknowledged: dict[str, int]) -> None:
    """Open the store again and compare everything in it with what was acknowledged."""
    store = SqliteStore(path)
    await store.start()
    entries = await store.read(lambda conn: list_versions(conn, "p", limit=1_000))
    schema = await store.read(lambda conn: read_schema(conn, "p"))
    replies = await store.read(read_replies)
    assert await store.read(lambda conn: conn.exec_driver_sql("PRAGMA integrity_check").scalar_one()) == "ok"
    await store.close()
    stored = [entity.name for entity in schema.entities]
    assert len(stored) == len(set(stored))
    assert set(acknowledged) <= set(stored)
    assert replies.keys() == set(stored)  # a write and its reply are there together
    assert acknowledged.items() <= replies.items()
    assert sorted(replies.values()) == list(range(1, len(stored) + 1))
    assert entries[0].digest == schema_digest(schema)


def read_replies(conn: Connection) -> dict[str, int]:
    return {row.key: int(row.body) for row in conn.execute(select(idempotency.c.key, idempotency.c.body))}


async def run_rounds(path: Path, rounds: int) -> None:
    acknowledged: dict[str, int] = {}
    for turn in range(rounds):
        kill_while_writing(path, turn, acknowledged, after=random.Random(turn).randint(1, 60))
        await prove(path, acknowledged)


async def test_acknowledged_writes_survive_a_kill(tmp_path: Path) -> None:
    """After `kill -9` among concurrent writes, each acknowledged one is there exactly once, with its reply."""
    await run_rounds(tmp_path / "a.db", rounds=3)


@pytest.mark.soak
@pytest.mark.timeout(600)
async def test_acknowledged_writes_survive_many_kills(tmp_path: Path) -> None:
    """The same over many rounds on one file."""
    await run_rounds(tmp_path / "a.db", rounds=50)
