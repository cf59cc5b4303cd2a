"""What a field is: type, limits and marks, from its name and the words around it.

Knows the noun lexicon and the words of limits; knows no entity.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from schemawire.analysis.lexicon import Lexicon
from schemawire.analysis.naming import singular, split_words
from schemawire.analysis.noun_phrases import Phrase
from schemawire.analysis.quantifiers import read_number
from schemawire.schema.model import FieldType

_TYPE_WORDS: dict[str, FieldType] = {
    "string": "string", "str": "string", "varchar": "string", "char": "string", "text": "text", "longtext": "text",
    "int": "integer", "integer": "integer", "bigint": "bigint", "long": "bigint", "number": "integer",
    "decimal": "decimal", "numeric": "decimal", "float": "float", "double": "float", "real": "float",
    "bool": "boolean", "boolean": "boolean", "flag": "boolean", "date": "date", "time": "time",
    "datetime": "datetime", "timestamp": "datetime", "duration": "duration", "interval": "duration",
    "uuid": "uuid", "guid": "uuid", "email": "email", "url": "url", "uri": "url", "phone": "phone",
    "money": "money", "currency": "money", "json": "json", "jsonb": "json", "binary": "binary", "blob": "binary",
}  # fmt: skip
_ONLY_TYPES = frozenset(_TYPE_WORDS) - {
    "text", "long", "number", "real", "flag", "date", "time", "duration", "interval", "email", "url", "phone", "money",
    "currency", "char",
}  # fmt: skip
_NUMERIC = frozenset({"integer", "bigint", "decimal", "float", "money"})
_EXACT_NUMERIC = frozenset({"decimal", "money"})
_TEXTUAL = frozenset({"string", "text", "email", "url", "phone"})
_LENGTH_UNITS = frozenset({"characters", "character", "chars", "letters", "digits", "symbols"})
_BOOLEAN_STARTS = frozenset({"is", "has", "can", "was", "should", "allows", "needs"})


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldNature:
    """The type of a field, what limits it, and whether the lexicon knows its name."""

    type: FieldType
    known: bool
    limits: dict[str, Any] = field(default_factory=dict)
    sensitive: bool = False
    unique: bool = False
    optional: bool = False


def type_word(word: str) -> FieldType | None:
    """Return the field type that a lower-case word names in notes ("title string"), or `None`."""
    return _TYPE_WORDS.get(word)


def is_only_type(word: str) -> bool:
    """Return whether a lower-case word names a type and nothing else: "varchar", but not "date"."""
    return word in _ONLY_TYPES


def is_known_field(phrase: Phrase, lexicon: Lexicon) -> bool:
    """Return whether the lexicon lists a phrase, or the end of it, as a field."""
    return bool(phrase.hint) or _known_tail(tuple(word.lower() for word in phrase.words), lexicon) is not None


def nature_of(words: Sequence[str], lexicon: Lexicon) -> FieldNature:
    """Return what a field of that name usually is: the longest tail of the name that the lexicon lists decides.

    >>> from schemawire.analysis.lexicon import load_lexicon
    >>> nature_of(("start", "date"), load_lexicon()).type, nature_of(("is", "open"), load_lexicon()).type
    ('date', 'boolean')
    """
    nouns = lexicon.nouns
    lower = tuple(part for word in words for part in split_words(word))
    if ("number", "of") in pairwise(lower):
        return FieldNature(type="integer", known=True, limits={"min": 0})
    if lower and lower[0] in _BOOLEAN_STARTS and len(lower) > 1:
        return FieldNature(type="boolean", known=True)
    tail = _known_tail(lower, lexicon)
    if tail is None and "of" in lower[1:]:
        tail = _known_tail(lower[: lower.index("of", 1)], lexicon)  # "year of birth" is a year
    if tail is None:
        suffix = nouns.suffixes.get(lower[-1]) if lower else None
        return FieldNature(type=suffix or "string", known=suffix is not None)
    return FieldNature(
        type=nouns.types[tail],
        known=True,
        limits=dict(nouns.limits.get(tail, {})),
        sensitive=tail in nouns.flags["sensitive"],
        unique=tail in nouns.flags["unique"],
        optional=tail in nouns.flags["optional"],
    )


def _known_tail(lower: tuple[str, ...], lexicon: Lexicon) -> str | None:
    one = (*lower[:-1], singular(lower[-1])) if lower else ()
    for start in range(len(lower)):
        for words in (lower[start:], one[start:]):
            joined = " ".join(words)
            if joined in lexicon.nouns.types:
                return joined
    return None


def limit_by(nature: FieldNature, tail: Sequence[str], lexicon: Lexicon) -> FieldNature:
    """Return a nature with the limits that lower-case words behind a field state.

    "up to 200 characters" limits the length, "between 1 and 5" the value.
    """
    if len(tail) == 2 and tail[0] == "in" and lexicon.grammar.is_in(tail[1], "units"):
        return _measured(nature, tail[1], lexicon)
    bounds = _bounds(tail, lexicon)
    if bounds is None:
        return nature
    low, high = bounds
    if any(word in _LENGTH_UNITS for word in tail):
        kind: FieldType = nature.type if nature.type in _TEXTUAL else "string"
        named = {"minLength": low or None, "maxLength": high}
        return replace(nature, type=kind, limits={k: v for k, v in named.items() if v is not None})
    kind = nature.type if nature.type in _NUMERIC else "integer"
    limits = {name: _bound(kind, value) for name, value in (("min", low), ("max", high)) if value is not None}
    return replace(nature, type=kind, limits={**limits})


def _measured(nature: FieldNature, unit: str, lexicon: Lexicon) -> FieldNature:
    """Return the nature of what is counted in a unit: a size in bytes is a whole number."""
    kind: FieldType = nature.type if nature.type in _NUMERIC else "decimal"
    if lexicon.grammar.is_in(unit, "money_units"):
        kind = "money"
    elif lexicon.grammar.is_in(unit, "whole_units"):
        kind = "bigint" if unit == "bytes" else "integer"
    kept = {name: bound for name, bound in nature.limits.items() if name in ("min", "max") and kind == nature.type}
    return replace(nature, type=kind, limits={**kept, "unit": unit})


def _bound(kind: FieldType, value: int) -> int | str:
    return str(value) if kind in _EXACT_NUMERIC else value


def _bounds(tail: Sequence[str], lexicon: Lexicon) -> tuple[int | None, int | None] | None:
    numbers = [(i, n) for i, word in enumerate(tail) if (n := read_number(word, lexicon.grammar)) is not None]
    if not numbers:
        return None
    words = set(tail)
    if len(numbers) > 1 and words & {"between", "from", "to", "-", "and", "–"}:
        low, high = sorted((numbers[0][1], numbers[1][1]))
        return low, high
    number = numbers[0][1]
    if words & {"least", "minimum", "min", "over", "above"}:
        return number, None
    if words & {"exactly", "digits"} and not words & {"most", "up", "maximum", "max"}:
        return number, number
    return None, number
