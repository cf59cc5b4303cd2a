"""SIGTERM ends a service and a worker in order at any moment, also before they have come to work."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from schemawire.service.signals import stop_signals

COMMANDS = {
    "serve": ["schemawire", "serve"],
    "worker": ["schemawire", "worker"],
}


def launch(command: str, url: str, folder: Path) -> subprocess.Popen[bytes]:
    environment = {
        "SCHEMAWIRE_DATABASE_URL": url,
        "SCHEMAWIRE_ADMIN_KEY": "k" * 32,
        "SCHEMAWIRE_PORT": "0",
        "SCHEMAWIRE_METRICS_STORE": f"sqlite:///{folder}/metrics.db",
    }
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", *COMMANDS[command]],
            env={**os.environ, **environment}, stdout=log, stderr=log, cwd=folder,
        )  # fmt: skip


@pytest.mark.timeout(60)
@pytest.mark.parametrize("command", list(COMMANDS))
def test_a_process_that_waits_for_its_database_ends_when_it_is_told(command: str, tmp_path: Path) -> None:
    """The database takes the connection and says nothing; SIGTERM ends the start, and that is no failure."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(40)
        process = launch(command, f"postgresql://u@127.0.0.1:{silent.getsockname()[1]}/d", tmp_path)
        with silent.accept()[0]:
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0, (tmp_path / "log").read_text()[-2_000:]
    assert "Traceback" not in (tmp_path / "log").read_text()


@pytest.mark.timeout(60)
def test_a_worker_ends_in_order_at_whatever_moment_of_its_start(postgres_url: str, tmp_path: Path) -> None:
    """From the first second on, in steps through the whole start."""
    for delay in (0.8, 1.4):
        process = launch("worker", postgres_url, tmp_path)
        time.sleep(delay)
        process.send_signal(signal.SIGTERM)
        written = (tmp_path / "log").read_text
        assert process.wait(20) in (0, -signal.SIGTERM), written()[-2_000:]
        assert process.returncode == 0 or written() == ""  # the interpreter itself was not up yet
        assert "Traceback" not in written()


async def test_a_signal_cancels_and_a_cancellation_from_elsewhere_is_passed_on() -> None:
    """Told by a signal the block just ends, how often it came; cancelled by others it is cancelled."""

    async def wait(signals_sent: int) -> str:
        signals = stop_signals()
        with signals.caught():
            for _ in range(signals_sent):
                os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.Event().wait()
        return "ended"

    assert await asyncio.create_task(wait(1)) == "ended"
    assert await asyncio.create_task(wait(3)) == "ended"
    other = asyncio.create_task(wait(0))
    await asyncio.sleep(0)
    other.cancel()
    await asyncio.wait([other])
    assert other.cancelled()


async def test_who_can_drain_hears_the_signals_in_the_meantime() -> None:
    """Nothing is cancelled while somebody has taken them over."""
    heard = asyncio.Event()
    signals = stop_signals()
    with signals.caught():
        with signals.taken_over(heard.set):
            os.kill(os.getpid(), signal.SIGINT)
            await heard.wait()
        await asyncio.sleep(0)
