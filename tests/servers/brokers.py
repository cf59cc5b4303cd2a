"""Private message brokers for one test run, each on a free port and in a fresh folder; or the ones that are named.

`SCHEMAWIRE_TEST_NATS_URL`, `…_RABBITMQ_URL` and `…_REDIS_URL` name servers that are neither stopped nor restarted.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

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
        self._process: subprocess.Popen[bytes] | None = None

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
        return [*self._as_rabbit(), "env", *self._rabbit_settings(), str(program) if program.exists() else program.name]

    def _as_rabbit(self) -> list[str]:
        if os.geteuid() != 0:
            return []
        account = pwd.getpwnam("rabbitmq")
        os.chown(self.folder, account.pw_uid, account.pw_gid)
        return ["runuser", "-u", "rabbitmq", "--"]

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
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
            )
        until = time.monotonic() + _START_TIMEOUT
        while not self._answers():
            assert self._process.poll() is None, (self.folder / "log").read_text()[-2_000:]
            assert time.monotonic() < until, f"{self.kind} did not start in time"
            time.sleep(0.02)

    def _answers(self) -> bool:
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self) -> None:
        """End the broker, and all that it started, with SIGKILL."""
        process, self._process = self._process, None
        if process is not None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)
            self._kill_strays()
            until = time.monotonic() + 5
            while self._answers() and time.monotonic() < until:
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
