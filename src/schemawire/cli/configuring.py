"""`explain` and `config validate`: the settings, where each came from, and what is wrong with them."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from schemawire.cli.app import app, configuration
from schemawire.cli.connection import connected
from schemawire.cli.exit_codes import ExitCode
from schemawire.cli.invocation import Invocation, command

if TYPE_CHECKING:
    from schemawire.settings.client import ClientSettings
    from schemawire.settings.service import ServiceSettings


@command(app, "explain", backend=True)
async def explain(
    call: Invocation,
    *,
    service: Annotated[
        bool, typer.Option("--service", help="The settings that `serve` would use, in place of the client's.")
    ] = False,
) -> None:
    """Show the settings in force and where each came from.

    Also the pipeline that calls go through, and what is unwise about the settings. Secrets are hidden.
    """
    if service:
        from schemawire.settings.service import ServiceSettings

        _explain(call, ServiceSettings.load())
        return
    async with connected(call) as handler:
        _explain(call, handler.settings, handler.client.explain())


def _explain(call: Invocation, settings: "ClientSettings | ServiceSettings", pipeline: str = "") -> None:
    rows, issues = settings.explain(), settings.issues()
    if call.as_json:
        call.screen.document(
            {
                "settings": [{"name": row.name, "value": row.value, "source": row.source} for row in rows],
                "issues": [{"level": issue.level, "name": issue.name, "message": issue.message} for issue in issues],
                "pipeline": pipeline.splitlines(),
            }
        )
        return
    cells = [(row.name, row.value, row.source) for row in rows]
    call.screen.show(call.screen.table("settings", ("name", "value", "from"), cells))
    if pipeline:
        call.screen.line(pipeline)
    for issue in issues:
        call.screen.note(f"{issue.level}: {issue}", style="red" if issue.level == "error" else "yellow")


@command(configuration, "validate", backend=True)
async def validate(call: Invocation) -> ExitCode:
    """Check the settings against each other and try the backend.

    Exit code 1 when a setting must be corrected.
    """
    async with connected(call) as handler:
        report: dict[str, Any] = await handler.validate_configuration()
    if call.as_json:
        call.screen.document(report)
    else:
        _show(call, report)
    return ExitCode.OK if report["valid"] else ExitCode.NOT_SO


def _show(call: Invocation, report: dict[str, Any]) -> None:
    if report["valid"]:
        call.screen.line("valid", style="green")
    for issue in report["issues"]:
        call.screen.line(f"error: {issue}", style="red")
    for warning in report["warnings"]:
        call.screen.line(f"warning: {warning}", style="yellow")
