"""Every command there is, in the order of the help page; importing this file joins them to the application."""

from schemawire.cli import (
    administering,
    chat,
    configuring,
    editing,
    logs,
    looking,
    serving,
    showing,
    submitting,
    top,
    upkeep,
    uploading,
    words,
    working,
)
from schemawire.cli.app import app
from schemawire.cli.demo import command as demo

PROGRAM = "schemawire"
COMMAND_FILES = (
    demo,
    serving,
    working,
    words,
    chat,
    looking,
    top,
    logs,
    configuring,
    showing,
    editing,
    uploading,
    submitting,
    administering,
    upkeep,
)
ORDER = (
    "demo",
    "dev",
    "serve",
    "worker",
    "analyze",
    "chat",
    "batch",
    "stream",
    "upload",
    "export",
    "health",
    "metrics",
    "top",
    "logs",
    "audit",
    "explain",
    "doctor",
    "migrate",
    "backup",
    "restore",
)
"""Of the help page: what a newcomer tries first stands first."""

app.registered_commands.sort(key=lambda command: ORDER.index(command.name or ""))
