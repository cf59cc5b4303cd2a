"""`migrate`, `backup`, `restore` and `doctor` as a user types them."""

import json
import socket
import sqlite3
from contextlib import closing
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from typer.testing import CliRunner

from schemawire.cli import commands
from schemawire.cli.app import app
from schemawire.service.diagnosis import Level, judge_sqlite
from schemawire.testing.service_process import ServiceProcess, free_port

SECRET = "s3cr3t-of-the-database"


assert commands.COMMAND_FILES  # importing it joins the commands to the application


class Here:
    """The command line in this process: a new one would take a second for each of so many runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            "SCHEMAWIRE_DATABASE_URL": f"sqlite:///{folder / 'a.db'}",
            "SCHEMAWIRE_PORT": str(free_port()),
            "HOME": str(folder),
        }

    def __call__(self, *arguments: str, settings: dict[str, str] | None = None) -> CompletedProcess[str]:
        """Run one command to its end."""
        done = CliRunner().invoke(app, list(arguments), env={**self.environment, **(settings or {})})
        return CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Here:
    """The command line with a database in its folder."""
    monkeypatch.chdir(tmp_path)
    return Here(tmp_path)


def test_migrate_makes_the_tables_and_says_so(here: Here) -> None:
    """`--check` tells without changing anything that there is work to do; afterwards there is none."""
    assert here("migrate", "--check").returncode == 4  # there is no database at all
    assert not (here.folder / "a.db").exists()
    done = here("migrate", "--json")
    assert (done.returncode, json.loads(done.stdout)["isCurrent"]) == (0, True)
    assert here("migrate", "--check").returncode == 0
    with closing(sqlite3.connect(here.folder / "a.db")) as conn:
        conn.execute("UPDATE alembic_version SET version_num = '0001'")
        conn.commit()
    behind = here("migrate", "--check", "--json")
    assert (behind.returncode, json.loads(behind.stdout)["found"]) == (1, "0001")


def test_a_running_service_is_backed_up_and_restored_elsewhere(here: Here, tmp_path: Path) -> None:
    """A back-up beside a running service holds what was written; restored, it is the same store."""
    with ServiceProcess(tmp_path / "service") as service:
        database = f"sqlite:///{service.database_path}"
        online = {"BACKEND_SERVICE_URL": service.base_url, "BACKEND_API_KEY": service.admin_key}
        sent = here("analyze", "A library has books.", "--project", "library", "--send", settings=online)
        assert sent.returncode == 0, sent.stderr
        assert here("migrate", "--database", database).returncode == 4  # the service owns the file
        made = here("backup", "library.gz", "--database", database, "--json")
        assert made.returncode == 0, made.stdout
    summary = json.loads(made.stdout)
    assert summary["rows"]["projects"] == 1
    assert (tmp_path / "library.gz").stat().st_mode & 0o777 == 0o600
    assert here("backup", "library.gz", "--database", database).returncode == 5  # it is there already
    assert json.loads(here("backup", "library.gz", "--check", "--json").stdout) == summary
    restored = here("restore", "library.gz", "--json")
    assert json.loads(restored.stdout)["storeId"] == summary["storeId"]
    again = here("restore", "library.gz", "--json")
    assert json.loads(again.stdout)["error"]["code"] == "store_not_empty"
    damaged = (tmp_path / "library.gz").read_bytes()[:-20]
    (tmp_path / "damaged.gz").write_bytes(damaged)
    refused = here("restore", "damaged.gz", "--database", f"sqlite:///{tmp_path / 'other.db'}")
    assert refused.returncode == 4
    assert "backup_invalid" in refused.stderr
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".part")] == []


def findings(cli: Here, *arguments: str, settings: dict[str, str] | None = None) -> tuple[int, dict[str, str], str]:
    """Return the exit code, the level of each finding, and everything that was printed."""
    done = cli("doctor", "--json", *arguments, settings=settings)
    return done.returncode, {each["name"]: each["level"] for each in json.loads(done.stdout)["findings"]}, done.stdout


def test_the_doctor_finds_nothing_to_mend_on_a_sound_machine(here: Here) -> None:
    """Before and after the first start; with `--deep` each schema is compared with its digest."""
    code, levels, _ = findings(here)
    assert code == 0, levels
    assert here("migrate").returncode == 0
    code, levels, _ = findings(here, "--deep")
    assert (code, levels["migrations"], levels["schemas"]) == (0, "ok", "ok")
    with ServiceProcess(here.folder / "service", port=int(here.environment["SCHEMAWIRE_PORT"])):
        assert findings(here)[1]["port"] == "ok"
    assert here("doctor").stdout.startswith("ok       schemawire")


def test_the_doctor_names_what_must_be_mended(here: Here) -> None:
    """A database and a broker that do not answer, and a port that is taken, are errors; passwords stay hidden."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", int(here.environment["SCHEMAWIRE_PORT"])))
        taken.listen()
        settings = {
            "SCHEMAWIRE_DATABASE_URL": f"postgresql://u:{SECRET}@127.0.0.1:1/d",
            "SCHEMAWIRE_BROKER_URL": f"nats://u:{SECRET}@127.0.0.1:1",
            "SCHEMAWIRE_ADMIN_KEY": "short",
        }
        code, levels, printed = findings(here, settings=settings)
    assert code == 1
    assert {name for name, level in levels.items() if level == "error"} == {"database", "broker", "port"}
    assert levels["SCHEMAWIRE_ADMIN_KEY"] == "warning"
    assert SECRET not in printed


def test_the_doctor_sees_a_clock_that_was_set_back_and_a_forged_element(here: Here) -> None:
    """Versions from the future tell of a clock; a body that is not what its digest says is an error of `--deep`."""
    assert here("migrate").returncode == 0
    batch = here.folder / "ops.json"
    batch.write_text('[{"operation": "create_entity", "data": {"name": "Book"}}]')
    with ServiceProcess(
        here.folder / "service", environment={"SCHEMAWIRE_DATABASE_URL": here.environment["SCHEMAWIRE_DATABASE_URL"]}
    ) as service:
        online = {"BACKEND_SERVICE_URL": service.base_url, "BACKEND_API_KEY": service.admin_key}
        assert here("batch", str(batch), "--project", "p", settings=online).returncode == 0
    with closing(sqlite3.connect(here.folder / "a.db")) as conn:
        conn.execute("UPDATE versions SET created_at = created_at + 3600")
        conn.execute("UPDATE elements SET body = replace(CAST(body AS TEXT), 'Book', 'Bock')")
        conn.commit()
    code, levels, _ = findings(here, "--deep")
    assert (code, levels["clock"], levels["schemas"]) == (1, "error", "error")
    refused = here("backup", "bad.gz")
    assert refused.returncode == 4
    assert not (here.folder / "bad.gz").exists()


@pytest.mark.parametrize(
    ("release", "level"), [("3.40.1", "warning"), ("3.51.2", "warning"), ("3.51.3", "ok"), ("3.52.0", "ok")]
)
def test_the_doctor_knows_the_defect_of_older_sqlite(release: str, level: str) -> None:
    """Releases before 3.51.3 are named, with what keeps the service safe from the defect."""
    assert judge_sqlite(release).level is Level(level)
    assert judge_sqlite(release, is_used=False).level is Level.OK
