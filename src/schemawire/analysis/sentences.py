"""Text to sentences and tokens with exact character spans.

Knows lines, bullets, headings and punctuation; knows no grammar. One pass, linear in the length of the text.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

LineKind = Literal["plain", "heading", "bullet"]

_TOKEN = re.compile(
    r"e\.g\.|i\.e\.|etc\.|"  # abbreviations whose stop ends no sentence
    r"[^\W\d_][^\W_]*(?:[-'’](?!s\b)[^\W_]+)*|"  # words; the possessive 's is a token of its own
    r"['’]s\b|\d+(?:[.,]\d+)*|->|<>|[^\s\w]|\w+?(?=[^\w]|$)|_"
)
_TAG = re.compile(r"</?[A-Za-z][^<>\n]{0,200}>")
_WORD_OR_ID = re.compile(r"[^\W\d]\w*_\w*", re.UNICODE)
_BULLET = re.compile(r"[ \t]*(?:[-*•‣–+]|\(?\d{1,3}[.)]|\(?[a-z][.)])[ \t]+")
_HEADING = re.compile(r"[ \t]*#{1,6}[ \t]+")
_MARKUP = "*_`#~|>"
_STOPS = frozenset(".!?。")
_BLOCK_ENDS = frozenset({*_STOPS, ":", ";"})
_MAX_LINE_HEADING = 60
MAX_SENTENCE_TOKENS = 400
"""A longer sentence is read in pieces, so that nothing that looks ahead in one costs more than this."""


@dataclass(frozen=True, slots=True)
class Token:
    """One word, number or sign, and where it stands."""

    text: str
    lower: str
    start: int
    end: int

    @property
    def is_word(self) -> bool:
        """Whether it holds a letter or digit."""
        return self.text[0].isalnum() or (len(self.text) > 1 and self.text[0] == "_")


@dataclass(frozen=True, slots=True)
class Sentence:
    """The tokens of one sentence, and what kind of line it stands on.

    `indent` is the number of blanks before a bullet: it tells nested bullets apart.
    """

    tokens: tuple[Token, ...]
    kind: LineKind = "plain"
    indent: int = 0

    @property
    def start(self) -> int:
        """Where the first token starts."""
        return self.tokens[0].start

    @property
    def end(self) -> int:
        """Where the last token ends."""
        return self.tokens[-1].end


def split_sentences(text: str) -> Iterator[Sentence]:
    """Yield the sentences of a text, in order; token spans are character positions in that text."""
    for start, end in _blocks(text):
        yield from _read_block(text, start, end)


def _blocks(text: str) -> Iterator[tuple[int, int]]:
    """Yield spans of lines that belong together: a bullet, a heading, or wrapped lines of prose."""
    start: int | None = None
    end = position = 0
    bounded = False  # a bullet or definition goes on only in indented lines
    for line in text.splitlines(keepends=True):
        stripped = line.strip()
        own = not stripped or _is_own_block(line) or (bounded and not line[0].isspace())
        if start is not None and (own or _ends_block(text[max(start, end - 80) : end])):
            yield start, end
            start = None
        if stripped and start is None:
            start, bounded = position, _is_own_block(line)
        position += len(line)
        end = position
        if stripped and _HEADING.match(line) and start is not None:
            yield start, end
            start = None
    if start is not None:
        yield start, end


def _is_own_block(line: str) -> bool:
    return bool(_BULLET.match(line) or _HEADING.match(line) or _is_definition(line) or line.lstrip()[:1] == "|")


def _is_definition(line: str) -> bool:
    head, colon, rest = line.partition(":")
    return bool(colon) and len(head.split()) <= 3 and (not rest or rest[0].isspace())


def _ends_block(tail: str) -> bool:
    """A line that ends a sentence or announces a list is not continued by the next one."""
    return tail.rstrip()[-1:] in _BLOCK_ENDS


def _read_block(text: str, start: int, end: int) -> Iterator[Sentence]:
    kind: LineKind = "plain"
    line = text[start:end]
    indent = len(line) - len(line.lstrip(" \t"))
    if match := _HEADING.match(line):
        kind = "heading"
    elif match := _BULLET.match(line):
        kind = "bullet"
    offset = start + (match.end() if match else 0)
    tokens = _tokens(text, offset, end)
    if kind == "plain" and _looks_like_heading(line, tokens):
        kind = "heading"
    for part in _at_stops(tokens):
        yield Sentence(tuple(part), kind, indent)


def _looks_like_heading(line: str, tokens: list[Token]) -> bool:
    """`Books:` alone on its line announces the bullets that follow."""
    words = [token for token in tokens if token.is_word]
    return line.rstrip().rstrip("*_ ").endswith(":") and 0 < len(words) <= 3 and len(line) <= _MAX_LINE_HEADING


def _tokens(text: str, start: int, end: int) -> list[Token]:
    tokens = []
    position = start
    while position < end:
        if text[position] == "<" and (tag := _TAG.match(text, position, end)):
            position = tag.end()  # markup says nothing of the domain
            continue
        match = _WORD_OR_ID.match(text, position, end) or _TOKEN.match(text, position, end)
        if match is None or match.end() == position:
            position += 1
            continue
        word = match.group()
        if word not in _MARKUP:
            tokens.append(Token(word, word.lower().replace("’", "'"), position, match.end()))
        position = match.end()
    return tokens


def _at_stops(tokens: list[Token]) -> Iterator[list[Token]]:
    part: list[Token] = []
    depth = 0
    for token in tokens:
        depth += (token.text == "(") - (token.text == ")" and depth > 0)
        part.append(token)
        full = len(part) >= MAX_SENTENCE_TOKENS
        if full or token.text in _STOPS or (token.text == ";" and not depth):
            if any(item.is_word for item in part):
                yield part
            part, depth = [], 0
    if any(item.is_word for item in part):
        yield part
