"""A reply whose body is produced while it is sent, and that stops producing when the caller hangs up."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

from starlette.responses import Response
from starlette.types import Receive, Scope, Send


class LineReply(Response):
    """Sends chunks as they come.

    The server's `send` waits while the caller reads slowly, so no more than one chunk lies ready. It silently drops
    what is sent to a caller that has gone, so hanging up is watched for, or an abandoned stream would be read to its
    end for nobody.

    *Cancelled:* the producer has been closed.
    """

    def __init__(self, chunks: AsyncGenerator[bytes, None], *, media_type: str, headers: Mapping[str, str]) -> None:
        self._chunks = chunks
        self.status_code = 200
        self.media_type = media_type
        self.background = None
        self.init_headers(headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the reply; to a HEAD request its head alone, and nothing is produced."""
        if scope["method"] == "HEAD":
            await self._send_head(send)
            return
        hung_up = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            watcher = group.create_task(_watch(receive, hung_up))
            try:
                await self._send_all(send, hung_up)
            finally:
                watcher.cancel()

    async def _send_head(self, send: Send) -> None:
        await self._chunks.aclose()
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_all(self, send: Send, hung_up: asyncio.Event) -> None:
        async with aclosing(self._chunks):
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            async for chunk in self._chunks:
                if hung_up.is_set():
                    return
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _watch(receive: Receive, hung_up: asyncio.Event) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    hung_up.set()
