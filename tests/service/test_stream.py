"""The stream: complete and verified, resumable at a version, harmless when closed early, honest when it breaks."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tests.service.caller import BLOG, Caller, create_entity, new_project

from schemawire.protocol.paths import API_ROOT
from schemawire.schema import DomainSchema, Entity
from schemawire.service.store import SqliteStore, Store, WriteNote, replace_schema
from schemawire.service.streams import StreamRequest, open_stream
from schemawire.testing.service_process import ServiceProcess


def lines_of(body: bytes) -> list[dict[str, Any]]:
    """Return the lines of a stream."""
    return [json.loads(line) for line in body.splitlines()]


def digest_of_lines(body: bytes) -> str:
    """Return the digest over the element lines exactly as they came."""
    lines = [line for line in body.splitlines(keepends=True) if line.startswith(b'{"type":"element"')]
    return hashlib.sha256(b"".join(lines)).hexdigest()


@pytest.mark.parametrize("chunk", [1, 2, 3, 10_000])
async def test_a_stream_is_complete_and_verifies(call: Caller, chunk: int) -> None:
    """Header, every element once, and a trailer whose count and digest agree with what came; whatever the chunk."""
    project = new_project()
    stored = await call("PUT", project, json=BLOG)
    reply = await call("GET", f"{project}/stream?chunkSize={chunk}")
    assert (reply.status, reply.headers["Content-Type"]) == (200, "application/x-ndjson")
    header, *elements, trailer = lines_of(reply.body)
    assert (header["type"], header["version"], header["elementCount"]) == ("header", 1, 4)
    assert header["header"] == {"formatVersion": "1", "name": "blog"}
    assert [(line["kind"], line["cursor"]) for line in elements] == [
        ("entity", "entity:Post"), ("entity", "entity:User"), ("enum", "enum:Status"),
        ("relationship", "relationship:writes"),
    ]  # fmt: skip
    assert trailer == {
        "type": "trailer", "elementCount": 4, "digest": stored.json()["digest"],
        "streamDigest": digest_of_lines(reply.body),
    }  # fmt: skip


async def test_a_stream_resumes_behind_a_cursor_at_its_version(call: Caller) -> None:
    """With `version` and `after` the rest follows without gap or repeat, although the project has moved on."""
    project = new_project()
    await call("PUT", project, json=BLOG)
    whole = lines_of((await call("GET", f"{project}/stream?version=1")).body)
    await call("PATCH", project, json=create_entity("Aaa"))
    rest = lines_of((await call("GET", f"{project}/stream?version=1&after=entity:Post")).body)
    assert rest[1:-1] == whole[2:-1]
    assert (rest[0]["after"], rest[-1]["elementCount"], rest[-1]["digest"]) == ("entity:Post", 3, whole[-1]["digest"])
    pinned = await call("GET", f"{project}/stream?version=1")
    assert pinned.headers["Cache-Control"] == "private, max-age=31536000, immutable"


async def test_a_stream_that_cannot_begin_is_a_problem(call: Caller) -> None:
    """Before the first line every error is an ordinary one."""
    project = new_project()
    assert (await call("GET", f"{project}/stream")).code == "not_found"
    await call("PUT", project, json=BLOG)
    assert (await call("GET", f"{project}/stream?version=7")).code == "not_found"
    for query in ("after=nonsense", "after=thing:x", "chunkSize=0", "chunkSize=10001", "version=0", "verson=1"):
        assert (await call("GET", f"{project}/stream?{query}")).code == "invalid_request", query
    reply = await call("GET", f"{project}/stream", headers={"Accept": "text/html"})
    assert reply.code == "not_acceptable"


async def test_an_abandoned_stream_stops_reading(own_service: ServiceProcess) -> None:
    """A caller that hangs up after the first bytes ends the stream: it is not read to its end for nobody."""
    project = new_project()
    async with Caller(own_service) as call:
        operations = [create_entity(f"E{number}", *(f"field_{i}" for i in range(20))) for number in range(10_000)]
        body = {"projectId": project, "operations": operations}
        assert (await call("POST", "batch", json=body)).status == 200
        before = (await call("GET", "metrics")).json()["store"]["reads"]
        url = f"{own_service.base_url}{API_ROOT}/{project}/stream?chunkSize=10"
        async with aiohttp.ClientSession(read_bufsize=1024) as session:
            reply = await session.get(url, headers=own_service.headers)
            await reply.content.readexactly(100)
            reply.close()
            await asyncio.sleep(0.01)  # aiohttp's transport ends on a later turn of the loop
        await until_idle(call)
        reads = (await call("GET", "metrics")).json()["store"]["reads"] - before
        assert 0 < reads < 900  # the whole stream takes more than a thousand


async def until_idle(call: Caller) -> None:
    """Return once no request but our own is being served."""
    async with asyncio.timeout(10):
        while (await call("GET", "metrics")).json()["service"]["inFlight"] > 1:  # noqa: ASYNC110  # another process
            await asyncio.sleep(0.02)


@pytest.fixture
async def filled_store(tmp_path: Path) -> AsyncIterator[Store]:
    """A store that holds one project of five entities."""
    store = SqliteStore(tmp_path / "schemas.db")
    await store.start()
    schema = DomainSchema(name="five", entities=tuple(Entity(name=f"E{number}") for number in range(5)))
    await store.write(lambda conn: replace_schema(conn, "five", schema, WriteNote(now=0.0)))
    try:
        yield store
    finally:
        await store.close()


async def test_a_stream_that_breaks_says_so_in_its_last_line(filled_store: Store) -> None:
    """Once lines have gone out, an error is a line of its own, and there is no trailer."""
    _, lines = await open_stream(filled_store, StreamRequest(project_id="five", chunk_size=2), "r-1")
    seen = [await anext(lines), await anext(lines)]
    await filled_store.close()
    seen += [line async for line in lines]
    assert b'"type":"header"' in seen[0]
    last = json.loads(seen[-1])
    assert last["type"] == "error"
    assert last["problem"]["requestId"] == "r-1"
    assert not any(b'"trailer"' in line for line in seen)


async def test_a_stream_closed_early_leaves_the_store_free(filled_store: Store) -> None:
    """Closing the lines half-way holds neither a connection nor a snapshot: the store closes at once."""
    _, lines = await open_stream(filled_store, StreamRequest(project_id="five", chunk_size=1), "r-1")
    async with aclosing(lines):
        await anext(lines)
        await anext(lines)
    assert filled_store.statistics().active_reads == 0
    async with asyncio.timeout(5):
        await filled_store.close()
