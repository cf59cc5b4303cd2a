"""Sentences that forbid, reserve, limit or compare: "two visits must not overlap", "only an admin may delete posts".

Knows sentences and their words; knows no schema. What becomes of a demand is `rule_expressions`' concern.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from schemawire.analysis.context import Context
from schemawire.analysis.facts import EntityName, RelationFact, RuleFact, RuleNature, Source
from schemawire.analysis.lexicon import Grammar
from schemawire.analysis.lists import read_list
from schemawire.analysis.naming import entity_words
from schemawire.analysis.noun_phrases import Phrase, read_phrase
from schemawire.analysis.quantifiers import Quantity, read_number
from schemawire.analysis.sentences import Sentence
from schemawire.analysis.tagging import Word

_MAX_NAME_WORDS, _MAX_COMPARISON_WORDS = 6, 10
_SURE = 0.7
_OPPOSITE = {">": "<=", "<": ">=", ">=": "<", "<=": ">", "==": "!=", "!=": "=="}


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleFact(RuleFact):
    """Only people in some roles may do something, or (`denied`) they may not; each role as it is called, singular."""

    roles: tuple[tuple[str, ...], ...]
    denied: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ApartFact(RuleFact):
    """The times of a thing and those of another kind of thing must not overlap."""

    one: EntityName
    other: EntityName


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundFact(RuleFact):
    """A thing must not have more than `most` of another."""

    owner: EntityName
    owned: EntityName
    most: int


def read_rules(sentence: Sentence, words: Sequence[Word], context: Context) -> Iterator[RuleFact | RelationFact]:
    """Yield the rule that a sentence states, and the relation whose greatest number it tells."""
    bound = _read_bound(sentence, words, context)
    if bound is not None:
        source = Source(sentence.start, sentence.end, "bound", _SURE)
        yield RelationFact(
            source_words=bound.owner, target_words=bound.owned, verb="have", source=source,
            target_quantity=Quantity(0, bound.most, "at most"),
        )  # fmt: skip
        yield bound
        return
    rule = _read_comparison(sentence, words, context) or _read_demand(sentence, words, context)
    if rule is not None:
        yield rule


def _read_demand(sentence: Sentence, words: Sequence[Word], context: Context) -> RuleFact | None:
    grammar = context.lexicon.grammar
    nature = _nature(words, grammar)
    if nature is None:
        return None
    start = 1 if nature == "authorization" and grammar.is_in(words[0].lower, "reserving_words") else 0
    found = read_phrase(words, start, grammar)
    about = (context.resolve(found[0]) if found else None) or ()
    source = Source(sentence.start, sentence.end, "business-rule", _SURE)
    name = _name_of(words)
    apart = _read_apart(words, context) if nature == "text" else None
    if apart is not None:
        return ApartFact(name=name, about=about, nature=nature, source=source, one=apart[0], other=apart[1])
    denied = nature == "text"
    roles = _read_roles(words, start, grammar, denied=denied)
    if roles:
        return RoleFact(name=name, about=about, nature=nature, source=source, roles=roles, denied=denied)
    return RuleFact(name=name, about=about, nature=nature, source=source)


def _name_of(words: Sequence[Word]) -> tuple[str, ...]:
    return tuple(word.lower for word in words if word.tag in ("noun", "verb", "neg", "modal"))[:_MAX_NAME_WORDS]


def _read_roles(words: Sequence[Word], start: int, grammar: Grammar, *, denied: bool) -> tuple[tuple[str, ...], ...]:
    """Return who is spoken of before the modal verb, if that is nothing but a list of bare names.

    What somebody must not be or have is no matter of what they may do.
    """
    listed = read_list(words, start, grammar, is_subject=True)
    if listed is None or listed[1] >= len(words) or words[listed[1]].tag != "modal":
        return ()
    if denied and any(word.tag in ("be", "have") for word in words[listed[1] :]):
        return ()
    return tuple(entity_words(phrase.words) for phrase in listed[0]) if all(map(_is_bare, listed[0])) else ()


def _is_bare(phrase: Phrase) -> bool:
    counted = phrase.quantity is not None and phrase.quantity.word not in ("a", "an")
    return bool(phrase.words) and phrase.of is None and phrase.owner is None and not counted


def _read_apart(words: Sequence[Word], context: Context) -> tuple[EntityName, EntityName] | None:
    """Read "a visit must not overlap (with) a holiday": two kinds of things whose times are apart."""
    grammar = context.lexicon.grammar
    verb = next((i for i, word in enumerate(words) if grammar.is_in(word.lower, "overlapping_verbs")), None)
    if verb is None:
        return None
    subjects = read_list(words, 0, grammar, is_subject=True)
    behind = verb + 1 + (verb + 1 < len(words) and words[verb + 1].tag == "prep")
    object_ = read_phrase(words, behind, grammar)
    phrases = [*(subjects[0] if subjects else ()), *([object_[0]] if object_ else ())]
    things = [context.resolve(phrase) for phrase in phrases]
    if len(things) != 2 or things[0] is None or things[1] is None or things[0] == things[1]:
        return None
    return things[0], things[1]


def _read_bound(sentence: Sentence, words: Sequence[Word], context: Context) -> BoundFact | None:
    found = _read_bound_per(words, context) or _read_bound_denied(words, context)
    if found is None:
        return None
    owner, owned, most = found
    source = Source(sentence.start, sentence.end, "bound", _SURE)
    name = ("at", "most", str(most), *owned, "per", *owner)
    return BoundFact(name=name, about=owner, nature="text", source=source, owner=owner, owned=owned, most=most)


def _read_bound_per(words: Sequence[Word], context: Context) -> tuple[EntityName, EntityName, int] | None:
    """Read "(there are) at most five loans (allowed) per member", which says nothing else."""
    grammar = context.lexicon.grammar
    per = next((i for i, word in enumerate(words) if grammar.is_in(word.lower, "distributing_words")), None)
    if per is None:
        return None
    behind = read_phrase(words, per + 1, grammar)
    start = next((i for i, word in enumerate(words) if not _opens(word, grammar)), per)
    counted = read_phrase(words[:per], start, grammar)
    if behind is None or counted is None or any(word.tag != "punct" for word in words[behind[1] :]):
        return None
    if any(not _permits(word, grammar) for word in words[counted[1] : per]):
        return None
    return _bounded(behind[0], counted[0], counted[0].quantity, context)


def _opens(word: Word, grammar: Grammar) -> bool:
    return word.lower == "there" or word.tag in ("be", "modal") or grammar.is_in(word.lower, "distributing_words")


def _permits(word: Word, grammar: Grammar) -> bool:
    return word.tag in ("be", "modal") or grammar.is_in(word.lower, "permitting_words")


def _read_bound_denied(words: Sequence[Word], context: Context) -> tuple[EntityName, EntityName, int] | None:
    """Read "a member must not have more than five loans"."""
    grammar = context.lexicon.grammar
    found = read_phrase(words, 0, grammar)
    if found is None or not found[0].words or not _forbids(words[found[1] : found[1] + 2], grammar):
        return None
    index = found[1] + (1 if grammar.is_in(words[found[1]].lower, "forbidding_words") else 2)
    if [word.lower for word in words[index + 1 : index + 3]] != ["more", "than"] or index + 3 >= len(words):
        return None
    most, counted = read_number(words[index + 3].lower, grammar), read_phrase(words, index + 3, grammar)
    if most is None or words[index].tag not in ("verb", "have") or counted is None:
        return None
    if any(word.tag != "punct" for word in words[counted[1] :]):
        return None
    return _bounded(found[0], counted[0], Quantity(0, most, "at most"), context)


def _forbids(words: Sequence[Word], grammar: Grammar) -> bool:
    lowers = [word.lower for word in words]
    if any(grammar.is_in(word, "forbidding_words") for word in lowers[:1]):
        return True
    return len(lowers) == 2 and grammar.is_in(lowers[0], "allowing_modals") and grammar.is_in(lowers[1], "negations")


def _bounded(
    owner: Phrase, owned: Phrase, quantity: Quantity | None, context: Context
) -> tuple[EntityName, EntityName, int] | None:
    """Return the bound, if both are things that were told of and it is no exact number."""
    names = context.resolve(owner), context.resolve(owned)
    if names[0] is None or names[1] is None or not {names[0], names[1]} <= context.known:
        return None
    if quantity is None or quantity.high is None or quantity.low or quantity.high < 1 or names[0] == names[1]:
        return None
    return names[0], names[1], quantity.high


def _read_comparison(sentence: Sentence, words: Sequence[Word], context: Context) -> RuleFact | None:
    """Read "the end date must not be before the start date" as a comparison of two fields."""
    grammar = context.lexicon.grammar
    found = read_phrase(words, 0, grammar)
    if found is None or found[1] + 2 >= len(words):
        return None
    if not grammar.is_in(words[found[1]].lower, "demanding_modals"):
        return None
    first, index = found
    index += 1
    negated = grammar.is_in(words[index].lower, "negations")
    index += negated
    if not grammar.is_in(words[index].lower, "comparing_verbs"):
        return None
    lowers = tuple(word.lower for word in words[index + 1 : index + 5])
    match = max((said for said in grammar.comparisons if lowers[: len(said)] == said), key=len, default=None)
    behind = read_phrase(words, index + 1 + len(match), grammar) if match else None
    if match is None or behind is None or not first.words or not behind[0].words:
        return None
    sign = grammar.comparisons[match]
    owner = context.owner_of(first) or context.owner_of(behind[0]) or context.subject
    told = (*first.words, *(("not",) if negated else ()), *match, *behind[0].words)
    return RuleFact(
        name=told[:_MAX_COMPARISON_WORDS], about=owner or (), nature="check",
        source=Source(sentence.start, sentence.end, "comparison", _SURE), first=first.words,
        sign=_OPPOSITE[sign] if negated else sign, second=behind[0].words,
    )  # fmt: skip


def _nature(words: Sequence[Word], grammar: Grammar) -> RuleNature | None:
    lowers = [word.lower for word in words]
    if grammar.is_in(lowers[0], "reserving_words") and any(grammar.is_in(word, "allowing_modals") for word in lowers):
        return "authorization"
    if any(grammar.is_in(word, "forbidding_words") for word in lowers):
        return "text"
    pairs = pairwise(lowers)
    is_forbidden = any(grammar.is_in(a, "allowing_modals") and grammar.is_in(b, "negations") for a, b in pairs)
    return "text" if is_forbidden else None
