"""The handler against the real service in the same process: every line that its users write, and what goes wrong."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import schemawire
from schemawire import (
    CircuitBreakerConfig,
    ConfigurationInvalid,
    Conflict,
    DomainSchemaHandler,
    Invalid,
    NotFound,
    RetryConfig,
    SchemaInvalid,
    StreamingConfig,
    SyncDomainSchemaHandler,
    VersionConflict,
)
from schemawire.schema import schema_digest
from schemawire.testing.service_process import ServiceProcess

BLOG = "Create a blog system with posts and comments"
TAG = {"name": "Tag", "fields": [{"name": "label", "type": "string", "required": True, "maxLength": 50}]}


@pytest.fixture
async def handler(tmp_path: Path) -> AsyncIterator[DomainSchemaHandler]:
    """A handler joined with the real service and a real SQLite file."""
    async with schemawire.embedded(tmp_path / "schemas.db") as handler:
        yield handler


async def test_a_description_becomes_a_stored_schema(handler: DomainSchemaHandler) -> None:
    """The result names what is stored, and the store gives back the same."""
    result = await handler.analyze_and_send_domain(
        domain_description=BLOG, project_id="blog-project-001", session_id="session-001"
    )
    assert result.success
    assert result.version == 1
    assert result.message
    stored = await handler.get_schema("blog-project-001")
    assert stored.document == result.data
    assert stored.digest == result.digest == schema_digest(schemawire.parse_schema(stored.document))
    assert {"Post", "Comment"} <= {entity["name"] for entity in stored.document["entities"]}


async def test_a_second_description_is_merged(handler: DomainSchemaHandler) -> None:
    """What is there stays, what is new is added, and nothing new makes no new version."""
    await handler.analyze_and_send_domain(BLOG, "blog")
    again = await handler.analyze_and_send_domain(BLOG, "blog")
    assert again.version == 1
    more = await handler.analyze_and_send_domain("Each reader has a nickname.", "blog")
    assert more.version == 2
    assert {"Post", "Comment", "Reader"} <= {entity["name"] for entity in more.data["entities"]}


async def test_a_contradicting_description_changes_nothing(handler: DomainSchemaHandler) -> None:
    """A merge that contradicts what is stored is refused with the place of the contradiction."""
    number = {"name": "Post", "fields": [{"name": "rating", "type": "integer"}]}
    await handler.batch_operations([{"operation": "create_entity", "data": number}], "p")
    other = {"name": "p", "entities": [{"name": "Post", "fields": [{"name": "rating", "type": "text"}]}]}
    with pytest.raises((Conflict, Invalid)) as caught:
        await handler.batch_operations([{"operation": "merge_schema", "data": other}], "p")
    assert "rating" in str(caught.value)
    assert (await handler.get_schema("p")).version == 1


async def test_an_atomic_batch_is_all_or_nothing(handler: DomainSchemaHandler) -> None:
    """One bad operation undoes its neighbours and is named."""
    operations = [
        {"operation": "create_entity", "data": TAG},
        {"operation": "delete_entity", "data": {"name": "Nobody"}},
    ]
    with pytest.raises(Invalid) as caught:
        await handler.batch_operations(operations, "p")
    assert "Nobody" in str(caught.value)
    with pytest.raises(NotFound):
        await handler.get_schema("p")


async def test_a_batch_one_by_one_keeps_what_is_right(handler: DomainSchemaHandler) -> None:
    """`atomic=False` gives a result for each operation, with the problem of each that failed."""
    results = await handler.batch_operations(
        [
            {"operation": "create_entity", "data": TAG},
            {"operation": "delete_entity", "data": {"name": "Nobody"}},
            {"operation": "update_entity", "data": {"name": "Tag", "description": "a word"}},
        ],
        "p",
        atomic=False,
    )
    assert [result.success for result in results] == [True, False, True]
    assert not results.success
    assert results.failed[0].error is not None
    assert (await handler.get_entity("p", "Tag"))["description"] == "a word"


async def test_a_malformed_operation_is_found_before_anything_is_sent(handler: DomainSchemaHandler) -> None:
    """The issue names the place in the list."""
    with pytest.raises(SchemaInvalid) as caught:
        await handler.batch_operations([{"operation": "create_table", "data": {}}], "p")
    assert "create_table" in str(caught.value)
    assert handler.client.statistics().wire.requests == 0


async def test_a_stale_expected_version_is_refused(handler: DomainSchemaHandler) -> None:
    """Two who change the same version: the second is told."""
    await handler.batch_operations([{"operation": "create_entity", "data": TAG}], "p", expected_version=0)
    with pytest.raises(VersionConflict) as caught:
        await handler.batch_operations(
            [{"operation": "delete_entity", "data": {"name": "Tag"}}], "p", expected_version=0
        )
    assert caught.value.problem is not None
    assert caught.value.problem.current_version == 1  # type: ignore[attr-defined]  # a Problem


async def test_a_dry_run_stores_nothing(handler: DomainSchemaHandler) -> None:
    """It says what would happen."""
    results = await handler.batch_operations([{"operation": "create_entity", "data": TAG}], "p", dry_run=True)
    assert results.success
    with pytest.raises(NotFound):
        await handler.get_schema("p")


async def test_the_same_key_is_applied_once(handler: DomainSchemaHandler) -> None:
    """Repeating a call whose outcome is unknown, with its key, gives the first reply."""
    operation = [{"operation": "create_entity", "data": TAG}]
    first = await handler.batch_operations(operation, "p", idempotency_key="k-1")
    second = await handler.batch_operations(operation, "p", idempotency_key="k-1")
    assert first.version == second.version == 1
    assert len(await handler.versions("p")) == 1


async def test_streaming_brings_every_element_once(handler: DomainSchemaHandler) -> None:
    """Sync and async callbacks alike see each element; the summary says that it was verified."""
    entities = [{"operation": "create_entity", "data": {"name": f"E{number}"}} for number in range(300)]
    await handler.batch_operations(entities, "big")
    seen: list[str] = []

    async def stream_processor(data: dict[str, Any]) -> None:
        await asyncio.sleep(0)
        seen.append(data["element"]["name"])

    summary = await handler.stream_large_schema(project_id="big", callback=stream_processor)
    assert sorted(seen) == sorted(f"E{number}" for number in range(300))
    assert summary.element_count == 300
    again: list[Any] = []
    await handler.stream_large_schema(project_id="big", callback=again.append)
    assert len(again) == 300


async def test_a_raising_stream_callback_ends_the_stream(handler: DomainSchemaHandler) -> None:
    """The callback's error is the caller's, and the connection is given back."""
    await handler.batch_operations(
        [{"operation": "create_entity", "data": {"name": f"E{number}"}} for number in range(50)], "big"
    )

    def refuse(_: object) -> None:
        raise LookupError("enough")

    with pytest.raises(LookupError, match="enough"):
        await handler.stream_large_schema("big", refuse)
    assert handler.client.statistics().wire.in_flight == 0
    assert (await handler.health_check()).is_healthy


async def test_callbacks_hear_the_outcome(handler: DomainSchemaHandler) -> None:
    """Each kind gets its own arguments, and a callback that raises is harmless."""
    heard: list[tuple[Any, ...]] = []

    def on_success(response: Any, project_id: str) -> None:
        heard.append(("success", response.message, project_id))
        raise RuntimeError("a listener's own fault")

    async def on_error(error: Exception, method: str, url: str, data: Any) -> None:
        heard.append(("error", type(error).__name__, method, url, data["projectId"]))

    handler.register_callback("success", on_success)
    handler.register_callback("error", on_error)
    result = await handler.analyze_and_send_domain(BLOG, "p")
    with pytest.raises(Invalid):
        await handler.batch_operations([{"operation": "delete_entity", "data": {"name": "Nobody"}}], "p")
    assert heard[0] == ("success", result.message, "p")
    assert heard[1][:3] == ("error", "Invalid", "POST")
    assert heard[1][3].endswith("/api/domain-schema/batch")
    assert heard[1][4] == "p"


async def test_only_known_callbacks_are_registered(handler: DomainSchemaHandler) -> None:
    """A misspelt event or something that cannot be called is a caller's mistake."""
    with pytest.raises(ValueError, match="succes"):
        handler.register_callback("succes", print)  # type: ignore[arg-type]  # the mistake under test
    with pytest.raises(TypeError):
        handler.register_callback("success", "print")  # type: ignore[arg-type]  # the mistake under test


async def test_submitted_work_ends_and_is_told(handler: DomainSchemaHandler) -> None:
    """An asynchronous operation has a status, ends, and its outcome reaches the callbacks."""
    told: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
    handler.register_callback("success", lambda response, project: told.put_nowait(("success", project)))
    handler.register_callback("error", lambda error, method, url, data: told.put_nowait(("error", error.code)))
    status = await handler.submit("shop", [{"operation": "create_entity", "data": TAG}])
    ended = await handler.wait_for_operation(status.operation_id, deadline=10)
    assert ended.state == "succeeded"
    assert (await handler.get_entity("shop", "Tag"))["name"] == "Tag"
    async with asyncio.timeout(10):
        assert await told.get() == ("success", "shop")
    failing = await handler.submit("shop", [{"operation": "delete_entity", "data": {"name": "Nobody"}}])
    ended = await handler.wait_for_operation(failing.operation_id, deadline=10)
    assert ended.state == "failed"
    assert ended.error is not None
    async with asyncio.timeout(10):
        assert (await told.get())[0] == "error"


async def test_a_submitted_description_is_analysed_by_the_backend(handler: DomainSchemaHandler) -> None:
    """Words may be handed over instead of operations; one of the two is needed."""
    status = await handler.submit("words", description=BLOG)
    ended = await handler.wait_for_operation(status.operation_id, deadline=10)
    assert ended.state == "succeeded", ended.error
    assert (await handler.get_entity("words", "Post"))["fields"]
    with pytest.raises(ValueError, match="either"):
        await handler.submit("words")


async def test_history_can_be_read_compared_and_restored(handler: DomainSchemaHandler) -> None:
    """Every write is a version; an old one can be read, compared and made the newest again."""
    await handler.batch_operations([{"operation": "create_entity", "data": TAG}], "p", message="first")
    await handler.batch_operations([{"operation": "delete_entity", "data": {"name": "Tag"}}], "p", "session-2")
    assert [record.version for record in await handler.versions("p")] == [2, 1]
    assert (await handler.get_schema("p", version=1)).document["entities"][0]["name"] == "Tag"
    differences = await handler.diff("p", 1, 2)
    assert any("Tag" in json.dumps(difference) for difference in differences)
    restored = await handler.restore("p", 1)
    assert restored.version == 3
    assert (await handler.get_entity("p", "Tag"))["name"] == "Tag"


async def test_saving_an_identical_schema_makes_no_version(handler: DomainSchemaHandler) -> None:
    """What is the same stays the same version; a deleted project is gone until it is restored."""
    schema = {"name": "tags", "entities": [TAG]}
    assert (await handler.save_schema("tags", schema)).version == 1
    assert (await handler.save_schema("tags", schema)).version == 1
    assert [project.project_id for project in (await handler.list_projects()).projects] == ["tags"]
    assert json.loads(await handler.export("tags"))["entities"] == [TAG]
    await handler.delete_project("tags")
    with pytest.raises(NotFound):
        await handler.get_schema("tags")


async def test_health_and_metrics(handler: DomainSchemaHandler) -> None:
    """Health has the response time in seconds, metrics count the service's requests and the client's calls."""
    await handler.analyze_and_send_domain(BLOG, "p")
    health = await handler.health_check()
    assert health.is_healthy
    assert f"{health.response_time:.3f}s"
    assert health.store_id
    metrics = await handler.get_metrics()
    assert metrics["service"]["totalRequests"] >= 2
    assert metrics["service"]["successfulRequests"] >= 2
    json.dumps(metrics, allow_nan=False)


async def test_an_absent_backend_is_an_answer_for_health() -> None:
    """Asking how a backend is that does not run raises nothing."""
    async with DomainSchemaHandler("http://127.0.0.1:9", retry_config=RetryConfig(max_retries=0)) as handler:
        health = await handler.health_check(deadline=1)
        validation = await handler.validate_configuration()
    assert not health.is_healthy
    assert health.status == "unreachable"
    assert validation["valid"]
    assert not validation["reachable"]
    assert validation["warnings"]


@pytest.mark.parametrize(
    ("environment", "read", "connect", "connections", "retries"),
    [("development", 30.0, 5.0, 20, 2), ("production", 60.0, 10.0, 100, 3)],
)
def test_presets(environment: str, read: float, connect: float, connections: int, retries: int) -> None:
    """The presets have the values that older code documents."""
    config = DomainSchemaHandler().get_configuration_for_environment(environment)
    assert config["timeout"] == {"read": read, "connect": connect}
    assert config["limits"] == {"max_connections": connections}
    assert config["retry_config"] == {"max_retries": retries}


def test_an_unknown_environment_is_refused() -> None:
    """The fix lists those that exist."""
    with pytest.raises(ConfigurationInvalid, match="prod") as caught:
        DomainSchemaHandler().get_configuration_for_environment("prod")
    assert "staging" in caught.value.fix


async def test_a_contradictory_configuration_is_reported() -> None:
    """`valid` is false and each issue is named."""
    async with DomainSchemaHandler("http://127.0.0.1:9", environment="production") as handler:
        validation = await handler.validate_configuration()
    assert not validation["valid"]
    assert any("BACKEND_API_KEY" in issue for issue in validation["issues"])


def test_the_configured_options_are_in_force() -> None:
    """What is given to the constructor shows in the client's own description."""
    handler = DomainSchemaHandler(
        retry_config=RetryConfig(max_retries=5, backoff_factor=2.0),
        circuit_breaker_config=CircuitBreakerConfig(failure_threshold=10),
        streaming_config=StreamingConfig(chunk_size=2048),
    )
    text = handler.client.explain()
    assert "max_retries=5" in text
    assert "failure_threshold=10" in text
    assert handler.streaming_config.chunk_size == 2048


@pytest.mark.parametrize("size", [0, -1, True, 10**9, 2.5])
def test_streaming_options_are_checked(size: Any) -> None:
    """An option out of range names its range."""
    with pytest.raises(ConfigurationInvalid, match="chunk_size"):
        StreamingConfig(chunk_size=size)


def test_the_older_module_name_still_works() -> None:
    """Code that imports the older module gets the same classes."""
    from schemawire import domain_schema_handler as older

    assert older.DomainSchemaHandler is DomainSchemaHandler
    assert older.RetryConfig is RetryConfig
    assert older.CircuitBreakerConfig is CircuitBreakerConfig


def test_an_unclosed_handler_is_harmless() -> None:
    """A handler that is made and dropped warns of nothing (warnings are errors here)."""
    DomainSchemaHandler()


async def test_bad_project_ids_are_refused_before_sending(handler: DomainSchemaHandler) -> None:
    """An id that would change the path is a caller's mistake."""
    for project_id in ("../x", "batch", "", "a/b", "x" * 129):
        with pytest.raises(ValueError, match="project id"):
            await handler.get_schema(project_id)
        with pytest.raises(ValueError, match="project id"):
            await handler.batch_operations([], project_id)


def test_the_synchronous_face(tmp_path: Path) -> None:
    """The same calls without an event loop, from a thread of their own."""
    heard: list[str] = []
    with ServiceProcess(tmp_path) as service, SyncDomainSchemaHandler(service.base_url, service.admin_key) as handler:
        handler.register_callback("success", lambda response, project_id: heard.append(project_id))
        assert handler.analyze_and_send_domain(BLOG, "blog").version == 1
        elements: list[Any] = []
        assert handler.stream_large_schema("blog", elements.append).element_count == len(elements) > 0
        assert handler.get_metrics()["service"]["totalRequests"] > 0
        assert handler.health_check().is_healthy
        with pytest.raises(NotFound):
            handler.get_schema("nobody")
    assert heard == ["blog"]
    handler.close()
