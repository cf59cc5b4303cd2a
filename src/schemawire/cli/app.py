"""The application and its groups, which the command files join; imports none of them, so that help stays quick."""

from typing import Annotated

import typer

from schemawire import __version__

_SETTINGS = {"help_option_names": ["-h", "--help"]}


def _group(text: str) -> typer.Typer:
    return typer.Typer(help=text, no_args_is_help=True, context_settings=_SETTINGS, rich_markup_mode=None)


app = typer.Typer(
    help="From plain words to typed, versioned domain schemas, over a connection that may fail.",
    epilog="Exit codes: 0 done · 1 not so · 2 usage · 3 rejected · 4 unreachable · 5 configuration. See docs/cli.md.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings=_SETTINGS,
    rich_markup_mode=None,
)
projects = _group("Look at projects and their history.")
operations = _group("Work that goes on in the backend after the call has returned.")
configuration = _group("Check the settings.")
keys = _group("Make, list, rotate and revoke API keys; for admins.")
app.add_typer(projects, name="project")
app.add_typer(operations, name="operation")
app.add_typer(configuration, name="config")
app.add_typer(keys, name="key")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"schemawire {__version__}")
        raise typer.Exit


@app.callback()
def root(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Take the options that stand before a command."""
