"""Plain JSON values: reading them strictly, and refusing what no store and no reader can hold.

Knows nothing of what a domain schema is.
"""

import json
import math
from collections.abc import Iterator

from schemawire.schema.issues import Issue, invalid, pointer_to

MAX_DEPTH = 64
"""Levels that a document may nest; the format itself needs seven, extensions have the rest."""
MAX_INTEGER = 2**63 - 1
"""Largest integer that every store can hold; larger ones travel as strings."""

_FORBIDDEN = str.maketrans(dict.fromkeys([0, *range(0xD800, 0xE000)], "\ufffd"))


class _DuplicateKey(ValueError):
    pass


def decode_json(data: bytes | str) -> object:
    """Read one JSON text strictly: UTF-8, no duplicate keys, no NaN or infinity.

    Raises:
        SchemaInvalid: it is not such a text; the issue says where, as far as can be told.
    """
    try:
        text = data.decode("utf-8-sig") if isinstance(data, bytes) else data
        return json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise _unreadable(f"byte {error.start + 1} is not UTF-8", "Send the document in UTF-8.") from error
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise _unreadable(f"not valid JSON: {error.msg} at {place}", "Correct the JSON text.") from error
    except RecursionError as error:
        raise _unreadable(f"nested deeper than {MAX_DEPTH} levels", "Flatten the document.") from error
    except ValueError as error:  # a duplicate key, a constant, or an integer of thousands of digits
        raise _unreadable(f"not usable JSON: {str(error)[:200]}", "Correct the JSON text.") from error


def _unreadable(message: str, fix: str) -> Exception:
    return invalid([Issue(code="invalid_json", pointer="", message=message, fix=fix)])


def _unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]  # set.add as a step
        raise _DuplicateKey(f"the key {twice[:40]!r} stands twice in one object")
    return found


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not a JSON number")


def json_issues(value: object, pointer: str = "") -> Iterator[Issue]:
    """Yield an issue for everything in a value that is not storable JSON: too deep, not finite, half a character.

    Walks without recursion, so that no depth can exhaust the stack.
    """
    if is_storable(value):  # as nearly everything is; looking for places costs five times as much
        return
    pending: list[tuple[object, str, int]] = [(value, pointer, 0)]
    while pending:
        item, place, depth = pending.pop()
        fault = "nested deeper than 64 levels" if depth > MAX_DEPTH else _fault(item)
        if fault:
            yield Issue(code="invalid_value", pointer=place[:500], message=fault, fix="Send plain, storable JSON.")
        elif isinstance(item, dict):
            pending.extend((below, place + pointer_to(str(key)), depth + 1) for key, below in item.items())
        elif isinstance(item, list | tuple):
            pending.extend((below, place + pointer_to(position), depth + 1) for position, below in enumerate(item))


def is_storable(value: object) -> bool:
    """Tell whether a value is all storable JSON, level by level and without saying what is wrong."""
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        below: list[object] = []
        for item in level:
            if not _is_sound(item):
                return False
            kind = type(item)
            if kind is dict or kind is list or isinstance(item, dict | list | tuple):
                below += item.values() if isinstance(item, dict) else item  # type: ignore[arg-type]  # it is one of them
        if not below:
            return True
        level = below
    return False


def _is_sound(item: object) -> bool:
    """Tell whether one value, apart from what is in it, is storable; the kinds that JSON itself makes go first."""
    kind = type(item)
    if kind is str:
        return (item.isascii() and "\0" not in item) or not _text_fault(item)  # type: ignore[attr-defined, operator, arg-type]  # it is text
    if kind is dict:
        return all(map(_is_plain_key, item)) or not _fault(item)  # type: ignore[call-overload]  # it is a dict
    return kind is list or kind is bool or item is None or not _fault(item)


def _is_plain_key(key: object) -> bool:
    return type(key) is str and key.isascii() and "\0" not in key


def _fault(value: object) -> str | None:
    match value:
        case bool() | None | list() | tuple():
            return None
        case str():
            return _text_fault(value)
        case int():
            return None if abs(value) <= MAX_INTEGER else "an integer beyond 64 bits: write it as a string"
        case float():
            return None if math.isfinite(value) else "not a finite number"
        case dict():
            faults = ("a key that is not text" if not isinstance(key, str) else _text_fault(key) for key in value)
            return next((fault for fault in faults if fault), None)
        case _:
            return f"{type(value).__name__} is not a JSON value"


def _text_fault(text: str) -> str | None:
    if text.isascii() and "\0" not in text:
        return None
    if text.translate(_FORBIDDEN) != text:
        return "text with a NUL character or half of a surrogate pair, which no store can hold"
    return None
