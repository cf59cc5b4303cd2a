"""Large documents and batches: the same outcome as small ones, in portions, without holding other writers."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from tests.service.caller import Answer, Caller, create_entity, new_project

from schemawire.errors import SchemaInvalid
from schemawire.schema import parse_schema, schema_digest
from schemawire.service import large_batches
from schemawire.service.app import build_backend
from schemawire.service.backend import Backend
from schemawire.service.body_lines import Intake
from schemawire.service.in_band import error_frame, with_error_line
from schemawire.service.large_batches import answer_lines
from schemawire.service.operation_lines import OperationLines
from schemawire.service.store import read_document
from schemawire.service.write_request import WriteRequest
from schemawire.settings.service import ServiceSettings


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
    documents = [large(1_050, field=f"f{number}") for number in range(6)]  # more than are worked on at a time
    replies = await asyncio.gather(*(call("PUT", project, json=document) for document in documents))
    assert sorted(reply.json()["version"] for reply in replies) == [1, 2, 3, 4, 5, 6]
    for reply, document in zip(replies, documents, strict=True):
        stored = await call("GET", f"{project}/versions/{reply.json()['version']}")
        assert stored.json()["data"]["entities"] == document["entities"]


NDJSON = {"Content-Type": "application/x-ndjson"}


async def send_lines(
    call: Caller, project: str, operations: list[dict[str, Any]], *, key: str | None = None, **header: Any
) -> Answer:
    """Send a batch as lines."""
    documents = [{"type": "header", "projectId": project, **header}, *operations]
    body = b"".join(json.dumps(document).encode() + b"\n" for document in documents)
    return await call("POST", "batch", body=body, headers=NDJSON | ({"Idempotency-Key": key} if key else {}))


def lines_of(answer: Answer) -> list[dict[str, Any]]:
    """Return the lines of a reply, heartbeats left out."""
    assert answer.status == 200, answer.body
    return [json.loads(line) for line in answer.body.splitlines() if line]


class LineBatches:
    """Batches of lines carried out by a backend in this process."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def __call__(self, project: str, operations: list[dict[str, Any]], **header: Any) -> list[dict[str, Any]]:
        """Carry one out and return the lines of its reply; a refusal comes as an error line here too."""
        lines = OperationLines()
        stated = {"type": "header", "projectId": project, **header}
        body = b"".join(json.dumps(document).encode() + b"\n" for document in (stated, *operations))
        await lines.take_in(Intake(request_of(body)))
        write = WriteRequest(project_id=project, principal="tester", route="POST batch")
        chunks: list[bytes] = []
        try:
            reply = with_error_line(await answer_lines(self._backend, write, lines), "r", at_end=lines.close)
            chunks += [chunk async for chunk in reply]
        except SchemaInvalid as error:
            chunks.append(error_frame(error, "r"))
        finally:
            lines.close()
        return [json.loads(line) for line in b"".join(chunks).splitlines()]

    async def document(self, project: str) -> tuple[dict[str, Any], str]:
        """Return what is stored, and its digest."""
        stored = await self._backend.store.read(lambda conn: read_document(conn, project))
        document: dict[str, Any] = json.loads(stored.body)
        return document, stored.entry.digest


def request_of(body: bytes) -> Request:
    """Return a request with this body, which comes in pieces."""
    pieces = [body[start : start + 100] for start in range(0, len(body), 100)]

    async def receive() -> dict[str, Any]:
        piece = pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

    return Request({"type": "http", "method": "POST", "headers": []}, receive)


@pytest.fixture(params=[10_000, 3], ids=["in one transaction", "on a copy"])
async def carry_out(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[LineBatches]:
    """Carry batches out, in one transaction or on a copy of the rows, whatever their size."""
    monkeypatch.setattr(large_batches, "LARGE", request.param)
    monkeypatch.setattr(large_batches, "_PORTION", 4)
    settings = ServiceSettings(database_url=f"sqlite:///{tmp_path / 'schemas.db'}")
    backend = build_backend(settings)
    async with backend.running():
        yield LineBatches(backend)


async def test_a_batch_of_lines_does_what_a_batch_does(carry_out: LineBatches) -> None:
    """Results, digest and order are the same on a copy of the rows as in one transaction."""
    operations = [
        *(create_entity(f"E{number}", "a") for number in range(6)),
        {"operation": "create_relationship", "data": {"name": "r", "source": "E0", "target": "E5"}},
        {"operation": "rename_entity", "data": {"name": "Before", "newName": "First"}},
        {"operation": "create_field", "data": {"entity": "E1", "name": "b", "type": "string"}},
        {"operation": "delete_entity", "data": {"name": "E2"}},
    ]
    bad: list[dict[str, Any]] = [
        {"operation": "delete_entity", "data": {"name": "E0"}},
        {"operation": "nonsense", "data": {}},
    ]
    for atomic in (True, False):
        project = f"lines-{atomic}"
        given = operations if atomic else [*operations[:3], bad[1], *operations[3:], bad[0]]
        await carry_out(project, [create_entity("Before")], atomic=True)
        *results, trailer = await carry_out(project, given, atomic=atomic)
        assert trailer["type"] == "trailer", trailer
        assert (trailer["version"], trailer["applied"], trailer["operationCount"]) == (2, 10, len(given))
        assert [result["index"] for result in results] == list(range(len(given)))
        failed = {result["index"]: result["error"] for result in results if not result["success"]}
        assert set(failed) == (set() if atomic else {3, 11})
        if not atomic:
            assert failed[11]["errors"][0]["pointer"] == "/operations/11/data/name"
        document, digest = await carry_out.document(project)
        names = [entity["name"] for entity in document["entities"]]
        assert names == ["First", "E0", "E1", "E3", "E4", "E5"]
        assert digest == trailer["digest"] == schema_digest(parse_schema(document))
        again = await carry_out(project, [{"operation": "delete_entity", "data": {"name": "E5", "cascade": True}}])
        assert again[-1]["version"] == 3, again
        assert (await carry_out.document(project))[0]["relationships"] == []


async def test_an_atomic_batch_of_lines_that_fails_changes_nothing(carry_out: LineBatches) -> None:
    """A missing element, a malformed operation, a dangling end: the last line says so, and no version is made."""
    good = [create_entity(f"E{number}") for number in range(4)]
    faults: list[dict[str, Any]] = [
        {"operation": "delete_entity", "data": {"name": "Nobody"}},
        {"operation": "nonsense", "data": {}},
        {"operation": "create_relationship", "data": {"name": "r", "source": "E0", "target": "Nobody"}},
    ]
    await carry_out("p", [create_entity("Before")], atomic=True)
    for fault in faults:
        last = (await carry_out("p", [*good, fault], atomic=True))[-1]
        assert last["type"] == "error", last
        assert last["problem"]["code"] in ("operation_invalid", "schema_invalid"), last
    document, _ = await carry_out.document("p")
    assert [entity["name"] for entity in document["entities"]] == ["Before"]


async def test_batches_of_lines_over_http(call: Caller) -> None:
    """Answered as lines, once under a key, refused as a problem while nothing has been sent, rehearsed on demand."""
    project = new_project()
    operations = [create_entity("A"), create_entity("B")]
    first = await send_lines(call, project, operations, key="k")
    assert first.headers["Content-Type"] == "application/x-ndjson"
    assert [line["type"] for line in lines_of(first)] == ["result", "result", "trailer"]
    again = lines_of(await send_lines(call, project, operations, key="k"))
    assert (again[-1]["version"], again[-1]["replayed"]) == (1, True)
    assert (await send_lines(call, project, [create_entity("C")], key="k")).code == "idempotency_key_reused"
    assert (await send_lines(call, project, operations)).code == "operation_invalid"
    assert (await send_lines(call, project, [create_entity("C")], expectedVersion=7)).code == "version_conflict"
    assert (await send_lines(call, project, [])).code == "invalid_request"
    rehearsed = lines_of(await send_lines(call, project, [create_entity("C")], dryRun=True))
    assert rehearsed[-1]["version"] == 2
    for body in (b"", b"\n", b"{}\n", b"nonsense\n", b'{"type":"header"}\n', b'{"type":"header","projectId":"a b"}\n'):
        reply = await call("POST", "batch", body=body, headers=NDJSON)
        assert reply.code in ("invalid_request", "invalid_json", "invalid_project_id"), body
    assert (await call("GET", project)).json()["version"] == 1


async def test_a_batch_of_many_lines_is_done_once(call: Caller) -> None:
    """More lines than one transaction takes: each has its result, and repeated with its key only the trailer comes."""
    project = new_project()
    operations = [create_entity(f"E{number}") for number in range(10_500)]
    first = lines_of(await send_lines(call, project, operations, key="k"))
    assert [line["index"] for line in first[:-1]] == list(range(10_500))
    assert (first[-1]["version"], first[-1]["applied"]) == (1, 10_500)
    (trailer,) = lines_of(await send_lines(call, project, operations, key="k"))
    assert trailer == first[-1] | {"replayed": True}
    assert (await call("GET", f"{project}/versions")).json()["data"]["versions"][0]["elementCount"] == 10_500
