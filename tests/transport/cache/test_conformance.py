"""RFC 9111 case by case: `cases.json` holds the cases as data, each with its section; here they meet a real origin."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.transport.cache.origin import CUT, Asked, Clock, Origin, Reply, dated

from schemawire.errors import Failed
from schemawire.transport import CacheConfig, Client, Response

CASES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "cases.json").read_text("utf-8"))
KINDS = ("private", "shared")
RUNS = [(case, kind) for case in CASES for kind in KINDS if case.get("scope", "both") in ("both", kind)]


class Conversation:
    """Walks through the steps of one case and checks each."""

    def __init__(self, origin: Origin, client: Client, clock: Clock) -> None:
        self.origin = origin
        self.client = client
        self.clock = clock
        self.stored_body = b""

    async def step(self, step: dict[str, Any]) -> None:
        """Wait, send one request, and check who answered it and how."""
        self.clock.now += step.get("wait", 0)
        self.origin.replies[:] = self._replies(step.get("reply", CUT))
        before, source = len(self.origin.asked), step["from"]
        if source == "error":
            with pytest.raises(Failed):
                await self._send(step)
            return
        response = await self._send(step)
        asked = self.origin.asked[before:]
        told = f"{response.headers.get('cache-status')}, origin saw {asked}"
        assert bool(asked) == (source in ("service", "validated", "stood-in")), told
        self._check_source(source, response, asked)
        self._check(step.get("expect", {}), response, asked)
        if source == "service":
            self.stored_body = response.body

    def _replies(self, told: Any) -> list[Reply | str]:
        return [self._reply(each) for each in (told if isinstance(told, list) else [told])]

    def _reply(self, told: Any) -> Reply | str:
        if not isinstance(told, dict):
            return CUT
        headers = [(name, dated(value, self.clock, self.origin.url)) for name, value in told["headers"]]
        return Reply(status=told.get("status", 200), headers=headers, body=told.get("body", "one").encode())

    async def _send(self, step: dict[str, Any]) -> Response:
        path, _, query = step.get("path", "/r").partition("?")
        params = [tuple(pair.split("=")) for pair in query.split("&")] if query else None
        headers = [(name, dated(value, self.clock)) for name, value in step.get("send", [])]
        return await self.client.request(step.get("method", "GET"), path, params=params, headers=headers)

    def _check_source(self, source: str, response: Response, asked: list[Asked]) -> None:
        status = response.headers["cache-status"].split(", ")[-1]
        match source:
            case "store":
                assert "; hit" in status
            case "validated":
                assert "if-none-match" in asked[0].headers or "if-modified-since" in asked[0].headers
                assert "fwd-status=304" in status
                assert response.status == 304 or response.body == self.stored_body
            case "stood-in":
                assert "detail=stale-if-error" in status
                assert response.body == self.stored_body
            case "service":
                assert "fwd=" in status

    def _check(self, expected: dict[str, Any], response: Response, asked: list[Asked]) -> None:
        if "status" in expected:
            assert response.status == expected["status"]
        if "body" in expected:
            assert response.body == expected["body"].encode()
        for name, value in expected.get("headers", {}).items():
            assert response.headers.get(name) == dated(value, self.clock), name
        for name in expected.get("absent", []):
            assert name not in response.headers, name
        for name, value in expected.get("sent", {}).items():
            assert asked[0].headers.get(name.lower()) == dated(value, self.clock), name


@pytest.mark.parametrize(("case", "kind"), RUNS, ids=[f"{case['id']}-{kind}" for case, kind in RUNS])
async def test_the_cache_follows_the_rule(case: dict[str, Any], kind: str) -> None:
    """Every case holds: what the origin sees and what the caller gets are what the cited section asks for."""
    clock = Clock()
    async with Origin(CUT) as origin:
        options = CacheConfig(shared=kind == "shared", clock=clock)
        async with Client(origin.url, retry=None, breaker=None, cache=options) as client:
            conversation = Conversation(origin, client, clock)
            for step in case["steps"]:
                await conversation.step(step)


def test_the_table_is_whole() -> None:
    """Ids are unique, each case names its section and rule, and both kinds of cache have enough of them."""
    ids = [case["id"] for case in CASES]
    assert len(ids) == len(set(ids))
    assert all(case["section"] and case["rule"] and case["steps"] for case in CASES)
    for kind in KINDS:
        assert sum(1 for _, each in RUNS if each == kind) >= 150
