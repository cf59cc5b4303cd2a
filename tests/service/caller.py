"""A plain HTTP caller for tests: no retries, no policies, replies as values."""

import asyncio
import io
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import aiohttp
from yarl import URL

from schemawire.protocol.paths import API_ROOT
from schemawire.testing.service_process import ServiceProcess

BLOG: dict[str, Any] = {
    "formatVersion": "1",
    "name": "blog",
    "entities": [
        {"name": "User", "fields": [{"name": "id", "type": "uuid", "primaryKey": True, "required": True}]},
        {"name": "Post", "fields": [{"name": "title", "type": "string", "required": True, "maxLength": 200}]},
    ],
    "enums": [{"name": "Status", "values": ["draft", "published"]}],
    "relationships": [
        {"name": "writes", "source": "User", "target": "Post", "sourceCardinality": "1", "targetCardinality": "0..*"}
    ],
    "rules": [],
}
"""A small schema that obeys every rule."""


def create_entity(name: str, *fields: str) -> dict[str, Any]:
    """Return an operation that creates an entity with text fields."""
    data = {"name": name, "fields": [{"name": field, "type": "string"} for field in fields]}
    return {"operation": "create_entity", "data": data}


def new_project() -> str:
    """Return a project id that no other test uses."""
    return f"p-{uuid.uuid4().hex[:12]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One reply."""

    status: int
    headers: Mapping[str, str]
    """Found without regard to case."""
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The code of a problem reply, which must look like one."""
        assert self.headers["Content-Type"] == "application/problem+json", self
        problem = self.json()
        assert problem["status"] == self.status
        assert problem["detail"]
        assert problem["fix"]
        assert problem["requestId"] == self.headers["X-Request-ID"]
        code: str = problem["code"]
        return code


class Caller:
    """Sends requests to a service with its admin key, unless other headers are given."""

    def __init__(self, service: ServiceProcess) -> None:
        self._service = service
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._session is not None
        await self._session.close()
        await asyncio.sleep(0.01)  # aiohttp's transports end on later turns of the loop, and a test's loop ends with it

    async def __call__(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        anonymous: bool = False,
    ) -> Answer:
        """Send one request; `path` goes out exactly as written, relative to the API root unless it starts with `/`."""
        assert self._session is not None
        sent = {} if anonymous else dict(self._service.headers)
        if json is not None:
            body = to_bytes(json)
        if body is not None:
            sent["Content-Type"] = "application/json"
        sent |= headers or {}
        target = path if path.startswith("/") else f"{API_ROOT}/{path}"
        url = URL(self._service.base_url + target, encoded=True)
        async with self._session.request(
            method, url, data=None if body is None else io.BytesIO(body), headers=sent
        ) as reply:
            return Answer(status=reply.status, headers=reply.headers, body=await reply.read())


def to_bytes(document: object) -> bytes:
    """Return a document as JSON."""
    return json.dumps(document).encode()
