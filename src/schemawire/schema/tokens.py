"""Cuts the text of a rule's expression into tokens that remember where they stood.

Knows nothing of what the tokens mean together.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

TokenKind = Literal["name", "quoted", "word", "number", "string", "symbol", "end"]

RESERVED = frozenset({"and", "or", "not", "in", "between", "is", "null", "true", "false", "now"})
"""Words that are never a field's name unless they stand between backticks; letter case does not matter."""

_TOKEN = re.compile(
    r"""(?P<space>\s+)
    |(?P<number>\d+(?:\.\d+)?)
    |(?P<name>[^\W\d]\w*)
    |`(?P<quoted>[^\W\d]\w*)`
    |(?P<string>'(?:[^']|'')*'|"(?:[^"]|"")*")
    |(?P<symbol><=|>=|!=|<>|==|[-+*/%<>=(),.])""",
    re.VERBOSE,
)


class ExpressionError(ValueError):
    """An expression is not in the rule language."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(f"{message} (at character {position + 1})")
        self.position = position
        """Characters before the fault."""


@dataclass(frozen=True, slots=True)
class Token:
    """One token; `text` is its value, `start` and `end` the characters that it covers."""

    kind: TokenKind
    text: str
    start: int
    end: int


def tokenize(text: str) -> Iterator[Token]:
    """Yield the tokens of an expression, and at last one of kind `end`.

    Raises:
        ExpressionError: a character begins no token, or a string does not end.
    """
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ExpressionError(_complaint(text[position]), position)
        position = match.end()
        if match.lastgroup != "space":
            yield _token(match)
    yield Token("end", "", position, position)


def _complaint(character: str) -> str:
    match character:
        case "'" | '"':
            return "a string does not end: close it with the same quotation mark"
        case "`":
            return "a quoted name does not end: write `name`"
        case _:
            return f"{character!r} is not part of the rule language"


def _token(match: re.Match[str]) -> Token:
    start, end = match.span()
    text = match[match.lastgroup or 0]
    match match.lastgroup:
        case "name" if text.lower() in RESERVED:
            return Token("word", text.lower(), start, end)
        case "name":
            return Token("name", text, start, end)
        case "quoted":
            return Token("quoted", text, start, end)
        case "number":
            return Token("number", text, start, end)
        case "string":
            return Token("string", text[1:-1].replace(text[0] * 2, text[0]), start, end)
        case _:
            return Token("symbol", {"<>": "!=", "==": "="}.get(text, text), start, end)
