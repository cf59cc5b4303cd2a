"""A reply whose body is produced while it is sent; producing stops when the caller hangs up or stops reading."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from schemawire.framing import encode_sse_comment
from schemawire.protocol.headers import EVENT_STREAM
from schemawire.service.logs import log

ABORT = "schemawire.abort"
"""Where the state of a connection carries what cuts it at once."""
HEARTBEAT_INTERVAL = 15.0
"""Seconds without a chunk after which a sign of life is sent."""
SEND_TIMEOUT = 30.0
"""Seconds that a caller may take to make room for the next chunk."""


class LineReply(Response):
    """Sends chunks as they come, and a heartbeat while none does.

    The server's `send` waits while the caller reads slowly, so no more than one chunk lies ready; a caller that reads
    nothing for `SEND_TIMEOUT` is cut off. The server silently drops what is sent to a caller that has gone, so hanging
    up is watched for, or an abandoned stream would be read to its end for nobody.

    *Cancelled:* the producer has been closed.
    """

    def __init__(
        self,
        chunks: AsyncGenerator[bytes, None],
        *,
        media_type: str,
        headers: Mapping[str, str],
        heartbeat: bytes = b"",
        interval: float = HEARTBEAT_INTERVAL,
        send_timeout: float = SEND_TIMEOUT,
    ) -> None:
        self._chunks = chunks
        self._heartbeat = heartbeat
        self._interval = interval
        self._send_timeout = send_timeout
        self.status_code = 200
        self.media_type = media_type
        self.background = None
        self.init_headers(headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the reply; to a HEAD request its head alone, and nothing is produced."""
        if scope["method"] == "HEAD":
            await self._send_head(send)
            return
        watcher = asyncio.create_task(_watch(receive), name="schemawire-watcher")
        try:
            async with aclosing(self._chunks):
                await self._send_all(send, watcher)
        except TimeoutError:
            log.info("slow reader cut off", path=scope["path"], seconds=self._send_timeout)
            abort = scope.get("state", {}).get(ABORT)
            if abort is not None:  # closing would wait for room too
                abort()
        finally:
            watcher.cancel()
            await asyncio.wait([watcher])

    async def _send_head(self, send: Send) -> None:
        await self._chunks.aclose()
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_all(self, send: Send, watcher: "asyncio.Task[None]") -> None:
        await self._send(send, {"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        upcoming: asyncio.Task[bytes | None] | None = None
        try:
            while not watcher.done():
                upcoming = upcoming or asyncio.create_task(_next(self._chunks), name="schemawire-chunk")
                timeout = self._interval if self._heartbeat else None
                await asyncio.wait({upcoming, watcher}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
                if not upcoming.done():
                    await self._send(send, _body(self._heartbeat))
                    continue
                chunk, upcoming = upcoming.result(), None
                if chunk is None:
                    await self._send(send, {"type": "http.response.body", "body": b"", "more_body": False})
                    return
                await self._send(send, _body(chunk))
        finally:
            if upcoming is not None:
                upcoming.cancel()
                await asyncio.wait([upcoming])

    async def _send(self, send: Send, message: Message) -> None:
        async with asyncio.timeout(self._send_timeout):
            await send(message)


def event_reply(chunks: AsyncGenerator[bytes, None]) -> LineReply:
    """Return a reply of server-sent events, which no proxy on the way should hold back."""
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return LineReply(chunks, media_type=EVENT_STREAM, headers=headers, heartbeat=encode_sse_comment("still here"))


def _body(chunk: bytes) -> Message:
    return {"type": "http.response.body", "body": chunk, "more_body": True}


async def _next(chunks: AsyncGenerator[bytes, None]) -> bytes | None:
    return await anext(chunks, None)


async def _watch(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
