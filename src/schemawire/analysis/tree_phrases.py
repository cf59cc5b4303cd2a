"""Nouns of a tree to phrases: naming words, how many, and what stands in brackets behind.

Knows trees and the closed word classes; knows no clause.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from schemawire.analysis.lexicon import Lexicon
from schemawire.analysis.naming import is_plural, singular
from schemawire.analysis.noun_phrases import Mark, Phrase
from schemawire.analysis.parsing import Node
from schemawire.analysis.quantifiers import Quantity, read_quantity
from schemawire.analysis.sentences import Token
from schemawire.analysis.tagging import tag_words

_NAMING = ("compound", "amod", "nmod")
_MARKS: tuple[tuple[str, Mark], ...] = (
    ("optional_words", "optional"), ("required_words", "required"), ("unique_words", "unique"),
)  # fmt: skip
_MAX_LIST = 40
_JOINED = 2
"""How many words behind a noun the next one stands that "and" joins to it."""

Brackets = Mapping[int, Sequence[Token]]
"""What stands in brackets, by the end of the word before them."""


_FEWEST = 2


def _says_how(tokens: Sequence[Token], index: int, lexicon: Lexicon) -> bool:
    """Return whether a bracket goes on with the sentence: "(located at an address)"."""
    behind = tokens[index + 1 : index + 1 + _FEWEST]
    form = lexicon.verbs.forms.get(behind[0].lower) if len(behind) == _FEWEST else None
    return form is not None and form.form == "past" and lexicon.grammar.is_in(behind[1].lower, "prepositions")


def unwrapped_brackets(tokens: Sequence[Token], lexicon: Lexicon) -> list[Token]:
    """Return the tokens with commas for the brackets that go on with the sentence."""
    kept = list(tokens)
    for index, token in enumerate(tokens):
        if token.text == "(" and _says_how(tokens, index, lexicon):
            end = next((i for i in range(index, len(tokens)) if tokens[i].text == ")"), None)
            for place in (index, end) if end is not None else ():
                kept[place] = Token(",", ",", tokens[place].start, tokens[place].end)
    return kept


def without_brackets(tokens: Sequence[Token]) -> tuple[list[Token], dict[int, list[Token]]]:
    """Return the tokens outside brackets, and those inside by the end of the word before: a parser trips over them."""
    kept: list[Token] = []
    inside: dict[int, list[Token]] = {}
    depth = 0
    for token in tokens:
        if token.text in "([":
            depth += 1
        elif token.text in ")]":
            depth = max(0, depth - 1)
        elif depth and kept:
            inside.setdefault(kept[-1].end, []).append(token)
        else:
            kept.append(token)
    return kept, inside


@dataclass(frozen=True, slots=True)
class PhraseReader:
    """Makes phrases of the nouns of one sentence."""

    lexicon: Lexicon
    brackets: Brackets = field(default_factory=dict)
    _known: dict[int, Phrase] = field(default_factory=dict, repr=False)
    """The phrases read so far, by the index of their head."""

    def read(self, node: Node) -> Phrase:
        """Return the phrase whose head is a noun."""
        if node.index not in self._known:
            self._known[node.index] = self._read(node)
        return self._known[node.index]

    def _read(self, node: Node) -> Phrase:
        left = _left_edge(node)
        naming = [part for part in left if part.dep in _NAMING and not self._is_empty(part)]
        own = [part.token.start for part in left if part.dep != "poss"]
        inside = self.brackets.get(node.token.end, ())
        return Phrase(
            words=tuple(part.lower for part in (*naming, node) if part.token.is_word),
            start=min([*own, node.token.start]), end=inside[-1].end if inside else node.token.end,
            quantity=self._quantity(node), plural=is_plural(node.lower), marks=self._marks(left),
            determiner=next((part.lower for part in left if part.dep in ("det", "predet")), ""),
            bracket=tag_words(inside, self.lexicon) if inside else (),
        )  # fmt: skip

    def read_all(self, node: Node) -> Iterator[Phrase]:
        """Yield a noun's phrases: "first and last name" are two, "a monthly" before "a yearly price" is a price."""
        phrase = self._completed(node)
        yield phrase
        for adjective in node.kids("amod", "compound"):
            for other in adjective.kids("conj"):
                if adjective.lower in phrase.words and other.index < node.index:
                    words = tuple(other.lower if word == adjective.lower else word for word in phrase.words)
                    yield Phrase(words=words, start=other.token.start, end=node.token.end, plural=phrase.plural)

    def _completed(self, node: Node) -> Phrase:
        """Return a phrase with the word that it shares with its neighbour in a list.

        Reads "opening and closing times", "a monthly and a yearly price", "a planned start and end".
        """
        phrase = self.read(node)
        if len(phrase.words) != 1:
            return phrase
        shares = self.lexicon.grammar.is_in(node.lower, "sharing_words") or node.tag.startswith("JJ")
        for other in node.kids("conj") if shares else ():
            words = self.read(other).words
            apart = phrase.determiner and self.read(other).determiner and not node.tag.startswith("JJ")
            if other.is_noun and len(words) > 1 and not apart:
                return replace(phrase, words=(node.lower, *words[1:]), end=other.token.end, plural=is_plural(words[-1]))
        if node.dep == "conj" and node.head.is_noun and node.index == node.head.index + _JOINED:
            words = self.read(node.head).words
            if len(words) > 1 and self.lexicon.grammar.is_in(words[0], "sharing_words") and not phrase.determiner:
                return replace(phrase, words=(words[0], node.lower))
        return phrase

    def _marks(self, left: Sequence[Node]) -> frozenset[Mark]:
        grammar = self.lexicon.grammar
        return frozenset(mark for group, mark in _MARKS if any(grammar.is_in(part.lower, group) for part in left))

    def _is_empty(self, node: Node) -> bool:
        grammar = self.lexicon.grammar
        if node.tag in ("CD", "JJR", "JJS", "RB", "DT") or not node.token.is_word:
            return True
        if node.dep != "amod":
            return False
        if is_field_word(node.head.lower, self.lexicon):  # "rated power" is a field, "registered guests" are guests
            return grammar.is_in(node.lower, "field_fillers") or self._is_counted(node.lower)
        return grammar.is_in(node.lower, "empty_adjectives") or node.tag in ("VBN", "VBD")

    def _is_counted(self, word: str) -> bool:
        """Return whether an adjective only counts: "two-letter", "8-digit"."""
        first, joint, _ = word.partition("-")
        return bool(joint) and (first in self.lexicon.grammar.numbers or first.isdigit())

    def _quantity(self, node: Node) -> Quantity | None:
        """Return how many, read from the words before the noun: "one or more", "at least two", "each"."""
        before = sorted((part for part in _counting(node) if part.index < node.index), key=lambda part: part.index)
        words = [part.lower for part in before]
        found = (read_quantity(words[start:], self.lexicon.grammar) for start in range(len(words)))
        return next((reading[0] for reading in found if reading is not None), None)


def is_field_word(word: str, lexicon: Lexicon) -> bool:
    """Return whether a lower-case noun, in the singular or plural, is listed as a field."""
    return word in lexicon.nouns.types or singular(word) in lexicon.nouns.types


def _counting(node: Node) -> Iterator[Node]:
    for child in node.children:
        if child.dep not in ("poss", "conj", "relcl", "prep", "appos"):
            yield from child.subtree()


def _left_edge(node: Node) -> list[Node]:
    """Return what stands before a noun and belongs to it, including the parts of its parts ("credit card number")."""
    found: list[Node] = []
    for child in node.children:
        if child.index < node.index:
            found.append(child)
            if child.dep in (*_NAMING, "nummod"):
                found.extend(part for part in child.children if part.index < child.index)
    return sorted(found, key=lambda child: child.index)


def conjuncts(node: Node) -> list[Node]:
    """Return a noun and what is listed with it: "a name, an address and a phone number"."""
    found: list[Node] = []
    waiting = [node]
    while waiting and len(found) < _MAX_LIST:
        current = waiting.pop(0)
        found.append(current)
        waiting.extend(child for child in current.kids("conj", "appos") if child.is_noun or child.dep == "conj")
    return [other for other in found if other.is_noun or other is node]


def coordinated(nouns: Sequence[Node]) -> list[Node]:
    """Return nouns with those listed before them: "drinks and snacks, which are items" means both."""
    return conjuncts(first_of_list(nouns[0]))


def first_of_list(noun: Node) -> Node:
    """Return the noun that a list begins with, or the noun itself."""
    while noun.dep == "conj" and noun.head.is_noun:
        noun = noun.head
    return noun
