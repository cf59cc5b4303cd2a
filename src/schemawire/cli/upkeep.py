"""`migrate`, `backup`, `restore` and `doctor`: the store and the place it runs in, without a service."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from schemawire.cli.app import app
from schemawire.cli.exit_codes import ExitCode
from schemawire.cli.extras import require_server
from schemawire.cli.invocation import Invocation, command

if TYPE_CHECKING:
    from schemawire.service.store.backups import BackupSummary

Database = Annotated[str | None, typer.Option("--database", metavar="URL", help="[SCHEMAWIRE_DATABASE_URL]")]
_STYLES = {"ok": "green", "warning": "yellow", "error": "red"}


@command(app, "migrate")
def migrate(
    call: Invocation,
    *,
    database: Database = None,
    check: Annotated[bool, typer.Option("--check", help="Change nothing; exit code 1 if there is work to do.")] = False,
) -> ExitCode:
    """Bring the database's tables up to date.

    A service does the same at its start; run this first where services may not change tables.
    """
    require_server()
    from schemawire.service.upkeep import migrate_store, migration_state
    from schemawire.settings.service import ServiceSettings

    settings = ServiceSettings.load(database_url=database)
    if not check:
        asyncio.run(migrate_store(settings))
    state = asyncio.run(migration_state(settings))
    if call.as_json:
        call.screen.document({"found": state.found, "wanted": state.wanted, "isCurrent": state.is_current})
    elif state.is_current:
        call.screen.line(f"up to date ({state.wanted})", style="green")
    else:
        call.screen.line(f"at {state.found or 'nothing'}, this release needs {state.wanted}", style="yellow")
    return ExitCode.OK if state.is_current else ExitCode.NOT_SO


@command(app, "backup")
def backup(
    call: Invocation,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to make, or with --check to read.")],
    *,
    database: Database = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a file that is there.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Only read FILE to its end and say what it holds.")] = False,
) -> None:
    """Write everything that is stored into one file, also while a service runs.

    It can be restored into SQLite and into PostgreSQL.
    """
    require_server()
    from schemawire.service import upkeep
    from schemawire.settings.service import ServiceSettings

    if check:
        _show(call, "holds", file, asyncio.run(upkeep.check(file)))
        return
    settings = ServiceSettings.load(database_url=database)
    _show(call, "wrote", file, asyncio.run(upkeep.back_up(settings, file, overwrite=overwrite)))


@command(app, "restore")
def restore(
    call: Invocation,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file made by `schemawire backup`.")],
    *,
    database: Database = None,
) -> None:
    """Fill an empty database from a back-up, all or nothing.

    Every schema is compared with its digest. To bring back one project's older version, see `project restore`.
    """
    require_server()
    from schemawire.service import upkeep
    from schemawire.settings.service import ServiceSettings

    settings = ServiceSettings.load(database_url=database)
    _show(call, "restored", file, asyncio.run(upkeep.restore(settings, file)))


def _show(call: Invocation, did: str, file: Path, summary: "BackupSummary") -> None:
    if call.as_json:
        document: dict[str, Any] = {
            "file": str(file),
            "storeId": summary.store_id,
            "revision": summary.revision,
            "createdAt": summary.created_at,
            "rows": dict(summary.rows),
            "sha256": summary.sha256,
        }
        call.screen.document(document)
        return
    rows = [(name, count) for name, count in summary.rows.items() if count]
    call.screen.show(call.screen.table(f"{did} {file}", ("table", "rows"), rows))
    call.screen.line(f"{summary.total} rows, sha256 {summary.sha256}")


@command(app, "doctor")
def doctor(
    call: Invocation,
    *,
    database: Database = None,
    deep: Annotated[bool, typer.Option("--deep", help="Compare every stored schema with its digest.")] = False,
) -> ExitCode:
    """Look at everything that a service needs here, and judge it.

    Versions, settings, port, disk, database, migrations, clock, broker. Exit code 1 when something must be mended.
    """
    require_server()
    from schemawire.service.diagnosis import Level, diagnose, worst
    from schemawire.settings.service import ServiceSettings

    findings = asyncio.run(diagnose(ServiceSettings.load(database_url=database), deep=deep))
    level = worst(findings)
    if call.as_json:
        found = [finding.to_document() for finding in findings]
        call.screen.document({"level": level.value, "findings": found})
    else:
        for finding in findings:
            call.screen.line(
                f"{finding.level.value:8} {finding.name:12} {finding.found}", style=_STYLES[finding.level.value]
            )
            if finding.fix:
                call.screen.line(f"         {'':12} {finding.fix}", style="dim")
    return ExitCode.NOT_SO if level is Level.ERROR else ExitCode.OK
