"""Whose a field is where someone fills it in, and what a noun stands for that only wraps others.

Knows trees and references; knows no statement.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from schemawire.analysis.facts import EntityName
from schemawire.analysis.lexicon import Lexicon
from schemawire.analysis.naming import entity_words, singular
from schemawire.analysis.noun_phrases import Phrase
from schemawire.analysis.parsing import Node, Tree
from schemawire.analysis.references import References
from schemawire.analysis.tree_clauses import adjuncts, objects

_ABOUT = frozenset({"for", "of", "about", "to", "on"})
_DOERS = ("er", "or", "ee", "ist", "ant", "ian")


def is_doer(name: EntityName, lexicon: Lexicon) -> bool:
    """Return whether a name means a person, by its noun or by its ending."""
    return name[-1] in lexicon.senses["persons"] or name[-1] in lexicon.nouns.people or name[-1].endswith(_DOERS)


def filled_in(verb: Node, doers: Sequence[Node], refer: References) -> EntityName | None:
    """Return what someone fills in: "the clerk opens a booking and enters the date" gives the booking a date."""
    about = [noun for word, _, nouns in adjuncts(verb) if word in _ABOUT for noun in nouns]
    things = [*about, *(thing for act in _acts_around(verb) for thing in objects(act))]
    resolved = (refer.resolve(thing) for thing in things if not refer.is_field(thing))
    named = {refer.resolve(doer) for doer in doers}
    return next((name for name in resolved if name is not None and name not in named), None)


def is_by_person(doers: Sequence[Node], refer: References) -> bool:
    """Return whether a person does something, or nobody is said to."""
    names = [name for doer in doers if (name := refer.resolve(doer)) is not None]
    return not doers or any(is_doer(name, refer.context.lexicon) for name in names)


def is_personal(phrase: Phrase, lexicon: Lexicon) -> bool:
    """Return whether a field is one that people have: a guest who gives a name and an email gives their own."""
    name = entity_words(phrase.words)
    tails = (" ".join(name[start:]) for start in range(len(name)))
    return any(lexicon.grammar.is_in(tail, "personal_fields") for tail in tails)


def focus_of(tree: Tree, refer: References) -> EntityName | None:
    """Return the last thing, no person and no field, that a sentence says something is done to or happens to."""
    focus = None
    for node in tree:
        if node.dep in ("dobj", "nsubjpass", "nsubj") and node.is_noun and not refer.is_field(node):
            name = refer.resolve(node)
            if name is not None and not is_doer(name, refer.context.lexicon):
                focus = name
    return focus


def _acts_around(verb: Node) -> Iterator[Node]:
    """Yield the other verbs of a sentence that do something to what a verb fills in."""
    around = [verb.head] if verb.dep in ("conj", "advcl") else [verb.head.head] if verb.dep == "pcomp" else []
    around += verb.kids("advcl")
    around += [act for preposition in verb.kids("prep") for act in preposition.kids("pcomp")]
    yield from (act for act in around if act.is_verb and act is not verb)


def shared_out(noun: Node, phrase: Phrase, of: Sequence[Node]) -> Phrase:
    """Read "the names of the guests" and "their names" as one name each."""
    theirs = any(poss.lower == "their" or poss.tag == "NNS" for poss in noun.kids("poss"))
    if not theirs and not (of and of[0].tag == "NNS"):
        return phrase
    return replace(phrase, words=(*phrase.words[:-1], singular(phrase.words[-1])), plural=False)


def unwrapped(noun: Node, lexicon: Lexicon) -> Node:
    """Return what a list or set is of: "a list of certificates" means those."""
    of = next((nouns for word, _, nouns in adjuncts(noun) if word == "of"), [])
    wraps = lexicon.grammar.is_in(noun.lower, "wrappers") and bool(of) and of[0].tag == "NNS"
    return of[0] if wraps else noun
