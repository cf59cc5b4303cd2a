"""Which JSON values are values of a field type, and how two of them compare.

Knows nothing of fields and their options.
"""

import re
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from uuid import UUID

TEXTS = frozenset({"string", "text", "email", "url", "phone"})
"""Types whose values are text of a length that people count."""
DECIMALS = frozenset({"decimal", "money"})
INTEGERS = frozenset({"integer", "bigint"})
MOMENTS = frozenset({"date", "time", "datetime"})
MEASURES = DECIMALS | INTEGERS | MOMENTS | {"float", "duration"}
"""Types whose values have an order, and so bounds."""

_DURATION = re.compile(r"P(?=[\dT])(\d+Y)?(\d+M)?(\d+W)?(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+(\.\d+)?S)?)?")
_DECIMAL = re.compile(r"[+-]?\d{1,1000}(\.\d{1,1000})?")


def read_value(kind: str, value: object) -> object | None:
    """Return a JSON value as a value of a field type, or `None` if it is none.

    Args:
        kind: a field type other than list and enum.
        value: what the document holds.
    """
    if isinstance(value, bool):
        return value if kind in ("boolean", "json") else None
    if kind in INTEGERS:
        return value if isinstance(value, int) else None
    if kind == "float":
        return value if isinstance(value, int | float) else None
    if kind in DECIMALS and isinstance(value, int):
        return Decimal(value)
    if kind == "json":
        return value
    return _read_text(kind, value) if isinstance(value, str) else None


def _read_text(kind: str, text: str) -> object | None:
    reader = _READERS.get(kind)
    if reader is None:
        return text if kind in TEXTS or kind == "binary" else None
    try:
        return reader(text)
    except (ValueError, InvalidOperation):
        return None


def _decimal(text: str) -> Decimal | None:
    return Decimal(text) if _DECIMAL.fullmatch(text) else None


def _duration(text: str) -> str | None:
    return text if _DURATION.fullmatch(text) else None


_READERS: dict[str, Callable[[str], object | None]] = {
    "decimal": _decimal,
    "money": _decimal,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "datetime": datetime.fromisoformat,
    "duration": _duration,
    "uuid": UUID,
}


def is_above(one: object, other: object) -> bool | None:
    """Tell whether one value is greater than another, or `None` where that has no answer, as for months and days."""
    if isinstance(one, str) or isinstance(other, str):
        return None
    try:
        return bool(one > other)  # type: ignore[operator]  # two values of one ordered type
    except TypeError:  # a moment with and one without time zone
        return None
