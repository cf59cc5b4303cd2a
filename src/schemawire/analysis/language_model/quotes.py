"""Where the description says what a model claims it says; knows words, no schema.

What can be quoted is believed more than what only uses the description's words, and that more than what does neither.
"""

import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from schemawire.analysis.naming import singular, split_words
from schemawire.analysis.sentences import split_sentences

QUOTED, MENTIONED, RELATED, UNSUPPORTED = 0.9, 0.7, 0.5, 0.2
"""Confidence in what is quoted, mentioned where its owner is, read out of other words or another place, or neither."""
_MAX_QUOTE = 400
_WORD = re.compile(r"[^\W_]+")


class Quotes:
    """Finds quotes and words in one description."""

    def __init__(self, text: str, rule: str) -> None:
        self._text = text
        self._rule = rule

    @cached_property
    def _folded(self) -> tuple[str, list[int]]:
        """The text in lower case with single blanks, and where each of its signs stands in the text."""
        signs: list[str] = []
        places: list[int] = []
        for place, sign in enumerate(self._text):
            plain = " " if sign.isspace() else sign.lower()
            if plain == " " and signs and signs[-1] == " ":
                continue
            signs.extend(plain)
            places.extend([place] * len(plain))
        return "".join(signs), places

    @cached_property
    def _words(self) -> dict[str, int]:
        """The words of the text, in the singular, and where each stands first."""
        found: dict[str, int] = {}
        for match in _WORD.finditer(self._text):
            found.setdefault(singular(match[0].lower()), match.start())
            for part in split_words(match[0]):
                found.setdefault(singular(part), match.start())
        return found

    @cached_property
    def _sentences(self) -> list[tuple[int, int, frozenset[str]]]:
        """Start, end and words of each sentence."""
        found = []
        for sentence in split_sentences(self._text):
            words = frozenset(singular(part) for token in sentence.tokens for part in split_words(token.text))
            found.append((sentence.start, sentence.end, words))
        return found

    def locate(self, quote: object, words: Sequence[str], owner: Sequence[str] = ()) -> list[dict[str, Any]]:
        """Return the evidence for something: its quote if the text holds it, else the place of its words.

        Args:
            quote: what the model quotes, if anything.
            words: the thing's name.
            owner: the name of what it belongs to, which has to be spoken of there too.
        """
        span = self._span(quote) if isinstance(quote, str) else None
        if span is not None:
            return [self._evidence(*span, QUOTED if self._shares_word(span, words) else RELATED)]
        known = [self._words.get(singular(word)) for word in words]
        places = [place for place in known if place is not None]
        if words and len(places) == len(words):
            near = self._near(words, owner) if owner else places[-1]
            start = places[-1] if near is None else near
            match = _WORD.match(self._text, start)
            return [self._evidence(start, match.end() if match else start, RELATED if near is None else MENTIONED)]
        inside = self._inside("".join(words))
        return [self._evidence(*inside, MENTIONED) if inside else self._evidence(0, 0, UNSUPPORTED)]

    def _near(self, words: Sequence[str], owner: Sequence[str]) -> int | None:
        """Return where words stand in a sentence that speaks of their owner, or that follows one."""
        wanted, head, before = {singular(word) for word in words}, singular(owner[-1]), False
        for start, end, said in self._sentences:
            speaks = head in said
            if wanted <= said and (speaks or before):
                return self._place(singular(words[-1]), start, end)
            before = speaks or (before and not wanted.isdisjoint(said))
        return None

    def _place(self, word: str, start: int, end: int) -> int:
        places = (match.start() for match in _WORD.finditer(self._text, start, end))
        return next((place for place in places if self._word_at(place) == word), start)

    def _word_at(self, place: int) -> str:
        match = _WORD.match(self._text, place)
        return singular(match[0].lower()) if match else ""

    def _inside(self, word: str) -> tuple[int, int] | None:
        """Return where a name stands in a script that writes no blanks between its words."""
        return None if not word or word.isascii() else self._find(word.lower())

    def _span(self, quote: str) -> tuple[int, int] | None:
        wanted = " ".join(quote.lower().split())[:_MAX_QUOTE]
        return None if len(wanted) < 2 else self._find(wanted)

    def _find(self, wanted: str) -> tuple[int, int] | None:
        text, places = self._folded
        start = text.find(wanted)
        return None if start < 0 else (places[start], places[start + len(wanted) - 1] + 1)

    def _shares_word(self, span: tuple[int, int], words: Sequence[str]) -> bool:
        """Return whether a quote speaks of the thing: a true quote proves nothing about something else."""
        if not words:
            return True
        said = {singular(word) for word in split_words(self._text[span[0] : span[1]])}
        return any(singular(word) in said or any(_akin(singular(word), other) for other in said) for word in words)

    def _evidence(self, start: int, end: int, confidence: float) -> dict[str, Any]:
        return {
            "start": start, "end": end, "text": self._text[start:end], "analyser": "model", "rule": self._rule,
            "confidence": confidence,
        }  # fmt: skip


def _akin(first: str, second: str) -> bool:
    """Return whether two words share a stem: enrolment and enrol."""
    length = min(len(first), len(second))
    return length >= 4 and first[: max(4, length - 2)] == second[: max(4, length - 2)]
