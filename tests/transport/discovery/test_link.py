"""The way to a registry: bounded in size and time, typed in its errors, closed when it ends."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import pytest
from tests.transport.servers import Handler, RawServer, answering, free_port, head, http

from schemawire.errors import AttemptTimeout, BadReply, ConnectFailed, ConnectionLost
from schemawire.transport.discovery.link import RegistryLink, number_in

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def streaming(*pieces: bytes, forever: bool = True) -> Handler:
    """Return a handler that sends a head and pieces, and then is silent or ends."""

    async def stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.write(HEAD + b"".join(map(chunk, pieces)))
        if forever:
            await reader.read()
        writer.write(b"0\r\n\r\n")

    return stream


@asynccontextmanager
async def linked(handler: Handler) -> AsyncIterator[tuple[RegistryLink, RawServer]]:
    async with RawServer(handler) as server, aclosing(RegistryLink((server.url,))) as link:
        yield link, server


async def followed(link: RegistryLink, patience: float = 5.0) -> list[object]:
    async with aclosing(link.follow("GET", "/watch", patience=patience)) as values:
        return [value async for value in values]


async def test_values_are_handed_out_as_they_arrive() -> None:
    """A line that is cut anywhere is put together; the end of the stream ends the values."""
    async with linked(streaming(b'{"a"', b': 1}\n{"b": 2}\n', b"\n", forever=False)) as (link, _):
        assert await followed(link) == [{"a": 1}, {"b": 2}]


async def test_silence_ends_the_values() -> None:
    """A dead connection looks like one on which nothing happens, so it is not waited for without end."""
    async with linked(streaming(b'{"a": 1}\n')) as (link, server):
        assert await followed(link, patience=0.1) == [{"a": 1}]
        assert server.connections == 1


async def test_cut_stream_is_an_error() -> None:
    """A connection that breaks is told apart from a stream that ends."""

    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.write(HEAD + chunk(b'{"a": 1}\n') + b"ff\r\nhalf")

    async with linked(cut) as (link, _):
        with pytest.raises(ConnectionLost):
            await followed(link)


async def test_registry_that_does_not_answer_is_an_error() -> None:
    """Waiting for the head has an end of its own."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with linked(silent) as (link, _):
        with pytest.raises(AttemptTimeout):
            await link.ask("GET", "/", patience=0.1)
        with pytest.raises(AttemptTimeout):
            await followed(link, patience=0.1)


async def test_reply_and_line_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry cannot fill our memory."""
    monkeypatch.setattr("schemawire.transport.discovery.link.MAX_REPLY_BYTES", 1000)
    monkeypatch.setattr("schemawire.transport.discovery.link.MAX_LINE_BYTES", 1000)
    async with linked(answering(http(200, b'"' + b"x" * 2000 + b'"'))) as (link, _):
        with pytest.raises(BadReply):
            await link.ask("GET", "/")
    async with linked(streaming(*[b"x" * 500] * 10)) as (link, _):
        with pytest.raises(BadReply):
            await followed(link)


@pytest.mark.parametrize("body", [b"", b"<html>", b"\xff", b"[" * 200_000])
async def test_reply_that_is_no_json_is_an_error(body: bytes) -> None:
    """The message shows how it begins, and no more."""
    async with linked(answering(http(200, body))) as (link, _):
        with pytest.raises(BadReply) as caught:
            await link.ask("GET", "/")
    assert len(str(caught.value)) < 400


async def test_address_that_answers_is_kept() -> None:
    """After one address has failed, the next is asked first from then on; if all fail, that is the error."""
    async with RawServer(answering(http(200, b"{}"))) as server:
        link = RegistryLink((f"http://127.0.0.1:{free_port()}", server.url))
        await link.ask("GET", "/one")
        await link.ask("GET", "/two")
        await link.aclose()
        assert server.connections == 1
    with pytest.raises(ConnectFailed):
        await link.ask("GET", "/three")
    await link.aclose()


@pytest.mark.parametrize("text", [None, "", "x", "-1", -1, 1.5, True, "9" * 21, [], "0x10"])
def test_what_is_no_count_is_an_error(text: object) -> None:
    """Versions and indexes come as numbers or as text, and as nothing else."""
    with pytest.raises(BadReply):
        number_in(text, "index")


@pytest.mark.parametrize(("text", "number"), [(0, 0), ("7", 7), (1 << 63, 1 << 63)])
def test_count_is_read(text: object, number: int) -> None:
    """Both ways of writing mean the same."""
    assert number_in(text, "index") == number
