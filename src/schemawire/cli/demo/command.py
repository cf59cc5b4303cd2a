"""`demo`: the command itself; the story is told in `story`."""

from pathlib import Path
from typing import Annotated

import typer

from schemawire.cli.app import app
from schemawire.cli.exit_codes import ExitCode
from schemawire.cli.extras import require_server
from schemawire.cli.invocation import Invocation, command


@command(app, "demo")
async def demo(
    call: Invocation,
    *,
    keep: Annotated[
        Path | None, typer.Option("--keep", metavar="DIR", help="Leave the database and the log there.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Of the faults.")] = 7,
    sabotage: Annotated[
        bool, typer.Option("--sabotage", help="Drop one stored schema before the proof, which must then fail.")
    ] = False,
) -> ExitCode:
    """See it work while the connection is being broken on purpose.

    Sends descriptions through a proxy that injects faults, kills the service half-way, and proves the outcome.

    Exit code 0 only if every schema is in the store exactly once as it was sent, and the faults really happened.
    """
    require_server()
    from schemawire.cli.demo.plan import Plan
    from schemawire.cli.demo.story import perform

    if keep is not None and keep.exists() and any(keep.iterdir() if keep.is_dir() else [keep]):
        raise typer.BadParameter(f"--keep {keep} must be a new or an empty folder")
    report = await perform(call.screen, Plan(seed=seed, sabotage=sabotage, keep=keep))
    if call.as_json:
        call.screen.document(report.document())
    return ExitCode.OK if report.holds else ExitCode.NOT_SO
