"""Deleting what is out of date a portion at a time, so that other writes get their turn in between.

Knows nothing of what the rows mean.
"""

from sqlalchemy import Column, Connection, delete, select

PORTION = 1_000
"""Rows deleted by one write, a few more where many share one moment."""


def delete_oldest(conn: Connection, column: Column[float], *, before: float) -> int:
    """Delete the oldest rows whose time is earlier than `before`, and return how many; fewer than `PORTION` is all."""
    aged = select(column).where(column < before).order_by(column)
    last = conn.execute(aged.offset(PORTION - 1).limit(1)).scalar_one_or_none()
    is_due = column < before if last is None else column <= last
    return conn.execute(delete(column.table).where(is_due)).rowcount
