"""Encrypted connections: whom the client trusts, who it is, and HTTP/2 where the server offers it."""

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.transport.servers import head, http

from schemawire.errors import BadReply, ConfigurationInvalid, ConnectFailed
from schemawire.resilience import RetryConfig
from schemawire.transport import Client, TlsConfig
from schemawire.transport.discovery import discovery_of

NO_RETRY = RetryConfig(max_retries=0, transparent_retries=0)


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a self-signed certificate for the loopback, good for a server and for a client."""
    folder = tmp_path_factory.mktemp("tls")
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=loopback"
        " -keyout key.pem -out certificate.pem -addext subjectAltName=IP:127.0.0.1"
    )
    subprocess.run(
        command.split(),
        cwd=folder,
        check=True,
        capture_output=True,
    )
    return folder


@asynccontextmanager
async def secure_server(papers: Path, *, asks_for_papers: bool = False) -> AsyncIterator[str]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(papers / "certificate.pem", papers / "key.pem")
    if asks_for_papers:
        context.load_verify_locations(papers / "certificate.pem")
        context.verify_mode = ssl.CERT_REQUIRED

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.write(http(200, b"private", "Connection: close"))
        await writer.drain()
        writer.close()

    tasks: set[asyncio.Task[None]] = set()
    server = await asyncio.start_server(
        lambda reader, writer: tasks.add(asyncio.ensure_future(answer(reader, writer))), "127.0.0.1", 0, ssl=context
    )
    try:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("wire", ["aiohttp", "httpx2", "pyreqwest"])
async def test_stranger_is_not_trusted(wire: str, papers: Path) -> None:
    """A certificate that nobody vouches for ends the call before anything is sent."""
    async with secure_server(papers) as url, Client(url, wire=wire, retry=NO_RETRY) as client:
        with pytest.raises(ConnectFailed, match=r"(?i)certificate"):
            await client.request("GET", "/", headers={"Authorization": "Bearer x"})


@pytest.mark.parametrize("wire", ["aiohttp", "httpx2"])
async def test_own_authority_is_trusted(wire: str, papers: Path) -> None:
    """With the authority named, the same server is reached."""
    tls = TlsConfig(ca_file=papers / "certificate.pem")
    async with secure_server(papers) as url, Client(url, wire=wire, tls=tls) as client:
        assert (await client.request("GET", "/")).body == b"private"


@pytest.mark.parametrize("wire", ["aiohttp", "httpx2"])
async def test_client_shows_its_own_papers(wire: str, papers: Path) -> None:
    """A server that asks for a certificate gets it."""
    tls = TlsConfig(
        ca_file=papers / "certificate.pem",
        certificate_file=papers / "certificate.pem",
        key_file=papers / "key.pem",
    )
    async with secure_server(papers, asks_for_papers=True) as url, Client(url, wire=wire, tls=tls) as client:
        assert (await client.request("GET", "/")).body == b"private"


async def test_checks_can_be_given_up(papers: Path) -> None:
    """Only when told so does the client take what it gets."""
    async with secure_server(papers) as url, Client(url, tls=TlsConfig(verify=False)) as client:
        assert (await client.request("GET", "/")).body == b"private"


@pytest.mark.parametrize("wire", ["aiohttp", "httpx2", "pyreqwest"])
async def test_missing_file_is_a_mistake_in_the_options(wire: str, tmp_path: Path) -> None:
    """What is not there is named, and is no fault of the endpoint."""
    tls = TlsConfig(ca_file=tmp_path / "nothing.pem")
    async with Client("https://127.0.0.1:1", wire=wire, tls=tls) as client:
        with pytest.raises(ConfigurationInvalid, match=r"nothing\.pem"):
            await client.request("GET", "/")
        assert client.statistics().endpoints[0].failures == 0


async def test_registry_is_held_to_its_authority(papers: Path) -> None:
    """A discovery sends its token only to whom it trusts: a named authority is enough, none is not."""
    (papers / "token").write_text("secret")
    rest = f"/prod/back?token_file={papers / 'token'}"
    async with secure_server(papers) as url:
        with pytest.raises(ConnectFailed, match=r"(?i)certificate"):
            await anext(discovery_of(f"k8s+{url}{rest}").watch())
        # It was reached, and what this server says is no list.
        with pytest.raises(BadReply, match="private"):
            await anext(discovery_of(f"k8s+{url}{rest}&ca_file={papers / 'certificate.pem'}").watch())
