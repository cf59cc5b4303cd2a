"""Projects over a real socket: create, read, replace, change, delete, restore, list and export."""

import json

from tests.service.caller import BLOG, Caller, create_entity, new_project

from schemawire.schema import parse_schema, schema_digest


async def test_put_creates_then_replaces_then_changes_nothing(call: Caller) -> None:
    """PUT makes a missing project, a new version for a new schema, and no version for an identical one."""
    project = new_project()
    first = await call("PUT", project, json=BLOG)
    assert (first.status, first.json()["version"], first.json()["data"]["created"]) == (201, 1, True)
    assert first.json()["digest"] == schema_digest(parse_schema(BLOG))
    assert first.headers["ETag"] == f'"v1-{first.json()["digest"]}"'
    second = await call("PUT", project, json={**BLOG, "description": "new"})
    assert (second.status, second.json()["version"], second.json()["data"]["created"]) == (200, 2, False)
    again = await call("PUT", project, json={**BLOG, "description": "new"})
    assert (again.status, again.json()["version"], again.json()["data"]["changed"]) == (200, 2, False)


async def test_a_schema_comes_back_as_it_was_sent(call: Caller) -> None:
    """The server never alters a submitted document; the reply says which version and digest it is."""
    project = new_project()
    document = {**BLOG, "description": "Grüße, 世界 🎈", "x-owner": {"team": ["a", 1, None, 2.5]}}
    await call("PUT", project, json=document)
    reply = await call("GET", project)
    assert reply.status == 200
    assert reply.json()["data"] == document
    assert reply.json()["digest"] == schema_digest(parse_schema(document))
    assert reply.headers["Cache-Control"] == "private, no-cache"


async def test_an_unchanged_schema_is_not_sent_again(call: Caller) -> None:
    """A caller with the newest version gets 304 and no body; after a write it gets the new version."""
    project = new_project()
    tag = (await call("PUT", project, json=BLOG)).headers["ETag"]
    same = await call("GET", project, headers={"If-None-Match": f'"other", {tag}'})
    assert (same.status, same.body, same.headers["ETag"]) == (304, b"", tag)
    await call("PATCH", project, json=create_entity("Tag"))
    assert (await call("GET", project, headers={"If-None-Match": tag})).status == 200


async def test_create_refuses_a_project_that_exists(call: Caller) -> None:
    """POST creates only: 201 once, then a conflict that changes nothing."""
    project = new_project()
    assert (await call("POST", "/api/domain-schema", json={"projectId": project, "domainSchema": BLOG})).status == 201
    other = {"projectId": project, "domainSchema": {"name": "other"}}
    assert (await call("POST", "/api/domain-schema", json=other)).code == "conflict"
    assert (await call("GET", project)).json()["data"]["name"] == "blog"


async def test_the_older_form_is_read(call: Caller) -> None:
    """`{projectId, sessionId, domainDescription, domainSchema}` makes a project; session and words are kept."""
    project = new_project()
    body = {"projectId": project, "sessionId": "s-1", "domainDescription": "a blog", "domainSchema": BLOG}
    assert (await call("POST", "/api/domain-schema", json=body)).json()["success"] is True
    (version,) = (await call("GET", f"{project}/versions")).json()["data"]["versions"]
    assert (version["sessionId"], version["message"], version["createdBy"]) == ("s-1", "a blog", "admin")


async def test_a_loose_older_schema_is_refused_with_places(call: Caller) -> None:
    """A schema in the older, loose shape is judged like any other: every fault has a pointer into the request."""
    project = new_project()
    loose = {"name": "blog", "entities": [{"name": "User", "attributes": ["id"]}], "relations": []}
    reply = await call("POST", "/api/domain-schema", json={"projectId": project, "domainSchema": loose})
    assert reply.code == "schema_invalid"
    assert {issue["pointer"] for issue in reply.json()["errors"]} >= {"/domainSchema/entities/0/attributes"}
    assert (await call("GET", project)).code == "not_found"


async def test_patch_applies_one_operation_or_a_list_as_a_whole(call: Caller) -> None:
    """A list is one version; if one operation fails nothing of the list is stored."""
    project = new_project()
    await call("PUT", project, json=BLOG)
    assert (await call("PATCH", project, json=create_entity("Tag"))).json()["version"] == 2
    both = await call("PATCH", project, json=[create_entity("A1"), create_entity("B1")])
    assert both.json()["version"] == 3
    half = await call("PATCH", project, json=[create_entity("C1"), create_entity("A1")])
    assert half.code == "operation_invalid"
    assert half.json()["errors"][0]["pointer"] == "/1/data/name"
    names = [entity["name"] for entity in (await call("GET", project)).json()["data"]["entities"]]
    assert names == ["User", "Post", "Tag", "A1", "B1"]


async def test_patch_does_not_create_projects(call: Caller) -> None:
    """Changing needs something to change."""
    assert (await call("PATCH", new_project(), json=create_entity("Tag"))).code == "not_found"


async def test_delete_hides_and_restore_brings_back(call: Caller) -> None:
    """A deleted project is gone for readers; a restore makes its old content a new version."""
    project = new_project()
    await call("PUT", project, json=BLOG)
    await call("PATCH", project, json=create_entity("Tag"))
    assert (await call("DELETE", project)).status == 200
    assert (await call("GET", project)).code == "not_found"
    assert (await call("DELETE", project)).code == "not_found"
    back = await call("POST", f"{project}/restore", json={"version": 1, "message": "undo"})
    assert (back.status, back.json()["version"]) == (201, 3)
    assert (await call("GET", project)).json()["data"] == BLOG


async def test_history_lists_shows_and_compares_versions(call: Caller) -> None:
    """Every version can be listed, read for ever, and compared in domain terms."""
    project = new_project()
    await call("PUT", project, json=BLOG)
    await call("PATCH", project, json=create_entity("Tag"))
    page = (await call("GET", f"{project}/versions?limit=1")).json()["data"]
    assert [entry["version"] for entry in page["versions"]] == [2]
    rest = (await call("GET", f"{project}/versions?limit=1&before={page['next']}")).json()["data"]
    assert ([entry["version"] for entry in rest["versions"]], rest["next"]) == ([1], None)
    assert page["versions"][0]["parent"] == rest["versions"][0]["digest"]
    old = await call("GET", f"{project}/versions/1")
    assert (old.json()["data"], old.headers["Cache-Control"]) == (BLOG, "private, max-age=31536000, immutable")
    changes = (await call("GET", f"{project}/diff?from=1&to=2")).json()["data"]["changes"]
    assert [change["code"] for change in changes] == ["entity_added"]
    assert (await call("GET", f"{project}/versions/9")).code == "not_found"
    assert (await call("GET", f"{project}/versions/zero")).code == "invalid_request"
    assert (await call("GET", f"{project}/diff")).code == "invalid_request"


async def test_projects_are_listed_page_by_page(call: Caller) -> None:
    """Following `next` gives every project once, in the order of the ids."""
    mine = sorted(new_project() for _ in range(5))
    for project in mine:
        await call("PUT", project, json={"name": "small"})
    seen: list[str] = []
    after = ""
    for _ in range(1_000):
        page = (await call("GET", f"/api/domain-schema?limit=3{after}")).json()["data"]
        seen += [entry["projectId"] for entry in page["projects"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert seen == sorted(set(seen))
    assert set(mine) <= set(seen)


async def test_export_gives_a_file(call: Caller) -> None:
    """The export is the document itself, and an unknown format is named as such."""
    project = new_project()
    await call("PUT", project, json=BLOG)
    reply = await call("GET", f"{project}/export/json")
    assert json.loads(reply.body) == BLOG
    assert reply.headers["Content-Disposition"] == f'attachment; filename="{project}.json"'
    assert (await call("GET", f"{project}/export/papyrus")).code == "not_implemented"


async def test_analyze_drafts_and_stores_nothing(call: Caller) -> None:
    """Words become a draft; the project still does not exist."""
    project = new_project()
    reply = await call("POST", f"{project}/analyze", json={"description": "A blog has posts; each post has a title."})
    names = {entity["name"] for entity in reply.json()["data"]["schema"]["entities"]}
    assert "Post" in names
    assert (await call("GET", project)).code == "not_found"
    assert (await call("POST", f"{project}/analyze", json={"description": "  \n "})).code == "nothing_recognised"
