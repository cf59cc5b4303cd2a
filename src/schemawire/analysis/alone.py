"""A description that names nothing but one thing: "blog post", "Build a CRM".

Knows the products that everybody knows; used only where no sentence could be read.
"""

from dataclasses import dataclass

from schemawire.analysis.facts import EntityFact, Fact, NameFact, Source
from schemawire.analysis.lexicon import Grammar, Lexicon
from schemawire.analysis.naming import entity_words, split_words

_MAX_SINGLE = 3
_CLOSED = (
    "articles", "pronouns", "be", "have", "do", "modals", "prepositions", "conjunctions", "adverbs", "subordinators",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Alone:
    """What the one thing amounts to, and what to tell people about it."""

    facts: tuple[Fact, ...] = ()
    warning: str = ""


def read_alone(description: str, lexicon: Lexicon) -> Alone:
    """Return the usual things of a product that is named alone, or the one thing that a word or two name."""
    words = split_words(description)
    asked = _without_request(words, lexicon.grammar)
    if not all(word[0].isalpha() for word in words):
        return Alone()
    kept = [word for word in asked if not any(lexicon.grammar.is_in(word, group) for group in _CLOSED)]
    kept = [word for word in kept if word not in lexicon.grammar.strict_containers] or kept
    if not 0 < len(kept) <= _MAX_SINGLE or (asked == words and len(words) > _MAX_SINGLE):
        return Alone()
    start = len(description) - len(description.lstrip())
    end = len(description.rstrip())
    usual = _usual_things(kept, lexicon) if asked != words else ()
    if usual:
        source = Source(start, end, "default:product", 0.3)
        things = tuple(EntityFact(words=entity_words(thing.split("_")), source=source) for thing in usual)
        name = NameFact(words=tuple(kept), source=source)
        said = ", ".join(thing.replace("_", " ") for thing in usual)
        return Alone(facts=(name, *things), warning=f"only a product is named; assumed its usual things ({said})")
    thing = EntityFact(words=entity_words(kept), source=Source(start, end, "single-phrase", 0.3))
    return Alone(facts=(thing,), warning="only one thing is named")


def _without_request(words: list[str], grammar: Grammar) -> list[str]:
    """Return what is asked for: "please build a CRM" is a CRM."""
    index = 0
    while index < len(words) and (words[index] in grammar.openers or words[index] in grammar.request_verbs):
        index += 1
    asked = any(word in grammar.request_verbs for word in words[:index])
    return words[index:] if asked and index < len(words) else words


def _usual_things(kept: list[str], lexicon: Lexicon) -> tuple[str, ...]:
    products = lexicon.domains.products
    names = ("_".join(kept), *(word for word in kept if word not in lexicon.grammar.system_words))
    return next((products[name] for name in names if name in products), ())
