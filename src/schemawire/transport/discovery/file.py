"""Places from a file that is looked at again and again, and may be replaced at any moment; knows no network."""

import asyncio
import json
import os
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from schemawire.errors import BadReply, ConfigurationInvalid, ConnectFailed
from schemawire.transport.discovery.place import Listing, Place, distinct, place_from

MAX_FILE_BYTES = 16 * 1024 * 1024
_Mark = tuple[int, int, int]


class FileDiscovery:
    """Reads places from a file, one address a line or a JSON array, and again whenever the file has changed.

    A change is seen by time of modification, size and inode, so that replacing the file by renaming another one is
    noticed too, and is the safe way to write it. The file counts as a whole: with one bad line none of it is used,
    because a file that is half written, or edited by hand, is no list to trust.

    Args:
        path: the file; lines that are empty or begin with `#` say nothing.
        interval: seconds between two looks, above 0.

    Raises:
        ConfigurationInvalid: `interval` is out of range or `path` empty.
    """

    def __init__(self, path: str | Path, *, interval: float = 1.0) -> None:
        if not str(path) or not 0.0 < interval <= 86_400.0:
            raise ConfigurationInvalid(f"file discovery needs a path, not {str(path)!r}, and an interval above 0")
        self.path = Path(path)
        self.interval = interval
        self.name = f"file:{path}"

    async def watch(self) -> AsyncGenerator[Listing, None]:
        """Yield the file's places now and after each change; see `Discovery.watch`.

        Raises:
            ConnectFailed: the file cannot be read.
        """
        seen: _Mark | None = None
        while True:
            try:
                mark, text = await asyncio.to_thread(_read, self.path, seen)
            except OSError as error:
                raise ConnectFailed(f"{self.name} cannot be read: {error}", fix="Check its path and rights.") from error
            if text is not None:
                seen = mark
                yield await asyncio.to_thread(self._listing, text)
            await asyncio.sleep(self.interval)

    def _listing(self, text: bytes) -> Listing:
        try:
            return Listing(places=parse_file(text, self.name))
        except BadReply as error:
            # An empty listing keeps the last good one, and the next look is as soon as ever.
            return Listing(places=(), problems=(error.message,))


def _read(path: Path, seen: _Mark | None) -> tuple[_Mark, bytes | None]:
    """Return the mark of the file as it is open, and its bytes unless that mark has been seen."""
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        mark = (status.st_mtime_ns, status.st_size, status.st_ino)
        return mark, None if mark == seen else file.read(MAX_FILE_BYTES + 1)


def parse_file(text: bytes, name: str) -> tuple[Place, ...]:
    """Return the places that a file's bytes name.

    Raises:
        BadReply: it is too large, no text, or one of its entries is malformed; the message says which.
    """
    if len(text) > MAX_FILE_BYTES:
        raise BadReply(f"{name} is larger than {MAX_FILE_BYTES} bytes")
    try:
        return distinct([place_from(entry) for entry in _entries(text.decode("utf-8-sig"))])
    except (ValueError, RecursionError) as error:
        message = error.message if isinstance(error, ConfigurationInvalid) else str(error)
        raise BadReply(
            f"{name} is no list of endpoints: {message}", fix="Correct it; until then nothing changes."
        ) from error


def _entries(text: str) -> list[Any]:
    if not text.lstrip().startswith("["):
        lines = (line.strip() for line in text.splitlines())
        return [line for line in lines if line and not line.startswith("#")]
    entries = json.loads(text)
    assert isinstance(entries, list)  # noqa: S101  # JSON that begins with a bracket is an array
    return entries
