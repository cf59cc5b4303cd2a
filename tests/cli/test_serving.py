"""`dev` and `serve` as processes."""

import json
import os
import signal
import socket
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.cli.command_line import CommandLine

from schemawire.cli.exit_codes import ExitCode
from schemawire.testing.service_process import free_port


@contextmanager
def started(cli: CommandLine, *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, Any]]]:
    """Run a service command until the block ends; yields the process and what it said when it was ready."""
    process = subprocess.Popen(
        cli.words(*arguments, "--json"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=cli.folder,
        env={name: value for name, value in cli.environment.items() if not name.startswith("BACKEND_")},
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        line = process.stdout.readline()
        assert line, process.stderr.read().decode()
        yield process, json.loads(line)
    finally:
        process.kill()
        process.stdout.close()
        process.stderr.close()
        process.wait()


def test_dev_makes_a_key_once_and_the_other_commands_find_it(cli: CommandLine) -> None:
    """The key file is readable by its owner alone, for exactly this port, and survives a restart."""
    port = str(free_port())
    with started(cli, "dev", "--port", port) as (process, first):
        place = Path(first["keyFile"])
        assert stat.S_IMODE(place.stat().st_mode) == 0o600
        assert place.is_relative_to(cli.folder / "config")
        here = {"BACKEND_SERVICE_URL": first["url"]}
        sent = cli("analyze", "A zoo has animals.", "--project", "zoo", "--send", settings=here)
        assert sent.returncode == 0, sent.stderr
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
    with started(cli, "dev", "--port", port) as (process, second):
        assert second["key"] == first["key"]
        assert cli("project", "show", "zoo", settings=here).returncode == 0, "the database is kept too"
        elsewhere = {"BACKEND_SERVICE_URL": f"http://127.0.0.1:{int(port) + 1}"}
        rows = json.loads(cli("explain", "--json", settings=elsewhere).stdout)["settings"]
        assert next(row for row in rows if row["name"] == "BACKEND_API_KEY")["value"] == "not set"
        process.send_signal(signal.SIGINT)
        assert process.wait(15) == 0


def test_dev_keeps_its_database_in_the_users_data_folder(cli: CommandLine) -> None:
    """Not in the folder that it was started in."""
    with started(cli, "dev", "--port", str(free_port())) as (_, ready):
        assert str(cli.folder / ".local" / "share") in ready["database"]


def test_serve_without_a_key_refuses_to_start(cli: CommandLine) -> None:
    """Exit code 5, and the message names the variable."""
    done = cli("serve", "--port", str(free_port()))
    assert done.returncode == ExitCode.CONFIGURATION
    assert "SCHEMAWIRE_ADMIN_KEY" in done.stderr
    assert not (cli.folder / ".local").exists()


def test_serve_uses_the_settings_of_the_environment(cli: CommandLine) -> None:
    """Port and file come from the variables, the key is not printed."""
    port, key = free_port(), "k" * 43
    cli.environment |= {
        "SCHEMAWIRE_ADMIN_KEY": key,
        "SCHEMAWIRE_PORT": str(port),
        "SCHEMAWIRE_DATABASE_URL": f"sqlite:///{cli.folder / 'here.db'}",
    }
    with started(cli, "serve") as (process, ready):
        assert ready["url"] == f"http://127.0.0.1:{port}"
        assert key not in json.dumps(ready)
        assert cli("health", "--url", ready["url"]).returncode == 0
        assert cli("metrics", "--url", ready["url"], "--key", key).returncode == 0
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
    assert (cli.folder / "here.db").exists()


@pytest.mark.parametrize("name", ["dev", "serve"])
def test_a_port_in_use_is_said_before_anything_is_opened(name: str, cli: CommandLine) -> None:
    """Exit code 5, the port, and what to do."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        done = cli(name, "--port", port, settings={"SCHEMAWIRE_ADMIN_KEY": "k" * 43})
    assert done.returncode == ExitCode.CONFIGURATION
    assert port in done.stderr
    assert "SCHEMAWIRE_PORT" in done.stderr
    assert not os.listdir(cli.folder)
