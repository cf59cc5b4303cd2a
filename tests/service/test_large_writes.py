"""Large documents and batches: the same outcome as small ones, in portions, without holding other writers."""

import asyncio
from typing import Any

from tests.service.caller import Caller, create_entity, new_project


def large(count: int, *, field: str = "a", first: int = 0) -> dict[str, Any]:
    """Return a schema of many entities, the last of which belongs to the first."""
    entities: list[dict[str, Any]] = [
        {"name": f"E{number}", "fields": [{"name": field, "type": "string"}]} for number in range(first, first + count)
    ]
    owns = {"name": "owns", "source": f"E{first}", "target": f"E{first + count - 1}"}
    return {"formatVersion": "1", "name": "large", "entities": entities, "relationships": [owns]}


async def test_a_large_document_is_stored_as_it_is(call: Caller) -> None:
    """What comes back is what was sent, in its order, whether everything changes, little changes, or nothing."""
    project = new_project()
    document = large(1_500)
    first = await call("PUT", project, json=document)
    assert (first.status, first.json()["version"]) == (201, 1), first.body
    assert (await call("GET", project)).json()["data"]["entities"] == document["entities"]
    assert (await call("PUT", project, json=document)).json()["data"]["changed"] is False
    document["entities"][7]["fields"][0]["type"] = "text"
    document["entities"].append({"name": "Last"})
    few = await call("PUT", project, json=document)
    assert few.json()["version"] == 2, few.body
    assert (await call("GET", project)).json()["data"]["entities"] == document["entities"]
    document["entities"].reverse()
    turned = await call("PUT", project, json=document | {"description": "turned round"})
    assert turned.json()["version"] == 3, turned.body
    assert (await call("GET", project)).json()["data"]["entities"] == document["entities"]
    assert (await call("PUT", project, json=large(1_200, field="b"))).json()["version"] == 4
    old = (await call("GET", f"{project}/versions/1")).json()["data"]
    assert old["entities"] == large(1_500)["entities"]
    assert (await call("PATCH", project, json={"operation": "delete_entity", "data": {"name": "E0"}})).status == 422


async def test_a_large_document_heeds_key_and_precondition(call: Caller) -> None:
    """Repeated with its key it is done once; with a stale tag not at all."""
    project = new_project()
    first = await call("PUT", project, json=large(1_200), headers={"Idempotency-Key": "k"})
    await call("PATCH", project, json=create_entity("Later"))
    again = await call("PUT", project, json=large(1_200), headers={"Idempotency-Key": "k"})
    assert (again.body, again.headers["Idempotent-Replayed"]) == (first.body, "true")
    stale = await call("PUT", project, json=large(1_200, field="b"), headers={"If-Match": first.headers["ETag"]})
    assert stale.code == "version_conflict"
    assert (await call("GET", project)).json()["version"] == 2


async def test_large_writers_of_one_project_make_a_version_each(call: Caller) -> None:
    """Whole documents written at the same time come one after another, none mixed with another."""
    project = new_project()
    documents = [large(1_100, field=f"f{number}") for number in range(3)]
    replies = await asyncio.gather(*(call("PUT", project, json=document) for document in documents))
    assert sorted(reply.json()["version"] for reply in replies) == [1, 2, 3]
    for reply, document in zip(replies, documents, strict=True):
        stored = await call("GET", f"{project}/versions/{reply.json()['version']}")
        assert stored.json()["data"]["entities"] == document["entities"]
