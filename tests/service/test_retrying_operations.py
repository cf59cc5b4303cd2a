"""Trying again what ended without success: a new operation, behind the others of its project, asked for once."""

import asyncio
from typing import Any

from tests.service.caller import Caller, create_entity, new_project

from schemawire.handler import DomainSchemaHandler
from schemawire.testing.service_process import ServiceProcess


async def ended(call: Caller, operation_id: str) -> dict[str, Any]:
    """Return an operation's record once it has ended."""
    while True:
        record: dict[str, Any] = (await call("GET", f"operations/{operation_id}/status")).json()["data"]
        if record["finishedAt"] is not None:
            return record
        await asyncio.sleep(0.02)


async def submit(call: Caller, project: str, *operations: dict[str, Any], **more: Any) -> dict[str, Any]:
    answer = await call("POST", f"{project}/async", json={"operations": operations, **more})
    assert answer.status == 202, answer
    return await ended(call, answer.json()["data"]["operationId"])


async def test_what_failed_is_tried_again_as_a_new_operation(call: Caller) -> None:
    """The reason may be gone by now; the failed one stays as it is, and the same key asks only once."""
    project = new_project()
    failed = await submit(call, project, create_entity("A"), expectedVersion=1)
    assert failed["state"] == "failed"
    assert (await submit(call, project, create_entity("B")))["state"] == "succeeded"
    path, headers = f"operations/{failed['operationId']}/retry", {"Idempotency-Key": project}
    first, second = [await call("POST", path, headers=headers) for _ in range(2)]
    assert first.status == second.status == 202
    again = await ended(call, first.json()["data"]["operationId"])
    assert again["state"] == "succeeded"
    assert again["operationId"] == second.json()["data"]["operationId"] != failed["operationId"]
    assert first.headers["Location"].endswith(f"/{again['operationId']}/status")
    assert (await ended(call, failed["operationId"]))["state"] == "failed"


async def test_what_succeeded_or_is_unknown_is_not_tried_again(call: Caller) -> None:
    """A repeat would be a second effect; nothing is made, and the refusal says why."""
    done = await submit(call, new_project(), create_entity("A"))
    answer = await call("POST", f"operations/{done['operationId']}/retry")
    assert (answer.status, answer.code) == (409, "conflict")
    missing = await call("POST", f"operations/{'0' * 32}/retry")
    assert (missing.status, missing.code) == (404, "not_found")


async def test_the_handler_lists_and_retries(shared_service: ServiceProcess, call: Caller) -> None:
    """The same through the handler: parked and failed work is found by its state."""
    project = new_project()
    failed = await submit(call, project, create_entity("A"), expectedVersion=1)
    await submit(call, project, create_entity("B"))
    async with DomainSchemaHandler(base_url=shared_service.base_url, api_key=shared_service.admin_key) as handler:
        (found,) = await handler.list_operations(project, state="failed")
        assert found.operation_id == failed["operationId"]
        again = await handler.retry_operation(found.operation_id)
        assert (await handler.wait_for_operation(again.operation_id)).state == "succeeded"
        assert len(await handler.list_operations(project)) == 3
