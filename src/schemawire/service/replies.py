"""Replies as raw bytes: stored documents go out as they were stored; knows nothing of why they are sent."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from schemawire.protocol.headers import DRY_RUN, IDEMPOTENT_REPLAY, format_etag
from schemawire.protocol.problems import PROBLEM_TYPE
from schemawire.service.refusals import RequestRefused

JSON = "application/json"
NO_STORE = "no-store"
"""For what is true only at this moment."""
REVALIDATE = "private, no-cache"
"""For the newest version: keep it, but ask each time."""
IMMUTABLE = "private, max-age=31536000, immutable"
"""For a version that can never change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A success on its way out: the members of the envelope, with `payload` as JSON that is already encoded."""

    message: str
    payload: bytes = b"null"
    project_id: str | None = None
    version: int | None = None
    digest: str | None = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    finished: bytes | None = None
    """The whole body, where it was stored by an earlier request."""
    is_replay: bool = False
    is_dry_run: bool = False

    def body(self) -> bytes:
        """Return the envelope around the payload, which is not parsed again."""
        if self.finished is not None:
            return self.finished
        head = _head(self.message, self.project_id, self.version, self.digest)
        return b"".join((head, b',"data":', self.payload, b"}"))

    def all_headers(self) -> dict[str, str]:
        """Return the headers, with the entity tag and the mark of a replay where they apply."""
        headers = {"Cache-Control": NO_STORE, **self.headers}
        if self.is_dry_run:
            headers[DRY_RUN] = "true"  # and no entity tag: there is no such version
        elif self.version and self.digest:
            headers["ETag"] = format_etag(self.version, self.digest)
        if self.is_replay:
            headers[IDEMPOTENT_REPLAY] = "true"
        return headers


def encode(value: object) -> bytes:
    """Return compact JSON in UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


@lru_cache(maxsize=1_024)
def _head(message: str, project_id: str | None, version: int | None, digest: str | None) -> bytes:
    """Return an envelope as far as its data; readers of one version get the same one again and again."""
    members = {"success": True, "message": message, "projectId": project_id, "version": version, "digest": digest}
    return encode(members)[:-1]


class ReadyReply(Response):
    """A whole reply that has been encoded already; made without a look at what kinds of replies there are."""

    def __init__(self, body: bytes, status: int, headers: Mapping[str, str], media_type: str | None) -> None:
        self.body = body
        self.status_code = status
        self.background = None
        raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        if media_type is not None:
            raw.append((b"content-type", media_type.encode("latin-1")))
            raw.append((b"content-length", b"%d" % len(body)))
        self.raw_headers = raw

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body})


def send_unchanged(answer: Answer) -> Response:
    """Return the response for a reader whose copy is still good."""
    return ReadyReply(b"", 304, answer.all_headers(), None)


def send_answer(answer: Answer) -> Response:
    """Return the response for a success."""
    return ReadyReply(answer.body(), answer.status, answer.all_headers(), JSON)


def send_record(payload: bytes, *, message: str, status: int = 200) -> Response:
    """Return the response for a record that belongs to no one version."""
    return send_answer(Answer(message=message, payload=payload, status=status))


def send_problem(refusal: RequestRefused, request_id: str) -> Response:
    """Return the response for a refusal."""
    problem = refusal.to_problem().model_copy(update={"request_id": request_id})
    headers = {"Cache-Control": NO_STORE, **refusal.headers}
    if refusal.retry_after is not None:
        headers["Retry-After"] = str(math.ceil(refusal.retry_after))
    if refusal.reason == "unauthenticated":
        headers["WWW-Authenticate"] = 'Bearer realm="schemawire"'
    return Response(problem.to_json(), problem.status, headers, PROBLEM_TYPE)
