"""One program as a child process whose words go into a file: started, waited for, ended, and started again.

Knows nothing of what the program does.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

STOP_TIMEOUT = 15.0
_POLL_INTERVAL = 0.02


class ServiceDidNotStart(RuntimeError):
    """The service process ended, or did not become ready in time; the message holds the end of its log."""


class ChildProcess:
    """One process at a time.

    Args:
        name: what errors call it.
        log_path: the file that collects what it writes, across restarts.
    """

    def __init__(self, name: str, log_path: Path) -> None:
        self._name = name
        self._log_path = log_path
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The id of the process that was started last.

        Raises:
            ServiceDidNotStart: none was, or it has been ended.
        """
        if self._process is None:
            raise ServiceDidNotStart(f"{self._name} has not been started")
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the process is alive."""
        return self._process is not None and self._process.poll() is None

    def start(
        self,
        command: Sequence[str],
        *,
        environment: dict[str, str] | None = None,
        has_own_group: bool = False,
    ) -> None:
        """Start the process in the folder of its log; `wait_until` tells when it is ready.

        Args:
            command: the program and its arguments.
            environment: variables on top of the own ones.
            has_own_group: whether it leads a session and process group of its own.
        """
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603  # a list, so no shell reads it
                command,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._log_path.parent,
                start_new_session=has_own_group,
            )

    def wait_until(self, is_ready: Callable[[], bool], timeout: float) -> None:
        """Return once the process is ready.

        Raises:
            ServiceDidNotStart: it ended, or `timeout` seconds were not enough.
        """
        end = time.monotonic() + timeout
        while not is_ready():
            if not self.is_running:
                raise ServiceDidNotStart(f"{self._name} ended at its start:\n{self._log_end()}")
            if time.monotonic() > end:
                raise ServiceDidNotStart(f"{self._name} was not ready within {timeout:g} s:\n{self._log_end()}")
            time.sleep(_POLL_INTERVAL)

    def _log_end(self) -> str:
        return self._log_path.read_text("utf-8", "replace")[-2_000:]

    def end(
        self,
        number: signal.Signals,
        *,
        send: Callable[[int, int], None] | None = None,
        timeout: float = STOP_TIMEOUT,
    ) -> int:
        """Send the process a signal, wait, and return its exit code; kill it if it takes too long.

        Args:
            number: the signal; nothing is done where the process does not run.
            send: how it is sent, given the process's id and the signal: to the process itself if not given.
            timeout: seconds until it is killed.
        """
        process, self._process = self._process, None
        if process is None:
            return 0
        if process.poll() is None:
            (send or os.kill)(process.pid, number)
        try:
            return process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()
