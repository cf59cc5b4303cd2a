"""Every script in examples/ runs as it stands, against a real service."""

import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.command_line import CommandLine

from schemawire.testing.service_process import ServiceProcess

EXAMPLES = Path(__file__).parents[2] / "examples"
LAST_WORDS = {
    "basic_usage": "Total requests:",
    "batch": "one by one: delete_entity",
    "callbacks": "raised as well:",
    "embedded": "again: True",
    "streaming": "500 elements, complete and verified",
}


def scripts() -> list[str]:
    """Return the names of the scripts."""
    return sorted(path.stem for path in EXAMPLES.glob("*.py"))


def test_every_script_is_known_and_short() -> None:
    """A new script gets a test; each fits on a screen."""
    assert scripts() == sorted(LAST_WORDS)
    for name in scripts():
        assert len((EXAMPLES / f"{name}.py").read_text("utf-8").splitlines()) < 40


@pytest.mark.parametrize("name", scripts())
def test_script_runs(name: str, online: CommandLine, service: ServiceProcess) -> None:
    """It ends with exit code 0 and says what it is for."""
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / f"{name}.py"],
        capture_output=True,
        text=True,
        cwd=online.folder,
        env=online.environment,
        timeout=18,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert LAST_WORDS[name] in done.stdout
    assert done.stderr == ""
