"""Sentences that forbid or reserve something: "two visits must not overlap", "only an admin may delete posts".

Knows sentences and their words; knows no schema. What they demand is kept in words, for people to turn into checks.
"""

from collections.abc import Sequence
from itertools import pairwise

from schemawire.analysis.context import Context
from schemawire.analysis.facts import RuleFact, RuleNature, Source
from schemawire.analysis.noun_phrases import read_phrase
from schemawire.analysis.sentences import Sentence
from schemawire.analysis.tagging import Word

_MAX_NAME_WORDS, _MAX_COMPARISON_WORDS = 6, 10
_SURE = 0.7
_FORBIDDING = frozenset((modal, no) for modal in ("must", "may", "can", "should") for no in ("not", "never"))
_FORBIDDING_WORDS = frozenset({"cannot"})
_DEMANDING = frozenset({"must", "should", "shall"})
_OPPOSITE = {">": "<=", "<": ">=", ">=": "<", "<=": ">", "==": "!=", "!=": "=="}
_ALLOWING = frozenset({"may", "can", "must", "should"})


def read_rule(sentence: Sentence, words: Sequence[Word], context: Context) -> RuleFact | None:
    """Return the rule that a sentence states, or `None` if it states none."""
    compared = _read_comparison(sentence, words, context)
    nature = _nature(words)
    if compared is not None or nature is None:
        return compared
    start = 1 if nature == "authorization" and words[0].lower == "only" else 0
    found = read_phrase(words, start, context.lexicon.grammar)
    about = context.resolve(found[0]) if found else None
    name = tuple(word.lower for word in words if word.tag in ("noun", "verb", "neg", "modal"))[:_MAX_NAME_WORDS]
    source = Source(sentence.start, sentence.end, "business-rule", _SURE)
    return RuleFact(name=name, about=about or (), nature=nature, source=source)


def _read_comparison(sentence: Sentence, words: Sequence[Word], context: Context) -> RuleFact | None:
    """Read "the end date must not be before the start date" as a comparison of two fields."""
    grammar = context.lexicon.grammar
    found = read_phrase(words, 0, grammar)
    if found is None or found[1] + 2 >= len(words) or words[found[1]].lower not in _DEMANDING:
        return None
    first, index = found
    index += 1
    negated = words[index].lower in ("not", "never")
    index += negated
    if words[index].lower not in ("be", "lie", "come"):
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


def _nature(words: Sequence[Word]) -> RuleNature | None:
    lowers = [word.lower for word in words]
    if lowers[0] == "only" and any(word in _ALLOWING for word in lowers):
        return "authorization"
    if any(pair in _FORBIDDING for pair in pairwise(lowers)) or _FORBIDDING_WORDS & set(lowers):
        return "text"
    return None
