"""Asynchronous operations: durable before they are acknowledged, done exactly once, even through `kill -9`."""

import asyncio
from typing import Any

import pytest
from tests.service.caller import BLOG, Answer, Caller, create_entity, new_project

from schemawire.testing.service_process import ServiceProcess

LONG_DESCRIPTION = " ".join(f"A shelf{number} has books, a colour and a code." for number in range(400))
"""Takes two seconds or so to analyse: long enough to be caught at it."""


async def until_finished(call: Caller, operation_id: str) -> dict[str, Any]:
    """Return an operation's status once it has ended."""
    async with asyncio.timeout(15):
        while True:
            status: dict[str, Any] = (await call("GET", f"operations/{operation_id}/status")).json()["data"]
            if status["finishedAt"] is not None:
                return status
            await asyncio.sleep(0.02)


async def submit(call: Caller, project: str, body: dict[str, Any], **headers: str) -> Answer:
    """Submit work and return the reply, which must be a promise."""
    reply = await call("POST", f"{project}/async", json=body, headers=headers)
    assert reply.status == 202, reply
    return reply


async def test_a_batch_is_promised_then_done(call: Caller) -> None:
    """202 leads to a status that ends in success, with the results and the version that they made."""
    project = new_project()
    reply = await submit(call, project, {"operations": [create_entity("A")], "sessionId": "s", "message": "first"})
    operation_id = reply.json()["data"]["operationId"]
    assert reply.headers["Location"] == f"/api/domain-schema/operations/{operation_id}/status"
    assert (await call("GET", reply.headers["Location"])).status == 200
    status = await until_finished(call, operation_id)
    assert (status["state"], status["progress"], status["error"]) == ("succeeded", 1.0, None)
    assert status["result"]["version"] == 1
    assert [result["success"] for result in status["result"]["results"]] == [True]
    (version,) = (await call("GET", f"{project}/versions")).json()["data"]["versions"]
    assert (version["sessionId"], version["message"], version["createdBy"]) == ("s", "first", "admin")


async def test_words_are_analysed_and_merged(call: Caller) -> None:
    """A description becomes the schema of a new project, and is merged into that of an old one."""
    project = new_project()
    for words in ("A blog has posts; each post has a title.", "A reader has a name."):
        reply = await submit(call, project, {"description": words})
        assert (await until_finished(call, reply.json()["data"]["operationId"]))["state"] == "succeeded"
    names = {entity["name"] for entity in (await call("GET", project)).json()["data"]["entities"]}
    assert names >= {"Blog", "Post", "Reader"}


async def test_work_that_cannot_be_done_fails_with_a_problem(call: Caller) -> None:
    """The status keeps the problem document, and nothing is stored."""
    project = new_project()
    await call("PUT", project, json=BLOG)
    reply = await submit(call, project, {"operations": [create_entity("New"), create_entity("User")]})
    status = await until_finished(call, reply.json()["data"]["operationId"])
    assert (status["state"], status["attempts"], status["error"]["code"]) == ("failed", 1, "operation_invalid")
    assert (await call("GET", project)).json()["version"] == 1


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"operations": [create_entity("A")], "description": "both"},
        {"description": ""},
        {"operations": []},
        {"description": "x", "wait": True},
    ],
)
async def test_a_malformed_submission_is_refused_at_once(call: Caller, body: dict[str, Any]) -> None:
    """What can be judged before it is promised is judged then."""
    project = new_project()
    assert (await call("POST", f"{project}/async", json=body)).code == "invalid_request"
    page = (await call("GET", f"operations?projectId={project}")).json()["data"]
    assert page["operations"] == []


async def test_a_malformed_operation_is_refused_at_once(call: Caller) -> None:
    """An atomic batch is read before it is promised."""
    reply = await call("POST", f"{new_project()}/async", json={"operations": [{"operation": "explode"}]})
    assert reply.code == "operation_invalid"


async def test_a_repeated_submission_is_the_same_operation(call: Caller) -> None:
    """The same key gives the same operation id and Location, and the work is done once."""
    project, body = new_project(), {"operations": [create_entity("A")]}
    first = await submit(call, project, body, **{"Idempotency-Key": "k"})
    again = await submit(call, project, body, **{"Idempotency-Key": "k"})
    assert again.body == first.body
    assert again.headers["Location"] == first.headers["Location"]
    await until_finished(call, first.json()["data"]["operationId"])
    assert len((await call("GET", f"operations?projectId={project}")).json()["data"]["operations"]) == 1


async def test_operations_are_listed_newest_first_page_by_page(call: Caller) -> None:
    """Filters by project and state; `next` continues."""
    project = new_project()
    ids = []
    for name in ("A", "B", "C"):
        reply = await submit(call, project, {"operations": [create_entity(name)]})
        ids.append(reply.json()["data"]["operationId"])
        await until_finished(call, ids[-1])
    page = (await call("GET", f"operations?projectId={project}&state=succeeded&limit=2")).json()["data"]
    assert [entry["operationId"] for entry in page["operations"]] == [ids[2], ids[1]]
    rest = (await call("GET", f"operations?projectId={project}&limit=2&before={page['next']}")).json()["data"]
    assert ([entry["operationId"] for entry in rest["operations"]], rest["next"]) == ([ids[0]], None)
    assert (await call("GET", "operations?state=sleeping")).code == "invalid_request"
    assert (await call("GET", "operations?before=nobody")).code == "not_found"


async def test_a_finished_operation_cannot_be_cancelled(call: Caller) -> None:
    """Cancelling comes too late for what is done; an unknown operation is not found."""
    reply = await submit(call, new_project(), {"operations": [create_entity("A")]})
    operation_id = reply.json()["data"]["operationId"]
    await until_finished(call, operation_id)
    assert (await call("DELETE", f"operations/{operation_id}")).code == "operation_finished"
    assert (await call("DELETE", "operations/nobody")).code == "not_found"
    assert (await call("GET", "operations/nobody/status")).code == "not_found"


async def test_cancelled_work_is_never_committed(call: Caller) -> None:
    """What was cancelled before its commit leaves nothing; cancelling twice is harmless."""
    project = new_project()
    reply = await submit(call, project, {"description": LONG_DESCRIPTION})
    operation_id = reply.json()["data"]["operationId"]
    for _ in range(2):
        cancelled = await call("DELETE", f"operations/{operation_id}")
        assert (cancelled.status, cancelled.json()["data"]["state"]) == (200, "cancelled")
    later = await submit(call, project, {"operations": [create_entity("After")]})
    assert (await until_finished(call, later.json()["data"]["operationId"]))["result"]["version"] == 1


async def test_work_running_at_a_kill_is_finished_after_the_next_start_once(own_service: ServiceProcess) -> None:
    """`kill -9` in the middle of an operation: the next process does it again from the start, and commits it once."""
    project = new_project()
    async with Caller(own_service) as call:
        running = await submit(call, project, {"description": LONG_DESCRIPTION})
        running_id = running.json()["data"]["operationId"]
        async with asyncio.timeout(10):
            while True:
                state = (await call("GET", f"operations/{running_id}/status")).json()["data"]["state"]
                if state == "running":
                    break
                assert state == "queued"
        batch = {"operations": [create_entity("A")]}
        queued = [await submit(call, f"{project}-{number}", batch) for number in range(9)]
        assert (await call("GET", f"operations/{running_id}/status")).json()["data"]["state"] == "running"
        await asyncio.to_thread(own_service.restart)
    async with Caller(own_service) as call:
        status = await until_finished(call, running_id)
        assert (status["state"], status["attempts"], status["result"]["version"]) == ("succeeded", 2, 1)
        assert len((await call("GET", f"{project}/versions")).json()["data"]["versions"]) == 1
        for reply in queued:
            done = await until_finished(call, reply.json()["data"]["operationId"])
            assert (done["state"], done["result"]["version"]) == ("succeeded", 1)
