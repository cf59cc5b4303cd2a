"""Idempotency keys and preconditions: a write happens once, and on top of what its caller has seen."""

import asyncio

import aiohttp
import pytest
from tests.service.caller import BLOG, Answer, Caller, create_entity, new_project

from schemawire.testing.service_process import ServiceProcess

ON_EACH_ENGINE = pytest.mark.parametrize("own_service", ["sqlite", "postgres"], indirect=True)


async def test_a_repeated_write_gets_the_first_reply(call: Caller) -> None:
    """The same key and body give the stored reply, marked as a replay, and no further version."""
    project, key = new_project(), {"Idempotency-Key": "k-1"}
    await call("PUT", project, json=BLOG)
    first = await call("PATCH", project, json=create_entity("Tag"), headers=key)
    again = await call("PATCH", project, json=create_entity("Tag"), headers=key)
    assert again.body == first.body
    assert again.status == first.status
    assert (again.headers["ETag"], again.headers["Idempotent-Replayed"]) == (first.headers["ETag"], "true")
    assert "Idempotent-Replayed" not in first.headers
    assert (await call("GET", project)).json()["version"] == 2


async def test_a_key_belongs_to_one_request(call: Caller) -> None:
    """The same key with another body, or another precondition, is refused and does nothing."""
    project, key = new_project(), {"Idempotency-Key": "k-1"}
    tag = (await call("PUT", project, json=BLOG)).headers["ETag"]
    await call("PATCH", project, json=create_entity("Tag"), headers=key)
    other = await call("PATCH", project, json=create_entity("Other"), headers=key)
    assert other.code == "idempotency_key_reused"
    conditional = await call("PATCH", project, json=create_entity("Tag"), headers={**key, "If-Match": tag})
    assert conditional.code == "idempotency_key_reused"
    assert (await call("GET", project)).json()["version"] == 2


async def test_keys_of_different_projects_and_routes_do_not_meet(call: Caller) -> None:
    """A key is unique per caller, project and route."""
    one, other, key = new_project(), new_project(), {"Idempotency-Key": "k-1"}
    assert (await call("PUT", one, json=BLOG, headers=key)).status == 201
    assert (await call("PUT", other, json=BLOG, headers=key)).status == 201
    assert (await call("PATCH", one, json=create_entity("Tag"), headers=key)).json()["version"] == 2


async def test_a_refused_write_may_be_corrected_by_the_world(call: Caller) -> None:
    """Refusals are not remembered: the same request is judged anew when the project has come into being."""
    project, key = new_project(), {"Idempotency-Key": "k-1"}
    assert (await call("PATCH", project, json=create_entity("Tag"), headers=key)).code == "not_found"
    await call("PUT", project, json=BLOG)
    assert (await call("PATCH", project, json=create_entity("Tag"), headers=key)).status == 200


async def test_a_malformed_key_is_refused(call: Caller) -> None:
    """A key is 1 to 255 printable ASCII characters."""
    for key in ("", "a" * 256, "caf\xe9"):
        reply = await call("PUT", new_project(), json=BLOG, headers={"Idempotency-Key": key})
        assert reply.code == "invalid_request"


async def test_equal_keys_at_once_write_once(call: Caller) -> None:
    """Of many equal requests at once one is done; the others are told to wait, or get its reply."""
    project, key = new_project(), {"Idempotency-Key": "k-1"}
    await call("PUT", project, json=BLOG)
    sent = [call("PATCH", project, json=create_entity("Tag"), headers=key) for _ in range(20)]
    replies: list[Answer] = await asyncio.gather(*sent)
    waiting = [reply for reply in replies if reply.status != 200]
    assert all(reply.code == "duplicate_in_flight" and reply.headers["Retry-After"] == "1" for reply in waiting)
    assert len(waiting) < 20
    assert (await call("GET", project)).json()["version"] == 2
    assert (await call("PATCH", project, json=create_entity("Tag"), headers=key)).status == 200


@ON_EACH_ENGINE
async def test_a_reply_is_repeated_after_the_process_was_killed(own_service: ServiceProcess) -> None:
    """The reply lies in the store: after `kill -9` and a new start the same request gets it, and does nothing."""
    project, key = new_project(), {"Idempotency-Key": "k-1"}
    async with Caller(own_service) as call:
        first = await call("PUT", project, json=BLOG, headers=key)
        await asyncio.to_thread(own_service.restart)
    async with Caller(own_service) as call:
        again = await call("PUT", project, json=BLOG, headers=key)
        assert (again.body, again.headers["Idempotent-Replayed"]) == (first.body, "true")
        assert again.headers["X-Store-ID"] == first.headers["X-Store-ID"]
        assert (await call("GET", project)).json()["version"] == 1


@ON_EACH_ENGINE
async def test_acknowledged_writes_survive_a_kill_and_are_never_doubled(own_service: ServiceProcess) -> None:
    """Writers run while the process is killed; each repeats its request until answered: every one is there once."""
    project = new_project()
    async with Caller(own_service) as call:
        await call("PUT", project, json=BLOG)
        async with asyncio.TaskGroup() as group:
            for number in range(20):
                group.create_task(write_until_answered(call, project, f"E{number}"))
            await asyncio.sleep(0.03)  # not for order: any moment will do
            await asyncio.to_thread(own_service.restart)
        versions = (await call("GET", f"{project}/versions?limit=100")).json()["data"]["versions"]
        assert [entry["version"] for entry in versions] == list(range(21, 0, -1))
        names = {entity["name"] for entity in (await call("GET", project)).json()["data"]["entities"]}
        assert names >= {f"E{number}" for number in range(20)}


async def write_until_answered(call: Caller, project: str, name: str) -> None:
    """Send the same request with the same key until there is a reply."""
    for _ in range(200):
        try:
            reply = await call("PATCH", project, json=create_entity(name), headers={"Idempotency-Key": name})
        except aiohttp.ClientError:
            await asyncio.sleep(0.05)
            continue
        if reply.status == 200:
            return
        assert reply.code in ("duplicate_in_flight", "draining", "store_unavailable"), reply
        await asyncio.sleep(0.05)
    raise AssertionError(f"{name} was never answered")


class TestPreconditions:
    """A stale write is refused and told what it missed."""

    async def test_if_match_names_what_changed(self, call: Caller) -> None:
        """412 carries the current version and digest, and the elements that changed since."""
        project = new_project()
        stale = (await call("PUT", project, json=BLOG)).headers["ETag"]
        newest = await call("PATCH", project, json=create_entity("Tag"))
        reply = await call("PATCH", project, json=create_entity("Other"), headers={"If-Match": stale})
        assert reply.code == "version_conflict"
        problem = reply.json()
        assert (problem["currentVersion"], problem["currentDigest"]) == (2, newest.json()["digest"])
        assert problem["conflicts"] == ["entity:Tag"]
        fresh = await call("PATCH", project, json=create_entity("Other"), headers={"If-Match": newest.headers["ETag"]})
        assert fresh.json()["version"] == 3

    async def test_if_match_needs_our_tag(self, call: Caller) -> None:
        """A foreign tag, a right version with another digest, or `*` on nothing match nothing."""
        project = new_project()
        assert (await call("PUT", project, json=BLOG, headers={"If-Match": "*"})).code == "version_conflict"
        await call("PUT", project, json=BLOG)
        for tag in ('"abc"', f'"v1-{"0" * 64}"', f'"v9-{"0" * 64}"', "nonsense"):
            reply = await call("PATCH", project, json=create_entity("Tag"), headers={"If-Match": tag})
            assert reply.code == "version_conflict", tag
            assert reply.json()["currentVersion"] == 1
        assert (await call("PATCH", project, json=create_entity("Tag"), headers={"If-Match": "*"})).status == 200

    async def test_if_none_match_creates_only(self, call: Caller) -> None:
        """`If-None-Match: *` on PUT makes a project, and never replaces one."""
        project, only_new = new_project(), {"If-None-Match": "*"}
        assert (await call("PUT", project, json=BLOG, headers=only_new)).status == 201
        assert (await call("PUT", project, json={"name": "other"}, headers=only_new)).code == "version_conflict"
        tag = {"If-None-Match": f'"v1-{"0" * 64}"'}
        assert (await call("PUT", project, json={"name": "other"}, headers=tag)).code == "invalid_request"

    async def test_a_stale_delete_and_restore_are_refused(self, call: Caller) -> None:
        """Preconditions hold for every kind of write."""
        project = new_project()
        stale = {"If-Match": (await call("PUT", project, json=BLOG)).headers["ETag"]}
        await call("PATCH", project, json=create_entity("Tag"))
        assert (await call("DELETE", project, headers=stale)).code == "version_conflict"
        restored = await call("POST", f"{project}/restore", json={"version": 1}, headers=stale)
        assert restored.code == "version_conflict"

    async def test_expected_version_of_a_batch(self, call: Caller) -> None:
        """The body may say the version, too; 0 means that there must be no project; it may not contradict a header."""
        project = new_project()
        body = {"projectId": project, "operations": [create_entity("A")], "expectedVersion": 0}
        tag = (await call("POST", "batch", json=body)).headers["ETag"]
        assert (await call("POST", "batch", json=body)).code == "version_conflict"
        clash = {**body, "expectedVersion": 7}
        assert (await call("POST", "batch", json=clash, headers={"If-Match": tag})).code == "invalid_request"
