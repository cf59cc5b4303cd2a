"""Sixteen writers on one project at once, through one process or four: nothing lost, nothing doubled, no gap."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest
from tests.service.caller import Caller, create_entity

from schemawire.testing.service_process import ServiceProcess

if TYPE_CHECKING:
    from tests.servers.postgres import Databases

WRITERS = 16
PROCESSES = {"sqlite": 1, "postgres": 4}


@pytest.fixture(params=PROCESSES)
async def callers(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[list[Caller]]:
    """A caller for each of the processes that share one database."""
    async with AsyncExitStack() as stack:
        environment, key = {}, None
        if request.param == "postgres":
            databases: Databases = request.getfixturevalue("postgres_databases")
            environment["SCHEMAWIRE_DATABASE_URL"] = stack.enter_context(databases.fresh(migrated=False))
            key = uuid.uuid4().hex
        folders = [tmp_path_factory.mktemp("service") for _ in range(PROCESSES[request.param])]
        services = [ServiceProcess(folder, admin_key=key, environment=environment) for folder in folders]
        await asyncio.gather(*(stack.enter_async_context(service) for service in services))  # all migrate at once
        yield [await stack.enter_async_context(Caller(service)) for service in services]


async def write_for(seconds: float, callers: Sequence[Caller], acknowledged: dict[str, int]) -> None:
    """Create entities from sixteen writers, each with a key of its own, now and then sent twice."""
    until = time.monotonic() + seconds

    async def writer(number: int) -> None:
        step = 0
        while time.monotonic() < until:
            step += 1
            name = f"E{number}_{step}"
            body = {"projectId": "shared", "sessionId": "s", "operations": [create_entity(name, "title")]}
            tries = [callers[(number + each) % len(callers)] for each in range(2 if step % 7 == 0 else 1)]
            answers = await asyncio.gather(
                *(call("POST", "batch", json=body, headers={"Idempotency-Key": name}) for call in tries)
            )
            statuses = sorted(answer.status for answer in answers)
            assert statuses[0] == 200, answers
            assert statuses[-1] in (200, 409), answers  # a duplicate in flight is told to ask again
            versions = {answer.json()["version"] for answer in answers if answer.status == 200}
            assert len(versions) == 1
            acknowledged[name] = versions.pop()

    async with asyncio.TaskGroup() as group:
        for number in range(WRITERS):
            group.create_task(writer(number))


async def prove(callers: Sequence[Caller], acknowledged: dict[str, int]) -> None:
    """Compare what every process now says with what was acknowledged."""
    versions = sorted(acknowledged.values())
    assert versions == list(range(1, len(acknowledged) + 1))  # gapless, unique, one for each write
    documents = [(await call("GET", "shared")).json() for call in callers]
    assert all(document == documents[0] for document in documents)
    names = [entity["name"] for entity in documents[0]["data"]["entities"]]
    assert len(names) == len(set(names))
    assert set(names) == set(acknowledged)
    for name, version in list(acknowledged.items())[:: max(1, len(acknowledged) // 20)]:
        answer = await callers[0]("GET", f"shared/versions/{version}")
        found = [entity["name"] for entity in answer.json()["data"]["entities"]]
        assert len(found) == version
        assert name in found
    stores = {(await call("GET", "shared")).headers["X-Store-ID"] for call in callers}
    assert len(stores) == 1


@pytest.mark.timeout(60)
async def test_sixteen_writers_on_one_project(callers: list[Caller]) -> None:
    """Versions are gapless and unique, and each acknowledged write is there once, from whichever process."""
    acknowledged: dict[str, int] = {}
    await write_for(1.5, callers, acknowledged)
    assert len(acknowledged) > WRITERS
    await prove(callers, acknowledged)


@pytest.mark.soak
@pytest.mark.timeout(300)
async def test_sixteen_writers_on_one_project_for_a_minute(callers: list[Caller]) -> None:
    """The same for a minute."""
    acknowledged: dict[str, int] = {}
    await write_for(60.0, callers, acknowledged)
    await prove(callers, acknowledged)
    print(f"{len(acknowledged)} writes by {len(callers)} processes in a minute")
