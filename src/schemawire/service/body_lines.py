"""A request's body as lines, a portion at a time, so that a body of any length takes little memory; refuses early.

Knows nothing of what the lines say.
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from email.message import Message

from starlette.requests import ClientDisconnect, Request

from schemawire.protocol.headers import NDJSON
from schemawire.service.refusals import RequestRefused

PORTION_BYTES = 64 * 1024
"""Lines are handed on once they come to so many bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IntakeLimits:
    """How much a body of lines may be, and how slowly it may come."""

    body_bytes: int = 4 * 1024**3
    line_bytes: int = 1024**2
    idle: float = 60.0
    """Seconds without a byte after which the body is given up."""


class Intake:
    """The lines of one body, with a running hash over all of it.

    Invariant: `seen` has hashed exactly what was received, whether it has been handed on or not.
    """

    def __init__(self, request: Request, limits: IntakeLimits | None = None) -> None:
        self._request = request
        self._limits = limits or IntakeLimits()
        self._rest = b""
        self._size_bytes = 0
        self.seen = hashlib.sha256()

    async def portions(self) -> AsyncGenerator[list[bytes], None]:
        """Yield the lines in order, each with its line feed; the last one may lack it.

        Raises:
            RequestRefused: the body or a line is too large, or nothing came for too long.
            ClientDisconnect: the caller went away.
        """
        ready: list[bytes] = []
        ready_bytes = 0
        is_last = False
        while not is_last:
            chunk, is_last = await self._receive()
            for line in self._cut(chunk):
                ready.append(line)
                ready_bytes += len(line)
            if is_last and self._rest:
                ready.append(self._rest)
            if ready and (is_last or ready_bytes >= PORTION_BYTES):
                yield ready
                ready, ready_bytes = [], 0

    async def _receive(self) -> tuple[bytes, bool]:
        try:
            async with asyncio.timeout(self._limits.idle):
                message = await self._request.receive()
        except TimeoutError:
            raise RequestRefused(
                "invalid_request", f"Nothing of the body came for {self._limits.idle:g} seconds.",
                fix="Send the body without long pauses.",
            ) from None  # fmt: skip
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk: bytes = message.get("body", b"")
        self._size_bytes += len(chunk)
        if self._size_bytes > self._limits.body_bytes:
            raise RequestRefused("payload_too_large", f"The body is larger than {self._limits.body_bytes} bytes.")
        self.seen.update(chunk)
        return chunk, not message.get("more_body", False)

    def _cut(self, chunk: bytes) -> list[bytes]:
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > self._limits.line_bytes:
            raise RequestRefused(
                "payload_too_large", f"A line is longer than {self._limits.line_bytes} bytes.",
                fix="Send one element or operation per line.",
            )  # fmt: skip
        return [line + b"\n" for line in whole]


def require_ndjson(request: Request) -> None:
    """Refuse a body that does not say it is lines of JSON.

    Raises:
        RequestRefused: another type, another character set, or compressed.
    """
    media = Message()
    media["content-type"] = request.headers.get("content-type", "")
    charset = str(media.get_param("charset", "utf-8")).strip('"').lower()
    if media.get_content_type() != NDJSON or charset not in ("utf-8", "utf8"):
        declared = request.headers.get("content-type", "")[:80] or "A body without a type"
        raise RequestRefused(
            "unsupported_media_type", f"{declared} is not read here.", fix=f"Send `Content-Type: {NDJSON}`, in UTF-8."
        )
    if request.headers.get("content-encoding", "identity").lower() not in ("identity", ""):
        raise RequestRefused("unsupported_media_type", "Compressed bodies are not read here.")
