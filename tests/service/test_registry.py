"""The registry: compatibility modes, settings, versions by time, parts of a schema, deleted projects, purging."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.service.caller import BLOG, Answer, Caller, create_entity, new_project
from tests.service.test_access import make_key


def with_one_value() -> dict[str, Any]:
    """The sample with a value less, which writers and stored data would miss."""
    document: dict[str, Any] = json.loads(json.dumps(BLOG))
    document["enums"][0]["values"] = ["draft"]
    document["entities"][1]["fields"].append({"name": "status", "type": "enum", "enum": "Status"})
    return document


def with_status() -> dict[str, Any]:
    """The sample with a field that takes its values from the enum."""
    document: dict[str, Any] = json.loads(json.dumps(BLOG))
    document["entities"][1]["fields"].append({"name": "status", "type": "enum", "enum": "Status"})
    return document


async def project_under(call: Caller, mode: str, document: dict[str, Any] | None = None) -> str:
    """Return a new project under a mode."""
    project = new_project()
    assert (await call("PUT", project, json=document or with_status())).status == 201
    assert (await call("PATCH", f"{project}/settings", json={"compatibility": mode})).status == 200
    return project


UPDATE = {"operation": "update_enum", "data": {"name": "Status", "values": ["draft"]}}


async def settled(call: Caller, accepted: Answer) -> dict[str, Any]:
    """Return the status of an operation when it has ended."""
    path = f"operations/{accepted.json()['data']['operationId']}/status"
    while True:
        status: dict[str, Any] = (await call("GET", path)).json()["data"]
        if status["finishedAt"]:
            return status
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("way", ["put", "patch", "batch", "async", "restore"])
async def test_every_way_of_writing_obeys_the_mode(call: Caller, way: str) -> None:
    """Each is refused with the reason, stores nothing, and tells the same in a dry run."""
    if way == "restore":
        project = await project_under(call, "NONE", with_one_value())
        assert (await call("PUT", project, json=with_status())).status == 200
        await call("PATCH", f"{project}/settings", json={"compatibility": "BACKWARD"})
    else:
        project = await project_under(call, "BACKWARD")
    before = (await call("GET", project)).json()["version"]
    attempts: dict[str, tuple[str, str, Any]] = {
        "put": ("PUT", project, with_one_value()),
        "patch": ("PATCH", project, UPDATE),
        "batch": ("POST", "batch", {"projectId": project, "operations": [UPDATE]}),
        "async": ("POST", f"{project}/async", {"operations": [UPDATE]}),
        "restore": ("POST", f"{project}/restore", {"version": 1}),
    }
    method, path, body = attempts[way]
    reply = await call(method, path, json=body)
    if way == "async":
        problem = (await settled(call, reply))["error"]
        assert problem["code"] == "incompatible"
    else:
        assert reply.code == "incompatible"
        problem = reply.json()
    assert any(
        issue["code"] == "enum_value_removed" and "published" in issue["message"] and issue["pointer"]
        for issue in problem["errors"]
    )
    if way in ("put", "patch", "restore"):
        assert (await call(method, f"{path}?dryRun=true", json=body)).code == "incompatible"
    assert (await call("GET", project)).json()["version"] == before


async def test_an_admin_may_override_and_nobody_else(call: Caller) -> None:
    """The override is explicit and needs the scope admin; without it the same admin is refused."""
    project = await project_under(call, "FULL")
    writer = await make_key(call, "write")
    path = f"{project}?overrideCompatibility=true&message=cleaned+up"
    assert (await call("PUT", path, json=with_one_value(), headers=writer)).code == "forbidden"
    assert (await call("PUT", project, json=with_one_value())).code == "incompatible"
    rehearsed = await call("PUT", f"{path}&dryRun=true", json=with_one_value())
    assert (rehearsed.status, rehearsed.headers["X-Dry-Run"]) == (200, "true")
    stored = await call("PUT", path, json=with_one_value())
    assert (stored.status, stored.json()["data"]["message"]) == (200, "cleaned up")
    patched = await call("PATCH", f"{project}?overrideCompatibility=maybe", json=UPDATE)
    assert patched.code == "invalid_request"
    batch = {"projectId": project, "operations": [{"operation": "delete_enum", "data": {"name": "Status"}}]}
    assert (await call("POST", "batch?overrideCompatibility=true", json=batch, headers=writer)).code == "forbidden"


async def test_a_renamed_field_is_followed_by_every_mode_for_what_was_written(call: Caller) -> None:
    """BACKWARD lets a renaming pass, FORWARD does not; transitively it is followed through the versions between."""
    project = await project_under(call, "BACKWARD_TRANSITIVE", BLOG)
    for old, new in (("title", "heading"), ("heading", "headline")):
        data = {"entity": "Post", "name": old, "newName": new}
        reply = await call("PATCH", project, json={"operation": "rename_field", "data": data})
        assert reply.status == 200, reply
    await call("PATCH", f"{project}/settings", json={"compatibility": "FORWARD"})
    again = {"operation": "rename_field", "data": {"entity": "Post", "name": "headline", "newName": "caption"}}
    assert (await call("PATCH", project, json=again)).code == "incompatible"


async def test_a_transitive_mode_looks_at_every_version(call: Caller) -> None:
    """A value that came back later may still not be what the first readers knew."""
    project = new_project()
    grown = {**BLOG, "entities": [*BLOG["entities"], {"name": "Tag"}]}
    for document in (with_status(), BLOG, grown):
        assert (await call("PUT", project, json=document)).status in (200, 201)
    narrowed = json.loads(json.dumps(grown))
    narrowed["entities"][1]["fields"].append({"name": "status", "type": "string", "maxLength": 3})
    asked = {"schema": narrowed, "mode": "BACKWARD"}
    newest = (await call("POST", f"{project}/compatibility", json=asked)).json()["data"]
    assert (newest["compatible"], [entry["version"] for entry in newest["against"]]) == (True, [3])
    every = (await call("POST", f"{project}/compatibility", json={**asked, "mode": "BACKWARD_TRANSITIVE"})).json()[
        "data"
    ]
    assert [(entry["version"], entry["compatible"]) for entry in every["against"]] == [(3, True), (2, True), (1, False)]
    assert any("field Post.status" in reason for reason in every["against"][2]["reasons"])
    await call("PATCH", f"{project}/settings", json={"compatibility": "BACKWARD_TRANSITIVE"})
    refused = await call("PUT", project, json=narrowed)
    assert refused.code == "incompatible"
    assert all("against version 1" in issue["message"] for issue in refused.json()["errors"])
    one = (await call("POST", f"{project}/compatibility", json={**asked, "version": 1})).json()["data"]
    assert [entry["version"] for entry in one["against"]] == [1]


async def test_judging_changes_nothing_and_refuses_what_is_malformed(call: Caller) -> None:
    """Operations or a schema, exactly one; faults are those of a write."""
    project = await project_under(call, "FULL")
    ask = f"{project}/compatibility"
    verdict = (await call("POST", ask, json={"operations": [create_entity("Tag")]})).json()["data"]
    assert (verdict["mode"], verdict["compatible"]) == ("FULL", True)
    assert (await call("GET", project)).json()["version"] == 1
    assert (await call("POST", ask, json={})).code == "invalid_request"
    assert (await call("POST", ask, json={"schema": BLOG, "operations": [UPDATE]})).code == "invalid_request"
    assert (await call("POST", ask, json={"schema": {"name": "1"}})).code == "schema_invalid"
    assert (await call("POST", ask, json={"operations": [{"operation": "x", "data": {}}]})).code == "operation_invalid"
    assert (await call("POST", ask, json={"schema": BLOG, "version": 9})).code == "not_found"
    assert (await call("POST", ask, json={"schema": BLOG, "mode": "SOMETIMES"})).code == "invalid_request"
    assert (await call("POST", f"{new_project()}/compatibility", json={"schema": BLOG})).code == "not_found"


async def test_a_large_schema_is_judged_like_a_small_one(call: Caller) -> None:
    """Only the neighbourhood of a change is looked at: a renaming, a violation and a harmless change all count."""
    entities = [{"name": f"E{n}", "fields": [{"name": "a", "type": "string", "maxLength": 9}]} for n in range(400)]
    linked = [
        {"name": f"r{n}", "source": f"E{n}", "target": f"E{n + 1}", "sourceCardinality": "0..1"} for n in range(399)
    ]
    project = await project_under(call, "BACKWARD", {"name": "big", "entities": entities, "relationships": linked})

    async def patch(operation: str, **data: object) -> Answer:
        return await call("PATCH", project, json={"operation": operation, "data": data})

    assert (await patch("rename_entity", name="E7", newName="Seven")).status == 200
    assert (await patch("rename_field", entity="Seven", name="a", newName="b")).status == 200
    assert (await patch("update_field", entity="E9", name="a", maxLength=10)).status == 200
    assert (await patch("update_field", entity="E9", name="a", maxLength=8)).code == "incompatible"
    assert (await patch("delete_entity", name="E30", cascade=True)).code == "incompatible"


async def test_settings_have_a_tag_of_their_own(call: Caller) -> None:
    """They are changed by admins, and only if they are still those that the request names."""
    project = new_project()
    await call("PUT", project, json=BLOG)
    first = await call("GET", f"{project}/settings")
    assert first.json()["data"] == {"compatibility": None, "effective": {"compatibility": "NONE"}}
    tag = first.headers["ETag"]
    unchanged = await call("GET", f"{project}/settings", headers={"If-None-Match": tag})
    assert (unchanged.status, unchanged.body) == (304, b"")
    writer = await make_key(call, "write")
    body = {"compatibility": "FULL"}
    assert (await call("PATCH", f"{project}/settings", json=body, headers=writer)).code == "forbidden"
    done = await call("PATCH", f"{project}/settings", json=body, headers={"If-Match": tag})
    assert (done.status, done.json()["data"]["effective"]["compatibility"]) == (200, "FULL")
    stale = await call("PATCH", f"{project}/settings", json={"compatibility": None}, headers={"If-Match": tag})
    assert stale.code == "version_conflict"
    rehearsed = await call("PATCH", f"{project}/settings?dryRun=true", json={"compatibility": None})
    assert rehearsed.json()["data"]["compatibility"] is None
    assert (await call("GET", f"{project}/settings")).json()["data"]["compatibility"] == "FULL"
    malformed: tuple[object, ...] = ({"compatibility": "SOME"}, {"color": 1}, [])
    for bad in malformed:
        assert (await call("PATCH", f"{project}/settings", json=bad)).code == "invalid_request"
    assert (await call("GET", f"{new_project()}/settings")).code == "not_found"


async def test_a_diff_says_whom_each_change_breaks(call: Caller) -> None:
    """Each change has both sides, its place, and a reason for each party; the modes are told together."""
    project = new_project()
    await call("PUT", project, json=with_status())
    await call("PUT", project, json=with_one_value())
    data = (await call("GET", f"{project}/diff?from=1&to=2")).json()["data"]
    (change,) = data["changes"]
    assert (change["code"], change["before"], change["after"]) == ("enum_value_removed", "published", None)
    assert change["breaks"].keys() == {"writers", "storedData"}
    assert data["compatibility"] == {"BACKWARD": False, "FORWARD": True, "FULL": False}


async def test_a_version_is_found_by_time(call: Caller) -> None:
    """The one that was the newest then, in any zone; before the first there is none."""
    project = new_project()
    start = datetime.now(UTC).isoformat()
    await call("PUT", project, json=BLOG)
    await asyncio.sleep(0.01)
    between = datetime.now(UTC)
    await asyncio.sleep(0.01)
    await call("PUT", project, json=with_status())

    async def at(moment: str) -> Answer:
        return await call("GET", f"{project}?at={moment.replace('+', '%2B')}")

    assert (await at(between.isoformat())).json()["version"] == 1
    assert (await at("2100-01-01T00:00:00Z")).json()["version"] == 2
    assert (await at(start)).code == "not_found"
    assert (await call("GET", f"{project}?version=1")).json()["data"] == BLOG
    for bad in ("yesterday", "2026-01-01", "2026-01-01T00:00:00", "9999-99-99T00:00:00Z", "x" * 5000):
        assert (await at(bad)).code == "invalid_request"
    assert (await call("GET", f"{project}?version=1&at=2100-01-01T00:00:00Z")).code == "invalid_request"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("include=none", {"formatVersion": "1", "name": "blog"}),
        ("include=enums", {"formatVersion": "1", "name": "blog", "enums": BLOG["enums"]}),
        ("fields=name", {"name": "blog"}),
        ("fields=entities.name,name", {"name": "blog", "entities": [{"name": "User"}, {"name": "Post"}]}),
        ("fields=enums,enums.name", {"enums": BLOG["enums"]}),
        ("fields=enums.nothing", {"enums": [{}]}),
    ],
)
async def test_a_part_of_a_schema_can_be_read(call: Caller, query: str, expected: object) -> None:
    """Some lists, or some members; the entity tag is that of the version, so that it can be written on top of."""
    project = new_project()
    whole = (await call("PUT", project, json=BLOG)).headers["ETag"]
    reply = await call("GET", f"{project}?{query}")
    assert (reply.status, reply.headers["ETag"], reply.json()["data"]) == (200, whole, expected)
    again = await call("GET", f"{project}?{query}", headers={"If-None-Match": whole})
    assert (again.status, again.body) == (304, b"")


@pytest.mark.parametrize(
    "query",
    ["include=things", "include=", "fields=", "fields=nope", "fields=name..x", "color=red", "version=1&version=2"],
)
async def test_a_part_that_is_not_there_is_refused(call: Caller, query: str) -> None:
    """With what can be asked for."""
    project = new_project()
    await call("PUT", project, json=BLOG)
    assert (await call("GET", f"{project}?{query}")).code == "invalid_request"


async def test_a_deleted_project_is_listed_restored_and_purged(call: Caller) -> None:
    """Deleted it is hidden and listed apart; restored it goes on; purged nothing of it is left but the audit log."""
    project = new_project()
    await call("PUT", project, json=BLOG)
    assert (await call("DELETE", f"{project}?dryRun=true")).status == 200
    assert (await call("GET", project)).status == 200
    await call("DELETE", f"{project}?message=gone")
    listed = (await call("GET", "/api/domain-schema?deleted=true&limit=1000")).json()["data"]["projects"]
    assert next(entry for entry in listed if entry["projectId"] == project)["deletedAt"]
    rehearsed = await call("POST", f"{project}/restore?dryRun=true", json={"version": 1})
    assert (rehearsed.status, rehearsed.headers["X-Dry-Run"]) == (201, "true")
    assert "ETag" not in rehearsed.headers
    assert (await call("GET", project)).code == "not_found"
    assert (await call("POST", f"{project}/restore", json={"version": 1})).status == 201
    writer = await make_key(call, "write")
    assert (await call("POST", f"{project}/purge?confirm={project}", headers=writer)).code == "forbidden"
    for wrong in ("", "?confirm=", "?confirm=other"):
        assert (await call("POST", f"{project}/purge{wrong}")).code == "invalid_request"
    assert (await call("POST", f"{project}/purge?confirm={project}&dryRun=true")).status == 200
    assert (await call("GET", project)).status == 200
    assert (await call("POST", f"{project}/purge?confirm={project}")).status == 200
    assert (await call("GET", project)).code == "not_found"
    assert (await call("POST", f"{project}/restore", json={"version": 1})).code == "not_found"
    assert (await call("POST", f"{project}/purge?confirm={project}")).code == "not_found"
    lines = (await call("GET", f"/api/audit?projectId={project}")).json()["data"]["lines"]
    assert any(line["action"].endswith("/purge") and line["outcome"] == "done" for line in lines)
    assert (await call("PUT", project, json=BLOG)).json()["version"] == 1


@pytest.mark.parametrize("mode", ["put", "patch", "create"])
async def test_a_dry_run_judges_and_stores_nothing(call: Caller, mode: str) -> None:
    """The reply is that of the write, marked; neither the version nor the idempotency key is used up."""
    project = new_project()
    if mode != "create":
        await call("PUT", project, json=BLOG)
    requests: dict[str, tuple[str, str, Any]] = {
        "put": ("PUT", project, with_status()),
        "patch": ("PATCH", project, create_entity("Tag")),
        "create": ("POST", "/api/domain-schema", {"projectId": project, "domainSchema": BLOG}),
    }
    method, path, body = requests[mode]
    key = {"Idempotency-Key": new_project()}
    rehearsed = await call(method, f"{path}?dryRun=true", json=body, headers=key)
    assert rehearsed.headers["X-Dry-Run"] == "true"
    done = await call(method, path, json=body, headers=key)
    assert (rehearsed.status, rehearsed.json()["version"]) == (done.status, done.json()["version"])
    assert "X-Dry-Run" not in done.headers


async def test_an_override_is_not_inherited_by_who_tries_again(call: Caller) -> None:
    """A failed operation that an admin submitted with an override is judged again when a writer retries it."""
    project = await project_under(call, "BACKWARD")
    writer = await make_key(call, "write")
    work = {"operations": [UPDATE, {"operation": "delete_entity", "data": {"name": "Temporary"}}]}
    failed = await settled(call, await call("POST", f"{project}/async?overrideCompatibility=true", json=work))
    assert failed["error"]["code"] == "operation_invalid"
    await call("PATCH", f"{project}?overrideCompatibility=true", json=create_entity("Temporary"))
    again = f"operations/{failed['operationId']}/retry"
    refused = await settled(call, await call("POST", again, headers=writer))
    assert refused["error"]["code"] == "incompatible"
