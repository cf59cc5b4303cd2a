"""Where a page of rows begins and ends, in an order of columns. Knows no table.

Each is one comparison of rows, so that every engine begins to read where the page before ended: written out with `or`,
only the first column would bound what an index is read from.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, tuple_


def behind(order: Sequence[ColumnElement[Any]], place: Sequence[Any]) -> ColumnElement[bool]:
    """Return the condition for rows behind a place.

    Args:
        order: the columns that rows are ordered by, all of them rising.
        place: one value, or one bound parameter, for each of them.
    """
    return tuple_(*order) > tuple_(*place)


def up_to(order: Sequence[ColumnElement[Any]], place: Sequence[Any]) -> ColumnElement[bool]:
    """Return the condition for rows up to and including a place; see `behind`."""
    return tuple_(*order) <= tuple_(*place)
