"""What a command reads from and writes to files; a wrong file is a wrong command line and changes nothing."""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import typer

MAX_FILE_BYTES = 64 * 1024 * 1024
"""Far above what one request may carry; a larger file is a mistake."""

STANDARD_INPUT = "-"


def read_text(path: str) -> str:
    """Return the text of a file, or of standard input for `-`.

    Raises:
        typer.BadParameter: it cannot be read, is too large, or is not UTF-8.
    """
    content = _read_bytes(path)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise typer.BadParameter(f"{_name(path)} is not UTF-8 text (byte {error.start}); save it as UTF-8") from error


def read_json(path: str) -> Any:
    """Return the JSON value in a file, or on standard input for `-`.

    Raises:
        typer.BadParameter: it cannot be read, or is not JSON; the message says where.
    """
    text = read_text(path)
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise typer.BadParameter(f"{_name(path)} is not JSON: {error}") from error


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all: a command that is ended half-way leaves the old one.

    Raises:
        typer.BadParameter: it cannot be written.
    """
    try:
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, delete=False) as file:
            file.write(text)
        os.replace(file.name, path)
    except OSError as error:
        raise typer.BadParameter(f"{path} cannot be written: {error.strerror}") from error


def _read_bytes(path: str) -> bytes:
    try:
        if path == STANDARD_INPUT:
            content = sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
        else:
            with open(path, "rb") as file:
                content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise typer.BadParameter(f"{path} cannot be read: {error.strerror}") from error
    if len(content) > MAX_FILE_BYTES:
        raise typer.BadParameter(f"{_name(path)} is larger than {MAX_FILE_BYTES // 2**20} MiB; split it")
    return content


def _name(path: str) -> str:
    return "standard input" if path == STANDARD_INPUT else path


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
