"""One request to the backend and its validated reply; the only place that builds requests for the handler."""

import json
import secrets
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from schemawire.errors import BadReply
from schemawire.handler.plain import plain
from schemawire.handler.refusals import error_of_reply
from schemawire.handler.results import DomainResult
from schemawire.protocol import paths
from schemawire.protocol.messages import Reply
from schemawire.transport import Client, Response

M = TypeVar("M", bound=BaseModel)

_JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """A reply that was a success, with the number of requests that it took."""

    response: Response
    attempts: int

    def read(self, model: type[M]) -> M:
        """Return the body as `model`.

        Raises:
            BadReply: the body does not have that form; the message names the first difference.
        """
        try:
            return model.model_validate_json(self.response.body)
        except ValidationError as error:
            first = error.errors()[0]
            where = "/".join(str(part) for part in first["loc"])
            raise BadReply(f"The reply has not the form of {model.__name__}: {where}: {first['msg']}") from error


class Backend:
    """Sends requests through a client. Reads may be repeated freely; writes carry a key that makes them repeatable."""

    def __init__(self, client: Client, base_url: str) -> None:
        self.client = client
        self._base_url = base_url.split(",")[0].partition("#")[0].rstrip("/")

    def url(self, path: str) -> str:
        """Return the whole address of a path, at the first endpoint."""
        return self._base_url + path

    def statistics(self) -> dict[str, Any]:
        """Return the client's statistics as plain JSON values."""
        statistics: dict[str, Any] = plain(self.client.statistics())
        return statistics

    async def read(self, path: str, params: dict[str, str] | None = None, *, deadline: float | None = None) -> Exchange:
        """Get something.

        Args:
            path: below the service's address.
            params: of the query.
            deadline: seconds from now, at most; the client's total timeout if not given.

        Raises:
            Refused: nothing was sent. Failed: no usable reply. Rejected: the backend said no.
        """
        route = paths.pattern(path)
        response = await self.client.request("GET", path, params=params, deadline=deadline, route=route)
        return accept(response, f"GET {path}")

    async def write(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        *,
        idempotency_key: str | None = None,
        deadline: float | None = None,
    ) -> Exchange:
        """Change something, exactly once: the key lets it be sent again until the deadline without being done twice.

        Raises:
            Refused: nothing was sent. Failed: it is unknown whether it was done. Rejected: the backend said no.
            TypeError, ValueError: the body holds something that is not JSON.

        *Cancelled:* it is unknown whether the change was made; the same call with the same key finds out.
        """
        response = await self.client.request(
            method,
            path,
            body=None if body is None else _encode(body),
            headers=() if body is None else _JSON,
            idempotency_key=idempotency_key or new_key(),
            deadline=deadline,
            retry_until_deadline=True,
            route=paths.pattern(path),
        )
        return accept(response, f"{method} {path}")


def _encode(body: dict[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def accept(response: Response, where: str) -> Exchange:
    """Return a reply that was a success.

    Raises:
        Rejected: it was none.
    """
    if not response.is_success:
        raise error_of_reply(response.status, response.headers, response.body, where=where)
    return Exchange(response=response, attempts=response.attempts)


def read_reply(exchange: Exchange, project_id: str) -> Reply:
    """Return the standard reply of a write, checked against the project it should be about.

    Raises:
        BadReply: it is not a success, or about another project.
    """
    reply = exchange.read(Reply)
    if not reply.success:
        raise BadReply(f"The backend answered with success=false and status {exchange.response.status}.")
    if reply.project_id is not None and reply.project_id != project_id:
        raise BadReply(f"The reply is about project {reply.project_id!r}, not about {project_id!r}.")
    return reply


def result_of(exchange: Exchange, reply: Reply, project_id: str, data: Any) -> DomainResult:
    """Return what the caller of an acknowledged write is told."""
    return DomainResult(
        success=True,
        message=reply.message,
        project_id=project_id,
        version=reply.version,
        digest=reply.digest,
        data=data,
        attempts=exchange.attempts,
    )


def read_object(exchange: Exchange) -> dict[str, Any]:
    """Return the body as a JSON object.

    Raises:
        BadReply: it is not one.
    """
    try:
        found = json.loads(exchange.response.body)
    except ValueError as error:
        raise BadReply("The reply is not JSON.") from error
    if not isinstance(found, dict):
        raise BadReply(f"The reply is a JSON {type(found).__name__}, not an object.")
    return found


def new_key() -> str:
    """Return a fresh idempotency key: 128 random bits, so that two never meet.

    Source: IETF httpapi Idempotency-Key draft 06 §2.2 asks for an identifier of UUID strength.
    """
    return secrets.token_hex(16)
