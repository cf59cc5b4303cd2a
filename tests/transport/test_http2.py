"""HTTP/2 over the httpx2 wire: many requests share one connection, and a broken stream is a broken connection."""

import asyncio

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import RequestReceived
from tests.transport.servers import RawServer

from schemawire.errors import ConnectionLost
from schemawire.resilience import RetryConfig
from schemawire.transport import Client
from schemawire.transport.wires.httpx2 import Httpx2Wire

NO_RETRY = RetryConfig(max_retries=0, transparent_retries=0)


async def answer_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Speak HTTP/2: answer every stream with its path, reset those that ask for `/broken`."""
    connection = H2Connection(H2Configuration(client_side=False))
    connection.initiate_connection()
    writer.write(connection.data_to_send())
    while chunk := await reader.read(65_536):
        for event in connection.receive_data(chunk):
            if isinstance(event, RequestReceived):
                respond(connection, event)
        writer.write(connection.data_to_send())
        await writer.drain()


def respond(connection: H2Connection, event: RequestReceived) -> None:
    assert event.headers is not None
    assert event.stream_id is not None
    path = dict(event.headers)[b":path"]
    if path == b"/refused" and event.stream_id < 5:
        connection.reset_stream(event.stream_id, ErrorCodes.REFUSED_STREAM)
        return
    connection.send_headers(event.stream_id, [(":status", "200")])
    if path == b"/broken":
        connection.send_data(event.stream_id, b"half")
        connection.reset_stream(event.stream_id)
    else:
        connection.send_data(event.stream_id, path, end_stream=True)


async def test_requests_share_one_connection() -> None:
    """Fifty requests at once go over a single connection and do not get mixed up."""
    wire = Httpx2Wire(prior_knowledge=True)
    async with RawServer(answer_all) as server, Client(server.url, wire=wire) as client:
        await client.request("GET", "/first")
        replies = await asyncio.gather(*(client.request("GET", f"/{number}") for number in range(50)))
        assert [reply.body for reply in replies] == [f"/{number}".encode() for number in range(50)]
        assert server.connections == 1


async def test_reset_stream_is_never_a_short_success() -> None:
    """A stream that is reset in the middle of its body raises, and leaves the connection to the others."""
    wire = Httpx2Wire(prior_knowledge=True)
    async with RawServer(answer_all) as server, Client(server.url, wire=wire, retry=NO_RETRY) as client:
        with pytest.raises(ConnectionLost):
            await client.request("GET", "/broken")
        assert (await client.request("GET", "/fine")).body == b"/fine"
        assert client.statistics().wire.in_flight == 0


async def test_refused_stream_is_unsent() -> None:
    """A server that refuses a stream has not looked at it, so even a plain POST is sent again."""
    wire = Httpx2Wire(prior_knowledge=True)
    async with RawServer(answer_all) as server, Client(server.url, wire=wire) as client:
        response = await client.request("POST", "/refused", body=b"x")
        assert (response.body, response.attempts) == (b"/refused", 3)
