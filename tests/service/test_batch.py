"""Batches: all or none, or each on its own; one result each; dry runs; ten thousand at once."""

from typing import Any

from tests.service.caller import BLOG, Caller, create_entity, new_project


def batch_of(project: str, *operations: Any, **members: Any) -> dict[str, Any]:
    """Return the body of a batch."""
    return {"projectId": project, "sessionId": "s", "operations": list(operations), **members}


async def test_an_atomic_batch_is_one_version_with_a_result_each(call: Caller) -> None:
    """A missing project is made; the results say what each operation wrote."""
    project = new_project()
    delete = {"operation": "delete_entity", "data": {"name": "A"}}
    reply = await call("POST", "batch", json=batch_of(project, create_entity("A"), create_entity("B"), delete))
    assert (reply.status, reply.json()["version"]) == (200, 1)
    results = reply.json()["data"]
    assert [(result["index"], result["success"], result["kind"], result["key"]) for result in results] == [
        (0, True, "entity", "A"), (1, True, "entity", "B"), (2, True, "entity", "A"),
    ]  # fmt: skip
    assert [entity["name"] for entity in (await call("GET", project)).json()["data"]["entities"]] == ["B"]


async def test_one_failure_undoes_an_atomic_batch(call: Caller) -> None:
    """Nothing of the batch is stored, not even the project."""
    project = new_project()
    reply = await call("POST", "batch", json=batch_of(project, create_entity("A"), create_entity("A")))
    assert reply.code == "operation_invalid"
    assert (await call("GET", project)).status == 404


async def test_operations_one_by_one_report_each_failure(call: Caller) -> None:
    """The good ones are stored; each bad one has a problem whose pointer leads to its place in the request."""
    project = new_project()
    body = batch_of(
        project, {"operation": "explode"}, create_entity("A"), create_entity("A"), create_entity("B"), atomic=False
    )
    reply = await call("POST", "batch", json=body)
    assert reply.status == 200
    results = reply.json()["data"]
    assert [result["success"] for result in results] == [False, True, False, True]
    assert [result["error"]["code"] for result in results if result["error"]] == ["operation_invalid"] * 2
    assert results[0]["error"]["errors"][0]["pointer"] == "/operations/0/operation"
    assert results[2]["error"]["errors"][0]["pointer"] == "/operations/2/data/name"
    assert [entity["name"] for entity in (await call("GET", project)).json()["data"]["entities"]] == ["A", "B"]


async def test_when_every_operation_fails_no_project_is_made(call: Caller) -> None:
    """A batch that does nothing leaves nothing."""
    project = new_project()
    reply = await call("POST", "batch", json=batch_of(project, {"operation": "explode"}, atomic=False))
    assert (reply.status, reply.json()["version"]) == (200, None)
    assert (await call("GET", project)).status == 404


async def test_a_dry_run_tells_and_stores_nothing(call: Caller) -> None:
    """The reply is that of the real thing: results, version and digest; the store is as before."""
    project = new_project()
    await call("PUT", project, json=BLOG)
    body = batch_of(project, create_entity("Tag"))
    rehearsed = await call("POST", "batch", json={**body, "dryRun": True})
    assert (await call("GET", project)).json()["version"] == 1
    done = await call("POST", "batch", json=body)
    assert rehearsed.json() == done.json()
    bad = await call("POST", "batch", json={**batch_of(project, create_entity("Tag")), "dryRun": True})
    assert bad.code == "operation_invalid"


async def test_ten_thousand_operations_are_one_version(call: Caller) -> None:
    """The largest batch is applied as a whole."""
    project = new_project()
    operations = [create_entity(f"E{number}", "name") for number in range(10_000)]
    reply = await call("POST", "batch", json=batch_of(project, *operations))
    assert (reply.status, reply.json()["version"], len(reply.json()["data"])) == (200, 1, 10_000)
