"""Kinds by example: "employees, including the registrar and the guides" and "vehicles such as vans".

Knows trees and references; knows no schema.
"""

from collections.abc import Sequence

from schemawire.analysis.facts import EntityName, KindFact, Source
from schemawire.analysis.lexicon import Lexicon
from schemawire.analysis.parsing import Node, Tree
from schemawire.analysis.references import References
from schemawire.analysis.tree_clauses import adjuncts, is_conditional, modality
from schemawire.analysis.tree_filling import is_doer
from schemawire.analysis.tree_lists import head_from, listed
from schemawire.analysis.tree_phrases import conjuncts

_LIKELY = 0.65
_SENSES = ("bodies", "documents", "events", "objects", "places")
_FEWEST = 2
_INTRODUCING = frozenset({"including", "like"})


def kinds_by_example(noun: Node, tree: Tree, refer: References) -> list[KindFact]:
    """Return what a noun's examples are kinds of, where all of them mean the same sort of thing."""
    parent = refer.resolve(noun) if noun.tag == "NNS" else None
    if parent is None:
        return []
    first = _example_behind(noun, tree)
    items = listed(first, tree) if first is not None else []
    if any(item.kids("poss") or any(word.lower in ("a", "an") for word in item.kids("det")) for item in items):
        return []  # "facilities such as a pool or a court" are no model of all facilities
    return _kinds(parent, items, refer)


def _example_behind(noun: Node, tree: Tree) -> Node | None:
    """Return the first example, found by the tree or, where that hangs it on the verb, by word order."""
    for word, preposition, behind in adjuncts(noun):
        such = word == "as" and bool(preposition.kids("amod"))
        if (such or word in _INTRODUCING) and behind[0].is_noun:
            return behind[0]
    start = noun.index + 1
    start += start < len(tree) and tree[start].lower == ","
    words = [node.lower for node in tree[start : start + 2]]
    if words[:1] != ["including"] and words != ["such", "as"]:
        return None
    return head_from(tree, start + (1 if words[0] == "including" else 2))


def _kinds(parent: EntityName, items: Sequence[Node], refer: References) -> list[KindFact]:
    lexicon = refer.context.lexicon
    named = [(name, item) for item in items if not refer.is_field(item) and (name := refer.resolve(item)) is not None]
    alike = [_is_alike(name, parent, lexicon) for name, _ in named]
    if len(named) < max(_FEWEST, len(items)) or False in alike or alike.count(True) * 2 < len(items):
        return []
    return [
        KindFact(child=kind, parent=parent, source=Source(item.token.start, item.token.end, "parser:kind-of", _LIKELY))
        for kind, item in named
        if kind != parent
    ]


def _is_alike(name: EntityName, parent: EntityName, lexicon: Lexicon) -> bool | None:
    """Return whether two names mean the same sort of thing, `None` where the meaning of the first is not known."""
    if name[-1].endswith(parent[-1]) and name != parent:
        return True
    if is_doer(parent, lexicon) and is_doer(name, lexicon):
        return True
    senses = [sense for sense in _SENSES if name[-1] in lexicon.senses[sense]]
    if any(parent[-1] in lexicon.senses[sense] for sense in senses):
        return True
    return False if senses or is_doer(name, lexicon) else None


def says_kind(verb: Node, attribute: Node) -> bool:
    """Tell whether a form of be speaks of kinds: "can be a person or a firm" does, "can be a cook too" does not."""
    if is_conditional(verb):
        return False  # "a size, if it is a shirt"
    if modality(verb) in ("", "will"):
        return True
    items = conjuncts(attribute)
    either = any(node.lower == "or" for item in items for node in item.kids("cc"))
    articles = all(any(word.lower in ("a", "an") for word in item.kids("det")) for item in items)
    return len(items) > 1 and either and articles and modality(verb) in ("may", "can")
