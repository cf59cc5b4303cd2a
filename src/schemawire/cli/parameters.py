"""Parameters that several commands take, checked before anything is tried."""

from typing import Annotated

import typer


def _project_id(value: str | None) -> str | None:
    from schemawire.protocol.paths import check_project_id

    if value is None:
        return None
    try:
        return check_project_id(value)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


Project = Annotated[str, typer.Argument(metavar="PROJECT", help="The project's id.", callback=_project_id)]
InProject = Annotated[str | None, typer.Option("--project", metavar="P", help="The project.", callback=_project_id)]
