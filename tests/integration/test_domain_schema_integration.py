"""The handler against the real service in its own process, which is killed and started again under load."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from schemawire import (
    CircuitBreakerConfig,
    DomainSchemaHandler,
    NotFound,
    PoolConfig,
    RetryConfig,
    SchemawireError,
    TimeoutConfig,
)
from schemawire.errors import ConnectFailed, Unauthenticated
from schemawire.testing.service_process import ServiceProcess

pytestmark = pytest.mark.integration


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[ServiceProcess]:
    """A real service on a free port and a SQLite file."""
    async with ServiceProcess(tmp_path) as service:
        yield service


@pytest.fixture
async def handler(service: ServiceProcess) -> AsyncIterator[DomainSchemaHandler]:
    """A handler that is connected to it; its breaker probes soon, since the service is away only for moments."""
    breaker = CircuitBreakerConfig(recovery_timeout=0.3)
    async with DomainSchemaHandler(service.base_url, service.admin_key, circuit_breaker_config=breaker) as handler:
        yield handler


def entity(number: int) -> dict[str, Any]:
    """An operation that makes one entity."""
    return {"operation": "create_entity", "data": {"name": f"E{number}"}}


async def test_end_to_end(handler: DomainSchemaHandler) -> None:
    """Words become a schema; it is changed, streamed, measured, and it is the same after all."""
    result = await handler.analyze_and_send_domain(
        domain_description="A library has books. Each book belongs to one author. An author can have many books.",
        project_id="library",
        session_id="session-1",
    )
    assert result.success
    results = await handler.batch_operations(
        operations=[{"operation": "create_field", "data": {"entity": "Book", "name": "shelf", "type": "string"}}],
        project_id="library",
        session_id="session-1",
    )
    assert results.version == 2
    elements: list[dict[str, Any]] = []
    summary = await handler.stream_large_schema(project_id="library", callback=elements.append)
    assert summary.digest == results.digest
    assert {element["element"]["name"] for element in elements if element["kind"] == "entity"} >= {"Book", "Author"}
    assert (await handler.health_check()).is_healthy
    assert (await handler.get_metrics())["service"]["totalRequests"] >= 3


async def test_a_wrong_key_is_said_so(service: ServiceProcess) -> None:
    """An unknown key is refused with the advice to set the right one, and nothing is tried twice."""
    async with DomainSchemaHandler(service.base_url, "not-the-key") as handler:
        with pytest.raises(Unauthenticated) as caught:
            await handler.get_schema("p")
        assert "BACKEND_API_KEY" in caught.value.fix or "key" in caught.value.fix
        assert handler.client.statistics().wire.requests == 1


async def test_a_killed_service_loses_and_doubles_nothing(
    service: ServiceProcess, handler: DomainSchemaHandler
) -> None:
    """Writes that were under way when the process was killed are applied exactly once after it is back."""
    acknowledged: list[int] = []
    under_way = asyncio.Event()

    async def write(number: int) -> None:
        result = await handler.batch_operations([entity(number)], f"project-{number % 5}", deadline=15)
        assert result.success
        acknowledged.append(number)
        if len(acknowledged) == 10:
            under_way.set()

    async with asyncio.TaskGroup() as group:
        for number in range(60):
            group.create_task(write(number))
        await under_way.wait()
        await asyncio.to_thread(service.restart)
    assert sorted(acknowledged) == list(range(60))
    for project in range(5):
        stored = await handler.get_schema(f"project-{project}")
        names = [found["name"] for found in stored.document["entities"]]
        assert sorted(names) == sorted(f"E{number}" for number in range(60) if number % 5 == project)
        assert [record.version for record in await handler.versions(f"project-{project}")] == list(range(12, 0, -1))


async def test_a_submitted_operation_survives_a_kill(service: ServiceProcess, handler: DomainSchemaHandler) -> None:
    """An operation accepted before the process was killed is finished after the next start, once."""
    accepted = [await handler.submit("jobs", [entity(number)], idempotency_key=f"job-{number}") for number in range(20)]
    await asyncio.to_thread(service.restart)
    for status in accepted:
        assert (await handler.wait_for_operation(status.operation_id, deadline=15)).state == "succeeded"
    assert len((await handler.get_schema("jobs")).document["entities"]) == 20
    assert len(await handler.versions("jobs")) == 20


async def test_a_dead_service_is_given_up_by_the_deadline(service: ServiceProcess) -> None:
    """A read fails after its retries; a write goes on until its deadline, and both say why."""
    options: dict[str, Any] = {
        "retry_config": RetryConfig(max_retries=1),
        "circuit_breaker_config": CircuitBreakerConfig(failure_threshold=1000, recovery_timeout=0.1),
        "timeout_config": TimeoutConfig(connect=1.0, read=1.0, total=1.5),
    }
    async with DomainSchemaHandler(service.base_url, service.admin_key, **options) as handler:
        await handler.batch_operations([entity(1)], "p")
        await asyncio.to_thread(service.kill)
        clock = asyncio.get_running_loop()
        start = clock.time()
        with pytest.raises(ConnectFailed):
            await handler.get_schema("p")
        with pytest.raises(SchemawireError) as caught:
            await handler.batch_operations([entity(2)], "p")
        assert 1.0 < clock.time() - start < 4.0
        assert caught.value.retryable
        assert len(caught.value.attempts) > 2


async def test_cancelled_calls_give_everything_back(service: ServiceProcess) -> None:
    """After hundreds of calls cancelled at random moments the small pool is empty and works."""
    pool = PoolConfig(max_connections=4)
    async with DomainSchemaHandler(service.base_url, service.admin_key, pool_config=pool) as handler:
        await handler.batch_operations([entity(1)], "p")
        for round_number in range(30):
            tasks = [asyncio.create_task(handler.get_schema("p")) for _ in range(12)]
            await asyncio.sleep(0.0007 * round_number)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        statistics = handler.client.statistics()
        assert statistics.endpoints[0].in_flight == 0
        assert statistics.wire.in_flight == 0
        async with asyncio.timeout(5):
            await asyncio.gather(*(handler.get_schema("p") for _ in range(20)))


async def test_parallel_writers_make_gapless_versions(handler: DomainSchemaHandler) -> None:
    """Concurrent writes to one project each get a version of their own."""
    results = await asyncio.gather(*(handler.batch_operations([entity(number)], "p") for number in range(40)))
    assert sorted(result.version or 0 for result in results) == list(range(1, 41))


async def test_nothing_is_stored_by_a_refused_request(handler: DomainSchemaHandler) -> None:
    """A dangling reference, a duplicate name and an unknown type leave no project behind."""
    bad: list[dict[str, Any]] = [
        {"operation": "create_entity", "data": {"name": "A", "extends": "Nobody"}},
        {"operation": "create_entity", "data": {"name": "A", "fields": [{"name": "f", "type": "strin"}]}},
        {"operation": "create_relationship", "data": {"name": "r", "source": "A", "target": "B"}},
    ]
    for operation in bad:
        with pytest.raises((SchemawireError, ValueError)):
            await handler.batch_operations([operation], "p")
    with pytest.raises(SchemawireError):
        await handler.batch_operations([entity(1), entity(1)], "p")
    with pytest.raises(NotFound):
        await handler.get_schema("p")
