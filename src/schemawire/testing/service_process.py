"""The real service as a process of its own, on a free port and a SQLite file: to be killed and started again."""

import asyncio
import http.client
import secrets
import signal
import socket
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from schemawire.protocol.paths import HEALTH_READY
from schemawire.testing.child_process import ChildProcess

START_TIMEOUT = 30.0


class ServiceProcess:
    """One service: the same port, file and key through every restart.

    Args:
        directory: where the database and the log are kept.
        port: the port to listen on; a free one if not given.
        admin_key: the key that may do everything; a random one if not given.
        environment: further variables for the process.

    Use it as a context manager, blocking or asynchronous; leaving it kills the process.
    """

    def __init__(
        self,
        directory: Path | str,
        *,
        port: int | None = None,
        admin_key: str | None = None,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.directory = Path(directory)
        self.port = port or free_port()
        self.admin_key = admin_key or secrets.token_urlsafe(32)
        self._environment = dict(environment or {})
        self._process = ChildProcess("the service", self.log_path)

    @property
    def base_url(self) -> str:
        """The address of the service."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def database_path(self) -> Path:
        """The SQLite file."""
        return self.directory / "schemas.db"

    @property
    def log_path(self) -> Path:
        """The file that collects what the process writes, across restarts."""
        return self.directory / "service.log"

    @property
    def headers(self) -> dict[str, str]:
        """The headers that a caller needs."""
        return {"Authorization": f"Bearer {self.admin_key}"}

    @property
    def pid(self) -> int:
        """The id of the running process.

        Raises:
            ServiceDidNotStart: it does not run.
        """
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the process is alive."""
        return self._process.is_running

    def start(self) -> None:
        """Start the process; `wait_ready` tells when it answers."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self._process.start([sys.executable, "-m", "schemawire.service"], environment=self._variables())

    def _variables(self) -> dict[str, str]:
        return {
            "SCHEMAWIRE_DATABASE_URL": f"sqlite:///{self.database_path}",
            "SCHEMAWIRE_HOST": "127.0.0.1",
            "SCHEMAWIRE_PORT": str(self.port),
            "SCHEMAWIRE_ADMIN_KEY": self.admin_key,
            "SCHEMAWIRE_METRICS_STORE": f"sqlite:///{self.directory}/metrics.db",
            **self._environment,
        }

    def wait_ready(self, timeout: float = START_TIMEOUT) -> None:
        """Return once the service is ready for requests.

        Raises:
            ServiceDidNotStart: it ended, or `timeout` seconds were not enough.
        """
        self._process.wait_until(self._is_ready, timeout)

    def _is_ready(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
        try:
            connection.request("GET", HEALTH_READY)
            reply = connection.getresponse()
            reply.read()  # a reply that is not read keeps the socket open
            return reply.status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def kill(self) -> None:
        """End the process at once with SIGKILL, as a power cut would; harmless when it does not run."""
        self._process.end(signal.SIGKILL)

    def stop(self) -> int:
        """Ask the process to finish (SIGTERM), wait, and return its exit code; kill it if it takes too long."""
        return self._process.end(signal.SIGTERM)

    def restart(self) -> None:
        """Kill the process if it runs, start it again on the same file, and wait until it is ready."""
        self.kill()
        self.start()
        self.wait_ready()

    def __enter__(self) -> Self:
        self.start()
        try:
            self.wait_ready()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.__enter__)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.kill)


def free_port() -> int:
    """Return a port of the loopback interface that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
