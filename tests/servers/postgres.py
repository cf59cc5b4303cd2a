"""A private PostgreSQL server for one test run, on a free port and in a fresh folder; or the one that is named.

`SCHEMAWIRE_TEST_POSTGRES_URL` names a server whose user may create databases; it is neither stopped nor restarted.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import asyncpg  # type: ignore[import-untyped]  # it ships no types
from tests.servers.programs import answers, as_account

from schemawire.service.store.postgres import PostgresStore
from schemawire.testing.child_process import ChildProcess
from schemawire.testing.service_process import free_port

VARIABLE = "SCHEMAWIRE_TEST_POSTGRES_URL"
USER = "postgres"
_START_TIMEOUT = 30.0


def find_binaries() -> Path | None:
    """Return the folder of the newest server that is installed, or `None`."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).parent
    folders = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    return max((folder.parent for folder in folders), default=None, key=lambda path: int(path.parent.name))


class PostgresServer:
    """A server of one's own, to be killed and started again on the same data and port."""

    def __init__(self, binaries: Path) -> None:
        self._binaries = binaries
        self.folder = Path(tempfile.mkdtemp(prefix="schemawire-pg-"))
        self.port = free_port()
        self._process = ChildProcess("PostgreSQL", self.folder / "log")
        self._as_user = as_account(USER, self.folder)  # the server refuses to run as root
        initdb = [str(binaries / "initdb"), "-D", str(self.folder / "data"), "-A", "trust", "-U", USER, "--no-sync"]
        subprocess.run([*self._as_user, *initdb], check=True, capture_output=True, cwd=self.folder)

    def url(self, database: str = "postgres") -> str:
        """Return the address of a database on this server."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    def start(self, *options: str) -> None:
        """Start the server and wait until it answers."""
        command = [str(self._binaries / "postgres"), "-D", str(self.folder / "data")]
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": self.folder,
            "max_connections": 200,
            "shared_buffers": "32MB",
        }
        given = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self._process.start([*self._as_user, *command, *given, *options])
        self._process.wait_until(self._answers, _START_TIMEOUT)

    def _answers(self) -> bool:
        if not answers(self.port):
            return False
        try:
            run_sql(self.url(), "SELECT 1")
        except (asyncpg.CannotConnectNowError, OSError):
            return False
        return True

    @property
    def server_pid(self) -> int:
        """The id of the server's own main process."""
        return int((self.folder / "data" / "postmaster.pid").read_text().split()[0])

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End the server: SIGINT at once but in order, SIGQUIT as a crash would."""
        self._process.end(how, send=lambda _, number: os.kill(self.server_pid, number), timeout=30)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


class Databases:
    """Makes fresh databases on a server, already migrated, and drops them."""

    def __init__(self, admin_url: str) -> None:
        self.admin_url = admin_url
        self._template = f"schemawire_template_{uuid.uuid4().hex[:8]}"
        run_sql(admin_url, f'CREATE DATABASE "{self._template}"')
        _run_apart(partial(_migrate, self.url(self._template)))
        run_sql(self.url(self._template), "DELETE FROM store_meta")  # each copy gets an identity of its own

    def url(self, database: str) -> str:
        """Return the address of a database on the server."""
        return f"{self.admin_url.rpartition('/')[0]}/{database}"

    @contextmanager
    def fresh(self, *, migrated: bool = True) -> Iterator[str]:
        """Make a database for the length of the block, and give its address."""
        name = f"schemawire_test_{uuid.uuid4().hex[:12]}"
        source = self._template if migrated else "template0"
        run_sql(self.admin_url, f'CREATE DATABASE "{name}" TEMPLATE "{source}"')
        try:
            yield self.url(name)
        finally:
            run_sql(self.admin_url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def close(self) -> None:
        """Drop what all databases were copied from."""
        run_sql(self.admin_url, f'DROP DATABASE IF EXISTS "{self._template}" WITH (FORCE)')


async def _migrate(url: str) -> None:
    store = PostgresStore(url)
    await store.start()
    await store.close()


def run_sql(url: str, *statements: str) -> None:
    """Run statements on a connection of their own, each by itself; also where a loop is running."""

    async def run() -> None:
        connection = await asyncpg.connect(url, timeout=10)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    _run_apart(run)


def _run_apart(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run on a thread with a loop of its own, because this one may have a loop that runs."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(work())).result()
