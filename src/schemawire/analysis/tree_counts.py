"""How many of each there are, by the words before two nouns and the mood of the verb between them.

Knows trees; knows no schema.
"""

from dataclasses import replace

from schemawire.analysis.facts import EntityName
from schemawire.analysis.lexicon import Lexicon
from schemawire.analysis.parsing import Node
from schemawire.analysis.quantifiers import MANY, ONE, OPTIONAL, SOME, Quantity
from schemawire.analysis.tree_clauses import is_passive, modality
from schemawire.analysis.tree_phrases import PhraseReader

_VAGUE = frozenset({"a", "an", "each", "every", "another", "one", "all", "any", "some", "no"})


Counts = tuple[Quantity | None, Quantity | None]
"""How many subjects there are for one object, and how many objects for one subject; `None` where nothing tells."""


def agent_counts(agent: Node, phrases: PhraseReader) -> Counts:
    """Return the counts behind "by": bare agents are shared out, "tours are led by guides" means one guide each."""
    quantity = phrases.read(agent).quantity if agent.is_noun else None
    return quantity or ONE, MANY


def both_counts(doer: Node, other: Node, verb: Node, word: str, phrases: PhraseReader) -> Counts:
    """Return the counts of a subject and of an object or of what stands behind a preposition."""
    return _source_count(doer, word, phrases), _target_count(other, verb, doer, word, phrases)


def _source_count(doer: Node, word: str, phrases: PhraseReader) -> Quantity | None:
    """Return how many subjects there are for one object, where the subject is counted."""
    if not doer.is_noun:
        return MANY if word == "to" else None
    quantity = phrases.read(doer).quantity
    if quantity is None or quantity.word in _VAGUE:
        return MANY if word == "to" else None
    return quantity


def _target_count(other: Node, verb: Node, doer: Node, word: str, phrases: PhraseReader) -> Quantity | None:
    """Return how many objects there are for one subject, as the noun and the verb's mood say."""
    if not other.is_noun:
        return None
    phrase, mood = phrases.read(other), modality(verb)
    staying = phrases.lexicon.verbs.is_in(verb.lemma, "staying") and word
    if staying and phrase.quantity is None and not phrase.determiner:
        return ONE  # "faults are assigned to technicians": each to one
    each = any(child.lower in ("each", "every") for child in doer.kids("det"))
    quantity = phrase.quantity or (MANY if phrase.plural else ONE if phrase.determiner else None)
    if quantity is None:
        return None
    singular = not quantity.is_many and (phrase.determiner in ("a", "an", "the") or phrase.determiner == "")
    creating = phrases.lexicon.verbs.is_in(verb.lemma, "creating") or mood in ("may", "can")
    if singular and not word and not each and creating and not is_passive(verb):
        return MANY  # "a customer places an order": the next day another one
    if mood in ("may", "can") and quantity.low == 1:
        return OPTIONAL if quantity.high == 1 else replace(quantity, low=0)
    return SOME if mood == "must" and quantity == MANY else quantity


def is_own_act(doer: EntityName, done: EntityName, verb: Node, lexicon: Lexicon) -> bool:
    """Return whether someone does something anew each time: "a parker takes a ticket" and later another one."""
    person = doer[-1] in lexicon.senses["persons"] or doer[-1] in lexicon.nouns.people
    written, happens = (done[-1] in lexicon.senses[sense] for sense in ("documents", "events"))
    shared = lexicon.verbs.is_in(verb.lemma, "sharing") and (happens or verb.lemma != "take")
    return person and (written or happens) and not shared
