"""A schema sent element by element: stored as a whole or not at all, verified, once, and without holding others up."""

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest
from sqlalchemy import func, select
from tests.service.caller import BLOG, Answer, Caller, new_project

from schemawire.protocol.paths import API_ROOT
from schemawire.service.retention import sweep
from schemawire.service.store import SqliteStore
from schemawire.service.store.staging import EXPIRY
from schemawire.service.store.tables import elements
from schemawire.testing.service_process import ServiceProcess

NDJSON = {"Content-Type": "application/x-ndjson"}


def element_line(kind: str, element: dict[str, Any]) -> bytes:
    """Return one element as a line."""
    return json.dumps({"type": "element", "kind": kind, "element": element}).encode() + b"\n"


def lines_for(document: dict[str, Any], **header: Any) -> list[bytes]:
    """Return a document as the lines of an upload, in the document's order, with a right trailer."""
    head = {key: value for key, value in document.items() if isinstance(value, str)}
    first = json.dumps({"type": "header", "header": head, **header}).encode() + b"\n"
    kinds = {"entities": "entity", "enums": "enum", "relationships": "relationship", "rules": "rule"}
    body = [element_line(kinds[name], part) for name in kinds for part in document.get(name, ())]
    return [first, *body, trailer_for(body)]


def trailer_for(body: list[bytes], **more: Any) -> bytes:
    """Return the trailer that belongs to some element lines."""
    digest = hashlib.sha256(b"".join(body)).hexdigest()
    trailer = {"type": "trailer", "elementCount": len(body), "streamDigest": digest, **more}
    return json.dumps(trailer).encode() + b"\n"


async def upload(call: Caller, project: str, lines: list[bytes], **headers: str) -> Answer:
    """Send lines."""
    sent = NDJSON | {name.replace("_", "-"): value for name, value in headers.items()}
    return await call("PUT", f"{project}/stream", body=b"".join(lines), headers=sent)


async def test_an_upload_is_the_same_as_a_put(call: Caller) -> None:
    """The same document gives the same digest either way, keeps its order, and a second upload makes no version."""
    one, other = new_project(), new_project()
    stored = await call("PUT", one, json=BLOG)
    reply = await upload(call, other, lines_for(BLOG))
    assert reply.status == 201, reply.body
    assert (reply.json()["version"], reply.json()["digest"]) == (1, stored.json()["digest"])
    assert reply.headers["ETag"] == stored.headers["ETag"]
    assert (await call("GET", other)).json()["data"] == (await call("GET", one)).json()["data"]
    again = await upload(call, other, lines_for(BLOG))
    assert (again.status, again.json()["version"], again.json()["data"]["changed"]) == (200, 1, False)


async def test_what_was_streamed_out_can_be_streamed_in(call: Caller) -> None:
    """The very bytes of a read stream are a good upload, to another project too."""
    one, other = new_project(), new_project()
    stored = await call("PUT", one, json=BLOG)
    out = await call("GET", f"{one}/stream")
    reply = await upload(call, other, [out.body])
    assert (reply.status, reply.json()["digest"]) == (201, stored.json()["digest"])
    assert (await call("GET", f"{other}/stream")).body.splitlines()[1:] == out.body.splitlines()[1:]


async def test_a_project_lives_on_after_an_upload(call: Caller) -> None:
    """Small writes, history, diff and restore work over the switch, in both directions."""
    project = new_project()
    await call("PUT", project, json=BLOG)
    smaller = {**BLOG, "entities": BLOG["entities"][:1], "relationships": []}
    assert (await upload(call, project, lines_for(smaller))).json()["version"] == 2
    operation = {"operation": "create_field", "data": {"entity": "User", "name": "nick", "type": "string"}}
    patched = await call("PATCH", project, json=operation)
    assert patched.json()["version"] == 3, patched.body
    refused = await call("PATCH", project, json={"operation": "delete_entity", "data": {"name": "Post"}})
    assert refused.code == "operation_invalid"
    first = (await call("GET", f"{project}/versions/1")).json()["data"]
    assert [entity["name"] for entity in first["entities"]] == ["User", "Post"]
    second = (await call("GET", f"{project}/versions/2")).json()["data"]
    assert [len(second[name]) for name in ("entities", "enums", "relationships")] == [1, 1, 0]
    assert len((await call("GET", f"{project}/diff?from=1&to=3")).json()["data"]["changes"]) >= 3
    restored = await call("POST", f"{project}/restore", json={"version": 1})
    assert restored.json()["version"] == 4
    assert (await call("GET", project)).json()["data"] == first
    assert [entry["version"] for entry in (await call("GET", f"{project}/versions")).json()["data"]["versions"]] == [
        4, 3, 2, 1
    ]  # fmt: skip
    still_used = await call("PATCH", project, json={"operation": "delete_entity", "data": {"name": "Post"}})
    assert still_used.code == "operation_invalid"  # the index of who refers to whom came along


def spoiled() -> Iterator[Any]:
    """Return uploads that must be refused, each with the code of its refusal."""
    header, *body, trailer = lines_for(BLOG)
    entity = element_line("entity", {"name": "Twice"})
    dangling = [element_line("relationship", {"name": "r", "source": "A", "target": "B"})]
    clash = [element_line("entity", {"name": "Same"}), element_line("enum", {"name": "Same", "values": ["a"]})]
    cases: dict[str, tuple[list[bytes], str]] = {
        "nothing": ([], "invalid_request"),
        "no trailer": ([header, *body], "invalid_request"),
        "cut in a line": ([header, *body, trailer[:20]], "invalid_json"),
        "an element lost": ([header, *body[1:], trailer], "invalid_request"),
        "an element altered": ([header, body[0].replace(b"User", b"Usor"), *body[1:], trailer], "invalid_request"),
        "no header": ([*body, trailer], "invalid_request"),
        "two headers": ([header, header, *body, trailer], "invalid_request"),
        "lines behind the trailer": ([header, *body, trailer, entity], "invalid_request"),
        "an unknown type": ([header, b'{"type":"comment"}\n', *body, trailer], "invalid_request"),
        "an unknown key": ([header, b'{"type":"element","kind":"entity","elements":{}}\n'], "invalid_request"),
        "a partial stream": (lines_for(BLOG, after="entity:Post"), "invalid_request"),
        "another digest": (lines_for(BLOG, digest="ab" * 32), "invalid_request"),
        "not JSON": ([header, b"nonsense\n"], "invalid_json"),
        "a repeated key": ([header, b'{"type":"element","type":"element"}\n'], "invalid_json"),
        "not UTF-8": ([header, b'{"type":"\xff"}\n'], "invalid_json"),
        "a twin": ([header, entity, entity, trailer_for([entity, entity])], "schema_invalid"),
        "a bad element": ([header, element_line("entity", {"name": 7}), trailer], "schema_invalid"),
        "a dangling end": ([header, *dangling, trailer_for(dangling)], "schema_invalid"),
        "a shared name": ([header, *clash, trailer_for(clash)], "schema_invalid"),
    }
    for name, (lines, code) in cases.items():
        yield pytest.param(lines, code, id=name)


@pytest.mark.parametrize(("lines", "code"), list(spoiled()))
async def test_a_spoiled_upload_is_refused_whole(call: Caller, lines: list[bytes], code: str) -> None:
    """Whatever is wrong with the lines, the refusal says so and the project is as it was."""
    project = new_project()
    before = await call("PUT", project, json={"name": "before", "entities": [{"name": "Kept"}]})
    reply = await upload(call, project, lines)
    assert reply.code == code, reply.body
    after = await call("GET", project)
    assert (after.json()["version"], after.headers["ETag"]) == (1, before.headers["ETag"])


async def test_a_fault_is_named_by_its_line(call: Caller) -> None:
    """Pointers begin with the number of the line, whether the fault shows in the line or in the whole."""
    header, *_ = lines_for(BLOG)
    lines = [header, element_line("entity", {"name": "A"}), element_line("entity", {"name": "B", "extends": "Nobody"})]
    reply = await upload(call, new_project(), [*lines, trailer_for(lines[1:])])
    assert [error["pointer"] for error in reply.json()["errors"]] == ["/3/element/extends"]
    bad = element_line("entity", {"name": "A", "fields": [{"name": "x", "type": "strung"}]})
    reply = await upload(call, new_project(), [header, bad, trailer_for([bad])])
    assert [error["pointer"] for error in reply.json()["errors"]] == ["/2/element/fields/0/type"]


async def test_an_upload_repeated_with_its_key_is_done_once(call: Caller) -> None:
    """The same lines and key get the stored reply, other lines are refused, and the version stays the first."""
    project = new_project()
    first = await upload(call, project, lines_for(BLOG), Idempotency_Key="k-1")
    changed = await call("PATCH", project, json={"operation": "create_entity", "data": {"name": "Later"}})
    again = await upload(call, project, lines_for(BLOG), Idempotency_Key="k-1")
    assert (again.status, again.body) == (first.status, first.body)
    assert again.headers["Idempotent-Replayed"] == "true"
    other = await upload(call, project, lines_for({**BLOG, "name": "other"}), Idempotency_Key="k-1")
    assert other.code == "idempotency_key_reused"
    assert (await call("GET", project)).headers["ETag"] == changed.headers["ETag"]


async def test_an_upload_heeds_its_precondition(call: Caller) -> None:
    """A stale `If-Match` and `If-None-Match: *` on a project that is there change nothing."""
    project = new_project()
    stored = await call("PUT", project, json={"name": "a"})
    tag = stored.headers["ETag"]
    await call("PUT", project, json={"name": "b"})
    stale = await upload(call, project, lines_for(BLOG), If_Match=tag)
    assert (stale.code, stale.json()["currentVersion"]) == ("version_conflict", 2)
    assert (await upload(call, project, lines_for(BLOG), If_None_Match="*")).code == "version_conflict"
    current = (await call("GET", project)).headers["ETag"]
    assert (await upload(call, project, lines_for(BLOG), If_Match=current)).json()["version"] == 3


async def test_a_rehearsed_upload_stores_nothing(call: Caller) -> None:
    """`dryRun=true` judges everything, says which version it would be, and keeps none."""
    project = new_project()
    reply = await call("PUT", f"{project}/stream?dryRun=true", body=b"".join(lines_for(BLOG)), headers=NDJSON)
    assert (reply.status, reply.json()["version"]) == (201, 1), reply.body
    assert (await call("GET", project)).code == "not_found"


async def test_an_upload_says_what_it_is(call: Caller) -> None:
    """Another media type, a compressed body and an unknown parameter are refused unread."""
    project, body = new_project(), b"".join(lines_for(BLOG))
    path = f"{project}/stream"
    assert (await call("PUT", path, body=body)).code == "unsupported_media_type"
    packed = await call("PUT", path, body=body, headers=NDJSON | {"Content-Encoding": "gzip"})
    assert packed.code == "unsupported_media_type"
    assert (await call("PUT", f"{path}?speed=1", body=body, headers=NDJSON)).code == "invalid_request"


async def test_a_killed_upload_leaves_nothing(own_service: ServiceProcess) -> None:
    """SIGKILL in the middle: the project is as it was, the rest is swept, and the same request is done afterwards."""
    project, document = new_project(), {"name": "large", "entities": [{"name": f"E{n}"} for n in range(4_000)]}
    lines = lines_for(document)
    async with Caller(own_service) as call:
        before = await call("PUT", project, json=BLOG)

        async def half() -> AsyncIterator[bytes]:
            yield b"".join(lines[:3_000])
            await asyncio.sleep(0.5)
            own_service.kill()
            yield b"".join(lines[3_000:])

        url = f"{own_service.base_url}{API_ROOT}/{project}/stream"
        headers = {**own_service.headers, **NDJSON, "Idempotency-Key": "k"}
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientError):
                await session.put(url, data=half(), headers=headers)
        await asyncio.to_thread(own_service.restart)
        after = await call("GET", project)
        assert (after.json()["version"], after.headers["ETag"]) == (1, before.headers["ETag"])
        again = await upload(call, project, lines, Idempotency_Key="k")
        assert (again.json()["version"], again.json()["data"]["elementCount"]) == (2, 4_000)
    await asyncio.to_thread(own_service.stop)
    store = SqliteStore(own_service.database_path)
    await store.start()
    try:
        await sweep(store, time.time() + EXPIRY + 1)
        left = select(func.count()).select_from(elements).where(elements.c.project_id.like("~%"))
        assert await store.read(lambda conn: conn.execute(left).scalar_one()) == 4_000
    finally:
        await store.close()
