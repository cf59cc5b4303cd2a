"""Verbs of a tree to who does what: subjects and objects found across conjunctions, relative clauses and passives.

Knows trees; knows no schema.
"""

from collections.abc import Iterator

from schemawire.analysis.parsing import Node
from schemawire.analysis.tree_phrases import conjuncts

_MAX_CLIMB = 8
LIGHT = frozenset({("take", "place"), ("take", "part"), ("take", "account"), ("keep", "track"), ("make", "use")})
_CONDITIONS = frozenset({"if", "when", "unless", "whenever", "once", "until", "while", "after", "before"})


def is_passive(verb: Node) -> bool:
    """Return whether the subject undergoes the verb: "is stored", "rooms booked by guests"."""
    if verb.kids("auxpass", "nsubjpass"):
        return True
    if verb.dep == "acl":
        return verb.tag == "VBN"
    return verb.dep == "conj" and verb.tag == "VBN" and not verb.kids("aux", "nsubj") and is_passive(verb.head)


def is_negated(verb: Node) -> bool:
    """Return whether a verb is denied."""
    return any(child.dep == "neg" or child.lower in ("not", "never", "cannot") for child in verb.children)


def is_conditional(verb: Node) -> bool:
    """Return whether a verb stands in a clause behind if, when or after: what it says need not last."""
    node = verb
    for _ in range(_MAX_CLIMB):
        if node.dep == "advcl" and any(child.lower in _CONDITIONS for child in node.kids("mark", "advmod")):
            return True
        if node.dep not in ("conj", "xcomp", "ccomp", "relcl"):
            return False
        node = node.head
    return False


def modality(verb: Node) -> str:
    """Return the modal verb of a verb or of the one that it is joined to, lower case."""
    node = verb
    for _ in range(_MAX_CLIMB):
        modal = next((child.lower for child in node.kids("aux") if child.tag == "MD"), "")
        if modal or node.dep not in ("conj", "xcomp"):
            return modal
        node = node.head
    return ""


def subjects(verb: Node) -> list[Node]:
    """Return who does a verb, or undergoes it if it is passive."""
    node = verb
    for _ in range(_MAX_CLIMB):
        own = node.kids("nsubj", "nsubjpass")
        if own and not is_relative(own[0]):
            doers = [other for subject in own for other in conjuncts(subject)]
            return _kind_of(node, doers) if node is not verb else doers
        if own or node.dep in ("acl", "relcl"):
            return bearers(node.head) if node.dep in ("acl", "relcl") and node.head.is_noun else []
        if node.dep == "xcomp" and node.head.kids("dobj"):
            return node.head.kids("dobj")  # "allows guests to book": the guests do
        if node.dep not in ("conj", "xcomp", "advcl", "pcomp", "ccomp", "prep", "agent"):
            return []
        node = node.head
    return []


def _kind_of(be: Node, doers: list[Node]) -> list[Node]:
    """Return what has a thing that several kinds share: "nurses and doctors are employees and have a number"."""
    kinds = [thing for thing in be.kids("attr") if thing.is_noun and not thing.kids("det", "poss", "prep")]
    shared = be.lemma == "be" and len(doers) > 1 and len(kinds) == 1 and not kinds[0].kids("conj")
    return kinds if shared else doers


def bearers(noun: Node) -> list[Node]:
    """Return what has the properties that hang on a noun: of "plants are products with a height" the plants."""
    if noun.dep == "attr" and noun.head.lemma == "be" and not noun.head.kids("expl"):
        doers = subjects(noun.head)
        return [noun] if len(doers) > 1 else doers or [noun]
    return [noun]


def is_relative(node: Node) -> bool:
    """Return whether a word stands for the noun before its clause: which, that, "each of whom"."""
    if node.tag in ("WDT", "WP") or (node.lower == "that" and node.tag != "DT"):
        return True
    return any(is_relative(inner) for part in node.kids("prep") for inner in part.kids("pobj"))  # "each of whom"


def objects(verb: Node) -> list[Node]:
    """Return what a verb is done to, with everything listed with it; the head noun of "that it stores"."""
    own = [other for thing in verb.kids("dobj", "dative") for other in conjuncts(thing) if not is_relative(thing)]
    own = [thing for thing in own if (verb.lemma, thing.lower) not in LIGHT]
    relative = any(is_relative(thing) for thing in verb.kids("dobj"))
    if relative and verb.dep == "relcl" and verb.head.is_noun:
        return [verb.head]
    if not own and verb.dep == "conj" and verb.head.is_verb and verb.index < _first(verb.head):
        return objects(verb.head)  # "create or edit posts"
    return own


def _first(verb: Node) -> int:
    return min((thing.index for thing in verb.kids("dobj")), default=-1)


def adjuncts(node: Node) -> Iterator[tuple[str, Node, list[Node]]]:
    """Yield each preposition that hangs on a verb or noun, its node, and the nouns behind it."""
    for preposition in node.kids("prep", "agent", "dative"):
        behind = [other for thing in preposition.kids("pobj") for other in conjuncts(thing)]
        if behind:
            yield preposition.lower, preposition, behind


def adjuncts_of(node: Node) -> list[str]:
    """Return the prepositions that hang on a node."""
    return [word for word, _, _ in adjuncts(node)]
