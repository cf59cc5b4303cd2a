"""Small HTTP servers that replay what Consul and the Kubernetes API answer, as recorded from their documentation."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.transport.servers import RawServer, head, http


class Asked:
    """One request as it came."""

    def __init__(self, text: bytes) -> None:
        lines = text.decode().split("\r\n")
        target = urlsplit(lines[0].split(" ")[1])
        self.path = target.path
        self.query = {name: values[0] for name, values in parse_qs(target.query).items()}
        self.headers = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)


class Contract:
    """A server whose answer to each request a subclass decides."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self._server = RawServer(self._serve)
        self.url = self._server.url

    async def answer(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        """Write the answer to one request."""
        raise NotImplementedError

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            asked = Asked(await head(reader))
            self.asked.append(asked)
            await self.answer(asked, writer)
            await writer.drain()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        await self._server.start()
        try:
            yield
        finally:
            await self._server.stop()


class ConsulContract(Contract):
    """A Consul agent's health endpoint: it blocks while the index asked about is the present one.

    *Source:* Consul API, "Blocking Queries" and "List Service Instances for Service".
    """

    def __init__(self, *entries: dict[str, Any]) -> None:
        super().__init__()
        self.entries: Any = list(entries)
        self.index = "10"
        self.status = 200
        self._changed = asyncio.Event()

    def change(self, entries: Any, index: str) -> None:
        """Answer everybody who is waiting."""
        self.entries, self.index = entries, index
        self._changed.set()
        self._changed = asyncio.Event()

    async def answer(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        if asked.query.get("index") == self.index:
            await self._changed.wait()
        body = json.dumps(self.entries).encode()
        writer.write(http(self.status, body, f"X-Consul-Index: {self.index}", "X-Consul-Knownleader: true"))


def instance(host: str, port: Any = 8084, **service: Any) -> dict[str, Any]:
    """Return an entry as Consul lists it."""
    return {
        "Node": {"ID": "40e4a748", "Node": "foobar", "Address": "10.1.10.12", "Datacenter": "dc1", "Meta": {}},
        "Service": {
            "ID": f"back-{host}",
            "Service": "back",
            "Tags": ["v1"],
            "Address": host,
            "Meta": {"version": "4.0"},
            "Port": port,
            "Weights": {"Passing": 1, "Warning": 1},
            "Namespace": "default",
            **service,
        },
        "Checks": [{"Node": "foobar", "CheckID": "serfHealth", "Status": "passing"}],
    }


class KubernetesContract(Contract):
    """The API server's EndpointSlices: one list, and a watch that sends what it is given.

    *Source:* Kubernetes API reference, EndpointSlice v1; API concepts, "Efficient detection of changes".
    """

    def __init__(self, *slices: dict[str, Any]) -> None:
        super().__init__()
        self.slices = list(slices)
        self.version = 100
        self.status = 200
        self.events: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()

    def send(self, kind: str, item: dict[str, Any]) -> None:
        """Send an event to the watch."""
        self.events.put_nowait({"type": kind, "object": item})

    def end(self) -> None:
        """End the watch, as the server does after `timeoutSeconds`."""
        self.events.put_nowait(None)

    async def answer(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        if asked.query.get("watch") == "true":
            await self._watch(writer)
            return
        body = {
            "kind": "EndpointSliceList",
            "apiVersion": "discovery.k8s.io/v1",
            "metadata": {"resourceVersion": str(self.version)},
            "items": self.slices,
        }
        writer.write(http(self.status, json.dumps(body).encode()))

    async def _watch(self, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        while (event := await self.events.get()) is not None:
            line = json.dumps(event).encode() + b"\n"
            # In two pieces, because nothing promises that a line arrives whole.
            for piece in (line[:10], line[10:]):
                writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                await writer.drain()
        writer.write(b"0\r\n\r\n")


def endpoint_slice(name: str, *addresses: str, ready: bool | None = True, **rest: Any) -> dict[str, Any]:
    """Return an EndpointSlice as the API server writes it."""
    return {
        "metadata": {"name": name, "namespace": "prod", "labels": {"kubernetes.io/service-name": "back"}},
        "addressType": "IPv4",
        "ports": [
            {"name": "metrics", "port": 9100, "protocol": "TCP"},
            {"name": "http", "port": 8084, "protocol": "TCP"},
        ],
        "endpoints": [
            {
                "addresses": [address],
                "conditions": {"ready": ready, "serving": True, "terminating": False},
                "nodeName": "node-1",
                "zone": "eu-1a",
            }
            for address in addresses
        ],
        **rest,
    }
