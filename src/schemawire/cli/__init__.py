"""The command line: what commands exist and what they print; imported by no other room."""

import sys
from io import TextIOWrapper

__all__ = ["main"]


def main() -> None:
    """Run the command line with the process's arguments, and end the process with the command's exit code."""
    from schemawire.cli import commands
    from schemawire.cli.app import app

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a narrow encoding must not turn output into a traceback
    app(prog_name=commands.PROGRAM)
