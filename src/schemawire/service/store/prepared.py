"""Statements that run with every write: compiled once, and run on the driver's own cursor where it is synchronous.

On SQLite, SQLAlchemy's work for each execution (looking up the compiled form, events, result metadata) takes five
times as long as the statement itself, and the one thread that writes does nothing else. Other engines execute the same
statement through SQLAlchemy. Knows nothing of what the statements mean.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, cast

from sqlalchemy import Connection, Delete, Insert, Select, Update
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

_ROWS_AT_ONCE = 50
"""Rows of one INSERT: each statement costs a change of hands of the interpreter's lock, and SQLite some setting up."""
_DIALECT = SQLiteDialect_pysqlite(paramstyle="named")
_ORDERED = SQLiteDialect_pysqlite(paramstyle="qmark")


class Prepared:
    """One statement; all its types must be those that the driver has itself (text, bytes, numbers, null).

    An INSERT without values takes all columns of its table.

    Args:
        statement: what to run, with its values as `bindparam`s.
    """

    def __init__(self, statement: Select[Any] | Insert | Update | Delete) -> None:
        self._statement = statement
        self._text = str(statement.compile(dialect=_DIALECT))
        ordered = statement.compile(dialect=_ORDERED)
        self._ordered_text, self._names = str(ordered), tuple(ordered.positiontup or ())
        row = ", (" + ", ".join("?" * len(self._names)) + ")"
        self._many_text = self._ordered_text + row * (_ROWS_AT_ONCE - 1)

    def run(self, conn: Connection, values: Mapping[str, Any]) -> None:
        """Run it once, for its effect."""
        if conn.dialect.name == "sqlite":
            _driver(conn).execute(self._text, values)
        else:
            conn.execute(self._statement, values)

    def change(self, conn: Connection, values: Mapping[str, Any]) -> int:
        """Run it once, and return how many rows it changed."""
        if conn.dialect.name == "sqlite":
            return _driver(conn).execute(self._text, values).rowcount
        return conn.execute(self._statement, values).rowcount

    def run_each(self, conn: Connection, values: Sequence[Mapping[str, Any]]) -> None:
        """Run it once for each of these; without any, not at all."""
        if not values:
            return
        if conn.dialect.name == "sqlite":
            _driver(conn).executemany(self._text, values)
        else:
            conn.execute(self._statement, values)

    def run_rows(self, conn: Connection, rows: Sequence[Sequence[Any]]) -> None:
        """Run an INSERT once for each of these rows, which hold all columns in their order; a third faster by row."""
        if not rows:
            return
        if conn.dialect.name == "sqlite":
            driver, whole = _driver(conn), len(rows) - len(rows) % _ROWS_AT_ONCE
            for start in range(0, whole, _ROWS_AT_ONCE):
                driver.execute(self._many_text, [*chain.from_iterable(rows[start : start + _ROWS_AT_ONCE])])
            driver.executemany(self._ordered_text, rows[whole:])
        else:
            conn.execute(self._statement, [dict(zip(self._names, row, strict=True)) for row in rows])

    def first(self, conn: Connection, values: Mapping[str, Any]) -> Sequence[Any] | None:
        """Return the first row, or `None`."""
        if conn.dialect.name == "sqlite":
            row: Sequence[Any] | None = _driver(conn).execute(self._text, values).fetchone()
            return row
        return conn.execute(self._statement, values).first()

    def every(self, conn: Connection, values: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
        """Return all rows."""
        if conn.dialect.name == "sqlite":
            rows: Sequence[Sequence[Any]] = _driver(conn).execute(self._text, values).fetchall()
            return rows
        return conn.execute(self._statement, values).all()


def _driver(conn: Connection) -> sqlite3.Connection:
    if not conn.in_transaction():
        conn.begin()  # as `execute` would
    return cast(sqlite3.Connection, conn.connection.dbapi_connection)
