"""Noun phrases: what is spoken of, how many, whose, and what stands in brackets behind it.

Knows tagged words; knows no clause.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from schemawire.analysis.lexicon import Grammar
from schemawire.analysis.naming import is_plural
from schemawire.analysis.quantifiers import MANY, Quantity, read_quantity
from schemawire.analysis.tagging import Word

Mark = Literal["optional", "required", "unique"]
Hint = Literal["", "boolean", "integer"]

_WINDOW = 8
_MAX_PHRASE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Phrase:
    """One noun phrase.

    `words` are the naming words, lower case, without determiner and empty adjectives; `marks` what those said.
    """

    words: tuple[str, ...]
    start: int
    end: int
    quantity: Quantity | None = None
    determiner: str = ""
    plural: bool = False
    marks: frozenset[Mark] = frozenset()
    owner: "Phrase | None" = None
    of: "Phrase | None" = None
    pronoun: str = ""
    bracket: tuple[Word, ...] = ()
    tail: tuple[Word, ...] = ()
    """Words behind the phrase that may constrain it ("up to 200 characters")."""
    hint: Hint = ""
    values: tuple[str, ...] = ()
    """What it may be, where that is listed behind it: "a role: admin, editor or viewer"."""

    @property
    def head(self) -> str:
        """The last naming word, or the empty string of a pronoun."""
        return self.words[-1] if self.words else ""

    @property
    def is_many(self) -> bool:
        """Whether it speaks of more than one."""
        return self.quantity.is_many if self.quantity else self.plural


def unwrapped(phrase: Phrase, grammar: Grammar) -> Phrase:
    """Return what a phrase stands for: "a list of books" is many books, "track of a book" is the book."""
    if phrase.of is None or not grammar.is_in(phrase.head, "wrappers"):
        return phrase
    many = None if phrase.head == "track" else MANY
    return replace(phrase.of, quantity=phrase.of.quantity or many, start=phrase.start)


def read_phrase(words: Sequence[Word], index: int, grammar: Grammar) -> tuple[Phrase, int] | None:
    """Return the noun phrase that begins at an index, and the index behind it."""
    if index >= len(words):
        return None
    if words[index].tag == "pron":
        token = words[index].token
        return Phrase(words=(), start=token.start, end=token.end, pronoun=token.lower), index + 1
    found = _read_simple(words, index, grammar)
    if found is None:
        return None
    phrase, index = found
    phrase, index = _read_owned(phrase, words, index, grammar)
    phrase, index = _read_bracket(phrase, words, index)
    phrase, index = _read_of(phrase, words, index, grammar)
    phrase, index = _read_per(phrase, words, index, grammar)
    if not phrase.bracket:
        phrase, index = _read_bracket(phrase, words, index)
    return phrase, index


def _read_simple(words: Sequence[Word], index: int, grammar: Grammar) -> tuple[Phrase, int] | None:
    start, begin = index, words[index].token.start
    quantity, determiner = None, ""
    if words[index].tag == "det" and words[index].lower not in ("each", "every", "a", "an"):
        determiner = words[index].lower
    reading = read_quantity([word.lower for word in words[index : index + _WINDOW]], grammar)
    if reading is not None:
        quantity, length = reading
        index += length
        determiner = quantity.word
        index = _skip_partitive(words, index)
    while index < len(words) and words[index].tag == "det":
        determiner = determiner or words[index].lower
        index += 1
    if quantity is None and index > start:
        inner = read_quantity([word.lower for word in words[index : index + _WINDOW]], grammar)
        if inner is not None:
            quantity, length = inner
            index += length
    named = _read_naming(words, index, grammar)
    if named is None:
        return None
    return replace(named[0], start=begin, quantity=quantity, determiner=determiner), named[1]


def _skip_partitive(words: Sequence[Word], index: int) -> int:
    """Step over the "of the" in "one of the"."""
    if index + 1 < len(words) and words[index].lower == "of" and words[index + 1].tag == "det":
        return index + 2
    return index


def _read_naming(words: Sequence[Word], index: int, grammar: Grammar) -> tuple[Phrase, int] | None:
    """Read the nouns and adjectives that name something, without what stands before them."""
    naming: list[str] = []
    marks: set[Mark] = set()
    first = index
    while index < len(words) and len(naming) < _MAX_PHRASE and _continues(words, index, bool(naming)):
        word = words[index]
        mark = _mark_of(word.lower, grammar)
        if mark:
            marks.add(mark)
        if not _is_empty(word, grammar):
            naming.append(word.token.text if _is_identifier(word.token.text) else word.lower)
        index += 1
    if not naming and index > first and _stands_alone(words, index):
        naming = [words[index - 1].lower]  # "one of new, open or solved"
    if not naming:
        return None
    phrase = Phrase(
        words=tuple(naming), start=words[first].token.start, end=words[index - 1].token.end,
        plural=is_plural(naming[-1].lower()), marks=frozenset(marks),
    )  # fmt: skip
    return phrase, index


def _stands_alone(words: Sequence[Word], index: int) -> bool:
    """Return whether an adjective is an item of its own: a separator follows, and it is not a word such as "other"."""
    word = words[index - 1]
    ends = index < len(words) and words[index].lower in (",", "or")
    return ends and word.tag == "adj" and word.lower in ("new", "small", "large", "big", "good", "basic", "standard")


def _continues(words: Sequence[Word], index: int, has_name: bool) -> bool:
    word = words[index]
    if word.tag == "adv":  # "a newly hired employee": an adverb before an adjective belongs to the phrase
        return not has_name and index + 1 < len(words) and words[index + 1].tag == "adj"
    if word.tag == "num":
        return has_name and word.lower[0].isdigit() and index + 1 < len(words) and words[index + 1].tag == "noun"
    if word.tag == "adj" and has_name and words[index - 1].tag == "noun":
        return index + 1 < len(words) and words[index + 1].tag == "noun"  # "a list sorted by date" ends at list
    return word.tag in ("noun", "adj")


def _is_identifier(text: str) -> bool:
    return "_" in text or (text[1:] != text[1:].lower() and text != text.upper())


def _mark_of(word: str, grammar: Grammar) -> Mark | None:
    if grammar.is_in(word, "optional_words"):
        return "optional"
    if grammar.is_in(word, "required_words"):
        return "required"
    return "unique" if grammar.is_in(word, "unique_words") else None


def _is_empty(word: Word, grammar: Grammar) -> bool:
    return word.tag in ("adv", "num") or (word.tag == "adj" and grammar.is_in(word.lower, "empty_adjectives"))


def _read_owned(phrase: Phrase, words: Sequence[Word], index: int, grammar: Grammar) -> tuple[Phrase, int]:
    """Read what follows a possessive: "an author's name" is a name whose owner is the author."""
    if index >= len(words) or words[index].tag != "poss":
        return phrase, index
    found = _read_naming(words, index + 1, grammar)
    if found is None:
        return phrase, index + 1
    return replace(found[0], owner=phrase, start=phrase.start, determiner=phrase.determiner), found[1]


def _read_of(phrase: Phrase, words: Sequence[Word], index: int, grammar: Grammar) -> tuple[Phrase, int]:
    if index >= len(words) or words[index].lower != "of" or index + 1 >= len(words):
        return phrase, index
    inner = _read_simple(words, index + 1, grammar)
    if inner is None or grammar.is_in(inner[0].head, "measures"):
        return phrase, index
    of, after = _read_owned(*inner[:1], words, inner[1], grammar)
    if grammar.is_in(phrase.head, "of_nouns") and not of.determiner and of.quantity is None:
        joined = (*phrase.words, "of", *of.words)  # "date of birth" is one name
        hint: Hint = "integer" if phrase.head == "number" else ""
        return replace(phrase, words=joined, end=of.end, hint=hint, plural=phrase.plural), after
    return replace(phrase, of=of, end=of.end), after


def _read_per(phrase: Phrase, words: Sequence[Word], index: int, grammar: Grammar) -> tuple[Phrase, int]:
    """Read "price per night" as one name."""
    if index + 1 >= len(words) or words[index].lower != "per" or words[index + 1].tag != "noun":
        return phrase, index
    counted = phrase.quantity is not None and phrase.quantity.word not in ("a", "an")  # "one vote per election"
    if phrase.of is not None or counted:
        return phrase, index
    unit = words[index + 1]
    return replace(phrase, words=(*phrase.words, "per", unit.lower), end=unit.token.end, plural=False), index + 2


def _read_bracket(phrase: Phrase, words: Sequence[Word], index: int) -> tuple[Phrase, int]:
    if index >= len(words) or words[index].lower not in ("(", "["):
        return phrase, index
    depth = 0
    for position in range(index, len(words)):
        depth += (words[position].lower in ("(", "[")) - (words[position].lower in (")", "]"))
        if depth == 0:
            inside = tuple(words[index + 1 : position])
            return replace(phrase, bracket=inside, end=words[position].token.end), position + 1
    return replace(phrase, bracket=tuple(words[index + 1 :]), end=words[-1].token.end), len(words)
