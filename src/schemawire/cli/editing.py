"""`batch` and `project restore|delete`: changes to what is stored."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from schemawire.cli.app import app, projects
from schemawire.cli.connection import connected
from schemawire.cli.exit_codes import ExitCode
from schemawire.cli.files import read_json
from schemawire.cli.invocation import Invocation, command
from schemawire.cli.parameters import InProject, Project

if TYPE_CHECKING:
    from schemawire.handler import BatchResult


@command(app, "batch", backend=True)
async def batch(
    call: Invocation,
    file: Annotated[
        str,
        typer.Argument(help="A JSON list of {operation, data}, or {projectId, operations}; - reads standard input."),
    ],
    *,
    project: InProject = None,
    per_operation: Annotated[
        bool, typer.Option("--per-operation", help="Apply each by itself instead of all or none.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would happen; store nothing.")] = False,
    expected_version: Annotated[
        int | None,
        typer.Option("--expected-version", min=0, metavar="N", help="Refuse unless the project is at this version."),
    ] = None,
    message: Annotated[
        str | None, typer.Option("--message", "-m", metavar="TEXT", help="Kept with the new version.")
    ] = None,
) -> ExitCode:
    """Apply a file of operations to a project.

    Exit code 1 when one of them was refused with --per-operation; without it nothing is stored then, and the code is 3.
    """
    named, operations = _operations(file, read_json(file))
    if (project or named) is None:
        raise typer.BadParameter("name the project: --project P")
    async with connected(call) as handler:
        with call.screen.progress("applying", None):
            result = await handler.batch_operations(
                operations,
                str(project or named),
                atomic=not per_operation,
                dry_run=dry_run,
                expected_version=expected_version,
                message=message,
            )
    _show(call, result, dry_run=dry_run)
    return ExitCode.OK if result.success else ExitCode.NOT_SO


def _operations(path: str, value: Any) -> tuple[str | None, list[dict[str, Any]]]:
    named, listed = (value.get("projectId"), value.get("operations")) if isinstance(value, dict) else (None, value)
    if not isinstance(listed, list) or not all(isinstance(row, dict) for row in listed):
        raise typer.BadParameter(f"{path} must hold a JSON list of {{operation, data}}, or an object with `operations`")
    return named, listed


def _show(call: Invocation, result: "BatchResult", *, dry_run: bool) -> None:
    if call.as_json:
        rows = [row.model_dump(mode="json", by_alias=True) for row in result]
        head = {"success": result.success, "projectId": result.project_id, "version": result.version}
        call.screen.document({**head, "digest": result.digest, "dryRun": dry_run, "results": rows})
        return
    cells = [(row.index, row.operation, row.key, _outcome(row)) for row in result]
    call.screen.show(call.screen.table("", ("", "operation", "element", "outcome"), cells))
    kept = "nothing stored: dry run" if dry_run else f"{result.project_id} is at version {result.version}"
    call.screen.line(kept, style="green" if result.success else "yellow")


def _outcome(row: Any) -> str:
    if row.success:
        return "changed" if row.changed else "no change"
    problem = row.error or {}
    return f"{problem.get('code', 'refused')}: {problem.get('detail', '')}"


@command(projects, "restore", backend=True)
async def restore(
    call: Invocation,
    project: Project,
    version: Annotated[int, typer.Argument(min=1, help="The version to make the newest again.")],
) -> None:
    """Make an old version the newest again.

    It becomes a new version, and nothing is lost.
    """
    async with connected(call) as handler:
        result = await handler.restore(project, version)
    if call.as_json:
        call.screen.document({"projectId": project, "version": result.version, "digest": result.digest})
    else:
        call.screen.line(f"{project} is at version {result.version}, the same as version {version}", style="green")


@command(projects, "delete", backend=True)
async def delete(
    call: Invocation,
    project: Project,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> ExitCode:
    """Delete a project.

    Its history stays, and `project restore` brings it back.
    """
    if not yes and not typer.confirm(f"Delete {project}?", err=True):
        return ExitCode.NOT_SO
    async with connected(call) as handler:
        result = await handler.delete_project(project)
    if call.as_json:
        call.screen.document({"projectId": project, "success": result.success})
    else:
        call.screen.line(f"deleted {project}", style="green")
    return ExitCode.OK
