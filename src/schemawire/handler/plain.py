"""Records as plain JSON values, for replies and logs; knows no particular record."""

import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any


def plain(value: object) -> Any:
    """Return `value` with dataclasses and mappings as dicts, sequences and sets as lists, enums as their values.

    Numbers that JSON cannot say (infinity, NaN) become `None`; anything unknown becomes its text.

    >>> plain({"limit": math.inf, "names": ("a", "b")})
    {'limit': None, 'names': ['a', 'b']}
    """
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence | Set) and not isinstance(value, bytes):
        return [plain(item) for item in value]
    return str(value)
