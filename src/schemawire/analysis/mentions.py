"""Every noun of a tree as a mention: what is named, in which role, and how it is introduced.

Knows trees; decides nothing.
"""

from collections.abc import Iterator
from dataclasses import replace

from schemawire.analysis.context import Context
from schemawire.analysis.facts import MentionFact, PathFact, Role, Source
from schemawire.analysis.naming import entity_words
from schemawire.analysis.parsing import Node, Tree
from schemawire.analysis.references import References
from schemawire.analysis.tree_clauses import is_conditional, is_passive
from schemawire.analysis.tree_paths import read_paths
from schemawire.analysis.tree_phrases import PhraseReader, coordinated, first_of_list

_ROLES: dict[str, Role] = {
    "nsubj": "subject", "nsubjpass": "undergoer", "dobj": "object", "dative": "object", "attr": "complement",
    "oprd": "complement", "poss": "possessor", "pobj": "behind",
}  # fmt: skip
_PARTS = ("compound", "nmod", "amod", "npadvmod")
_MAX_CLIMB = 10
_SURE = 0.5
_SHORTEST = 2


def read_mentions(tree: Tree, refer: References) -> Iterator[MentionFact | PathFact]:
    """Yield a mention for each noun that names something and each pronoun that stands for it, and the ways between."""
    named = []
    for node in tree:
        possessive = node.tag == "PRP$"
        if node.dep in _PARTS or not (node.is_noun or node.tag == "PRP" or possessive):
            continue
        name = refer.possessor(node) if possessive else refer.resolve(node)
        literal = () if possessive or node.tag == "PRP" else refer.literally(node)
        if name is not None:
            named.append((node, name))
            if not possessive:
                yield _mention(node, name, refer)
        if literal and literal != name:
            yield replace(_mention(node, literal, refer), doubtful=True)
            if name is None:
                named.append((node, literal))
    yield from read_paths(named, refer)
    for node in tree:
        modifies = node.dep == "compound" and node.tag == "NN" and node.head.is_noun and not node.kids("compound")
        if modifies and node.token.is_word and len(node.lower) > _SHORTEST:
            yield _modifier(node)


def read_aside(tree: Tree, context: Context, sentence: int) -> Iterator[MentionFact]:
    """Yield the things that brackets or a note behind a sentence name, without what they say of each other."""
    refer = References(context, PhraseReader(context.lexicon), sentence=sentence)
    for fact in read_mentions(tree, refer):
        if isinstance(fact, MentionFact):
            yield replace(fact, aside=True)


def _modifier(node: Node) -> MentionFact:
    """Return the mention of a noun before another: in "project name" and "project leader" there is a project."""
    source = Source(node.token.start, node.token.end, "parser:mention", _SURE)
    return MentionFact(words=entity_words((node.lower,)), source=source, role="modifier", determiner="before")


def _mention(node: Node, name: tuple[str, ...], refer: References) -> MentionFact:
    phrase = refer.phrases.read(node)
    verb = _verb_above(node)
    idle = verb is not None and refer.context.lexicon.verbs.is_in(verb.lemma, "idle")
    return MentionFact(
        words=name, source=Source(phrase.start, node.token.end, "parser:mention", _SURE), role=_role(node),
        determiner="it" if node.tag == "PRP" else phrase.determiner, counted=phrase.quantity is not None,
        plural=node.tag in ("NNS", "NNPS"), proper=node.tag.startswith("NNP"), idle=idle,
        conditional=verb is not None and is_conditional(verb),
        adjective=any(child.dep == "amod" and child.lower == name[0] for child in node.children),
        sentence=refer.sentence, verb=verb.lemma if verb is not None else "", particle=_particle(node),
        listed=len(coordinated([node])), numbered=_is_numbered(node),
    )  # fmt: skip


def _is_numbered(node: Node) -> bool:
    """Return whether a noun is the number of something, or that something."""
    top = first_of_list(node)
    behind = top.dep == "pobj" and top.head.lower == "of" and top.head.head.lower == "number"
    return behind or (node.lower == "number" and any(child.lower == "of" for child in node.kids("prep")))


def _particle(node: Node) -> str:
    top = node
    while top.dep in ("conj", "appos") and top.head.is_noun:
        top = top.head
    return top.head.lower if top.dep == "pobj" else ""


def _role(node: Node) -> Role:
    top = node
    for _ in range(_MAX_CLIMB):
        if top.dep not in ("conj", "appos") or top.head is top:
            break
        top = top.head
    role = _ROLES.get(top.dep, "other")
    if role == "behind":
        return "agent" if top.head.dep == "agent" else "of" if top.head.lower == "of" else "behind"
    if role == "subject" and top.head.is_verb and is_passive(top.head):
        return "undergoer"
    return role


def _verb_above(node: Node) -> Node | None:
    above = node
    for _ in range(_MAX_CLIMB):
        if above.head is above:
            return None
        above = above.head
        if above.is_verb or above.tag == "MD":
            return above
    return None
