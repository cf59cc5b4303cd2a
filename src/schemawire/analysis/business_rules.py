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

_MAX_NAME_WORDS = 6
_SURE = 0.7
_FORBIDDING = frozenset((modal, no) for modal in ("must", "may", "can", "should") for no in ("not", "never"))
_FORBIDDING_WORDS = frozenset({"cannot"})
_ALLOWING = frozenset({"may", "can", "must", "should"})


def read_rule(sentence: Sentence, words: Sequence[Word], context: Context) -> RuleFact | None:
    """Return the rule that a sentence states, or `None` if it states none."""
    nature = _nature(words)
    if nature is None:
        return None
    start = 1 if nature == "authorization" and words[0].lower == "only" else 0
    found = read_phrase(words, start, context.lexicon.grammar)
    about = context.resolve(found[0]) if found else None
    name = tuple(word.lower for word in words if word.tag in ("noun", "verb", "neg", "modal"))[:_MAX_NAME_WORDS]
    source = Source(sentence.start, sentence.end, "business-rule", _SURE)
    return RuleFact(name=name, about=about or (), nature=nature, source=source)


def _nature(words: Sequence[Word]) -> RuleNature | None:
    lowers = [word.lower for word in words]
    if lowers[0] == "only" and any(word in _ALLOWING for word in lowers):
        return "authorization"
    if any(pair in _FORBIDDING for pair in pairwise(lowers)) or _FORBIDDING_WORDS & set(lowers):
        return "text"
    return None
