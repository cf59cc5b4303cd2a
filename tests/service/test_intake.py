"""Operations that other systems publish: taken in once each, whoever dies; what cannot be is put aside."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.service import intake_victim
from tests.service.caller import create_entity

from schemawire.errors import ConfigurationInvalid
from schemawire.service.access import hash_key
from schemawire.service.app import build_backend
from schemawire.service.backend import Backend
from schemawire.service.intake import Intake
from schemawire.service.operations import Operation
from schemawire.service.store import KeyRecord, add_key, list_operations, read_schema
from schemawire.settings.service import ServiceSettings

if TYPE_CHECKING:
    from tests.servers.brokers import Brokers
    from tests.service.publishing import Mailbox

pytestmark = pytest.mark.timeout(60)
"""The first test of each broker waits for its start."""

ROOT = Path(__file__).parents[2]
ADMIN_KEY = "admin-key-of-these-tests-0123456789"
READ_KEY = "sw_read-key-of-these-tests-0123456789abcdefghij"
BROKERS = ("nats", "rabbitmq", "redis")


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A fresh queue on a real broker, and a fresh database."""

    kind: str
    url: str
    queue: str
    database: str

    def settings(self, **more: Any) -> ServiceSettings:
        return ServiceSettings(database_url=f"sqlite:///{self.database}", admin_key=ADMIN_KEY, **more)


@pytest.fixture(params=BROKERS)
def site(request: pytest.FixtureRequest, tmp_path: Path, brokers: "Brokers") -> Site:
    kind: str = request.param
    url = brokers.get(kind).url
    return Site(kind=kind, url=url, queue=f"intake.{uuid.uuid4().hex[:8]}", database=str(tmp_path / "schemas.db"))


@pytest.fixture
async def outside(site: Site) -> AsyncIterator["Mailbox"]:
    """The broker as another system sees it."""
    from tests.service.publishing import mailbox

    async with mailbox(site.kind, site.url) as opened:
        yield opened


@asynccontextmanager
async def taking_in(site: Site) -> AsyncIterator[Backend]:
    """Run a service that takes messages in."""
    backend = build_backend(site.settings(operation_poll_interval=0.05))
    async with backend.running():
        intake = Intake(backend, site.url, site.queue, name=uuid.uuid4().hex, redeliver_after=1.0)
        await intake.start()
        try:
            while not intake.is_connected:  # noqa: ASYNC110  # a connection has no event
                await asyncio.sleep(0.01)
            yield backend
        finally:
            await intake.stop()


def message(entity: str = "A", **more: Any) -> bytes:
    document = {
        "projectId": "shop",
        "operations": [create_entity(entity)],
        "authorization": f"Bearer {ADMIN_KEY}",
        **more,
    }
    return json.dumps({name: value for name, value in document.items() if value is not None}).encode()


async def operations_in(backend: Backend, count: int) -> list[Operation]:
    """Return the operations once so many have ended, and no more come."""
    while True:
        found = await backend.store.read(partial(list_operations, limit=1_000))
        if len(found) >= count and all(operation.state.is_final for operation in found):
            return found
        await asyncio.sleep(0.02)


async def entities_of(backend: Backend) -> list[str]:
    schema = await backend.store.read(partial(read_schema, project_id="shop"))
    return sorted(entity.name for entity in schema.entities)


async def test_a_message_becomes_one_operation_however_often_it_comes(site: Site, outside: "Mailbox") -> None:
    """The key tells a repeat, from the body, a header or the message's own id; its sender is who the key belongs to."""
    async with taking_in(site) as backend:
        for _ in range(3):
            await outside.send(site.queue, message("A", idempotencyKey="one"), {})
            await outside.send(site.queue, message("B"), {"Idempotency-Key": "two"})
        await outside.send(site.queue, message("C", authorization=None, idempotencyKey="three"), {
            "Authorization": f"Bearer {ADMIN_KEY}",
        })  # fmt: skip
        await outside.send(site.queue, message("D"), {}, "7-7")
        await operations_in(backend, 4)
        await outside.send(site.queue, message("E", idempotencyKey="last"), {})
        found = await operations_in(backend, 5)
        assert await entities_of(backend) == ["A", "B", "C", "D", "E"]
        assert {operation.principal for operation in found} == {"admin"}
        assert {operation.state.value for operation in found} == {"succeeded"}


async def test_what_cannot_be_worked_on_is_put_aside_with_its_reason(site: Site, outside: "Mailbox") -> None:
    """Malformed, unauthorised or contradictory: in the queue of the dead, without its key; what is good goes on."""
    async with taking_in(site) as backend:
        await backend.store.write(partial(add_key, record=reader(), sha256=hash_key(READ_KEY)))
        await outside.send(site.queue, message("A", idempotencyKey="first"), {})
        await operations_in(backend, 1)
        bad = {
            b"{": "invalid_json",
            b"\xff\xfe": "invalid_json",
            b"[]": "invalid_request",
            message(idempotencyKey="k", unknown=1): "invalid_request",
            message(idempotencyKey="k", projectId="../etc"): "invalid_project_id",
            message(idempotencyKey="k", operations=None): "invalid_request",
            message(idempotencyKey="k", authorization=None): "unauthenticated",
            message(idempotencyKey="k", authorization="Bearer sw_nobody-knows-this-key-0123456789"): "unauthenticated",
            message(idempotencyKey="k", authorization=f"Bearer {READ_KEY}"): "forbidden",
            message("B", idempotencyKey="first"): "idempotency_key_reused",
            message(idempotencyKey="k", operations=[{"operation": "explode", "data": {}}]): "operation_invalid",
            message(idempotencyKey="k", webhook="https://evil.example/"): "invalid_request",
        }
        for body in bad:
            await outside.send(site.queue, body, {})
        await outside.send(site.queue, message("Z", idempotencyKey="z"), {})
        dead = [await outside.take(f"{site.queue}.dead") for _ in bad]
        reasons = sorted(json.loads(letter)["reason"]["code"] for letter in dead)
        assert reasons == sorted(bad.values())
        assert all(json.loads(letter)["reason"]["fix"] for letter in dead)
        for secret in (ADMIN_KEY, READ_KEY, "sw_nobody"):
            assert secret not in b"".join(dead).decode()
        await operations_in(backend, 2)
        assert await entities_of(backend) == ["A", "Z"]


def reader() -> KeyRecord:
    scopes = frozenset({"read"})
    return KeyRecord(key_id="reader", name="reader", scopes=scopes, projects=None, created_at=time.time())


async def test_a_message_without_a_key_is_put_aside_unless_it_has_an_id(site: Site, outside: "Mailbox") -> None:
    """Nobody could tell a repeat; Redis names every entry, and the usual RabbitMQ client every message."""
    async with taking_in(site) as backend:
        await outside.send(site.queue, message("A"), {})
        if site.kind != "nats":
            await operations_in(backend, 1)
        else:
            dead = json.loads(await outside.take(f"{site.queue}.dead"))
            assert dead["reason"]["code"] == "invalid_request"
            assert "idempotencyKey" in dead["reason"]["fix"]


@pytest.mark.timeout(60)
async def test_a_process_killed_between_commit_and_acknowledgement_doubles_nothing(
    site: Site, outside: "Mailbox"
) -> None:
    """The message comes again, to somebody else, who finds its key."""
    from tests.service.publishing import mailbox

    async with taking_in(site):
        pass  # the queues are there
    command = [sys.executable, str(Path(intake_victim.__file__)), site.database, site.url, site.queue, ADMIN_KEY]
    surroundings = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])}
    with subprocess.Popen(command, cwd=ROOT, env=surroundings) as victim:  # noqa: ASYNC220  # it returns at once
        await outside.send(site.queue, message("A"), {"Idempotency-Key": "one"})
        assert await asyncio.to_thread(victim.wait, 40) == -signal.SIGKILL
    async with taking_in(site) as backend, mailbox(site.kind, site.url) as again:
        assert len(await operations_in(backend, 1)) == 1  # it was committed before the kill
        await again.send(site.queue, message("B"), {"Idempotency-Key": "two"})
        await operations_in(backend, 2)
        await asyncio.sleep(2.5)  # longer than a message may stay unacknowledged
        assert len(await operations_in(backend, 2)) == 2
        assert await entities_of(backend) == ["A", "B"]


def test_messages_without_a_broker_are_refused_at_the_start(tmp_path: Path) -> None:
    """A queue needs a broker, and its address must be one of a broker."""
    settings = ServiceSettings(database_url=f"sqlite:///{tmp_path / 'a.db'}", intake_queue="intake")
    with pytest.raises(ConfigurationInvalid, match="no broker"):
        build_backend(settings)
    with pytest.raises(ConfigurationInvalid, match="names no broker"):
        build_backend(settings.replace(broker_url="kafka://localhost"))
