"""Requests: "Create a blog system with posts and comments", "I need an app for managing books".

Knows the words that open a request and name a product; the list behind them are things of the domain.
"""

from collections.abc import Sequence

from schemawire.analysis.lexicon import Grammar, Lexicon
from schemawire.analysis.lists import read_list
from schemawire.analysis.naming import is_plural
from schemawire.analysis.noun_phrases import Phrase, read_phrase
from schemawire.analysis.tagging import Word

_OPENING_WINDOW = 9
_PREDICATES = frozenset({"verb", "be", "have", "modal"})
_SKIPPED = frozenset({"and", "also", "the", "following", ":", "-", "entities", "tables", "both", "models", "objects"})


def find_product(words: Sequence[Word], lexicon: Lexicon) -> tuple[tuple[str, ...], int] | None:
    """Return the words of the product that a request asks for, and the index behind them; `None` if it is none.

    "Create a blog system with …" asks for ("blog", "system").
    """
    grammar = lexicon.grammar
    verb = _request_verb(words, grammar)
    start = verb + 1 if verb is not None else 0
    while (
        start < len(words)
        and words[start].tag in ("det", "pron", "to", "verb", "prep", "adv")
        and not _is_container(words[start], grammar)
    ):
        start += 1
    end = start
    container = None
    while (
        end < len(words)
        and end - start < _OPENING_WINDOW
        and words[end].tag in ("noun", "adj", "poss", "verb", "num", "adv")
    ):
        if end > start and words[end].lower in grammar.lead_ins:
            break
        if words[end].lower in grammar.containers:
            container = end
        end += 1
    if container is None and verb is None and _is_bare_list(words, end):
        return tuple(word.lower for word in words[start:end]), end
    if container is None or not _has_lead(words, container + 1, grammar, asked=verb is not None):
        return None
    return tuple(word.lower for word in words[start : container + 1]), container + 1


def _is_bare_list(words: Sequence[Word], index: int) -> bool:
    """Return whether "with" and a plural follow and no verb does: "zoo with animals and keepers"."""
    ahead = words[index + 1 : index + 3]
    plural = any(word.tag == "noun" and is_plural(word.lower) for word in ahead)
    return plural and words[index].lower == "with" and index > 0 and not any(word.tag in _PREDICATES for word in words)


def _request_verb(words: Sequence[Word], grammar: Grammar) -> int | None:
    """Return the index of the verb that asks for something, if the sentence opens with it."""
    for index, word in enumerate(words[:_OPENING_WINDOW]):
        if word.lower in grammar.request_verbs and (index == 0 or word.tag == "verb"):
            return index
        if word.lower not in grammar.openers and word.tag not in ("modal", "to", "be", "have", "adv", "punct", "pron"):
            return None
    return None


def _is_container(word: Word, grammar: Grammar) -> bool:
    return word.lower in grammar.containers


def _has_lead(words: Sequence[Word], index: int, grammar: Grammar, *, asked: bool) -> bool:
    """A bare "blog system with posts" is a request too, but only with its list."""
    following = words[index].lower if index < len(words) else ""
    if asked:
        return True
    has_verb = any(word.tag in ("verb", "be", "have", "modal") and word.form != "ing" for word in words[index:])
    return following in ("with", "for", "including", "featuring", "to", "containing", "having", ":") and not has_verb


def read_request_list(words: Sequence[Word], index: int, lexicon: Lexicon) -> tuple[list[Phrase], int] | None:
    """Return the things listed behind a product and the index behind them.

    Steps over what introduces the list: "with", "for managing", "that keeps track of", "where users manage".
    """
    grammar = lexicon.grammar
    while index < len(words) and (words[index].lower in grammar.lead_ins or words[index].lower in _SKIPPED):
        if words[index].lower == "where":
            return None  # a clause follows
        index += 1
    return read_list(words, index, grammar)


def read_purpose(words: Sequence[Word], index: int, lexicon: Lexicon) -> tuple[Phrase, int] | None:
    """Return what a product is for and the index behind it: "a database for a football league" is the league's."""
    if (
        index + 1 >= len(words)
        or words[index].lower != "for"
        or words[index + 1].lower not in ("a", "an", "the", "my", "our")
    ):
        return None
    found = read_phrase(words, index + 1, lexicon.grammar)
    if found is None or found[0].plural or not found[0].words:
        return None
    return found


def product_name(words: Sequence[str], grammar: Grammar) -> tuple[str, ...]:
    """Return what is left of a product's words as the schema's name: "blog system" is the blog, "app" nothing."""
    kept = [word for word in words if word not in grammar.strict_containers and word not in grammar.system_words]
    kept = [word for word in kept if not grammar.is_in(word, "empty_adjectives") and word not in ("'s", "'")]
    return tuple(kept)
