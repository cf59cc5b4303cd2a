"""Regular expressions that a document brings along: read them, never run the dangerous ones.

Knows nothing of fields.
"""

import re
from functools import lru_cache

MAX_PATTERN = 500
"""Characters that a pattern may have."""
_MAX_TRIED = 200
_MAX_REPEATS = 3
_PIECE = re.compile(
    r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\(|\)(?P<many>[*+]|\{\d*,\d*\})?|(?P<repeat>[*+]|\{\d*,\d*\})", re.DOTALL
)
_ESCAPE = re.compile(r"\\.", re.DOTALL)
_SET_SYNTAX = re.compile(r"--|&&|~~|\|\||^\[\^?\[")


@lru_cache(maxsize=1024)
def pattern_fault(pattern: str) -> str | None:
    """Return why a pattern cannot be used, or `None`."""
    if len(pattern) > MAX_PATTERN:
        return f"is longer than {MAX_PATTERN} characters"
    for piece in _PIECE.finditer(pattern):
        # Python would warn of a future meaning (FutureWarning), and other languages give it one already
        if piece[0].startswith("[") and _SET_SYNTAX.search(_ESCAPE.sub("_", piece[0])):
            return f"has {piece[0][:20]!r}, where [, --, &&, ~~ and || need a backslash"
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        return f"is not a regular expression: {error}"
    return None


@lru_cache(maxsize=1024)
def may_explode(pattern: str) -> bool:
    """Tell whether a repetition stands inside a repeated group, so that matching may take exponential time."""
    repeats = [False]  # per open group: whether something inside is repeated
    for piece in _PIECE.finditer(pattern):
        if piece[0] == "(":
            repeats.append(False)
        elif piece[0].startswith(")") and len(repeats) > 1:
            inside = repeats.pop()
            if inside and piece["many"]:
                return True
            repeats[-1] = repeats[-1] or inside or bool(piece["many"])
        elif piece["repeat"]:
            repeats[-1] = True
    return False


def contradicts(pattern: str, text: str) -> bool:
    """Tell whether a text certainly does not match; a pattern that may take long to try is not tried.

    Repeated groups may take exponential time and many repetitions a high polynomial one, so neither is ever run.
    """
    pieces = list(_PIECE.finditer(pattern))
    repeats = sum(1 for piece in pieces if piece["repeat"])
    if len(text) > _MAX_TRIED or repeats > _MAX_REPEATS or any(piece["many"] for piece in pieces):
        return False
    return pattern_fault(pattern) is None and re.search(pattern, text) is None
