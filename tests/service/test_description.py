"""The interface as it is described, in OpenAPI and in the documentation, is the interface that there is."""

import re
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from tests.service.caller import Caller

from schemawire.protocol.problems import STATUS_OF_CODE
from schemawire.service.refusals import DEFAULT_FIX, RETRYABLE, RequestRefused
from schemawire.service.routes import ROUTERS

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
            assert path.startswith("/health") or errors.keys() >= {"401", "403", "500", "503", "504"}
            for entry in errors.values():
                assert list(entry["content"]) == ["application/problem+json"]


async def test_every_reference_of_the_description_leads_somewhere(described: dict[str, Any]) -> None:
    """No schema is named that is not there."""
    named = set(re.findall(r"'#/components/schemas/(\w+)'", str(described)))
    assert named <= described["components"]["schemas"].keys()
    assert {"BatchRequest", "CreateRequest", "Problem", "Reply"} <= named
