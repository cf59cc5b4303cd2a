"""Branches that a parser hangs on the wrong noun, hung where the meaning of the words shows that they belong.

Knows trees and what common nouns mean; knows no fact.
"""

from schemawire.analysis.lexicon import Lexicon
from schemawire.analysis.naming import is_plural, singular
from schemawire.analysis.parsing import Node, Tree

_CONCRETE = ("persons", "bodies", "places", "documents", "objects")
_TELLING = ("documents", "events")
_ABOUT = frozenset({"about", "for", "on", "of", "to", "from", "by"})
_LISTING = frozenset({"include", "contain", "consist", "list", "state", "describe", "specify", "show", "comprise",
                      "summarise", "summarize", "cover", "record", "indicate"})  # fmt: skip


def repair_branches(tree: Tree, lexicon: Lexicon) -> None:
    """Change a tree in place: nouns that share no head are parted, and "which" means the paper, not its subject."""
    for node in tree:
        if node.is_noun and node.head is node and node.kids("nsubj", "nsubjpass") and node.kids("xcomp"):
            node.tag = "VBP"  # "the length and the width need to be given"
        if node.is_noun and node.dep in ("nmod", "compound") and node.head.is_noun:
            _part(node, lexicon)
        elif node.dep == "relcl" and node.lemma in _LISTING:
            _lift(node, lexicon)


def _part(first: Node, lexicon: Lexicon) -> None:
    """Read "each berth and storage shed" as a berth and a storage shed; "heat and light sensors" share their head."""
    head = first.head
    second = next((other for other in first.kids("conj") if first.index < other.index < head.index), None)
    if second is None or head.head is head or not _stands_alone(first, second, head, lexicon):
        return
    for child in [child for child in head.children if child.index < first.index]:
        _hang(child, first, child.dep)
    joint = [child for child in first.children if child.dep == "cc"]
    _hang(first, head.head, head.dep)
    _hang(second, head, "compound")
    _hang(head, first, "conj")
    for child in joint:
        _hang(child, first, "cc")


def _stands_alone(first: Node, second: Node, head: Node, lexicon: Lexicon) -> bool:
    if not second.is_noun or lexicon.grammar.is_in(first.lower, "sharing_words"):
        return False
    if first.tag == "NNS" and is_plural(first.lower):
        return True
    if singular(head.lower) in lexicon.nouns.types:
        return False
    kinds = [sense for sense in _CONCRETE if first.lower in lexicon.senses[sense]]
    return bool(kinds) and not any(second.lower in lexicon.senses[sense] for sense in kinds)


def _lift(verb: Node, lexicon: Lexicon) -> None:
    """Read "a report about a bridge, which includes a verdict": the report does."""
    near = verb.head
    between = near.head
    far = next(iter(between.head.kids("dobj", "nsubjpass")), None) if between.head.is_verb else between.head
    starts = any(child.lower == "which" for child in verb.kids("nsubj"))
    if far is None or not starts or near.dep != "pobj" or between.lower not in _ABOUT or not far.is_noun:
        return
    tells = {sense for sense in _TELLING if singular(far.lower) in lexicon.senses[sense]}
    if tells and not any(singular(near.lower) in lexicon.senses[sense] for sense in tells):
        _hang(verb, far, "relcl")


def _hang(node: Node, head: Node, dep: str) -> None:
    if node.head is not node:
        node.head.children.remove(node)
    node.head, node.dep = head, dep
    head.children.append(node)
    head.children.sort(key=lambda child: child.index)
