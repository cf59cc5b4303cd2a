"""The real command line as a process of its own, with a home of its own."""

import os
import subprocess
import sys
from pathlib import Path

KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "COVERAGE_PROCESS_START")


class CommandLine:
    """Runs `schemawire` in a folder; nothing of the surrounding environment's settings reaches it.

    Args:
        folder: the working folder, and the user's home.
        settings: environment variables of every run.
    """

    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        self.folder = folder
        inherited = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
        self.environment = {**inherited, "HOME": str(folder), "XDG_CONFIG_HOME": str(folder / "config"), **settings}

    @staticmethod
    def words(*arguments: str) -> list[str]:
        """Return what a shell would run."""
        return [sys.executable, "-m", "schemawire", *arguments]

    def __call__(
        self, *arguments: str, stdin: str | bytes = "", settings: dict[str, str] | None = None, timeout: float = 18.0
    ) -> subprocess.CompletedProcess[str]:
        """Run one command to its end."""
        done = subprocess.run(
            self.words(*arguments),
            input=stdin.encode() if isinstance(stdin, str) else stdin,
            capture_output=True,
            cwd=self.folder,
            env={**self.environment, **(settings or {})},
            timeout=timeout,
            check=False,
        )
        return subprocess.CompletedProcess(
            done.args, done.returncode, done.stdout.decode(errors="surrogateescape"), done.stderr.decode()
        )
