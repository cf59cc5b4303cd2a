"""`upload`: a schema of any length sent as a stream."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from schemawire.cli.app import app
from schemawire.cli.connection import connected
from schemawire.cli.invocation import Invocation, command
from schemawire.cli.parameters import Project

if TYPE_CHECKING:
    from schemawire.handler import DomainResult


@command(app, "upload", backend=True)
async def upload(
    call: Invocation,
    project: Project,
    file: Annotated[
        Path,
        typer.Argument(help="A schema document, or the lines of a stream.", exists=True, dir_okay=False, readable=True),
    ],
    *,
    message: Annotated[
        str | None, typer.Option("--message", "-m", metavar="TEXT", help="Kept with the new version.")
    ] = None,
    if_match: Annotated[
        str | None, typer.Option("--if-match", metavar="TAG", help="Refuse unless the project has this entity tag.")
    ] = None,
    idempotency_key: Annotated[
        str | None,
        typer.Option("--idempotency-key", metavar="KEY", help="Repeat an upload whose outcome is unknown."),
    ] = None,
) -> None:
    """Store a schema of any length, sent element by element: all of it or nothing.

    The file holds a document, or lines as `GET …/stream` writes them; neither is changed by the sending.
    """
    with call.screen.progress(f"uploading to {project}", None) as bar:

        def sent(count: int) -> None:
            bar.update(bar.task_ids[0], completed=count)

        async with connected(call) as handler:
            try:
                result = await handler.upload_schema(
                    project, file, message=message, if_match=if_match, on_progress=sent, idempotency_key=idempotency_key
                )
            except (OSError, ValueError) as error:
                raise typer.BadParameter(f"{file}: {error}") from error
    _show(call, result)


def _show(call: Invocation, result: "DomainResult") -> None:
    stored: dict[str, Any] = result.data
    if call.as_json:
        call.screen.document({"projectId": result.project_id, **stored})
        return
    done = "stored" if stored["changed"] else "unchanged:"
    call.screen.line(f"{done} version {result.version}, {stored['elementCount']} elements, {result.digest}")
