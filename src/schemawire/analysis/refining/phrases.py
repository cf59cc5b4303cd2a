"""Sentences and the patterns that read them: courtesies off, several requests apart, the first pattern that fits.

Knows the language's data file; knows no schema.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

MAX_SENTENCE_LENGTH = 2_000
MAX_REQUESTS = 20
_STOPS = re.compile(r"(?<=[a-z0-9)\"'])[.;!?]+(?:\s+|$)|\n+", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a pattern read: the intent, and its named parts."""

    intent: str
    said: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Phrasebook:
    """How one language asks for changes."""

    patterns: tuple[tuple[str, re.Pattern[str]], ...]
    courtesies: re.Pattern[str]
    joints: re.Pattern[str]
    participles: Mapping[str, str]

    def requests(self, text: str) -> list[str]:
        """Return the requests of a text, one by one, without courtesies and stops."""
        pieces = [piece for part in _STOPS.split(text[:MAX_SENTENCE_LENGTH]) for piece in self.joints.split(part)]
        cleaned = (self._clean(piece) for piece in pieces)
        return [piece for piece in cleaned if piece][:MAX_REQUESTS]

    def _clean(self, text: str) -> str:
        text = " ".join(text.split()).strip(" .,;!?")
        shorter = self.courtesies.sub("", text)
        while shorter != text:
            text, shorter = shorter, self.courtesies.sub("", shorter).strip(" ,")
        return re.sub(r",? please$", "", text, flags=re.IGNORECASE)

    def readings(self, sentence: str) -> Iterator[Asked]:
        """Yield what each pattern that fits reads in a sentence, the best first."""
        for intent, pattern in self.patterns:
            match = pattern.fullmatch(sentence)
            if match:
                yield Asked(intent=intent, said={k: v.strip() for k, v in match.groupdict().items() if v})


@cache
def phrasebook(language: str = "english") -> Phrasebook:
    """Return how a language asks for changes, read once."""
    text = files("schemawire.analysis").joinpath(language, "refining.toml").read_text("utf-8")
    table: dict[str, Any] = tomllib.loads(text)
    courtesies = "|".join(map(re.escape, table["courtesies"]))
    verbs = "|".join(table["verbs"])
    return Phrasebook(
        patterns=tuple((row["intent"], re.compile(row["regex"], re.IGNORECASE)) for row in table["pattern"]),
        courtesies=re.compile(rf"^(?:{courtesies})\b[ ,]+", re.IGNORECASE),
        joints=re.compile(rf",?\s+(?:and|then|and then)\s+(?=(?:{verbs})\b)", re.IGNORECASE),
        participles=table["participles"],
    )
