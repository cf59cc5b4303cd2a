"""What a service says and refuses about brokers and workers: missing extras, wrong addresses, a broker that is away."""

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from schemawire.errors import ConfigurationInvalid
from schemawire.service.app import build_backend
from schemawire.service.dispatch.brokers.link import broker_class
from schemawire.service.health import check_health
from schemawire.service.worker import work
from schemawire.settings.service import ServiceSettings
from schemawire.testing.service_process import free_port


def settings_for(folder: Path, **more: Any) -> ServiceSettings:
    return ServiceSettings(database_url=f"sqlite:///{folder / 'schemas.db'}", admin_key="k" * 32, **more)


@pytest.mark.parametrize(("url", "extra"), [("nats://h:1", "nats"), ("amqp://h", "rabbitmq"), ("redis://h", "redis")])
def test_a_missing_extra_is_named(url: str, extra: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to install; nothing was opened."""
    for name in [name for name in sys.modules if name.startswith("schemawire.service.dispatch.brokers.")]:
        if name.rpartition(".")[2] in ("nats", "rabbitmq", "redis"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "faststream", None)
    with pytest.raises(ConfigurationInvalid) as caught:
        broker_class(url)
    assert caught.value.fix == f'Run: pip install "schemawire[server,{extra}]"'


def test_an_address_of_no_broker_is_refused(tmp_path: Path) -> None:
    """At the start, and not when the first operation comes."""
    with pytest.raises(ConfigurationInvalid, match="names no broker") as caught:
        build_backend(settings_for(tmp_path, broker_url="kafka://user:hush@localhost"))
    assert "hush" not in str(caught.value)


async def test_a_broker_that_is_away_degrades_and_stops_nothing(tmp_path: Path) -> None:
    """The service is ready, says what is missing, counts it, and works its operations off."""
    backend = build_backend(settings_for(tmp_path, broker_url=f"nats://127.0.0.1:{free_port()}"))
    async with backend.running():
        health = await check_health(backend)
        assert health.status == "degraded"
        (broker,) = [part for part in health.dependencies if part.name == "broker"]
        assert not broker.healthy
        assert "polling" in broker.detail
        assert not backend.dispatcher.statistics().engine_connected
        assert backend.dispatcher.is_running
        started = time.monotonic()
    assert time.monotonic() - started < 5.0  # stopping does not wait for who is not there


async def test_a_worker_refuses_sqlite(tmp_path: Path) -> None:
    """The file belongs to one process; the refusal says what to use, and touches nothing."""
    with pytest.raises(ConfigurationInvalid, match="SQLite") as caught:
        await work(settings_for(tmp_path))
    assert "postgresql://" in (caught.value.fix or "")
    assert os.listdir(tmp_path) == []


@pytest.mark.timeout(60)
async def test_a_worker_tells_that_it_is_ready_and_drains_when_it_is_cancelled(
    postgres_url: str, tmp_path: Path
) -> None:
    """The ready file is there exactly while it works; its port serves health checks and nothing else."""
    import aiohttp

    settings = ServiceSettings(database_url=postgres_url, admin_key="k" * 32)
    port, ready_file, ready = free_port(), tmp_path / "ready", asyncio.Event()
    working = asyncio.create_task(work(settings, health_port=port, ready_file=ready_file, on_ready=ready.set))
    await ready.wait()
    assert ready_file.exists()
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        async with session.get("/health/ready") as reply:
            assert reply.status == 200
        async with session.get("/api/domain-schema", headers={"Authorization": "Bearer " + "k" * 32}) as reply:
            assert reply.status == 404
    working.cancel()
    await asyncio.wait([working])
    assert not ready_file.exists()
    await asyncio.sleep(0.01)
