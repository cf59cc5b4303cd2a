"""How two nouns of a sentence hang together: the way between them in its tree, as a short text.

Knows trees; knows no meaning.
"""

from collections.abc import Iterator, Sequence

from schemawire.analysis.facts import EntityName, PathFact, Source
from schemawire.analysis.parsing import Node
from schemawire.analysis.quantifiers import MANY, ONE, Quantity
from schemawire.analysis.references import References

_STEPS = {
    "nsubj": "S", "nsubjpass": "P", "dobj": "O", "dative": "O", "attr": "T", "oprd": "T", "poss": "'s", "relcl": "R",
    "acl": "A", "advcl": "V", "xcomp": "X", "ccomp": "X", "compound": "N", "nmod": "N", "agent": "by", "pcomp": "X",
}  # fmt: skip
_SILENT = ("pobj", "conj", "appos", "prep")
_MAX_STEPS, _MAX_MENTIONS, _MAX_DEPTH = 4, 20, 40
_WEAK = 0.4

Mention = tuple[Node, EntityName]


def read_paths(mentions: Sequence[Mention], refer: References) -> Iterator[PathFact]:
    """Yield the way between each two things that a sentence names."""
    named = mentions[:_MAX_MENTIONS]
    for index, (first, name) in enumerate(named):
        for second, other in named[index + 1 :]:
            if name != other:
                yield _path(first, second, (name, other), refer)


def _path(first: Node, second: Node, names: tuple[EntityName, EntityName], refer: References) -> PathFact:
    above, below = _ancestors(first), _ancestors(second)
    shared = next((node for node in above if node in below), above[-1])
    up, down = above[: above.index(shared)], below[: below.index(shared)] if shared in below else below
    left, right = _steps(up), _steps(down)
    siblings = not left and not right
    far = len(left) + len(right) > _MAX_STEPS
    path = "listed" if siblings else "far" if far else f"{' '.join(left)}|{' '.join(right)}"
    return PathFact(
        first=names[0], second=names[1], path=path, distance=len(up) + len(down),
        source=Source(first.token.start, second.token.end, "parser:path", _WEAK),
        first_quantity=_quantity(first, refer), second_quantity=_quantity(second, refer),
        idle=shared.is_verb and refer.context.lexicon.verbs.is_in(shared.lemma, "idle"),
        verb=shared.lemma if shared.is_verb else "", sentence=refer.sentence,
    )  # fmt: skip


def _ancestors(node: Node) -> list[Node]:
    """Return a node and what it hangs on, up to the root."""
    found = [node]
    while found[-1].head is not found[-1] and len(found) < _MAX_DEPTH:
        found.append(found[-1].head)
    return found


def _steps(nodes: Sequence[Node]) -> list[str]:
    steps = []
    for node in nodes:
        if node.dep == "prep":
            steps.append(node.lower)
        elif node.dep not in _SILENT:
            steps.append(_STEPS.get(node.dep, "x"))
    return steps


def _quantity(node: Node, refer: References) -> Quantity | None:
    if not node.is_noun:
        return None
    phrase = refer.phrases.read(node)
    return phrase.quantity or (MANY if phrase.plural else ONE if phrase.determiner else None)
