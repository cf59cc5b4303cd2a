"""Every command there is, in the order of the help page; importing this file joins them to the application."""

from schemawire.cli import configuring, editing, looking, serving, showing, submitting, words
from schemawire.cli.demo import command as demo

PROGRAM = "schemawire"
COMMAND_FILES = (serving, demo, words, looking, configuring, showing, editing, submitting)
