"""What is meant where a text says information: "the details of a patient (name, address)" are fields of the patient.

Knows trees and references; knows no schema.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from schemawire.analysis.alternatives import holder
from schemawire.analysis.context import Context
from schemawire.analysis.facts import EntityName, Fact, PropertyFact, Source
from schemawire.analysis.notes import read_fields
from schemawire.analysis.parsing import Node, Tree
from schemawire.analysis.references import References
from schemawire.analysis.sentences import Token
from schemawire.analysis.tagging import tag_words
from schemawire.analysis.tree_clauses import adjuncts, objects
from schemawire.analysis.tree_lists import listed
from schemawire.analysis.tree_phrases import Brackets

_SURE = 0.8
_WHOSE = frozenset({"of", "for", "about", "on"})
_INCLUDING = frozenset({"including", "like"})


def is_information(noun: Node, context: Context) -> bool:
    """Return whether a noun says that something is known, without saying what."""
    return noun.is_noun and context.lexicon.grammar.is_in(noun.lower, "information_words")


def read_information(noun: Node, tree: Tree, brackets: Brackets, refer: References) -> Iterator[Fact]:
    """Yield the fields that information consists of, where both they and their owner are said."""
    owner = owner_of_information(noun, refer)
    if owner is None:
        return
    inside = brackets.get(noun.token.end) or _behind(noun, brackets)
    if inside:
        yield from read_fields(owner, tag_words(inside, refer.context.lexicon), refer.context, "information")
    for item in _items(noun, tree):
        phrase = refer.phrases.read(item)
        if phrase.words and not is_information(item, refer.context):
            source = Source(phrase.start, phrase.end, "parser:information", _SURE)
            yield PropertyFact(owner=owner, phrase=replace(phrase, determiner=""), source=source)


def owner_of_information(noun: Node, refer: References) -> EntityName | None:
    """Return whose information it is: "of each patient", "the patient's", or that of whoever gives it."""
    for word, _, behind in adjuncts(noun):
        if word in _WHOSE and (name := refer.resolve(behind[0])) is not None:
            return name
    return refer.owner(noun) or holder(noun, refer)


def _behind(noun: Node, brackets: Brackets) -> Sequence[Token]:
    """Return the brackets behind "the details of a patient"."""
    for word, _, nouns in adjuncts(noun):
        if word in _WHOSE and nouns[-1].token.end in brackets:
            return brackets[nouns[-1].token.end]
    return ()


def _items(noun: Node, tree: Tree) -> list[Node]:
    verb = noun.head
    if noun.dep == "nsubj" and verb.is_verb and verb.lemma in ("include", "contain", "consist", "comprise", "be"):
        first = objects(verb) or verb.kids("attr")
        return listed(first[0], tree) if first and first[0].is_noun else []
    for word, _, nouns in adjuncts(noun):
        if word in _INCLUDING:
            return listed(nouns[0], tree)
    such = [n for word, node, nouns in adjuncts(noun) if word == "as" and node.kids("amod") for n in nouns]
    return listed(such[0], tree) if such else []
