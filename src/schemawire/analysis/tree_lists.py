"""Lists of nouns by word order: a parser loses the later items of "a planned date, an actual date and a cost".

Knows trees and the order of their words; knows no statement.
"""

from collections.abc import Sequence

from schemawire.analysis.parsing import Node, Tree
from schemawire.analysis.tree_phrases import conjuncts

_SEPARATORS = frozenset({",", "and", "or", ";"})
_PARTS = ("compound", "amod", "nmod", "poss", "nummod", "advmod", "det", "predet", "case", "npadvmod", "quantmod")
_MAX_LIST = 24
_FINITE = ("VBZ", "VBP", "VBD", "MD")
_OPENING = ("DT", "JJ", "JJR", "JJS", "NN", "NNS", "NNP", "NNPS", "CD", "PRP$", "VBN", "VBG", "PDT", "RB", "POS")


def listed(noun: Node, tree: Tree, *, is_subject: bool = False) -> list[Node]:
    """Return a noun and the heads of what is listed behind it, those that only word order shows included.

    A last item with a verb of its own begins the next clause, unless the list itself is the subject of that verb.
    """
    found, index = [noun], noun.index + 1
    while index < len(tree) and len(found) < _MAX_LIST:
        start = _behind_of(tree, index)
        after = start
        while after < len(tree) and tree[after].lower in _SEPARATORS:
            after += 1
        head = _head_from(tree, after) if after > start else None
        if head is None:
            break
        following = tree[head.index + 1] if head.index + 1 < len(tree) else None
        if following is not None and following.tag in _FINITE and not is_subject:
            break
        found.append(head)
        index = head.index + 1
    known = {node.index for node in found}
    extra = [node for node in conjuncts(noun) if node.index not in known and node.is_noun]
    return [*found, *extra]


def _behind_of(tree: Tree, index: int) -> int:
    """Step over "of birth" behind the head of an item."""
    if index < len(tree) and tree[index].lower in ("of", "per"):
        head = _head_from(tree, index + 1)
        return head.index + 1 if head is not None else index
    return index


def _head_from(tree: Tree, index: int) -> Node | None:
    """Return the head of the noun phrase that begins at an index: its last noun before anything else."""
    head = None
    while index < len(tree) and tree[index].tag in _OPENING and tree[index].lower not in _SEPARATORS:
        if head is not None and tree[index].tag in ("DT", "PRP$", "RB"):
            break
        if tree[index].is_noun:
            head = tree[index]
        index += 1
    return head


def owner_behind(nodes: Sequence[Node], tree: Tree) -> Node | None:
    """Return whose the items of a list are by the "of" behind the last: "the name and position of a player"."""
    last = max(nodes, key=lambda node: node.index)
    index = last.index + 1
    if index + 1 < len(tree) and tree[index].lower == "of":
        head = _head_from(tree, index + 1)
        if head is not None and (tree[index + 1].tag in ("DT", "PRP$") or head.tag == "NNS"):
            return head
    return None
