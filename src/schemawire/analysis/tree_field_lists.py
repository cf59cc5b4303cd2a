"""Lists of fields: in brackets behind a thing, or behind a colon.

Reads "students (name, matriculation number and grade) apply" and "picks make an origin: latitude, longitude, depth".
Knows trees and references; knows no schema.
"""

from collections.abc import Iterator, Sequence

from schemawire.analysis.attributes import is_known_field, nature_of
from schemawire.analysis.facts import EntityName, Fact
from schemawire.analysis.lexicon import Lexicon
from schemawire.analysis.naming import singular
from schemawire.analysis.notes import FIELD_LIST, read_fields, split_items
from schemawire.analysis.parsing import Node
from schemawire.analysis.references import References
from schemawire.analysis.sentences import Token
from schemawire.analysis.tagging import Word, tag_words
from schemawire.analysis.tree_clauses import is_passive, objects, subjects

_MAX_WORDS = 5
_FEWEST = 2
_RATHER = 5
"""The rating from which a noun rather names a field."""
_MOST_OTHERS = 0.4
"""The share of a list that need not be known as fields."""
_OPENINGS = frozenset({"such", "like", "for", "either"})


def read_bracketed_fields(noun: Node, inside: Sequence[Token], refer: References) -> Iterator[Fact]:
    """Yield the fields that brackets behind a thing list; nothing if they list values, kinds or examples."""
    words = tag_words(inside, refer.context.lexicon)
    if _lists_fields(words, refer.context.lexicon) and not _is_field(noun, refer):
        owner = _bracket_owner(noun, refer)
        if owner is not None:
            yield from read_fields(owner, words, refer.context, FIELD_LIST)


def read_announced_fields(noun: Node, behind: Sequence[Token], refer: References) -> Iterator[Fact]:
    """Yield the fields listed behind the colon that follows a noun; nothing if they are values or kinds."""
    last = max((index for index, token in enumerate(behind) if token.is_word), default=-1)
    words = tag_words(behind[: last + 1], refer.context.lexicon)
    if _lists_fields(words, refer.context.lexicon) and not _is_field(noun, refer):
        owner = refer.topic or _announced_owner(noun, refer)
        if owner is not None:
            yield from read_fields(owner, words, refer.context, FIELD_LIST)


def _lists_fields(words: Sequence[Word], lexicon: Lexicon) -> bool:
    """Return whether most of what is listed is known as a field."""
    items = list(split_items(words, lexicon.grammar))
    if len(items) < _FEWEST or any(len(item) > _MAX_WORDS for item in items):
        return False
    if lexicon.grammar.is_in(words[0].lower, "examples") or words[0].lower in _OPENINGS:
        return False
    unknown = sum(not _names_field([word.lower for word in item], lexicon) for item in items)
    return unknown <= _MOST_OTHERS * len(items)


def _names_field(words: Sequence[str], lexicon: Lexicon) -> bool:
    rated = lexicon.ratings.get(singular(words[-1]))
    return nature_of(words, lexicon).known or (rated is not None and rated.field >= _RATHER)


def _is_field(noun: Node, refer: References) -> bool:
    """Return whether what stands before a list is a field or a state itself: the list then holds its values."""
    grammar = refer.context.lexicon.grammar
    if grammar.is_in(noun.lower, "information_words"):
        return False
    state = grammar.is_in(singular(noun.lower), "state_nouns")
    return state or is_known_field(refer.phrases.read(noun), refer.context.lexicon)


def _bracket_owner(noun: Node, refer: References) -> EntityName | None:
    """Return what brackets tell of: of "the visits of a doctor (date, reason)" the visit."""
    above = noun.head.head if noun.dep == "pobj" and noun.head.lower == "of" else None
    told = above if above is not None and above.is_noun and not _is_field(above, refer) else noun
    informing = refer.context.lexicon.grammar.is_in(told.lower, "information_words")
    return None if informing else refer.resolve(told)


def _announced_owner(before: Node, refer: References) -> EntityName | None:
    """Return what a list behind a colon tells of: of "he writes a prescription for each patient:" the prescription."""
    informing = refer.context.lexicon.grammar
    if informing.is_in(before.lower, "information_words"):
        return refer.owner(before) or next(filter(None, map(refer.resolve, subjects(before.head))), None)
    if before.dep != "pobj":
        return refer.resolve(before)
    joint, above = before.head, before.head.head
    if joint.lower == "by" and above.is_verb and is_passive(above):
        return next(filter(None, map(refer.resolve, subjects(above))), None)
    if joint.lower in ("for", "of") and above.is_noun and not informing.is_in(above.lower, "information_words"):
        return refer.resolve(above)
    if joint.lower == "for" and above.is_verb and objects(above):
        return refer.resolve(objects(above)[0])
    return refer.resolve(before)
