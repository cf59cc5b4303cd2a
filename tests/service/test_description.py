"""The interface as it is described, in OpenAPI and in the documentation, is the interface that there is."""

import re
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from tests.service.caller import Caller

from schemawire.protocol.problems import STATUS_OF_CODE
from schemawire.service.examples import BLOG
from schemawire.service.refusals import DEFAULT_FIX, RETRYABLE, RequestRefused
from schemawire.service.routes import ROUTERS
from schemawire.testing.service_process import ServiceProcess

DOCUMENT = (Path(__file__).parents[2] / "docs" / "http-api.md").read_text("utf-8")


def routes() -> set[tuple[str, str]]:
    """Return method and path of every route."""
    found = set()
    for router in ROUTERS:
        for route in router.routes:
            found |= {(method, route.path) for method in route.methods}  # type: ignore[attr-defined]  # all are ours
    return found


@pytest.fixture
async def described(call: Caller) -> dict[str, Any]:
    """The OpenAPI document that the service serves."""
    reply = await call("GET", "/openapi.json")
    document: dict[str, Any] = reply.json()
    return document


def test_every_route_has_its_section() -> None:
    """Each method and path is a heading of the documentation, and no heading is without a route."""
    headings = set(re.findall(r"^### `(GET|POST|PUT|PATCH|DELETE) (\S+)`$", DOCUMENT, re.MULTILINE))
    assert headings == routes()


def test_the_table_of_errors_is_the_table_of_the_code() -> None:
    """Codes, statuses, whether to retry and what to do are those that the service answers with."""
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| (yes|no) \| (.+) \|$", DOCUMENT, re.MULTILINE)
    expected = [
        (code, str(status), "yes" if code in RETRYABLE else "no", DEFAULT_FIX[code])
        for code, status in STATUS_OF_CODE.items()
    ]
    assert rows == expected


@pytest.mark.parametrize("code", STATUS_OF_CODE)
def test_every_code_makes_a_whole_problem(code: str) -> None:
    """Each has a title, a status and a fix."""
    problem = RequestRefused(code, "why").to_problem()
    assert (problem.status, problem.title) == (STATUS_OF_CODE[code], HTTPStatus(STATUS_OF_CODE[code]).phrase)
    assert problem.fix


async def test_every_route_is_described_with_its_errors(described: dict[str, Any]) -> None:
    """The served document has every route, its success and, as problem+json, its errors."""
    there = {(method.upper(), path) for path, methods in described["paths"].items() for method in methods}
    assert there == routes()
    for path, methods in described["paths"].items():
        for operation in methods.values():
            errors = {status: entry for status, entry in operation["responses"].items() if int(status) >= 400}
            assert path.startswith(("/health", "/docs")) or errors.keys() >= {"401", "403", "500", "503", "504"}
            for status, entry in errors.items():
                is_state = path.startswith("/health") and status == "503"
                assert list(entry["content"]) == ["application/json" if is_state else "application/problem+json"]


def bodies_of(described: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """Every method and path that takes JSON, with the body that is given as an example."""
    return [
        (method.upper(), path, content["example"])
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
        for media_type, content in operation.get("requestBody", {}).get("content", {}).items()
        if media_type == "application/json"
    ]


async def test_every_example_of_a_body_is_accepted(own_service: ServiceProcess) -> None:
    """What the description shows works as it stands, on a service that has the projects of the examples."""
    async with Caller(own_service) as call:
        described = (await call("GET", "/openapi.json")).json()
        assert (await call("PUT", "blog", json=BLOG)).status == 201
        made = (await call("POST", "/api/keys", json={"name": "n", "scopes": ["read"]})).json()["data"]["keyId"]
        bodies = bodies_of(described)
        bodies.sort(key=lambda entry: (entry[1].endswith("/settings"), entry[1].endswith("/undo")))
        for method, path, example in bodies:
            target = path.replace("{projectId}", "blog").replace("{keyId}", made).replace("{format}", "json")
            reply = await call(method, target, json=example)
            declared = described["paths"][path][method.lower()]["responses"]
            assert reply.status < 300, (method, path, reply)
            assert str(reply.status) in declared


async def test_every_success_has_an_example(described: dict[str, Any]) -> None:
    """Whoever reads the description sees what comes back, not only its type."""
    missing = [
        operation["operationId"]
        for path, methods in described["paths"].items()
        for operation in methods.values()
        if not path.startswith(("/health", "/docs", "/metrics", "/openapi.json", "/api/domain-schema/metrics"))
        for status, response in operation["responses"].items()
        if status in ("200", "201", "202")
        and "example" not in response["content"].get("application/json", {"example": 1})
    ]
    assert not missing


async def test_the_page_loads_nothing_from_elsewhere(call: Caller) -> None:
    """It is open, guarded by a strict policy, and made of three files; other names are not found."""
    page = await call("GET", "/docs", anonymous=True)
    assert (page.status, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'; script-src 'self'" in page.headers["Content-Security-Policy"]
    whole = page.body
    for name in ("docs.js", "docs.css"):
        reply = await call("GET", f"/docs/{name}", anonymous=True)
        assert reply.status == 200
        whole += reply.body
    assert re.findall(rb"https?://", whole) == []
    assert b"innerHTML" not in whole
    assert (await call("GET", "/docs/..%2fdocs.html", anonymous=True)).status == 404
    assert (await call("GET", "/docs/docs.py", anonymous=True)).code == "not_found"
    assert (await call("GET", "/docsx", anonymous=True)).code == "unauthenticated"


async def test_every_reference_of_the_description_leads_somewhere(described: dict[str, Any]) -> None:
    """No schema is named that is not there."""
    named = set(re.findall(r"'#/components/schemas/(\w+)'", str(described)))
    assert named <= described["components"]["schemas"].keys()
    assert {"BatchRequest", "CreateRequest", "Problem", "Reply"} <= named
