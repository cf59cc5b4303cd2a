"""`serve --workers`: several processes behind one address, replaced when they die, ended when the parent ends."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest
from tests.service.caller import create_entity

from schemawire.testing.service_process import free_port

KEY = "k" * 32


@contextmanager
def serving(url: str, folder: Path, port: int, *, workers: int = 3) -> Iterator[subprocess.Popen[bytes]]:
    """Run `schemawire serve --workers` until the end of the block."""
    settings = {"SCHEMAWIRE_DATABASE_URL": url, "SCHEMAWIRE_ADMIN_KEY": KEY, "HOME": str(folder)}
    command = [sys.executable, "-m", "schemawire", "serve", "--port", str(port), "--workers", str(workers)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, env={**os.environ, **settings}, stdout=subprocess.PIPE, stderr=log, cwd=folder
        )
        try:
            assert process.stdout is not None
            assert b"ready" in process.stdout.readline(), (folder / "log").read_text()[-2_000:]
            yield process
        finally:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


def children_of(pid: int) -> set[int]:
    """Return the ids of the service processes below a process."""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return {int(each) for each in found if b"spawn_main" in Path(f"/proc/{each}/cmdline").read_bytes()}


def wait_until(is_so: Callable[[], bool], seconds: float = 12.0) -> None:
    """Wait for something that other processes do."""
    until = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until, "it did not come about in time"
        time.sleep(0.05)


async def write_while(url: str, is_over: asyncio.Event, acknowledged: list[int]) -> None:
    """Create entities, each call on a connection of its own, and go on where one was cut."""
    headers = {"Authorization": f"Bearer {KEY}"}
    async with aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(force_close=True)) as session:
        step = 0
        while not is_over.is_set():
            step += 1
            body = {"projectId": "p", "sessionId": "s", "operations": [create_entity(f"E{step}")]}
            key = {"Idempotency-Key": f"key-{step}"}
            for _ in range(20):
                try:
                    async with session.post(f"{url}/api/domain-schema/batch", json=body, headers=key) as reply:
                        if reply.status == 200:
                            acknowledged.append((await reply.json())["version"])
                            break
                except aiohttp.ClientError:
                    pass
                await asyncio.sleep(0.05)


@pytest.mark.timeout(60)
async def test_a_dead_process_is_replaced_while_the_others_serve(postgres_url: str, tmp_path: Path) -> None:
    """After `kill -9` of one process, writes go on, none is lost or doubled, and soon there are as many as before."""
    port = free_port()
    with serving(postgres_url, tmp_path, port) as parent:
        before = children_of(parent.pid)
        assert len(before) == 3
        acknowledged: list[int] = []
        is_over = asyncio.Event()
        writing = asyncio.create_task(write_while(f"http://127.0.0.1:{port}", is_over, acknowledged))
        await asyncio.sleep(0.3)
        os.kill(min(before), signal.SIGKILL)
        await asyncio.to_thread(wait_until, lambda: len(children_of(parent.pid) - before) == 1)
        count = len(acknowledged)
        await asyncio.to_thread(wait_until, lambda: len(acknowledged) > count + 5)
        is_over.set()
        await writing
        assert acknowledged == list(range(1, len(acknowledged) + 1))
        parent.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(parent.wait, 15) == 0
        wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in before))


@pytest.mark.timeout(60)
def test_the_processes_end_with_their_parent(postgres_url: str, tmp_path: Path) -> None:
    """When the parent is killed, the others drain and end by themselves."""
    with serving(postgres_url, tmp_path, free_port(), workers=2) as parent:
        pids = children_of(parent.pid)
        assert len(pids) == 2
        parent.kill()
        wait_until(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in pids))


def test_a_file_is_not_served_by_several(tmp_path: Path) -> None:
    """On SQLite, `--workers` is refused with what to do, and nothing is made."""
    settings = {"SCHEMAWIRE_DATABASE_URL": f"sqlite:///{tmp_path / 'a.db'}", "SCHEMAWIRE_ADMIN_KEY": KEY}
    command = [sys.executable, "-m", "schemawire", "serve", "--workers", "2"]
    done = subprocess.run(command, env={**os.environ, **settings}, capture_output=True, text=True, check=False)
    assert done.returncode == 5
    assert "PostgreSQL" in done.stderr
    assert not (tmp_path / "a.db").exists()
