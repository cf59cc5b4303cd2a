"""The tier above the patterns: sentences that those do not cover are read from their dependency trees.

Knows which sentences need a tree and how the two readings join; knows no rule of either.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from schemawire.analysis.alternatives import shared_heads
from schemawire.analysis.attributes import nature_of
from schemawire.analysis.background import states_quality, tells_the_past, without_explanations, without_idioms
from schemawire.analysis.context import Context
from schemawire.analysis.facts import (
    ConstraintFact,
    EntityFact,
    EntityName,
    Fact,
    KindFact,
    MentionFact,
    PropertyFact,
    RelationFact,
)
from schemawire.analysis.lexicon import Lexicon
from schemawire.analysis.mentions import read_aside
from schemawire.analysis.naming import entity_words
from schemawire.analysis.notes import NOTED
from schemawire.analysis.parsing import Tree, parse
from schemawire.analysis.patterns import PatternReader
from schemawire.analysis.prose import PROSE_FROM
from schemawire.analysis.repair import repaired
from schemawire.analysis.sentences import Sentence, Token, split_sentences
from schemawire.analysis.tagging import Word, tag_words
from schemawire.analysis.tree_facts import TreeReader
from schemawire.analysis.tree_phrases import unwrapped_brackets, without_brackets
from schemawire.analysis.tree_repairs import repair_branches

_MAX_WORDS = 20_000
"""Words parsed in one text, some four seconds' worth; what follows is read by the patterns alone."""
_MAX_ASIDE = 4_000
"""Words in brackets and notes that are parsed for what they name."""
_SHORTEST, _LONGEST = 4, 120
"""Words of a sentence worth parsing; a longer one is a list or no prose at all."""
_DOING = frozenset({"verb", "modal", "have", "be", "do"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the patterns read in one sentence, and whether that is all it names."""

    sentence: Sentence
    words: tuple[Word, ...]
    facts: tuple[Fact, ...]

    @property
    def is_noted(self) -> bool:
        """Whether it was read as a note, a list or a definition, which have no syntax to speak of."""
        return any(fact.source.rule in NOTED for fact in self.facts)


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedText:
    """The facts of a text, and how many of its sentences were read from trees."""

    facts: list[Fact]
    sentences: int


def read_with_parser(text: str, lexicon: Lexicon) -> ParsedText:
    """Return what a text says: the patterns' facts where they cover a sentence, the tree's where they do not."""
    patterns = PatternReader(lexicon)
    readings = []
    subjects = []
    patterns.context.aliases |= product_names(text, lexicon)
    for whole in split_sentences(text):
        sentence = replace(whole, tokens=tuple(without_explanations(whole.tokens)))
        facts = tuple(patterns.read_sentence(sentence))
        readings.append(Reading(sentence=sentence, words=tag_words(sentence.tokens, lexicon), facts=facts))
        subjects.append(patterns.context.subject)
    open_ones = [] if len(text) < PROSE_FROM else _within_budget(readings)
    plain = [without_idioms(readings[index].sentence.tokens, lexicon) for index in open_ones]
    outside = [without_brackets(unwrapped_brackets(tokens, lexicon)) for tokens in plain]
    asides = _parse_asides(readings, {index: brackets for index, (_, brackets) in zip(open_ones, outside, strict=True)})
    trees = _parse_twice({i: tokens for i, (tokens, _) in zip(open_ones, outside, strict=True)}, readings)
    inside = {index: brackets for index, (_, brackets) in zip(open_ones, outside, strict=True)}
    context = Context(lexicon, product=patterns.context.product, product_name=patterns.context.product_name)
    context.aliases |= patterns.context.aliases
    reader = TreeReader(context)
    found: list[Fact] = []
    for index, reading in enumerate(readings):
        if index in trees and (tells_the_past(trees[index]) or states_quality(trees[index], lexicon)):
            found.extend(fact for fact in reading.facts if isinstance(fact, ConstraintFact))
        elif index in trees:
            repair_branches(trees[index], lexicon)
            found.extend(_joined(reading.facts, reader.read(trees[index], inside[index]), trees[index], lexicon))
        else:
            found.extend(reading.facts)
            context.subject = subjects[index] or context.subject
        for aside in asides.get(index, ()):
            found.extend(read_aside(aside, context, reader.sentences))
    found.extend(_kinds_by_name(found, lexicon))
    return ParsedText(facts=found, sentences=len(trees))


def _kinds_by_name(facts: Sequence[Fact], lexicon: Lexicon) -> Iterator[Fact]:
    """Yield what compounds say by their heads: heat sensors and light sensors are kinds of the sensors told of."""
    mentions = [fact for fact in facts if isinstance(fact, MentionFact)]
    stated = {(fact.child, fact.parent) for fact in facts if isinstance(fact, KindFact)}
    for name, (head, source) in shared_heads(mentions).items():
        meant = nature_of(head, lexicon)
        is_value = meant.known and meant.type != "string"  # a planned and an actual date are fields
        if (name, head) not in stated and not is_value:
            yield KindFact(child=name, parent=head, source=replace(source, rule="parser:shared-head"))


def _parse_twice(sentences: Mapping[int, Sequence[Token]], readings: Sequence[Reading]) -> dict[int, Tree]:
    """Return the trees of the sentences by their index, those without a verb parsed again with one."""
    if not sentences:
        return {}
    trees = dict(zip(sentences, parse(list(sentences.values())), strict=True))
    again = {
        index: tokens
        for index, tree in trees.items()
        if (tokens := repaired(tree, sentences[index], readings[index].words)) is not None
    }
    return trees | dict(zip(again, parse(list(again.values())), strict=True))


def _parse_asides(
    readings: Sequence[Reading], brackets: Mapping[int, Mapping[int, Sequence[Token]]]
) -> dict[int, list[Tree]]:
    """Return the trees of what stands in brackets, and of notes, by the index of their sentence."""
    if not brackets:
        return {}
    asides = [(index, tokens) for index, inside in brackets.items() for tokens in inside.values()]
    asides += [
        (index, reading.sentence.tokens)
        for index, reading in enumerate(readings[: max(brackets) + 1])
        if index not in brackets and reading.sentence.kind != "heading" and len(reading.words) <= _LONGEST
    ]
    words = list(accumulate(len(tokens) for _, tokens in asides))
    asides = asides[: bisect_right(words, _MAX_ASIDE)]
    found: dict[int, list[Tree]] = {}
    for (index, _), tree in zip(asides, parse([tokens for _, tokens in asides]), strict=True):
        found.setdefault(index, []).append(tree)
    return found


def _within_budget(readings: Sequence[Reading]) -> list[int]:
    """Return which sentences to parse: the first that need it, as far as time allows."""
    chosen, total = [], 0
    for index, reading in enumerate(readings):
        total += len(reading.words) if _needs_tree(reading) else 0
        if total > _MAX_WORDS:
            break
        if _needs_tree(reading):
            chosen.append(index)
    return chosen


def _needs_tree(reading: Reading) -> bool:
    return reading.sentence.kind != "heading" and _SHORTEST <= len(reading.words) <= _LONGEST and not reading.is_noted


def _joined(plain: Sequence[Fact], parsed: Sequence[Fact], tree: Tree, lexicon: Lexicon) -> list[Fact]:
    """Return both readings of a sentence; where they speak of the same words, the tree knows better whose they are."""
    phrases = [fact.phrase for fact in parsed if isinstance(fact, PropertyFact)]
    owned = {phrase.head for phrase in phrases}
    owned |= {phrase.words[0] for phrase in phrases if phrase.words and _is_shared(phrase.words[0], lexicon)}
    related = any(isinstance(fact, RelationFact) for fact in parsed)
    if any(fact.source.rule == "parser:whether" for fact in parsed):
        plain = [fact for fact in plain if not (isinstance(fact, PropertyFact) and fact.phrase.hint == "boolean")]
    if any((node.dep == "relcl" and node.lemma == "be") or node.lower == "if" for node in tree):
        plain = [
            fact for fact in plain if not isinstance(fact, KindFact)
        ]  # "somebody who is a cook", "if it is a shirt"
    kinds = {(fact.parent, fact.child) for fact in parsed if isinstance(fact, KindFact)}
    verbs = {node.token.end for node in tree if node.is_verb and node.tag != "VBG"}
    states: set[EntityName] = {
        (node.lower,) for node in tree if node.tag.startswith("JJ") or node.tag in ("VBN", "VBG")
    }
    kept = [fact for fact in plain if not _is_outranked(fact, owned, related) and not _is_verb(fact, verbs)]
    kept = [fact for fact in kept if not _is_state(fact, states) and not _has_kind(fact, kinds)]
    return [fact for fact in (*kept, *parsed) if not _is_empty(fact, lexicon)]


def _is_shared(word: str, lexicon: Lexicon) -> bool:
    """Return whether a word is no field without its noun: "opening" of "opening and closing times"."""
    return lexicon.grammar.is_in(word, "sharing_words") and word not in lexicon.nouns.types


def _is_outranked(fact: Fact, owned: set[str], related: bool) -> bool:
    if isinstance(fact, PropertyFact):
        if fact.phrase.hint == "boolean" or fact.phrase.values or fact.values or fact.phrase.tail:
            return False
        return fact.phrase.head in owned
    return related and isinstance(fact, RelationFact)


def _is_verb(fact: Fact, verbs: set[int]) -> bool:
    """Return whether the patterns took a verb for a thing: "a guide has a name and speaks Dutch"."""
    return isinstance(fact, PropertyFact) and not fact.phrase.hint and fact.phrase.end in verbs


def _has_kind(fact: Fact, kinds: set[tuple[EntityName, EntityName]]) -> bool:
    """Return whether the patterns took a kind for something had: "employees, including the guides"."""
    return isinstance(fact, PropertyFact) and (fact.owner, entity_words(fact.phrase.words)) in kinds


def _is_state(fact: Fact, states: set[EntityName]) -> bool:
    """Return whether the patterns took an adjective for a thing: "a switch is either open or closed"."""
    match fact:
        case KindFact(child=name) | EntityFact(words=name):
            return name in states
        case _:
            return False


def _is_empty(fact: Fact, lexicon: Lexicon) -> bool:
    """A property whose one word is a kind, a list or a number names nothing."""
    if not isinstance(fact, PropertyFact) or len(fact.phrase.words) != 1:
        return False
    word = entity_words(fact.phrase.words)[0]
    if fact.phrase.plural and lexicon.grammar.is_in(word, "kind_nouns"):
        return True
    groups = ("not_things", "wrappers", "empty_things")
    return word not in lexicon.nouns.types and any(lexicon.grammar.is_in(word, group) for group in groups)


def product_names(text: str, lexicon: Lexicon) -> set[EntityName]:
    """Return initials that do something without an article: in "LMS stores all loans" LMS is the product."""
    names: set[EntityName] = set()
    for sentence in split_sentences(text):
        words = tag_words(sentence.tokens, lexicon)
        for index, word in enumerate(words[:-1]):
            is_initials = len(word.token.text) > 2 and word.token.text.isupper() and word.token.text.isalpha()
            before = words[index - 1].tag if index else "punct"
            if is_initials and before not in ("det", "adj", "noun", "num") and words[index + 1].tag in _DOING:
                names.add((word.lower,))
    return names
