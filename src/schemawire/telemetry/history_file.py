"""The file of the history: roll-ups in SQLite, within a size; called in one thread, knows nothing of the loop."""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from schemawire.errors import Failed
from schemawire.telemetry.rollups import Point, Tier, rolled

_TABLES = """
CREATE TABLE IF NOT EXISTS series (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE IF NOT EXISTS point (
    tier INTEGER NOT NULL, start INTEGER NOT NULL, series INTEGER NOT NULL,
    count INTEGER NOT NULL, total REAL NOT NULL, low REAL NOT NULL, high REAL NOT NULL, last REAL NOT NULL,
    PRIMARY KEY (tier, start, series)
) STRICT, WITHOUT ROWID;
"""
"""Ordered by time, so that what is written together lies together; by series, each would need a page of its own."""
_APPLICATION = 0x53575248
"""Written into the file's head, so that no other database is ever taken for a history."""
_UPSERT = """
INSERT INTO point VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
    count = count + excluded.count, total = total + excluded.total,
    low = min(low, excluded.low), high = max(high, excluded.high), last = excluded.last
"""
_SELECT = """
WITH RECURSIVE moment(at) AS (SELECT :begin UNION ALL SELECT at + :step FROM moment WHERE at + :step < :end)
SELECT series, start, count, total, low, high, last FROM moment CROSS JOIN point
WHERE :begin < :end AND tier = :step AND start = at AND series IN (SELECT value FROM json_each(:ids)) ORDER BY start
"""
_DELETE_OLDEST = """
DELETE FROM point WHERE tier = :tier
    AND start <= (SELECT min(start) + (max(start) - min(start)) / 4 FROM point WHERE tier = :tier)
"""
_FULLEST = 0.9
"""Of the permitted size: above it the oldest points go, so that the file's hard limit is not met."""


class HistoryFile:
    """One open file. Every write adds to what is there, in one transaction, so a repeated step merges.

    Args:
        path: of the file; it is made if there is none.
        tiers: from fine to coarse.
        max_bytes: of the file, without its write-ahead log.

    Raises:
        Failed: the file cannot be opened or is no database.
    """

    def __init__(self, path: Path, tiers: Sequence[Tier], max_bytes: int) -> None:
        self._path = path
        self._tiers = tiers
        self._max_bytes = max_bytes
        self._ids: dict[str, int] = {}
        try:
            self._link = sqlite3.connect(path, isolation_level=None, timeout=5.0)
            self._prepare()
        except sqlite3.Error as error:
            raise _unusable(path, error) from error

    def _prepare(self) -> None:
        try:
            self._require_ours()
            # Losing the last second in a power cut is fine for figures; NORMAL never corrupts.
            self._link.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA auto_vacuum=NONE;")
            self._page_size = self._pragma("page_size")
            self._link.execute(f"PRAGMA max_page_count={max(64, self._max_bytes // self._page_size)}")
            self._link.execute(f"PRAGMA journal_size_limit={self._max_bytes // 4}")
            self._link.executescript(f"{_TABLES} PRAGMA application_id={_APPLICATION};")
            self._ids = {name: key for key, name in self._link.execute("SELECT id, name FROM series")}
        except BaseException:
            self._link.close()
            raise

    def _require_ours(self) -> None:
        tables: int = self._link.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if tables and self._pragma("application_id") != _APPLICATION:
            raise sqlite3.DatabaseError("it is another program's, not a database of figures")

    def _pragma(self, name: str) -> int:
        found: int = self._link.execute(f"PRAGMA {name}").fetchone()[0]
        return found

    def write(self, batch: Mapping[str, Iterable[Point]]) -> None:
        """Add points of the finest tier to every tier.

        Raises:
            Failed: nothing of the batch was written.
        """
        try:
            self._write(batch)
        except sqlite3.Error as error:
            raise _unusable(self._path, error) from error

    def _write(self, batch: Mapping[str, Iterable[Point]]) -> None:
        if self.used_bytes() > self._max_bytes * _FULLEST:
            self.shrink()
        self._link.execute("BEGIN IMMEDIATE")
        try:
            rows = [row for name, points in batch.items() for row in self._rows(self._id(name), list(points))]
            self._link.executemany(_UPSERT, sorted(rows))
            self._link.execute("COMMIT")
        except BaseException:
            self._roll_back()
            # An id that was given inside the transaction is not there any more.
            self._ids = {name: key for key, name in self._link.execute("SELECT id, name FROM series")}
            raise

    def _roll_back(self) -> None:
        # SQLite has already rolled back when the disk was full.
        if self._link.in_transaction:
            self._link.execute("ROLLBACK")

    def _rows(self, series: int, points: list[Point]) -> Iterator[tuple[float, ...]]:
        for tier in self._tiers:
            points = rolled(points, tier.step)
            for p in points:
                yield tier.step, p.at, series, p.count, p.total, p.low, p.high, p.last

    def _id(self, name: str) -> int:
        known = self._ids.get(name)
        if known is None:
            # Another process may have made it in the meantime.
            self._link.execute("INSERT INTO series (name) VALUES (?) ON CONFLICT DO NOTHING", (name,))
            found: int = self._link.execute("SELECT id FROM series WHERE name = ?", (name,)).fetchone()[0]
            known = self._ids[name] = found
        return known

    def read(self, name: str, tier: Tier, start: int, end: int) -> list[Point]:
        """Return the points of a series from `start` up to, not including, `end`, oldest first.

        Raises:
            Failed: the file cannot be read.
        """
        return self.read_all([name], tier, start, end).get(name, [])

    def read_all(self, names: Iterable[str], tier: Tier, start: int, end: int) -> dict[str, list[Point]]:
        """Return the points of several series by name; those without any are left out.

        Raises:
            Failed: the file cannot be read.
        """
        wanted = {self._ids[name]: name for name in names if name in self._known()}
        begin = start - start % tier.step
        given = {"begin": begin, "step": tier.step, "end": end, "ids": json.dumps(list(wanted))}
        found: dict[str, list[Point]] = {}
        try:
            for series, *row in self._link.execute(_SELECT, given):
                found.setdefault(wanted[series], []).append(Point(*row))
        except sqlite3.Error as error:
            raise _unusable(self._path, error) from error
        return found

    def _known(self) -> dict[str, int]:
        """Return the ids of all series, those that another process added included."""
        if len(self._ids) != self._scalar("SELECT count(*) FROM series"):
            self._ids = {name: key for key, name in self._link.execute("SELECT id, name FROM series")}
        return self._ids

    def _scalar(self, query: str) -> int:
        try:
            found: int = self._link.execute(query).fetchone()[0]
        except sqlite3.Error as error:
            raise _unusable(self._path, error) from error
        return found

    def names(self) -> list[str]:
        """Return the names of all series, sorted.

        Raises:
            Failed: the file cannot be read.
        """
        try:
            return sorted(name for (name,) in self._link.execute("SELECT name FROM series"))
        except sqlite3.Error as error:
            raise _unusable(self._path, error) from error

    def forget(self, now: int) -> None:
        """Delete every point that its tier no longer keeps.

        Raises:
            Failed: nothing was deleted.
        """
        try:
            self._link.execute("BEGIN IMMEDIATE")
            try:
                for tier in self._tiers:
                    self._link.execute("DELETE FROM point WHERE tier = ? AND start < ?", (tier.step, now - tier.keep))
                self._link.execute("COMMIT")
            except BaseException:
                self._roll_back()
                raise
        except sqlite3.Error as error:
            raise _unusable(self._path, error) from error

    def shrink(self) -> None:
        """Delete the oldest quarter of every tier's time, until there is room again."""
        for _ in range(8):
            for tier in self._tiers:
                self._link.execute(_DELETE_OLDEST, {"tier": tier.step})
            if self.used_bytes() <= self._max_bytes * _FULLEST * 0.8:
                return

    def used_bytes(self) -> int:
        """Return how much of the file holds something; freed pages are used again before the file grows."""
        return (self._pragma("page_count") - self._pragma("freelist_count")) * self._page_size

    def close(self) -> None:
        """Close the file."""
        self._link.close()


def _unusable(path: Path, error: sqlite3.Error) -> Failed:
    fix = "Make room, or name another file; figures are kept in memory meanwhile, as many as fit."
    if isinstance(error, sqlite3.DatabaseError) and "a database" in str(error):
        fix = "Move the file away: it holds something else."
    return Failed(f"The history file {path.name!r} cannot be used: {error}", fix=fix)
