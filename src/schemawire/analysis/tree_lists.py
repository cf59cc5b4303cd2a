"""Lists of nouns by word order: a parser loses the later items of "a planned date, an actual date and a cost".

Knows trees and the order of their words; knows no statement.
"""

from collections.abc import Sequence
from itertools import takewhile

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
    found, index = [*_listed_before(noun, tree), noun] if is_subject else [noun], noun.index + 1
    while index < len(tree) and len(found) < _MAX_LIST:
        start = _behind_of(tree, index)
        after = start
        while after < len(tree) and tree[after].lower in _SEPARATORS:
            after += 1
        head = head_from(tree, after) if after > start else None
        if head is None:
            break
        following = tree[head.index + 1] if head.index + 1 < len(tree) else None
        if following is not None and following.tag in _FINITE and not is_subject:
            break
        found.append(head)
        index = head.index + 1
    known = {node.index for node in found}
    inside = {index - 1 for index in known}  # "model and fuel type": a parser may list the fuel by itself
    extra = [node for node in conjuncts(noun) if node.index not in known | inside and node.is_noun]
    return [*found, *extra]


def listed_all(nouns: Sequence[Node], tree: Tree, *, is_subject: bool = False) -> list[Node]:
    """Return nouns with what word order shows to be listed behind the first, each once."""
    if not nouns or not nouns[0].is_noun:
        return list(nouns)
    found = listed(nouns[0], tree, is_subject=is_subject)
    inside = {noun.index - 1 for noun in found}  # "phone number" is one item
    return list({n.index: n for n in (*found, *(n for n in nouns if n.index not in inside))}.values())


def without_outer(items: Sequence[Node]) -> list[Node]:
    """Return what hangs on a "with": of "a location with coordinates, a format and a code" the coordinates alone."""
    if items and not items[0].kids("det", "poss", "nummod"):
        return list(takewhile(lambda item: not item.kids("det"), items))
    return list(items)


def _listed_before(noun: Node, tree: Tree) -> list[Node]:
    """Return what is listed before a subject: a parser may take only the last item for it."""
    found: list[Node] = []
    index = _left_edge(noun, tree) - 1
    while index > 0 and tree[index].lower in _SEPARATORS and len(found) < _MAX_LIST:
        while index > 0 and (tree[index].lower in _SEPARATORS or tree[index].tag == "RB"):
            index -= 1
        edge = _left_edge(tree[index], tree)
        if edge > 1 and tree[edge - 1].lower == "of" and tree[edge - 2].is_noun:
            index = edge - 2  # "the year of production"
        before = _left_edge(tree[index], tree) - 1
        if not tree[index].is_noun or (before >= 0 and tree[before].tag == "IN"):
            break  # "for each grave, the row and the number": the grave is none of them
        found.append(tree[index])
        index = before
    return found[::-1]


def _left_edge(noun: Node, tree: Tree) -> int:
    """Return where the noun phrase of a head begins, its article included."""
    index = noun.index
    while index > 0 and tree[index - 1].tag in _OPENING and tree[index].tag not in ("DT", "PRP$"):
        if tree[index - 1].lower in _SEPARATORS:
            break
        index -= 1
    return index


def _behind_of(tree: Tree, index: int) -> int:
    """Step over "of birth" or "with coordinates" behind the head of an item."""
    if index + 1 < len(tree) and tree[index].lower == "with" and tree[index + 1].is_noun:
        return tree[index + 1].index + 1
    if index < len(tree) and tree[index].lower in ("of", "per"):
        head = head_from(tree, index + 1)
        return head.index + 1 if head is not None else index
    return index


def head_from(tree: Tree, index: int) -> Node | None:
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
    if last.lower == "number" and not last.kids("compound"):
        return None
    if index + 1 < len(tree) and tree[index].lower == "of":
        head = head_from(tree, index + 1)
        if head is not None and (tree[index + 1].tag in ("DT", "PRP$") or head.tag == "NNS"):
            return head
    return None
