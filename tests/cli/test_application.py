"""The application as a whole: help, version, completion, what it needs, and the table of exit codes."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.cli.command_line import CommandLine

from schemawire import __version__
from schemawire.cli import main
from schemawire.cli.commands import ORDER
from schemawire.cli.exit_codes import ExitCode

ROOT = Path(__file__).parents[2]
SERVER_PACKAGES = ("fastapi", "uvicorn", "sqlalchemy", "alembic", "starlette")
COMMANDS = (
    "top", "chat", "upload",
    "logs",
    "demo", "dev", "serve", "analyze", "batch", "stream", "export", "health", "metrics", "explain",
    "project list", "project show", "project history", "project diff", "project restore", "project delete",
    "operation submit", "operation status", "operation wait", "operation cancel", "config validate",
    "project settings", "project check", "project purge", "key create", "key list", "key rotate", "key revoke", "audit",
    "worker", "doctor", "migrate", "backup", "restore",
)  # fmt: skip


def run_without_server(cli: CommandLine, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in an interpreter that cannot import what the server extra brings."""
    hidden = "; ".join(f"sys.modules[{name!r}] = None" for name in SERVER_PACKAGES)
    program = (
        f"import sys; {hidden}; sys.argv = ['schemawire', *{arguments!r}]; from schemawire.cli import main; main()"
    )
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env=cli.environment,
        cwd=cli.folder,
        check=False,
    )


def test_help_is_quick_and_complete(cli: CommandLine) -> None:
    """Every command stands on the help page, which does not wait for what only some commands need."""
    started = time.monotonic()
    done = cli("--help")
    assert done.returncode == 0
    assert time.monotonic() - started < 3
    listed = re.findall(r"^  (\w+)  ", done.stdout.partition("Commands:")[2], re.MULTILINE)
    assert listed == [*ORDER, "project", "operation", "config", "key"]
    assert set(ORDER) <= {*COMMANDS}


def test_help_imports_no_heavy_library(cli: CommandLine) -> None:
    """Neither the client's nor the server's libraries are loaded to print help."""
    program = (
        "import sys; sys.argv = ['schemawire', '--help']\n"
        "from schemawire.cli import main\n"
        "try: main()\n"
        "except SystemExit: print(sorted({'aiohttp', 'pydantic', 'fastapi', 'sqlalchemy'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=cli.environment, check=True
    )
    assert done.stdout.rstrip().endswith("[]")


def test_every_command_works_without_the_server_to_the_point_of_its_help(cli: CommandLine) -> None:
    """A base install can read about every command, and each takes --json."""
    program = (
        f"import sys; sys.modules.update(dict.fromkeys({SERVER_PACKAGES!r}))\n"
        "from schemawire.cli import main\n"
        f"for name in {COMMANDS!r}:\n"
        "    sys.argv = ['schemawire', *name.split(), '--help']\n"
        "    try: main()\n"
        "    except SystemExit as ending: print('ENDED', name, ending.code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=cli.environment, check=True
    )
    pages = re.split(r"^ENDED (.+) (\d+)$", done.stdout, flags=re.MULTILINE)
    assert list(zip(pages[1::3], pages[2::3], strict=True)) == [(name, "0") for name in COMMANDS]
    assert all("--json" in page for page in pages[0:-1:3])


def test_analysis_needs_no_server(cli: CommandLine) -> None:
    """Words become a schema with nothing but the base install."""
    done = run_without_server(cli, "analyze", "A library has books.", "--json")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["demo", "dev", "serve"])
def test_a_command_that_needs_the_server_says_what_to_install(name: str, cli: CommandLine) -> None:
    """Exit code 5 and the command to run, in place of an import error."""
    done = run_without_server(cli, name)
    assert done.returncode == ExitCode.CONFIGURATION
    assert 'pip install "schemawire[server]"' in done.stderr
    assert "Traceback" not in done.stderr


def test_version_is_that_of_the_package(cli: CommandLine) -> None:
    """`--version` needs no command."""
    assert cli("--version").stdout == f"schemawire {__version__}\n"


@pytest.mark.parametrize(
    ("shell", "sign"),
    [
        ("bash", "complete -o default -F"),
        ("zsh", "#compdef schemawire"),
        ("fish", "complete --command schemawire"),
        ("powershell", "Register-ArgumentCompleter -Native -CommandName schemawire"),
    ],
)
def test_completion_is_there_for_four_shells(shell: str, sign: str, cli: CommandLine) -> None:
    """Each shell gets a script in its own language."""
    done = cli(settings={"_SCHEMAWIRE_COMPLETE": f"source_{shell}"})
    assert done.returncode == 0, done.stderr
    assert sign in done.stdout


def test_completion_knows_the_commands(cli: CommandLine) -> None:
    """What bash asks for a half-typed word is answered."""
    asked = {"_SCHEMAWIRE_COMPLETE": "complete_bash", "COMP_WORDS": "schemawire ana", "COMP_CWORD": "1"}
    assert cli(settings=asked).stdout.split() == ["analyze"]


def test_the_page_lists_the_exit_codes_as_they_are() -> None:
    """The table in docs/cli.md has exactly the codes and names of the program."""
    page = (ROOT / "docs" / "cli.md").read_text("utf-8")
    listed = re.findall(r"^\| (\d+) \| ([A-Z_]+) \|", page, re.MULTILINE)
    assert [(int(code), name) for code, name in listed] == [(code.value, code.name) for code in ExitCode]


def test_the_page_names_every_command(cli: CommandLine) -> None:
    """docs/cli.md leaves none out."""
    page = (ROOT / "docs" / "cli.md").read_text("utf-8")
    table = page.partition("## Commands")[2].partition("## Options")[0]
    last = {name: name.split()[-1] for name in COMMANDS}
    assert not [name for name in COMMANDS if not re.search(rf"`({name}|{last[name]})[` ]", table)]


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["analyze"],
        ["analyze", "text", "--file", "x"],
        ["analyze", "text", "--send"],
        ["analyze", "text", "--project", "p"],
        ["analyze", "text", "--out", "x"],
        ["analyze", "--file", "no such file"],
        ["batch", "no such file", "--project", "p"],
        ["operation", "submit", "p"],
        ["export", "p", "--format", "runes"],
        ["health", "--unknown"],
        ["demo", "--seed", "seven"],
        ["project", "show", "../x"],
        ["project", "show", "batch"],
        ["project", "show", ""],
        ["stream", "a b"],
        ["export", "x" * 200],
        ["analyze", "text", "--send", "--project", "\x1b[2J"],
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_is_refused_before_anything_is_tried(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, one message, no traceback, nothing on standard output."""
    monkeypatch.setattr(sys, "argv", ["schemawire", *arguments])
    with pytest.raises(SystemExit) as ending:
        main()
    out, err = capsys.readouterr()
    assert ending.value.code == ExitCode.USAGE
    assert out == ""
    assert err
    assert "Traceback" not in err
    assert "\x1b" not in err
