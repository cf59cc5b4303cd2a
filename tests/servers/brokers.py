"""Private message brokers for one test run, each on a free port and in a fresh folder; or the ones that are named.

`SCHEMAWIRE_TEST_NATS_URL`, `…_RABBITMQ_URL` and `…_REDIS_URL` name servers that are neither stopped nor restarted.
"""

import os
import shutil
import signal
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest
from tests.servers.programs import answers, as_account

from schemawire.testing.child_process import ChildProcess
from schemawire.testing.service_process import free_port

_START_TIMEOUT = 40.0


def variable_of(kind: str) -> str:
    """Return the environment variable that names a server of this kind."""
    return f"SCHEMAWIRE_TEST_{kind.upper()}_URL"


class BrokerServer:
    """A broker of one's own, to be killed and started again on the same data and port."""

    programs: dict[str, str] = {"nats": "nats-server", "redis": "redis-server", "rabbitmq": "rabbitmq-server"}  # noqa: RUF012  # constant

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.folder = Path(tempfile.mkdtemp(prefix=f"schemawire-{kind}-"))
        self.port = free_port()
        self._further = (free_port(), free_port())
        self._process = ChildProcess(kind, self.folder / "log")

    @property
    def url(self) -> str:
        """The address of the broker."""
        place = f"127.0.0.1:{self.port}"
        return {"nats": f"nats://{place}", "redis": f"redis://{place}", "rabbitmq": f"amqp://guest:guest@{place}/"}[
            self.kind
        ]

    def _command(self) -> list[str]:
        port, folder = str(self.port), str(self.folder)
        if self.kind == "nats":
            return ["nats-server", "-a", "127.0.0.1", "-p", port, "-js", "-sd", folder]
        if self.kind == "redis":
            kept = ["--save", "", "--appendonly", "yes", "--appendfsync", "always", "--dir", folder]
            return ["redis-server", "--bind", "127.0.0.1", "--port", port, *kept]
        # Debian's wrapper swallows what the server says and its exit code.
        program = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
        name = str(program) if program.exists() else program.name
        return [*as_account("rabbitmq", self.folder), "env", *self._rabbit_settings(), name]

    def _rabbit_settings(self) -> list[str]:
        distribution, mapper = self._further
        values = {
            "HOME": self.folder,
            "RABBITMQ_NODENAME": f"t{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": self.port,
            "RABBITMQ_DIST_PORT": distribution,
            "RABBITMQ_MNESIA_BASE": self.folder / "m",
            "RABBITMQ_LOG_BASE": self.folder / "l",
            "RABBITMQ_ENABLED_PLUGINS_FILE": self.folder / "plugins",
            "RABBITMQ_CONF_ENV_FILE": self.folder / "none",  # the system's own settings are not for us
            "RABBITMQ_CONFIG_FILE": self.folder / "none",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +S 1:1",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": mapper,
        }
        return [f"{name}={value}" for name, value in values.items()]

    def start(self) -> None:
        """Start the broker and wait until its port answers."""
        self._process.start(self._command(), has_own_group=True)
        self._process.wait_until(lambda: answers(self.port), _START_TIMEOUT)

    def kill(self) -> None:
        """End the broker, and all that it started, with SIGKILL."""
        self._process.end(signal.SIGKILL, send=os.killpg, timeout=20)
        self._kill_strays()
        until = time.monotonic() + 5
        while answers(self.port) and time.monotonic() < until:
            time.sleep(0.01)

    def _kill_strays(self) -> None:
        """End what has left the process group: the VM of RabbitMQ and its name server, known by our folder or port."""
        marks = (str(self.folder).encode(), f"ERL_EPMD_PORT={self._further[1]}".encode())
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                _kill_if_marked(entry, marks)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def _kill_if_marked(entry: Path, marks: tuple[bytes, ...]) -> None:
    try:
        surroundings = (entry / "environ").read_bytes()
        if any(mark in surroundings for mark in marks) and b"ERL" in surroundings:
            os.kill(int(entry.name), signal.SIGKILL)
    except OSError:
        return  # it has ended, or is none of ours


class NamedServer:
    """A broker that the environment names; it is left as it is."""

    def __init__(self, kind: str, url: str) -> None:
        self.kind = kind
        self.url = url

    def start(self) -> None:
        """Leave it as it is."""

    def kill(self) -> None:
        """Refuse: it belongs to somebody else."""
        pytest.skip(f"needs a {self.kind} server of its own, which {variable_of(self.kind)} must not name")


class Brokers:
    """The brokers of one test run, each started when it is first asked for."""

    def __init__(self) -> None:
        self._servers: dict[str, BrokerServer] = {}

    def get(self, kind: str) -> BrokerServer | NamedServer:
        """Return a running broker; skip the test, loudly, where there is none."""
        named = os.environ.get(variable_of(kind))
        if named is not None:
            return NamedServer(kind, named)
        if kind not in self._servers:
            self._servers[kind] = _started(kind)
        return self._servers[kind]

    def close(self) -> None:
        """End everything that was started."""
        for server in self._servers.values():
            server.__exit__(None, None, None)


def _started(kind: str) -> BrokerServer:
    program = BrokerServer.programs[kind]
    if shutil.which(program) is None:
        pytest.skip(f"needs {program}: install it, or name a server in {variable_of(kind)}")
    server = BrokerServer(kind)
    server.start()
    return server
