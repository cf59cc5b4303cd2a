"""How many: the words before a noun to a least and a greatest number.

Knows words and numbers; knows no entity.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from schemawire.analysis.lexicon import Grammar

_MAX_BOUND = 10**9 - 1
_UPPER = (
    ("at", "most"), ("at", "the", "most"), ("up", "to"), ("no", "more", "than"), ("not", "more", "than"), ("maximum",),
    ("a", "maximum", "of"), ("maximum", "of"), ("a", "limit", "of"),
)  # fmt: skip
_LOWER = (("at", "least"), ("no", "less", "than"), ("no", "fewer", "than"), ("a", "minimum", "of"), ("minimum",))
_EXACT = (("exactly",), ("precisely",), ("only",), ("just",))


@dataclass(frozen=True, slots=True)
class Quantity:
    """How many there may be: `high` is `None` where there is no limit.

    `word` is the quantifier as written: `each` tells more about the other end than `a`.
    """

    low: int
    high: int | None
    word: str = ""

    @property
    def is_many(self) -> bool:
        """Whether more than one is possible."""
        return self.high is None or self.high > 1

    def cardinality(self) -> str:
        """Return the bounds as a document writes them.

        >>> Quantity(0, None).cardinality(), Quantity(1, 1).cardinality(), Quantity(2, 5).cardinality()
        ('0..*', '1', '2..5')
        """
        if self.high is not None and self.low == self.high:
            return str(self.low)
        return f"{self.low}..{'*' if self.high is None else self.high}"


ONE = Quantity(1, 1)
OPTIONAL = Quantity(0, 1)
MANY = Quantity(0, None)
SOME = Quantity(1, None)


def read_quantity(words: Sequence[str], grammar: Grammar) -> tuple[Quantity, int] | None:
    """Return the quantity that lower-case words begin with, and how many of them say so.

    Args:
        words: the words from the quantifier on; a dozen are enough.
        grammar: the quantifiers and numbers of the language.
    """
    best = _read_listed(words, grammar)
    counted = _read_counted(words, grammar)
    return counted if counted and (not best or counted[1] > best[1]) else best


def read_number(word: str, grammar: Grammar) -> int | None:
    """Return the value of a numeral, in digits or in words."""
    if word in grammar.numbers:
        return grammar.numbers[word]
    digits = word.replace(",", "")
    return min(int(digits), _MAX_BOUND) if digits.isascii() and digits.isdigit() and len(digits) < 18 else None


def _read_listed(words: Sequence[str], grammar: Grammar) -> tuple[Quantity, int] | None:
    for length in range(min(grammar.longest_quantifier, len(words)), 0, -1):
        span = grammar.quantifiers.get(tuple(words[:length]))
        if span is not None:
            low, high = span
            return Quantity(low, None if high < 0 else high, " ".join(words[:length])), length
    return None


def _read_counted(words: Sequence[str], grammar: Grammar) -> tuple[Quantity, int] | None:
    for heads, upper in ((_UPPER, True), (_LOWER, False)):
        for head in heads:
            number = _number_after(words, len(head), grammar) if tuple(words[: len(head)]) == head else None
            if number is not None:
                bounds = (0, max(number, 1)) if upper else (number, None)
                return Quantity(bounds[0], bounds[1], " ".join(head)), len(head) + 1
    for head in _EXACT:
        number = _number_after(words, 1, grammar) if tuple(words[:1]) == head else None
        if number:
            return Quantity(number, number, head[0]), 2
    return _read_range(words, grammar)


def _number_after(words: Sequence[str], index: int, grammar: Grammar) -> int | None:
    return read_number(words[index], grammar) if index < len(words) else None


def _read_range(words: Sequence[str], grammar: Grammar) -> tuple[Quantity, int] | None:
    skip = 1 if tuple(words[:1]) in (("between",), ("from",)) else 0
    low = _number_after(words, skip, grammar)
    if low is None:
        return None
    rest = tuple(words[skip + 1 : skip + 3])
    high = _number_after(words, skip + 2, grammar)
    if (
        high is not None
        and rest[0] in ("and", "to", "or", "-", "–")
        and high >= max(low, 1)
        and (skip or rest[0] != "and")
    ):
        return Quantity(low, high, "range"), skip + 3
    if rest in (("or", "more"), ("and", "more"), ("to", "many"), ("or", "many")):
        return Quantity(low, None, "range"), skip + 3
    return (Quantity(low, low, "number"), 1) if low > 0 and not skip else None
