"""Bad input: each gets a typed problem with code, place and fix, and nothing is stored."""

import asyncio
import json
import time
from typing import Any

import pytest
from tests.service.caller import BLOG, Caller, create_entity, new_project, to_bytes

from schemawire.protocol.messages import MAX_BODY_BYTES
from schemawire.testing.service_process import ServiceProcess

DEEP = b'{"name":"x","x-deep":' + b"[" * 100 + b"]" * 100 + b"}"
VERY_DEEP = b"[" * 200_000

BODIES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "invalid_json"),
    "not JSON": (b"{name: blog}", "invalid_json"),
    "truncated": (to_bytes(BLOG)[:-10], "invalid_json"),
    "two documents": (b'{"name":"a"}{"name":"b"}', "invalid_json"),
    "latin-1": ('{"name":"b","description":"Grüße"}'.encode("latin-1"), "invalid_json"),
    "utf-16": (to_bytes(BLOG).decode().encode("utf-16"), "invalid_json"),
    "repeated key": (b'{"name":"a","name":"b"}', "invalid_json"),
    "NaN": (b'{"name":"a","x-n":NaN}', "invalid_json"),
    "infinity": (b'{"name":"a","x-n":-Infinity}', "invalid_json"),
    "huge number": (b'{"name":"a","x-n":' + b"9" * 5_000 + b"}", "invalid_json"),
    "deep": (DEEP, "invalid_json"),
    "very deep": (VERY_DEEP, "invalid_json"),
    "half a surrogate pair": (b'{"name":"a","description":"\\ud800"}', "schema_invalid"),
    "NUL": (b'{"name":"a","description":"\\u0000"}', "schema_invalid"),
    "array": (b"[]", "invalid_request"),
    "string": (b'"blog"', "invalid_request"),
    "null": (b"null", "invalid_request"),
    "no name": (b"{}", "schema_invalid"),
    "wrong type": (b'{"name":5}', "schema_invalid"),
    "wrong key": (b'{"name":"a","entites":[]}', "schema_invalid"),
    "unknown field type": (
        b'{"name":"a","entities":[{"name":"E","fields":[{"name":"f","type":"sting"}]}]}',
        "schema_invalid",
    ),
    "duplicate name": (b'{"name":"a","entities":[{"name":"E"},{"name":"E"}]}', "schema_invalid"),
    "dangling reference": (
        b'{"name":"a","relationships":[{"name":"r","source":"A","target":"B"}]}',
        "schema_invalid",
    ),
    "cyclic inheritance": (
        b'{"name":"a","entities":[{"name":"A","extends":"B"},{"name":"B","extends":"A"}]}',
        "schema_invalid",
    ),
}


@pytest.mark.parametrize("kind", BODIES)
async def test_a_bad_schema_is_refused_and_nothing_stored(call: Caller, kind: str) -> None:
    """Whatever is wrong with the body, the reply says what, where and what to do, and the project is not made."""
    body, code = BODIES[kind]
    project = new_project()
    reply = await call("PUT", project, body=body)
    assert reply.code == code
    if code == "schema_invalid":
        assert all(issue["pointer"].startswith("/") and issue["message"] for issue in reply.json()["errors"])
    assert (await call("GET", project)).status == 404


async def test_a_syntax_error_says_where(call: Caller) -> None:
    """The problem names line and column."""
    reply = await call("PUT", new_project(), body=b'{"name": "a",\n  "x" 5}')
    assert "line 2, column 7" in reply.json()["detail"]


OPERATIONS: dict[str, tuple[Any, str]] = {
    "unknown operation": ({"operation": "explode", "data": {}}, "/operations/0/operation"),
    "no operation": ({"data": {}}, "/operations/0/operation"),
    "unknown key": (
        {"operation": "delete_entity", "data": {"name": "User", "casade": True}},
        "/operations/0/data/casade",
    ),
    "missing entity": ({"operation": "delete_entity", "data": {"name": "Nobody"}}, "/operations/0/data/name"),
    "duplicate name": (create_entity("User"), "/operations/0/data/name"),
    "still referenced": ({"operation": "delete_entity", "data": {"name": "User"}}, "/operations/0/data"),
    "dangling reference": (
        {"operation": "create_relationship", "data": {"name": "r", "source": "User", "target": "Nobody"}},
        "/operations/0/data/target",
    ),
    "not an object": ("create_entity", "/operations/0"),
}  # fmt: skip


@pytest.mark.parametrize("kind", OPERATIONS)
async def test_a_bad_operation_is_refused_with_its_place(call: Caller, kind: str) -> None:
    """An atomic batch with a bad operation stores nothing, and the issue points at the operation."""
    operation, pointer = OPERATIONS[kind]
    project = new_project()
    await call("PUT", project, json=BLOG)
    reply = await call("POST", "batch", json={"projectId": project, "operations": [operation]})
    assert reply.code in ("operation_invalid", "invalid_request")
    assert any(issue["pointer"].startswith(pointer) for issue in reply.json()["errors"]), reply.json()
    assert (await call("GET", project)).json()["version"] == 1


@pytest.mark.parametrize(
    "body",
    [
        {"projectId": "ok", "operations": []},
        {"projectId": "ok"},
        {"projectId": "ok", "operations": {}},
        {"projectId": "ok", "operations": [create_entity("A")], "atomic": "yes"},
        {"projectId": "ok", "operations": [create_entity("A")], "expectedVersion": -1},
        {"projectId": "ok", "operations": [create_entity("A")], "expectedVersion": 1.5},
        {"projectId": "ok", "operations": [create_entity("A")], "atomc": True},
        {"projectId": "ok", "operations": [create_entity("A")], "message": "\ud800"},
        {"projectId": "ok", "operations": [create_entity("A")] * 10_001},
    ],
)
async def test_a_bad_batch_is_refused(call: Caller, body: dict[str, Any]) -> None:
    """Missing, mistyped, unknown and over-long members are named."""
    project = new_project()
    reply = await call("POST", "batch", json={**body, "projectId": project})
    assert reply.code == "invalid_request"
    assert (await call("GET", project)).status == 404


@pytest.mark.parametrize(
    "path",
    [
        "../x", "%2e%2e%2fx", "a%2fb", "%2e%2e", "batch", "-a", ".hidden", "a%20b", "%C3%A9", "%ff",
        "a" * 129, "a%00b", "Operations", "SETTINGS", "x;y", "a%2Fstream",
    ],
)  # fmt: skip
async def test_a_project_id_that_breaks_the_rule_is_refused(call: Caller, path: str) -> None:
    """Reserved words, dots, slashes in any form, controls and other alphabets never name a project."""
    assert (await call("PUT", path, json=BLOG)).code == "invalid_project_id"


async def test_a_project_id_in_a_body_obeys_the_same_rule(call: Caller) -> None:
    """The rule holds where the id travels in the body."""
    for project in ("batch", "../x", "", "é"):
        batch = await call("POST", "batch", json={"projectId": project, "operations": [create_entity("A")]})
        assert batch.code == "invalid_project_id"
        assert batch.json()["errors"][0]["pointer"] == "/projectId"
        created = await call("POST", "/api/domain-schema", json={"projectId": project, "domainSchema": BLOG})
        assert created.code == "invalid_project_id"


@pytest.mark.parametrize(
    ("content_type", "encoding"),
    [
        ("text/plain", None), ("application/xml", None), ("application/json; charset=latin-1", None),
        ("", None), ("application/json", "gzip"), ("multipart/form-data; boundary=x", None),
    ],
)  # fmt: skip
async def test_a_body_of_another_type_is_refused(call: Caller, content_type: str, encoding: str | None) -> None:
    """Only plain UTF-8 JSON is read."""
    headers = {"Content-Type": content_type} | ({"Content-Encoding": encoding} if encoding else {})
    reply = await call("PUT", new_project(), body=to_bytes(BLOG), headers=headers)
    assert reply.code == "unsupported_media_type"


async def test_json_may_say_that_it_is_utf_8(call: Caller) -> None:
    """The usual forms of the content type are all accepted."""
    for content_type in ("application/json; charset=UTF-8", 'application/json;charset="utf-8"', "Application/JSON"):
        reply = await call("PUT", new_project(), body=to_bytes(BLOG), headers={"Content-Type": content_type})
        assert reply.status == 201, reply


async def test_unknown_paths_and_methods_are_problems(call: Caller) -> None:
    """404 and 405 look like every other error; 405 names all methods that are possible."""
    assert (await call("GET", "/nothing/here")).code == "not_found"
    assert (await call("GET", f"{new_project()}/nothing")).code == "not_found"
    reply = await call("POST", new_project(), json={})
    assert (reply.code, reply.headers["Allow"]) == ("method_not_allowed", "DELETE, GET, HEAD, PATCH, PUT")
    assert (await call("DELETE", "/health")).code == "method_not_allowed"


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=x", "limit=9999", "limt=5", "limit=5&limit=6", "limit=-1", "limit=1e3"]
)
async def test_a_bad_query_is_refused(call: Caller, query: str) -> None:
    """Unknown, repeated, mistyped and out-of-range parameters are named."""
    assert (await call("GET", f"/api/domain-schema?{query}")).code == "invalid_request"


@pytest.mark.parametrize("deadline", ["soon", "", "1.5", "٣", "9" * 30])
async def test_a_malformed_deadline_is_refused(call: Caller, deadline: str) -> None:
    """The header is a whole number of milliseconds."""
    headers = {"X-Request-Deadline": deadline.encode().decode("latin-1")}
    assert (await call("PUT", new_project(), json=BLOG, headers=headers)).code == "invalid_request"


async def test_expired_work_is_refused_not_done(call: Caller) -> None:
    """Work whose deadline has passed is answered with 504, and not done."""
    project = new_project()
    assert (await call("PUT", project, json=BLOG, headers={"X-Request-Deadline": "0"})).code == "deadline_exceeded"
    assert (await call("GET", project)).status == 404
    assert (await call("PUT", project, json=BLOG, headers={"X-Request-Deadline": "20000"})).status == 201


@pytest.mark.parametrize("is_chunked", [False, True], ids=["declared", "chunked"])
async def test_a_large_body_is_refused_quickly_in_flat_memory(shared_service: ServiceProcess, is_chunked: bool) -> None:
    """50 MB are refused before a byte is read where their length is declared, else at the limit."""
    before = peak_memory_bytes(shared_service)
    started = time.monotonic()
    head, problem = await send_fifty_megabytes(shared_service, is_chunked=is_chunked)
    assert b" 413 " in head
    assert problem["code"] == "payload_too_large"
    assert time.monotonic() - started < 10
    allowed = MAX_BODY_BYTES if is_chunked else 0
    assert peak_memory_bytes(shared_service) - before < allowed + 10_000_000


async def send_fifty_megabytes(service: ServiceProcess, *, is_chunked: bool) -> tuple[bytes, Any]:
    """Send a body until the service answers, then hang up; return the head and the problem of its reply.

    On a bare socket, because a client that is answered early keeps what it has not sent, and its connection with it.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    length = "Transfer-Encoding: chunked" if is_chunked else "Content-Length: 50000000"
    lines = [
        f"PUT /api/domain-schema/{new_project()} HTTP/1.1",
        "Host: test",
        f"Authorization: {service.headers['Authorization']}",
        "Content-Type: application/json",
        length,
    ]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    answer = asyncio.ensure_future(reader.readuntil(b"\r\n\r\n"))
    try:
        piece = b" " * 1_000_000
        for _ in range(50):
            writer.write(b"F4240\r\n" + piece + b"\r\n" if is_chunked else piece)
            drained = asyncio.ensure_future(writer.drain())
            await asyncio.wait({answer, drained}, return_when=asyncio.FIRST_COMPLETED)
            drained.cancel()
            if answer.done():
                break
        head = await answer
        size = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        return head, json.loads(await reader.readexactly(size))
    finally:
        answer.cancel()
        writer.transport.abort()


def peak_memory_bytes(service: ServiceProcess) -> int:
    """Return the most memory that the process ever had resident."""
    with open(f"/proc/{service.pid}/status") as status:
        line = next(line for line in status if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


async def test_a_fault_of_ours_shows_nothing_but_the_request_id(call: Caller) -> None:
    """A sane request id is taken over, and a problem body is valid JSON with nothing internal in it."""
    reply = await call("GET", "/nothing", headers={"X-Request-ID": "trace-42"})
    assert reply.headers["X-Request-ID"] == "trace-42"
    hostile = await call("GET", "/nothing", headers={"X-Request-ID": "a" * 500})
    assert hostile.headers["X-Request-ID"] != "a" * 500
    assert set(json.loads(hostile.body)) <= {
        "type", "title", "status", "code", "detail", "fix", "retryable", "errors", "requestId", "conflicts"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "batch", {"projectId": "p", "operations": [create_entity("A")], "sessionId": "a\0b"}),
        ("POST", "batch", {"projectId": "p", "operations": [create_entity("A")], "message": "a\0b"}),
        ("POST", "batch", {"projectId": "p", "operations": [create_entity("A")], "expectedVersion": 2**63}),
        ("POST", "p/restore", {"version": 2**63}),
        ("POST", "p/restore", {"version": 10**30}),
        ("GET", "/api/domain-schema?after=%00", None),
        ("GET", "operations?projectId=%00", None),
        ("GET", "operations?before=%00", None),
        ("GET", "operations/%00/status", None),
        ("DELETE", "/api/keys/%00", None),
        ("GET", "p/versions/9223372036854775808", None),
        ("GET", "p/stream?version=9223372036854775808", None),
    ],
)
async def test_what_no_database_can_hold_is_refused(call: Caller, method: str, path: str, body: object) -> None:
    """A NUL character and a number beyond 64 bits are the caller's mistakes, on every engine, wherever they stand."""
    answer = await call(method, path, json=body)
    assert answer.status in (400, 404, 422), answer
    assert answer.code
