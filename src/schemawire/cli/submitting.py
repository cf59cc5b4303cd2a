"""`operation submit|list|status|wait|cancel|retry`: work that goes on in the backend after the call has returned."""

from typing import TYPE_CHECKING, Annotated

import typer

from schemawire.cli.app import operations
from schemawire.cli.connection import connected
from schemawire.cli.exit_codes import ExitCode
from schemawire.cli.files import read_json
from schemawire.cli.invocation import Invocation, command
from schemawire.cli.parameters import Project

if TYPE_CHECKING:
    from schemawire.protocol.messages import OperationStatus

OperationId = Annotated[str, typer.Argument(metavar="ID", help="The operation's id, as `operation submit` printed it.")]


@command(operations, "submit", backend=True)
async def submit(
    call: Invocation,
    project: Project,
    *,
    description: Annotated[
        str | None, typer.Option("--description", metavar="TEXT", help="Words to analyse and merge.")
    ] = None,
    file: Annotated[
        str | None, typer.Option("--file", metavar="FILE", help="A JSON list of {operation, data}.")
    ] = None,
    webhook: Annotated[
        str | None, typer.Option("--webhook", metavar="URL", help="Who is told when it has ended.")
    ] = None,
) -> None:
    """Hand over work and print its id.

    The backend finishes it, even across its own restart.
    """
    if (description is None) == (file is None):
        raise typer.BadParameter("give either --description or --file")
    async with connected(call) as handler:
        listed = None if file is None else read_json(file)
        submitted = await handler.submit(project, operations=listed, description=description, webhook=webhook)
    _show(call, submitted)


@command(operations, "list", backend=True)
async def list_operations(
    call: Invocation,
    *,
    project: Annotated[str | None, typer.Option("--project", "-p", metavar="PROJECT", help="Of one project.")] = None,
    state: Annotated[str | None, typer.Option("--state", metavar="STATE", help="In one state, such as parked.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, metavar="N", help="How many at most.")] = 20,
) -> None:
    """List operations, the newest first."""
    async with connected(call) as handler:
        found = await handler.list_operations(project, state=state, limit=limit)
    if call.as_json:
        call.screen.document([status.model_dump(mode="json", by_alias=True) for status in found])
        return
    for each in found:
        _show(call, each)


@command(operations, "retry", backend=True)
async def retry(call: Invocation, operation: OperationId) -> None:
    """Try again what failed, was parked or was cancelled, and print the new operation's id."""
    async with connected(call) as handler:
        submitted = await handler.retry_operation(operation)
    _show(call, submitted)


@command(operations, "status", backend=True)
async def status(call: Invocation, operation: OperationId) -> ExitCode:
    """Show where an operation stands.

    Exit code 1 when it failed or was cancelled.
    """
    async with connected(call) as handler:
        found = await handler.operation_status(operation)
    _show(call, found)
    return _code(found)


@command(operations, "wait", backend=True)
async def wait(
    call: Invocation,
    operation: OperationId,
    *,
    deadline: Annotated[float, typer.Option("--timeout", min=0.0, metavar="S", help="Seconds at most.")] = 60.0,
) -> ExitCode:
    """Wait until an operation has ended.

    Exit code 1 when it failed or was cancelled, 4 when time ran out; it goes on then.
    """
    async with connected(call) as handler:
        with call.screen.progress(operation, None):
            found = await handler.wait_for_operation(operation, deadline=deadline)
    _show(call, found)
    return _code(found)


@command(operations, "cancel", backend=True)
async def cancel(call: Invocation, operation: OperationId) -> None:
    """Stop an operation that has not ended."""
    async with connected(call) as handler:
        found = await handler.cancel_operation(operation)
    _show(call, found)


def _show(call: Invocation, status: "OperationStatus") -> None:
    if call.as_json:
        call.screen.document(status.model_dump(mode="json", by_alias=True))
        return
    call.screen.line(f"{status.operation_id}  {status.state}  {status.progress:.0%}  {status.project_id}")
    if status.error is not None:
        call.screen.line(f"· {status.error.get('code', '')}: {status.error.get('detail', '')}", style="red")


def _code(status: "OperationStatus") -> ExitCode:
    return ExitCode.NOT_SO if status.is_finished and status.state != "succeeded" else ExitCode.OK
