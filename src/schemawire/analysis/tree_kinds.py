"""Kinds by example: "employees, including the registrar and the guides" and "vehicles such as vans".

Knows trees and references; knows no schema.
"""

from collections.abc import Sequence

from schemawire.analysis.facts import EntityName, KindFact, Source
from schemawire.analysis.lexicon import Lexicon
from schemawire.analysis.naming import entity_words
from schemawire.analysis.parsing import Node, Tree
from schemawire.analysis.references import References
from schemawire.analysis.tree_clauses import adjuncts
from schemawire.analysis.tree_filling import is_doer
from schemawire.analysis.tree_lists import listed

_LIKELY = 0.65
_SENSES = ("bodies", "documents", "events", "objects", "places")
_FEWEST = 2


def kinds_by_example(noun: Node, tree: Tree, refer: References) -> list[KindFact]:
    """Return what a noun's examples are kinds of, where all of them mean the same sort of thing."""
    parent = refer.resolve(noun) if noun.tag == "NNS" else None
    if parent is None or refer.is_field(noun):
        return []
    found: list[KindFact] = []
    for word, preposition, behind in adjuncts(noun):
        such = word == "as" and bool(preposition.kids("amod"))
        if such or word in ("including", "like"):
            found += _kinds(parent, listed(behind[0], tree) if behind[0].is_noun else [], refer)
    return found


def _kinds(parent: EntityName, items: Sequence[Node], refer: References) -> list[KindFact]:
    lexicon = refer.context.lexicon
    names = [refer.resolve(item) for item in items if not refer.is_field(item)]
    kinds = [name for name in names if name is not None and name != parent and _is_alike(name, parent, lexicon)]
    if len(kinds) < _FEWEST or len(kinds) < len(items):
        return []
    spans = zip(kinds, items, strict=True)
    return [
        KindFact(child=kind, parent=parent, source=Source(item.token.start, item.token.end, "parser:kind-of", _LIKELY))
        for kind, item in spans
    ]


def _is_alike(name: EntityName, parent: EntityName, lexicon: Lexicon) -> bool:
    if name[-1] == parent[-1] and len(name) > len(parent):
        return True
    if is_doer(parent, lexicon):
        return is_doer(name, lexicon)
    ends = entity_words((name[-1],))[-1], entity_words((parent[-1],))[-1]
    return any(all(end in lexicon.senses[sense] for end in ends) for sense in _SENSES)
