"""`analyze`: words to a draft, shown, written to a file, or sent."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from schemawire.cli.app import app
from schemawire.cli.connection import connected
from schemawire.cli.draw import figures_of, schema_tree
from schemawire.cli.files import STANDARD_INPUT, read_json, read_text, write_text
from schemawire.cli.invocation import Invocation, command
from schemawire.cli.parameters import InProject
from schemawire.cli.reading import FieldCase, Reading, Tier, reader, show_explanations
from schemawire.cli.visible import to_json

if TYPE_CHECKING:
    from schemawire.analysis import Analyser, Draft
    from schemawire.schema import DomainSchema


@command(app, "analyze", backend=True)
async def analyze(
    call: Invocation,
    text: Annotated[str | None, typer.Argument(help="The description; - reads standard input.")] = None,
    *,
    file: Annotated[
        str | None, typer.Option("--file", metavar="FILE", help="Read the description from a file.")
    ] = None,
    cases: Annotated[
        str | None,
        typer.Option("--cases", metavar="FILE", help="Analyse each of a JSON list of {id, text}, literally."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Where --cases writes {id: schema}.")
    ] = None,
    literal: Annotated[
        bool, typer.Option("--literal", help="Only what the text says: no default keys, timestamps or join entities.")
    ] = False,
    field_case: FieldCase = "snake",
    keys: Annotated[bool, typer.Option("--keys/--no-keys", help="Give each entity a uuid key and references.")] = True,
    timestamps: Annotated[
        bool, typer.Option("--timestamps/--no-timestamps", help="Give each entity created_at and updated_at.")
    ] = True,
    joins: Annotated[
        bool, typer.Option("--joins/--no-joins", help="Make join entities of many-to-many relationships with fields.")
    ] = True,
    enums: Annotated[
        bool, typer.Option("--enums/--no-enums", help="Make enums of closed lists; else strings with a check.")
    ] = True,
    tier: Tier = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say for each element which sentence and which rule it came from.")
    ] = False,
    project: InProject = None,
    send: Annotated[bool, typer.Option("--send", help="Store the schema in the backend (needs --project).")] = False,
) -> None:
    """Turn a description into a domain schema."""
    _check_options(sources=(text, file, cases), out=out, project=project, send=send)
    wanted = Reading(
        literal=literal, field_case=field_case, keys=keys, timestamps=timestamps, joins=joins, enums=enums, tier=tier
    )
    wanted.check()
    if cases is not None:
        await _analyze_cases(call, cases, out, wanted)
    elif project is not None:
        await _send(call, _words(text, file), project, wanted)
    else:
        async with reader(wanted) as analyser:
            draft = await analyser.analyze(_words(text, file), options=wanted.options())
        _show_draft(call, draft, explain=explain)


def _check_options(
    *, sources: tuple[str | None, str | None, str | None], out: Path | None, project: str | None, send: bool
) -> None:
    if sum(source is not None for source in sources) != 1:
        raise typer.BadParameter('give one of: a text in quotes ("Create a …"), - for standard input, --file, --cases')
    if out is not None and sources[2] is None:
        raise typer.BadParameter("--out belongs to --cases; use --json and redirect the output of a single text")
    if send != (project is not None):
        raise typer.BadParameter("--send and --project belong together")
    if send and sources[2] is not None:
        raise typer.BadParameter("--cases writes a file and sends nothing; leave out --send")


def _words(text: str | None, file: str | None) -> str:
    if file is not None:
        return read_text(file)
    return read_text(STANDARD_INPUT) if text == STANDARD_INPUT else text or ""


def _show_draft(call: Invocation, draft: "Draft", *, explain: bool) -> None:
    if call.as_json:
        document = draft.schema.to_document()
        told = [found.to_document() for found in draft.explain()]
        call.screen.document({"schema": document, "tier": draft.tier, "explanations": told} if explain else document)
    else:
        call.screen.show(schema_tree(draft.schema))
        call.screen.line(figures_of(draft.schema), style="dim")
        if explain:
            show_explanations(call, draft)
    for warning in draft.warnings:
        call.screen.note(f"warning: {warning}", style="yellow")
    if draft.usage is not None:
        took = draft.usage
        said = f"language model: {took.calls} calls, {took.input_tokens} + {took.output_tokens} tokens"
        call.screen.note(f"{said}, cost {took.cost:g}" if took.cost else said)


async def _send(call: Invocation, words: str, project: str, wanted: Reading) -> None:
    from schemawire.schema import DomainSchema

    async with connected(call, wanted.options(), wanted.analyser()) as handler:
        result = await handler.analyze_and_send_domain(words, project)
    if call.as_json:
        call.screen.document(
            {"projectId": project, "version": result.version, "digest": result.digest, "data": result.data}
        )
        return
    call.screen.show(schema_tree(DomainSchema.model_validate(result.data), caption=f"{project} v{result.version}"))
    call.screen.line(f"stored as {project} version {result.version}, digest {result.digest}", style="green")
    for warning in result.warnings:
        call.screen.note(f"warning: {warning}", style="yellow")


async def _analyze_cases(call: Invocation, path: str, out: Path | None, wanted: Reading) -> None:
    texts = _read_cases(path)
    schemas: dict[str, Any] = {}
    with call.screen.progress("analysing", len(texts)) as bar:
        async with reader(wanted) as analyser:
            for name, text in texts.items():
                schemas[name] = await _case_document(call, name, text, analyser)
                bar.advance(bar.task_ids[0])
    if out is None:
        call.screen.document(schemas)
    else:
        write_text(out, to_json(schemas) + "\n")
        call.screen.note(f"wrote {len(schemas)} schemas to {out}")


def _read_cases(path: str) -> dict[str, str]:
    """Return the texts by id; further members of a case, such as a reference model, are left unread."""
    value = read_json(path)
    if not isinstance(value, list):
        raise typer.BadParameter(f"{path} must hold a JSON list of {{id, text}}")
    texts: dict[str, str] = {}
    for number, case in enumerate(value):
        name, text = (case.get("id"), case.get("text")) if isinstance(case, dict) else (None, None)
        if not isinstance(name, str) or not isinstance(text, str):
            raise typer.BadParameter(f"{path}: case /{number} needs an id and a text, both strings")
        if name in texts:
            raise typer.BadParameter(f"{path}: case /{number} repeats the id {name!r}")
        texts[name] = text
    return texts


async def _case_document(call: Invocation, name: str, text: str, analyser: "Analyser") -> dict[str, Any]:
    """Return one case's schema; a text that says nothing gives an empty one, so that the other cases still count."""
    from schemawire.errors import SchemaInvalid

    try:
        draft = await analyser.analyze(text, options=Reading(literal=True).options())
    except SchemaInvalid as error:
        call.screen.note(f"{name}: {error.message}", style="yellow")
        return {"formatVersion": "1", "name": "empty", "entities": [], "enums": [], "relationships": [], "rules": []}
    return full_document(draft.schema)


def full_document(schema: "DomainSchema") -> dict[str, Any]:
    """Return the document with kind and cardinalities of every relationship written, defaults too."""
    document = schema.to_document()
    for row, relationship in zip(document["relationships"], schema.relationships, strict=True):
        row["kind"] = relationship.kind
        row["sourceCardinality"] = relationship.source_cardinality
        row["targetCardinality"] = relationship.target_cardinality
    return document
