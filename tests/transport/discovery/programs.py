"""Real programs from the system's packages, found by PATH, as child processes on free loopback ports."""

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.transport.servers import free_port

_SBIN = "/usr/local/sbin:/usr/sbin:/sbin"


def program(name: str, package: str) -> str:
    """Return the path of a program, or skip the test loudly."""
    found = shutil.which(name) or shutil.which(name, path=_SBIN)
    if found is None:
        pytest.skip(f"needs {name} (Debian package {package})")
    return found


@asynccontextmanager
async def running(command: Sequence[str], port: int) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a server until the block ends; it has begun when its TCP port answers."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(10):
            while not await _answers(port):
                assert process.returncode is None, f"{command[0]} ended with status {process.returncode}"
                await asyncio.sleep(0.02)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def becomes(check: Callable[[], bool], *, within: float = 10.0) -> None:
    """Wait until what another process or task brings about has come about."""
    async with asyncio.timeout(within):
        while not check():  # noqa: ASYNC110  # nothing there could set an event
            await asyncio.sleep(0.005)


class DnsServer:
    """dnsmasq as an authority for whatever a test writes into its records; it forwards nothing."""

    def __init__(self, folder: Path) -> None:
        self._program = program("dnsmasq", "dnsmasq-base")
        self._folder = folder
        self.port = _free_port_for_both()
        self.address = f"127.0.0.1:{self.port}"

    @asynccontextmanager
    async def serving(self, *records: str) -> AsyncIterator[None]:
        """Serve records, in dnsmasq's words such as `host-record=a.test,10.0.0.1,5`."""
        config = self._folder / "dnsmasq.conf"
        fixed = ["no-resolv", "no-hosts", "bind-interfaces", "listen-address=127.0.0.1", f"port={self.port}"]
        fixed += ["user=", "group=", "pid-file=", "local=/test/", "no-daemon"]
        config.write_text("\n".join([*fixed, *records]) + "\n")
        async with running([self._program, "--conf-file=" + str(config)], self.port):
            yield


class EtcdServer:
    """One member of etcd with its own folder; it keeps its content when it is stopped and started again."""

    def __init__(self, folder: Path) -> None:
        self._program = program("etcd", "etcd-server")
        self._folder = folder
        self.port, self._peer = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        command = [
            self._program,
            *("--data-dir", str(self._folder / "etcd")),
            *("--listen-client-urls", self.url),
            *("--advertise-client-urls", self.url),
            *("--listen-peer-urls", f"http://127.0.0.1:{self._peer}"),
        ]
        async with running(command, self.port):
            yield


def _free_port_for_both() -> int:
    """Return a port that is free for TCP and UDP."""
    for _ in range(50):
        port = free_port()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
            try:
                datagrams.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free for TCP and UDP")
