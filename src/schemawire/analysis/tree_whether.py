"""States that a text lists as clauses: "whether a print waits for paper, is ready, or was thrown away".

Knows trees and references; knows no schema.
"""

from collections.abc import Iterator, Sequence

from schemawire.analysis.alternatives import holder, read_alternatives
from schemawire.analysis.facts import ConstraintFact, Fact, Source
from schemawire.analysis.parsing import Node, Tree
from schemawire.analysis.references import References
from schemawire.analysis.tree_phrases import Brackets

_SURE = 0.75
_FEWEST, _MAX_VALUES, _MAX_WORDS = 3, 8, 6
_JOINING = frozenset({",", "or"})
_STOPS = frozenset({".", ";", "!", "?", ":", "and"})
_SILENT = frozenset({"is", "are", "was", "were", "be", "been", "has", "have", "will", "either", "already"})


def read_choices(tree: Tree, brackets: Brackets, refer: References) -> Iterator[Fact]:
    """Yield what a sentence lists as kinds or values, be it as nouns or as clauses."""
    yield from read_alternatives(tree, brackets, refer)
    yield from filter(None, [states_of_clauses(tree, refer)])


def states_of_clauses(tree: Tree, refer: References) -> ConstraintFact | None:
    """Return the values of a status that at least three clauses behind "whether" list."""
    whether = next((node for node in tree if node.lower == "whether"), None)
    if whether is None:
        return None
    parts = _parts(tree[whether.index + 1 :])
    verb = next((node for node in tree[whether.index + 1 :] if node.is_verb or node.tag == "MD"), None)
    if len(parts) < _FEWEST or verb is None:
        return None
    opening = [node for node in parts[0] if node.index < verb.index]
    doer = next((node for node in reversed(opening) if node.is_noun or node.tag == "PRP"), None)
    first = [node for node in parts[0] if doer is None or node.index > doer.index]
    values = [_value(part) for part in (first, *parts[1:])]
    owner = refer.resolve(doer) if doer is not None and not refer.is_field(doer) else holder(whether, refer)
    owner = owner or (refer.resolve(doer) if doer is not None else None)
    if owner is None or not all(values):
        return None
    source = Source(whether.token.start, parts[-1][-1].token.end, "parser:whether", _SURE)
    return ConstraintFact(owner=owner, field=("status",), source=source, values=tuple(dict.fromkeys(values)))


def _parts(nodes: Sequence[Node]) -> list[list[Node]]:
    """Return the clauses of a list that ends in "or", or nothing where they are too long or too many."""
    parts: list[list[Node]] = [[]]
    for node in nodes:
        if node.lower in _STOPS:
            break
        if node.lower in _JOINING:
            parts.append([])
        else:
            parts[-1].append(node)
    parts = [part for part in parts if part]
    fits = len(parts) <= _MAX_VALUES and all(len(part) <= _MAX_WORDS for part in parts)
    return parts if fits and any(node.lower == "or" for node in nodes) else []


def _value(part: Sequence[Node]) -> str:
    """Return a clause without the helping verbs it opens with: "is ready" is "ready", "waits for paper" stays."""
    start = next((index for index, node in enumerate(part) if node.lower not in _SILENT), len(part))
    return " ".join(node.lower for node in part[start:])
