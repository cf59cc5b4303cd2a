"""`key …`, `audit` and `project settings|check|purge`: what operators of the backend do."""

from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote

import typer

from schemawire.cli.app import app, keys, projects
from schemawire.cli.connection import connected
from schemawire.cli.exit_codes import ExitCode
from schemawire.cli.files import read_json
from schemawire.cli.invocation import Invocation, command
from schemawire.cli.parameters import InProject, Project

if TYPE_CHECKING:
    from schemawire.handler import DomainSchemaHandler

Mode = Annotated[
    str | None,
    typer.Option("--compatibility", metavar="MODE", help="NONE, BACKWARD, FORWARD, FULL, each also _TRANSITIVE."),
]
Days = Annotated[float | None, typer.Option("--days", min=0.0001, help="How long it is valid; for ever if left out.")]
KeyId = Annotated[str, typer.Argument(metavar="ID", help="The key's id, as `key list` shows it.")]


async def _ask(
    handler: "DomainSchemaHandler",
    method: str,
    path: str,
    body: Any = None,
    *,
    params: dict[str, str] | None = None,
) -> Any:
    """Return the `data` of a reply.

    Raises:
        Rejected: the backend said no.
    """
    import json

    from schemawire.handler.refusals import error_of_reply

    sent = None if body is None else json.dumps(body).encode()
    headers = {} if body is None else {"Content-Type": "application/json"}
    response = await handler.client.request(method, path, body=sent, headers=headers, params=params)
    if not response.is_success:
        raise error_of_reply(response.status, response.headers, response.body, where=f"{method} {path}")
    return json.loads(response.body)["data"]


@command(keys, "create", backend=True)
async def create_key(
    call: Invocation,
    name: Annotated[str, typer.Argument(help="Whose key it is.")],
    *,
    scope: Annotated[
        str, typer.Option("--scope", help="read, write or admin; each includes the ones before.")
    ] = "read",
    project: Annotated[
        list[str] | None, typer.Option("--project", metavar="P", help="Only for this one; repeat.")
    ] = None,
    days: Days = None,
    rate: Annotated[float | None, typer.Option("--rate", min=0.001, help="Requests per second.")] = None,
) -> None:
    """Make a key and print it, this one time."""
    body = {"name": name, "scopes": [scope], "projects": project or None, "rate": rate}
    body["expiresIn"] = None if days is None else days * 86_400
    async with connected(call) as handler:
        made = await _ask(handler, "POST", "/api/keys", body)
    _show_new_key(call, made)


@command(keys, "list", backend=True)
async def list_keys(call: Invocation) -> None:
    """List the keys; the keys themselves are kept nowhere."""
    async with connected(call) as handler:
        found = (await _ask(handler, "GET", "/api/keys"))["keys"]
    if call.as_json:
        call.screen.document(found)
        return
    cells = [
        (key["keyId"], key["name"], " ".join(key["scopes"]), " ".join(key["projects"] or ["(all)"]), _end_of(key))
        for key in found
    ]
    call.screen.show(call.screen.table("keys", ("id", "name", "scopes", "projects", "ends"), cells))


def _end_of(key: dict[str, Any]) -> str:
    if key["revokedAt"]:
        return f"revoked {key['revokedAt']}"
    return str(key["expiresAt"] or "never")


@command(keys, "rotate", backend=True)
async def rotate_key(
    call: Invocation,
    key_id: KeyId,
    *,
    overlap: Annotated[float, typer.Option("--overlap", min=0, help="Hours that the old key goes on working.")] = 1.0,
    days: Days = None,
) -> None:
    """Make a key that takes the place of another one; both work for a while."""
    body: dict[str, Any] = {"overlap": overlap * 3_600}
    if days is not None:
        body["expiresIn"] = days * 86_400
    async with connected(call) as handler:
        made = await _ask(handler, "POST", f"/api/keys/{quote(key_id, safe='')}/rotate", body)
    _show_new_key(call, made)
    call.screen.note(f"the old key works until {made['oldKeyEndsAt']}")


def _show_new_key(call: Invocation, made: dict[str, Any]) -> None:
    if call.as_json:
        call.screen.document(made)
    else:
        call.screen.line(made["key"])
        call.screen.note(f"key {made['keyId']}; keep it, it is not shown again")


@command(keys, "revoke", backend=True)
async def revoke_key(call: Invocation, key_id: KeyId) -> None:
    """Make a key useless from now on."""
    async with connected(call) as handler:
        await _ask(handler, "DELETE", f"/api/keys/{quote(key_id, safe='')}")
    if call.as_json:
        call.screen.document({"keyId": key_id, "revoked": True})
    else:
        call.screen.line(f"revoked {key_id}", style="green")


@command(app, "audit", backend=True)
async def audit(
    call: Invocation,
    *,
    project: InProject = None,
    principal: Annotated[str | None, typer.Option("--principal", metavar="NAME", help="Only this caller.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many lines, the newest first.")] = 50,
) -> None:
    """Show who did, or tried to do, what; for admins."""
    wanted = {name: value for name, value in (("projectId", project), ("principal", principal)) if value}
    lines: list[dict[str, Any]] = []
    before: str | None = None
    async with connected(call) as handler:
        while len(lines) < limit:
            params = {**wanted, "limit": str(min(1_000, limit - len(lines)))} | ({"before": before} if before else {})
            page = await _ask(handler, "GET", "/api/audit", params=params)
            lines += page["lines"]
            before = page["next"]
            if before is None:
                break
    if call.as_json:
        call.screen.document(lines)
        return
    cells = [
        (line["at"], line["principal"], line["action"], line["projectId"], line["outcome"], line["address"])
        for line in lines
    ]
    call.screen.show(call.screen.table("audit", ("at", "who", "what", "project", "outcome", "from"), cells))


@command(projects, "settings", backend=True)
async def settings(call: Invocation, project: Project, *, compatibility: Mode = None) -> None:
    """Show the settings of a project, or change its compatibility mode; `default` gives the choice back."""
    path = f"/api/domain-schema/{project}/settings"
    async with connected(call) as handler:
        if compatibility is None:
            found = await _ask(handler, "GET", path)
        else:
            chosen = None if compatibility == "default" else compatibility
            found = await _ask(handler, "PATCH", path, {"compatibility": chosen})
    if call.as_json:
        call.screen.document({"projectId": project, **found})
    else:
        call.screen.line(f"compatibility  {found['effective']['compatibility']}")


@command(projects, "check", backend=True)
async def check(
    call: Invocation,
    project: Project,
    file: Annotated[str, typer.Argument(help="A schema, or a list of operations; - reads standard input.")],
    *,
    mode: Mode = None,
) -> ExitCode:
    """Judge a change without making it.

    Exit code 1 when the mode would forbid it; the reasons are printed.
    """
    given = read_json(file)
    body: dict[str, Any] = {"operations": given} if isinstance(given, list) else {"schema": given}
    if mode is not None:
        body["mode"] = mode
    async with connected(call) as handler:
        verdict = await _ask(handler, "POST", f"/api/domain-schema/{project}/compatibility", body)
    if call.as_json:
        call.screen.document(verdict)
    else:
        _show_verdict(call, verdict)
    return ExitCode.OK if verdict["compatible"] else ExitCode.NOT_SO


def _show_verdict(call: Invocation, verdict: dict[str, Any]) -> None:
    style = "green" if verdict["compatible"] else "red"
    call.screen.line(f"{'compatible' if verdict['compatible'] else 'not compatible'}  {verdict['mode']}", style=style)
    for against in verdict["against"]:
        for reason in against["reasons"]:
            call.screen.line(f"version {against['version']}: {reason}")


@command(projects, "purge", backend=True)
async def purge(
    call: Invocation,
    project: Project,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> ExitCode:
    """Forget a project for good, with all its versions; for admins."""
    if not yes and not typer.confirm(f"Forget {project} and all its versions for good?", err=True):
        return ExitCode.NOT_SO
    async with connected(call) as handler:
        done = await _ask(handler, "POST", f"/api/domain-schema/{project}/purge", params={"confirm": project})
    if call.as_json:
        call.screen.document({"projectId": project, **done})
    else:
        call.screen.line(f"purged {project}", style="green")
    return ExitCode.OK
