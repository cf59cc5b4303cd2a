"""Requests through an HTTP proxy, on every wire that knows one."""

import asyncio

import pytest
from tests.transport.servers import RawServer, free_port, head, http

from schemawire.errors import ConfigurationInvalid, ConnectFailed
from schemawire.transport import Client, ProxyConfig

WIRES = pytest.mark.parametrize("wire", ["aiohttp", "httpx2", "pyreqwest"])


class Proxy(RawServer):
    """Answers by itself and keeps what it was asked; refuses every tunnel."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.heads: list[str] = []

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            self.heads.append((await head(reader)).decode())
            writer.write(http(403) if self.heads[-1].startswith("CONNECT") else http(200, b"by the proxy"))


@WIRES
async def test_proxy_is_asked_for_the_whole_address(wire: str) -> None:
    """The proxy gets the absolute address and our name; the service's host is never looked up."""
    proxy = Proxy()
    async with proxy:
        config = ProxyConfig(url=proxy.url, user="us", password="s3cret")
        async with Client("http://service.invalid:81", wire=wire, proxy=config) as client:
            assert (await client.request("GET", "/x", params={"a": "b"})).body == b"by the proxy"
        lines = proxy.heads[0].split("\r\n")
        assert lines[0] == "GET http://service.invalid:81/x?a=b HTTP/1.1"
        given = {line.partition(": ")[2] for line in lines if line.lower().startswith("proxy-authorization:")}
        assert given == {"Basic dXM6czNjcmV0"}


@WIRES
async def test_refused_tunnel_is_unsent(wire: str) -> None:
    """Without a tunnel nothing has reached the service, so even a plain POST may be tried again."""
    proxy = Proxy()
    async with proxy:
        async with Client(
            "https://service.invalid",
            wire=wire,
            proxy=ProxyConfig(url=proxy.url, user="us", password="s3cret"),
            retry=None,
        ) as client:
            with pytest.raises(ConnectFailed):
                await client.request("POST", "/x")
        assert proxy.heads[0].startswith("CONNECT service.invalid:443 ")
        assert "Basic dXM6czNjcmV0" in proxy.heads[0]


@WIRES
async def test_missing_proxy_is_no_connection(wire: str) -> None:
    """A proxy that is not there is told as such."""
    config = ProxyConfig(url=f"http://127.0.0.1:{free_port()}")
    async with Client("http://service.invalid", wire=wire, proxy=config, retry=None) as client:
        with pytest.raises(ConnectFailed):
            await client.request("GET", "/x")


@pytest.mark.parametrize("url", ["", "proxy:3128", "ftp://p", "http://u:p@proxy", "http://proxy/x", "http://p:99999"])
def test_malformed_proxy_is_refused(url: str) -> None:
    """The message says how one looks, and repeats no password."""
    with pytest.raises(ConfigurationInvalid, match="proxy") as caught:
        ProxyConfig(url=url)
    assert "u:p" not in str(caught.value)


def test_password_is_not_shown() -> None:
    """A secret never reaches a repr."""
    assert "s3cret" not in repr(ProxyConfig(url="http://proxy", user="us", password="s3cret"))
