"""`stream`, `export` and `project list|show|history|diff`: what is stored; changes nothing."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from schemawire.cli.app import app, projects
from schemawire.cli.connection import connected
from schemawire.cli.draw import figures_of, schema_tree
from schemawire.cli.invocation import Invocation, command
from schemawire.cli.parameters import Project
from schemawire.cli.visible import to_json

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from schemawire.handler import DomainSchemaHandler, StoredSchema
    from schemawire.protocol.messages import ProjectRecord

AtVersion = Annotated[int | None, typer.Option("--version", min=1, help="An older version.")]


@command(app, "stream", backend=True)
async def stream(call: Invocation, project: Project) -> None:
    """Read a schema element by element, verified at the end.

    With --json, one element per line and a summary as the last one.
    """
    with call.screen.progress(f"streaming {project}", None) as bar:

        def arrived(element: Any) -> None:
            bar.advance(bar.task_ids[0])
            if call.as_json:
                call.screen.json_line(element)
            else:
                call.screen.line(_element_line(element))

        async with connected(call) as handler:
            summary = await handler.stream_large_schema(project, arrived)
    closing = {"version": summary.version, "digest": summary.digest, "elementCount": summary.element_count}
    if call.as_json:
        call.screen.json_line({"type": "summary", "projectId": project, **closing})
    else:
        call.screen.note(f"complete: {summary.element_count} elements, version {summary.version}, {summary.digest}")


def _element_line(line: Any) -> str:
    element = line.get("element", line)
    fields = element.get("fields")
    more = f"  {len(fields)} fields" if fields is not None else ""
    return f"{line.get('kind', '')}  {element.get('name', '')}{more}"


@command(app, "export", backend=True)
async def export(
    call: Invocation,
    project: Project,
    *,
    form: Annotated[str, typer.Option("--format", metavar="F", help="json.")] = "json",
) -> None:
    """Print a stored schema in another format."""
    if form != "json":
        raise typer.BadParameter(f"{form!r} is not a format this version can write; use --format json")
    async with connected(call) as handler:
        stored = await handler.get_schema(project)
    call.screen.raw(to_json(stored.document))


@command(projects, "list", backend=True)
async def list_projects(
    call: Invocation,
    *,
    deleted: Annotated[bool, typer.Option("--deleted", help="The deleted ones; a restore brings them back.")] = False,
) -> None:
    """List the projects that the key may read."""
    async with connected(call) as handler:
        rows = [record async for record in _all_projects(handler, deleted=deleted)]
    if call.as_json:
        call.screen.document([record.model_dump(mode="json", by_alias=True) for record in rows])
        return
    cells = [(row.project_id, row.version, row.element_count, row.updated_at, row.digest[:12]) for row in rows]
    call.screen.show(call.screen.table("", ("project", "version", "elements", "updated", "digest"), cells))


async def _all_projects(handler: "DomainSchemaHandler", *, deleted: bool) -> "AsyncIterator[ProjectRecord]":
    after: str | None = None
    while True:
        page = await handler.list_projects(after=after, deleted=deleted)
        for record in page.projects:
            yield record
        if page.next is None or page.next == after:
            return
        after = page.next


@command(projects, "show", backend=True)
async def show(call: Invocation, project: Project, *, version: AtVersion = None) -> None:
    """Draw a stored schema as a tree."""
    async with connected(call) as handler:
        stored = await handler.get_schema(project, version=version)
    if call.as_json:
        call.screen.document({"projectId": project, "version": stored.version, "data": stored.document})
    else:
        _draw(call, stored)


def _draw(call: Invocation, stored: "StoredSchema") -> None:
    from schemawire.schema import DomainSchema

    schema = DomainSchema.model_validate(stored.document)
    call.screen.show(schema_tree(schema, caption=f"{stored.project_id} v{stored.version}  {stored.digest[:12]}"))
    call.screen.line(figures_of(schema), style="dim")


@command(projects, "history", backend=True)
async def history(call: Invocation, project: Project) -> None:
    """List the versions of a project, newest first."""
    async with connected(call) as handler:
        versions = await handler.versions(project)
    if call.as_json:
        call.screen.document([version.model_dump(mode="json", by_alias=True) for version in versions])
        return
    cells = [(row.version, row.created_at, row.created_by, row.message, row.digest[:12]) for row in versions]
    call.screen.show(call.screen.table(project, ("version", "created", "by", "message", "digest"), cells))


@command(projects, "diff", backend=True)
async def diff(
    call: Invocation,
    project: Project,
    old: Annotated[int, typer.Argument(min=1, help="The version to start from.")],
    new: Annotated[
        int | None, typer.Argument(min=1, help="The version to compare with; the newest if left out.")
    ] = None,
) -> None:
    """Show what changed between two versions."""
    async with connected(call) as handler:
        newest = (await handler.get_schema(project)).version if new is None else new
        found = await handler.diff(project, old, newest)
    if call.as_json:
        call.screen.document(found)
        return
    for difference in found:
        breaks = ", ".join(difference.get("breaks", ()))
        place = difference.get("path") or difference.get("pointer", "")
        call.screen.line(f"{difference.get('code', '')}  {place}{f'  breaks {breaks}' if breaks else ''}")
    call.screen.note(f"changes from version {old} to version {newest}: {len(found)}")
