"""Real loopback servers for the tests of this room: one well-behaved application, and raw servers that misbehave."""

import asyncio
import gzip
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

Scope = Any
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class ContractApp:
    """The application that every wire is tested against, served or called in-process."""

    def __init__(self) -> None:
        self.waiting = asyncio.Event()
        self.left = asyncio.Event()
        self.sent_chunks = 0
        self.started = False
        self.stopped = False
        self.release = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        name = scope["path"].strip("/").split("/")[0].replace("-", "_")
        await getattr(self, f"do_{name}")(scope, receive, send)

    async def _lifespan(self, receive: Any, send: Any) -> None:
        await receive()
        self.started = True
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self.stopped = True
        await send({"type": "lifespan.shutdown.complete"})

    async def do_echo(self, scope: Scope, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        told = {
            "method": scope["method"],
            "path": scope["path"],
            "query": scope["query_string"].decode(),
            "headers": [[name.decode(), value.decode()] for name, value in scope["headers"]],
            "body": body.decode("latin-1"),
        }
        await reply(send, 200, json.dumps(told).encode(), [(b"content-type", b"application/json")])

    async def do_status(self, scope: Scope, receive: Any, send: Any) -> None:
        status = int(scope["path"].rsplit("/", 1)[1])
        await reply(send, status, b"" if status in (204, 304) else b"said no")

    async def do_redirect(self, scope: Scope, receive: Any, send: Any) -> None:
        await reply(send, 302, b"", [(b"location", b"/echo")])

    async def do_cookie(self, scope: Scope, receive: Any, send: Any) -> None:
        await reply(send, 200, b"", [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")])

    async def do_gzip(self, scope: Scope, receive: Any, send: Any) -> None:
        accepted = any(name == b"accept-encoding" and b"gzip" in value for name, value in scope["headers"])
        text = b"squeezed " * 1000
        if accepted:
            await reply(send, 200, gzip.compress(text), [(b"content-encoding", b"gzip")])
        else:
            await reply(send, 200, text)

    async def do_large(self, scope: Scope, receive: Any, send: Any) -> None:
        await start(send)
        for _ in range(64):
            await send({"type": "http.response.body", "body": b"x" * 65_536, "more_body": True})
            self.sent_chunks += 1
        await send({"type": "http.response.body", "body": b""})

    async def do_vast(self, scope: Scope, receive: Any, send: Any) -> None:
        """Send 64 MiB, which is more than the kernel's buffers at both ends may grow to."""
        await start(send)
        for _ in range(1024):
            await send({"type": "http.response.body", "body": b"x" * 65_536, "more_body": True})
            self.sent_chunks += 1
        await send({"type": "http.response.body", "body": b""})

    async def do_drip(self, scope: Scope, receive: Any, send: Any) -> None:
        await start(send)
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        await self.release.wait()
        await send({"type": "http.response.body", "body": b"second"})

    async def do_silent(self, scope: Scope, receive: Any, send: Any) -> None:
        self.waiting.set()
        message = await receive()
        while message["type"] != "http.disconnect":
            message = await receive()
        self.left.set()

    async def do_silent_body(self, scope: Scope, receive: Any, send: Any) -> None:
        await start(send)
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        await self.do_silent(scope, receive, send)

    async def do_broken_body(self, scope: Scope, receive: Any, send: Any) -> None:
        await start(send, [(b"content-length", b"100")])
        await send({"type": "http.response.body", "body": b"only this", "more_body": True})
        raise RuntimeError("the application breaks")


async def start(send: Any, headers: list[tuple[bytes, bytes]] | None = None) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": headers or []})


async def reply(send: Any, status: int, body: bytes, headers: list[tuple[bytes, bytes]] | None = None) -> None:
    length = [] if status in (204, 304) else [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*(headers or []), *length]})
    await send({"type": "http.response.body", "body": body})


class QuickServer(uvicorn.Server):
    """uvicorn without its tenth of a second between the wish to stop and the stop."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.stopping = asyncio.Event()

    async def main_loop(self) -> None:
        await self.stopping.wait()


@asynccontextmanager
async def served(app: Any) -> AsyncIterator[str]:
    """Serve an application with uvicorn on a free port and yield its base URL."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="critical", lifespan="on", timeout_graceful_shutdown=1)
    server = QuickServer(config)
    # `serve` would take over the signals of the test run.
    serving = asyncio.create_task(server._serve(sockets=[listener]))
    async with asyncio.timeout(10):
        while not server.started:  # noqa: ASYNC110  # uvicorn has no event for it
            await asyncio.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.force_exit = True
        server.stopping.set()
        await serving


class RawServer:
    """A TCP server that runs `handler` on every connection; its `url` is fixed from the start."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.connections = 0
        self.requests: list[bytes] = []
        """The heads of the requests, as far as the handler reads them with `head`."""
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.get_running_loop().create_task(self._run(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._handler(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def stop(self) -> None:
        """Close the port and every connection."""
        if self._server is not None:
            self._server.close()
            self._server = None
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0)

    async def __aenter__(self) -> "RawServer":
        await self.start()
        return self

    async def __aexit__(self, *details: object) -> None:
        await self.stop()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


async def head(reader: asyncio.StreamReader) -> bytes:
    """Read the head of one request."""
    return await reader.readuntil(b"\r\n\r\n")


def http(status: int, body: bytes = b"", *headers: str) -> bytes:
    """Return a complete response."""
    lines = [f"HTTP/1.1 {status} Some", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def answering(*replies: bytes) -> Handler:
    """Return a handler that answers the n-th request of the whole server with the n-th reply, then with the last."""
    left = list(replies)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            text = await head(reader)
            for line in text.split(b"\r\n"):
                if line.lower().startswith(b"content-length:"):
                    await reader.readexactly(int(line.split(b":")[1]))
            writer.write(left.pop(0) if len(left) > 1 else left[0])
            await writer.drain()

    return answer
