"""A bounded queue of byte strings on disk, oldest first; called in one thread, knows nothing of what they hold."""

import sqlite3
from pathlib import Path

from schemawire.errors import Failed

_TABLE = "CREATE TABLE IF NOT EXISTS batch (id INTEGER PRIMARY KEY AUTOINCREMENT, samples INTEGER, body BLOB) STRICT"


class Spool:
    """Keeps batches until they are removed, over restarts; when there is no room the oldest go.

    Args:
        path: of the SQLite file; its folder must exist.
        max_bytes: of all bodies together.

    Raises:
        Failed: the file cannot be used.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        try:
            self._link = sqlite3.connect(path, isolation_level=None, timeout=5.0)
            try:
                self._link.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; {_TABLE};")
                self._bytes = self._sum()
            except BaseException:
                self._link.close()
                raise
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def _sum(self) -> int:
        found: int = self._link.execute("SELECT coalesce(sum(length(body)), 0) FROM batch").fetchone()[0]
        return found

    @property
    def size_bytes(self) -> int:
        """The size of all bodies together."""
        return self._bytes

    def __len__(self) -> int:
        found: int = self._link.execute("SELECT count(*) FROM batch").fetchone()[0]
        return found

    def put(self, body: bytes, samples: int) -> int:
        """Add a batch at the end, and return how many samples had to go for it.

        Raises:
            Failed: nothing was added.
        """
        if len(body) > self._max_bytes:
            return samples
        try:
            lost = 0
            while self._bytes + len(body) > self._max_bytes:
                number, first_samples, first = self._first()
                self._remove(number, len(first))
                lost += first_samples
            self._link.execute("INSERT INTO batch (samples, body) VALUES (?, ?)", (samples, body))
            self._bytes += len(body)
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        return lost

    def first(self) -> tuple[int, int, bytes] | None:
        """Return the number, the count of samples and the body of the oldest batch, or `None` if there is none.

        Raises:
            Failed: the file cannot be read.
        """
        try:
            return self._first() if self._bytes else None
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def _first(self) -> tuple[int, int, bytes]:
        found: tuple[int, int, bytes] = self._link.execute(
            "SELECT id, samples, body FROM batch ORDER BY id LIMIT 1"
        ).fetchone()
        return found

    def remove(self, number: int, size_bytes: int) -> None:
        """Delete a batch; one that has already gone to make room is no error.

        Raises:
            Failed: it is still there.
        """
        try:
            self._remove(number, size_bytes)
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def _remove(self, number: int, size_bytes: int) -> None:
        if self._link.execute("DELETE FROM batch WHERE id = ?", (number,)).rowcount:
            self._bytes -= size_bytes

    def close(self) -> None:
        """Close the file."""
        self._link.close()

    def _unusable(self, error: sqlite3.Error) -> Failed:
        return Failed(
            f"The buffer file {self._path.name!r} cannot be used: {error}", fix="Make room, or name another file."
        )
