"""Notes: "Post: title string, author -> User", bracketed field lists, bullets under a heading.

Knows the tokens of a note; knows no clause.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from schemawire.analysis.attributes import is_only_type, type_word
from schemawire.analysis.context import Context
from schemawire.analysis.facts import EntityFact, EntityName, Fact, PropertyFact, RelationFact, Source
from schemawire.analysis.lexicon import Grammar
from schemawire.analysis.lists import read_item
from schemawire.analysis.naming import entity_words
from schemawire.analysis.noun_phrases import Mark, Phrase, read_phrase
from schemawire.analysis.quantifiers import MANY, ONE
from schemawire.analysis.tagging import Word
from schemawire.schema.model import FieldType

_SEPARATORS = frozenset({",", ";", "|"})
_MARKS: tuple[Mark, ...] = ("optional", "required", "unique")
NOTED = frozenset({"heading", "bullet", "definition", "notes", "bracket-definition"})
"""The rules of what headings, bullets and notes declare."""
FIELD_LIST = "field-list"
"""The rule of fields that prose lists in brackets or behind a colon."""
_SURE = 0.95


@dataclass(frozen=True, slots=True)
class Definition:
    """A named thing, and the words that list what it has."""

    head: Phrase
    items: tuple[Word, ...]


def find_definition(words: Sequence[Word], context: Context) -> Definition | None:
    """Return the definition that a line is: a short name, a colon (or a bracket), and a list without a verb."""
    found = read_phrase(words, 0, context.lexicon.grammar)
    if found is None or not found[0].words or len(found[0].words) > 3:
        return None
    head, after = found
    if head.bracket and _is_end(words, after):
        return Definition(replace(head, bracket=()), head.bracket)
    if after >= len(words) or words[after].lower not in (":", "-", "–", "—", "="):
        return None
    rest = tuple(words[after + 1 :])
    if not rest or any(
        word.tag in ("be", "modal", "have") or (word.tag == "verb" and word.form in ("s", "base")) for word in rest
    ):
        return None
    return Definition(head, rest)


def _is_end(words: Sequence[Word], index: int) -> bool:
    return all(not word.token.is_word for word in words[index:])


def read_definition(definition: Definition, context: Context) -> Iterator[Fact]:
    """Yield the thing that a definition names and what it has."""
    head, grammar = definition.head, context.lexicon.grammar
    name = entity_words(head.words)
    if context.is_system(head) or (len(name) == 1 and grammar.is_in(head.words[0].lower(), "general_headings")):
        for phrase in read_items(definition.items, context):
            yield from declare(phrase, context, "listed")
        return
    owner = context.topic if grammar.is_in(head.words[0].lower(), "field_headings") and context.topic else name
    context.subject = owner
    yield EntityFact(words=owner, source=Source(head.start, head.end, "definition", _SURE))
    yield from read_fields(owner, definition.items, context, "definition")


def declare(phrase: Phrase, context: Context, rule: str) -> Iterator[Fact]:
    """Yield a listed thing with the fields in its brackets."""
    name = context.name(phrase)
    if name is None or context.is_system(phrase):
        return
    yield EntityFact(words=name, source=Source(phrase.start, phrase.end, rule, _SURE))
    if phrase.bracket:
        yield from read_fields(name, phrase.bracket, context, "bracket")


def read_fields(owner: EntityName, words: Sequence[Word], context: Context, rule: str) -> Iterator[Fact]:
    """Yield the fields of a list of notes, one between every two commas."""
    for part in split_items(words, context.lexicon.grammar):
        yield from read_field(owner, part, context, rule)


def read_field(owner: EntityName, part: Sequence[Word], context: Context, rule: str) -> Iterator[Fact]:
    """Yield one noted field: a name, perhaps with a type, a target ("-> User"), marks and limits."""
    lowers = [word.lower for word in part]
    start, end = part[0].token.start, part[-1].token.end
    if "->" in lowers[:-1]:
        yield from _read_arrow(owner, part, lowers.index("->"), context, Source(start, end, "arrow", _SURE))
        return
    part = _without_colon(part)
    if len(part) == 1 and part[0].token.is_word:
        part = (replace(part[0], tag="noun"),)  # in a list, "make" is no verb
    found = read_item(part, 0, context.lexicon.grammar)
    if found is None or not found[0].words:
        return
    phrase, after = found
    rest = tuple(part[after:])
    phrase, kind = _take_type(phrase, rest, rule)
    if rest and kind is None:
        phrase = replace(phrase, tail=(*phrase.tail, *rest))
    stated: frozenset[Mark] = frozenset(mark for mark in _MARKS if mark in lowers)
    phrase = replace(phrase, marks=phrase.marks | stated, start=start, end=end)
    yield PropertyFact(owner=owner, phrase=phrase, source=Source(start, end, rule, _SURE), type=kind)


def _take_type(phrase: Phrase, rest: Sequence[Word], rule: str) -> tuple[Phrase, FieldType | None]:
    """Return a noted field without the type behind its name, and that type: "title string", "title: string"."""
    if len(phrase.words) > 1 and _is_type_note(phrase, rule):
        return replace(phrase, words=phrase.words[:-1]), type_word(phrase.words[-1])
    return phrase, next((kind for word in rest if (kind := type_word(word.lower))), None)


def _without_colon(part: Sequence[Word]) -> tuple[Word, ...]:
    """Read "title: string" like "title string"."""
    return tuple(word for word in part if word.lower not in (":", "="))


def _is_type_note(phrase: Phrase, rule: str) -> bool:
    """Return whether the last word notes a type: "title string" does, "birth date" keeps the noun."""
    last = phrase.words[-1]
    return is_only_type(last) or (
        rule not in ("bracket", FIELD_LIST) and last in ("text", "money") and len(phrase.words) == 2
    )


def _read_arrow(
    owner: EntityName, part: Sequence[Word], arrow: int, context: Context, source: Source
) -> Iterator[Fact]:
    found = read_phrase(part, arrow + 1, context.lexicon.grammar)
    if found is None or (target := context.name(found[0])) is None:
        return
    role = tuple(word.lower for word in part[:arrow] if word.tag in ("noun", "adj", "verb"))
    many = found[0].is_many
    yield EntityFact(words=target, source=source, strength="stated")
    yield RelationFact(
        source_words=owner, target_words=target, verb="have", source=source, role=role,
        source_quantity=MANY, target_quantity=MANY if many else ONE,
    )  # fmt: skip


def read_items(words: Sequence[Word], context: Context) -> Iterator[Phrase]:
    """Yield the phrases of a list of things."""
    for part in split_items(words, context.lexicon.grammar):
        found = read_item(part, 0, context.lexicon.grammar)
        if found is not None and found[0].words:
            yield found[0]


def split_items(words: Sequence[Word], grammar: Grammar) -> Iterator[tuple[Word, ...]]:
    """Yield the words between commas and conjunctions, brackets kept whole, without "e.g." and "etc."."""
    part: list[Word] = []
    depth = 0
    ranged = False
    for word in words:
        depth += (word.lower in ("(", "[", "{")) - (word.lower in (")", "]", "}"))
        ranged = (ranged or word.lower == "between") and word.lower != ","
        divides = depth <= 0 and (word.lower in _SEPARATORS or (word.lower in ("and", "or", "&") and not ranged))
        if not divides and not (depth <= 0 and grammar.is_in(word.lower, "examples")):
            part.append(word)
        elif divides and part:
            yield tuple(part)
            part = []
    if part:
        yield tuple(part)
