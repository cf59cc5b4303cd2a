"""Text of a language model to JSON: fences and chatter left out, and what is closed told from what is still open.

Knows JSON; knows no schema. One pass over each piece, linear in its length.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from schemawire.errors import ModelFailed

_MAX_STARTS = 50
"""Opening braces tried before a text is taken to hold no object."""
_SIGN = re.compile(r'["{}\[\]]')
_IN_STRING = re.compile(r'["\\]')


def find_object(text: str) -> dict[str, Any]:
    """Return the first JSON object in a text, whatever stands around it.

    Raises:
        ModelFailed: there is none; the message shows how the text begins.
    """
    decoder = json.JSONDecoder(parse_constant=_refuse)
    start = text.find("{")
    for _ in range(_MAX_STARTS):
        if start < 0:
            break
        try:
            found, _ = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            start = text.find("{", start + 1)
            continue
        if isinstance(found, dict):
            return found
    said = "is empty" if not text.strip() else f"holds no complete JSON object: {text.strip()[:120]!r}"
    raise ModelFailed(f"The model's answer {said}", draft=text[:2_000])


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


class ClosedElements:
    """Hands out the objects of an answer's lists as soon as each is closed, while the answer is still arriving.

    The answer is one object whose members are lists of objects: `{"entities": [{…}, {…`.

    Invariant: `_read` signs of `_text` have been looked at; `_starts` holds where each open bracket stands, and
    `_string` where the open string does, or -1.
    """

    def __init__(self) -> None:
        self._text = ""
        self._read = 0
        self._starts: list[int] = []
        self._string = -1
        self._key = ""

    def feed(self, piece: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the name of the list and the object, for each object that a piece closes."""
        self._text += piece
        while (sign := (_SIGN if self._string < 0 else _IN_STRING).search(self._text, self._read)) is not None:
            if sign[0] == "\\":
                if sign.end() == len(self._text):
                    self._read = sign.start()
                    return  # what is escaped comes with the next piece
                self._read = sign.end() + 1
            elif sign[0] == '"':
                self._read = sign.end()
                self._see_quote(sign.start())
            else:
                self._read = sign.end()
                yield from self._see_bracket(sign[0], sign.start())
        self._read = len(self._text)

    def _see_quote(self, position: int) -> None:
        if self._string < 0:
            self._string = position if self._starts else -1  # chatter before the object may hold a lone quote
            return
        self._see_string(self._text[self._string + 1 : position])
        self._string = -1

    def _see_string(self, text: str) -> None:
        if len(self._starts) == 1:
            self._key = text

    def _see_bracket(self, sign: str, position: int) -> Iterator[tuple[str, dict[str, Any]]]:
        if sign in "{[":
            if self._starts or sign == "{":
                self._starts.append(position)
            return
        if not self._starts:
            return
        start = self._starts.pop()
        if len(self._starts) == 2 and sign == "}":
            element = _object(self._text[start : position + 1])
            if element is not None:
                yield self._key, element


def _object(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def closed_part(text: str) -> dict[str, list[dict[str, Any]]]:
    """Return what is complete of an answer that was cut, as lists by name.

    >>> closed_part('{"entities": [{"name": "A"}, {"name": "B')
    {'entities': [{'name': 'A'}]}
    """
    lists: dict[str, list[dict[str, Any]]] = {}
    for name, element in ClosedElements().feed(text):
        lists.setdefault(name, []).append(element)
    return lists
