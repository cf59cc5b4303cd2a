"""Text of unknown origin made safe for a terminal and for JSON; knows no command."""

import json
import unicodedata
from typing import Any

# Control, format (bidirectional overrides, zero width), surrogate, line and paragraph separators: each can move the
# cursor, hide text or stop the encoder, so none of them reaches the terminal as it is (CVE-2021-42574 for the Cf ones).
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def visible(text: object, *, lines: bool = False) -> str:
    r"""Return `text` with everything invisible written out as an escape.

    Args:
        text: anything; its `str` is shown.
        lines: whether line ends stay line ends, for prose.

    >>> visible("a\x1b[2Jb")
    'a\\x1b[2Jb'
    """
    plain = str(text)
    if plain.isascii() and plain.isprintable():
        return plain
    return "".join(_shown(char) if _is_hidden(char) and not (lines and char == "\n") else char for char in plain)


def to_json(value: Any, *, indent: int | None = 2) -> str:
    r"""Return `value` as JSON that is readable, valid in every encoding's terms, and free of live control characters.

    >>> to_json({"name": "Café\x9b"}, indent=None)
    '{"name": "Café\\u009b"}'
    """
    text = json.dumps(value, ensure_ascii=False, indent=indent, allow_nan=False)
    if text.isascii():
        return text
    return "".join(_escaped(char) if char != "\n" and _is_hidden(char) else char for char in text)


def _is_hidden(char: str) -> bool:
    return unicodedata.category(char) in _HIDDEN


def _shown(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def _escaped(char: str) -> str:
    """Write `char` as JSON does: UTF-16 units."""
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
