"""Events while they happen: streams as events, the change feed, and the progress of an operation."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from tests.service.caller import BLOG, Caller, create_entity, new_project

from schemawire.framing import ServerSentEvent, SseDecoder
from schemawire.protocol.paths import API_ROOT
from schemawire.testing.service_process import ServiceProcess

if TYPE_CHECKING:
    from tests.servers.postgres import Databases

EVENTS = {"Accept": "text/event-stream"}


def decoded(body: bytes) -> list[ServerSentEvent]:
    """Return the events of a whole body."""
    return list(SseDecoder().feed(body))


@asynccontextmanager
async def following(
    service: ServiceProcess, path: str, *, last_id: str | None = None
) -> AsyncIterator[AsyncIterator[ServerSentEvent]]:
    """Follow a path's events."""
    headers = {**service.headers, **EVENTS} | ({"Last-Event-ID": last_id} if last_id is not None else {})
    url = f"{service.base_url}{API_ROOT}/{path}"
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as reply:
        assert reply.status == 200, await reply.text()
        assert reply.headers["Content-Type"] == "text/event-stream; charset=utf-8"
        async with aclosing(_events(reply)) as events:
            yield events


async def _events(reply: aiohttp.ClientResponse) -> Any:
    decoder = SseDecoder()
    async for chunk in reply.content.iter_any():
        for event in decoder.feed(chunk):
            yield event


async def test_a_stream_comes_as_events_too(call: Caller) -> None:
    """The same header, elements and trailer as the lines, each with an id, and with the same digest."""
    project = new_project()
    await call("PUT", project, json=BLOG)
    lines = [json.loads(line) for line in (await call("GET", f"{project}/stream")).body.splitlines()]
    reply = await call("GET", f"{project}/stream?chunkSize=2", headers=EVENTS)
    events = decoded(reply.body)
    assert [json.loads(event.data) for event in events] == lines
    assert [event.event for event in events] == ["header", *["element"] * 4, "trailer"]
    assert [event.id for event in events] == [
        "1/", "1/entity:Post", "1/entity:User", "1/enum:Status", "1/relationship:writes", "1/end"
    ]  # fmt: skip
    seen = hashlib.sha256(b"".join(event.data.encode() + b"\n" for event in events[1:-1]))
    assert json.loads(events[-1].data)["streamDigest"] == seen.hexdigest()


async def test_a_stream_of_events_resumes_at_its_version(call: Caller) -> None:
    """`Last-Event-ID` goes on behind that element of that version; behind the end there is nothing."""
    project = new_project()
    await call("PUT", project, json=BLOG)
    await call("PATCH", project, json=create_entity("Aaa"))
    rest = await call("GET", f"{project}/stream", headers=EVENTS | {"Last-Event-ID": "1/entity:User"})
    assert [event.id for event in decoded(rest.body)][1:-1] == ["1/enum:Status", "1/relationship:writes"]
    afresh = await call("GET", f"{project}/stream", headers=EVENTS | {"Last-Event-ID": "1/"})
    assert len(decoded(afresh.body)) == 6
    assert (await call("GET", f"{project}/stream", headers=EVENTS | {"Last-Event-ID": "1/end"})).status == 204
    for wrong in ("", "x", "1", "7/", "-1/", "1/nothing:x"):
        reply = await call("GET", f"{project}/stream", headers=EVENTS | {"Last-Event-ID": wrong})
        assert reply.code in ("invalid_request", "not_found"), wrong
    other = await call("GET", f"{project}/stream?version=2", headers=EVENTS | {"Last-Event-ID": "1/"})
    assert other.code == "invalid_request"


async def test_the_change_feed_tells_of_every_version(shared_service: ServiceProcess, call: Caller) -> None:
    """Each version comes once with its digest, author and changes, in order, soon after it was made."""
    project = new_project()
    await call("PUT", project, json=BLOG)
    async with asyncio.timeout(15), following(shared_service, f"{project}/events") as events:
        start = await anext(events)
        assert (start.event, start.id) == ("start", "1")
        stored = await call("PATCH", f"{project}?message=why", json=create_entity("Tag"))
        event = await anext(events)
        told = json.loads(event.data)
        assert (event.event, event.id, told["version"], told["digest"]) == ("version", "2", 2, stored.json()["digest"])
        assert (told["createdBy"], told["message"], told["elementCount"]) == ("admin", "why", 5)
        assert told["changes"] == {"added": ["entity:Tag"], "changed": [], "removed": [], "more": 0}
        await call("DELETE", project)
        assert (await anext(events)).event == "deleted"
        await call("POST", f"{project}/restore", json={"version": 1})
        assert json.loads((await anext(events)).data)["version"] == 3


async def test_nothing_is_missed_between_two_connections(shared_service: ServiceProcess, call: Caller) -> None:
    """With the id of the last event that came, everything behind it follows, whoever wrote it meanwhile."""
    project = new_project()
    await call("PUT", project, json=BLOG)
    async with asyncio.timeout(15):
        async with following(shared_service, f"{project}/events") as events:
            last = (await anext(events)).id
        for number in range(5):
            await call("PATCH", project, json=create_entity(f"E{number}"))
        async with following(shared_service, f"{project}/events", last_id=last) as events:
            got = [json.loads((await anext(events)).data)["version"] for _ in range(6)]
        assert got == [1, 2, 3, 4, 5, 6]
        async with following(shared_service, f"{project}/events?after=4") as events:
            assert [(await anext(events)).id for _ in range(3)] == ["4", "5", "6"]


async def test_a_feed_that_cannot_begin_is_a_problem(call: Caller) -> None:
    """A missing project, and an event that has not happened yet."""
    project = new_project()
    assert (await call("GET", f"{project}/events")).code == "not_found"
    await call("PUT", project, json=BLOG)
    for wrong in ("2", "x", "-1", "1/end"):
        reply = await call("GET", f"{project}/events", headers={"Last-Event-ID": wrong})
        assert reply.code == "invalid_request", wrong
    assert (await call("GET", f"operations/{'0' * 32}/events")).code == "not_found"


async def test_an_operation_is_followed_to_its_end(shared_service: ServiceProcess, call: Caller) -> None:
    """Its states come one after another, the last one is called final, and then the stream ends for good."""
    submitted = await call("POST", f"{new_project()}/async", json={"operations": [create_entity("A")]})
    operation_id = submitted.json()["data"]["operationId"]
    path = f"operations/{operation_id}/events"
    async with asyncio.timeout(15), following(shared_service, path) as events:
        got = [event async for event in events]
    assert (got[-1].event, json.loads(got[-1].data)["state"]) == ("final", "succeeded")
    assert {event.event for event in got[:-1]} <= {"status"}
    assert (await call("GET", path, headers=EVENTS | {"Last-Event-ID": got[-1].id})).status == 204
    again = decoded((await call("GET", path, headers=EVENTS)).body)
    assert [event.event for event in again] == ["final"]


async def test_listeners_do_not_hold_up_a_stop(own_service: ServiceProcess) -> None:
    """A service that is told to stop ends its feeds and is gone in a few seconds."""
    project = new_project()
    async with Caller(own_service) as call:
        await call("PUT", project, json=BLOG)
    async with following(own_service, f"{project}/events") as events:
        await anext(events)
        assert await asyncio.to_thread(own_service.stop) == 0
        with pytest.raises(StopAsyncIteration):
            await anext(events)


@pytest.mark.timeout(60)
async def test_a_feed_hears_of_what_other_processes_write(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Two services share a database: who listens to one is told of small and large writes through the other."""
    databases: Databases = request.getfixturevalue("postgres_databases")
    with databases.fresh() as url:
        environment = {"SCHEMAWIRE_DATABASE_URL": url}
        with (
            ServiceProcess(tmp_path / "a", environment=environment) as here,
            ServiceProcess(tmp_path / "b", admin_key=here.admin_key, environment=environment) as there,
        ):
            project = new_project()
            large = {"name": "large", "entities": [{"name": f"E{number}"} for number in range(1_100)]}
            async with Caller(there) as call, asyncio.timeout(40):
                await call("PUT", project, json=BLOG)
                async with following(here, f"{project}/events") as events:
                    assert (await anext(events)).event == "start"
                    await call("PATCH", project, json=create_entity("Tag"))
                    assert json.loads((await anext(events)).data)["changes"]["added"] == ["entity:Tag"]
                    await call("PUT", project, json=large)
                    told = json.loads((await anext(events)).data)
                    assert (told["version"], told["elementCount"], told["changes"]) == (3, 1_100, None)
