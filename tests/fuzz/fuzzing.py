"""Runs schemathesis, with every check it has, against a really running service."""

import os
import shutil
import subprocess
from pathlib import Path

from schemawire.testing.service_process import ServiceProcess

HERE = Path(__file__).parent
VARIABLE = "SCHEMATHESIS"
"""Names the program, where it is not in `.venv-fuzz`, in which `make fuzz` installs it."""


def find_program() -> str | None:
    """Return the path of schemathesis, or `None` if it is not installed."""
    named = os.environ.get(VARIABLE)
    if named:
        return named
    own = HERE.parents[1] / ".venv-fuzz" / "bin" / "st"
    return str(own) if own.exists() else shutil.which("st")


def fuzz(service: ServiceProcess, program: str, folder: Path, *, examples: int, timeout: float) -> str:
    """Fuzz every request of a service, and return the report.

    Args:
        service: is running; what is stored in it is changed and deleted.
        program: the path of schemathesis.
        folder: where its files go.
        examples: generated requests per operation and phase, on top of the boundary values and the chains.
        timeout: seconds.

    Raises:
        AssertionError: there is a finding; the report is the message.
    """
    done = subprocess.run(
        [
            *(program, "--config-file", str(HERE / "schemathesis.toml"), "run", f"{service.base_url}/openapi.json"),
            *("--header", f"Authorization: {service.headers['Authorization']}"),
            *("--max-examples", str(examples), "--continue-on-failure", "--no-color", "--warnings", "off"),
        ],
        cwd=folder,
        env={**os.environ, "SCHEMATHESIS_HOOKS": str(HERE / "hooks.py")},
        capture_output=True,
        timeout=timeout,
        check=False,
    )
    report = done.stdout.decode("utf-8", "replace") + done.stderr.decode("utf-8", "replace")
    (folder / "fuzz.log").write_text(report, "utf-8")
    assert done.returncode == 0, report
    return report
