"""What prose says around its domain: adverbial idioms, and sentences that tell how it was before.

Knows tokens and trees; knows no fact.
"""

from collections.abc import Sequence

from schemawire.analysis.lexicon import Lexicon
from schemawire.analysis.parsing import Node, Tree
from schemawire.analysis.sentences import Token

_MAX_WORDS = 4
_SAME = frozenset({"i.e.", "i.e", "ie"})
_CLOSING = frozenset({",", ".", ";", "!", "?", ")"})
_PRESENT = ("VBZ", "VBP", "MD")


def without_idioms(tokens: Sequence[Token], lexicon: Lexicon) -> list[Token]:
    """Return the tokens without idioms whose nouns name nothing, such as "by hand", and with "and" for "as well as"."""
    kept: list[Token] = []
    index = 0
    while index < len(tokens):
        if [token.lower for token in tokens[index : index + 3]] == ["as", "well", "as"]:
            kept.append(Token("and", "and", tokens[index].start, tokens[index + 2].end))
            index += 3
            continue
        length = _idiom_at(tokens, index, lexicon)
        index += length
        if length and not kept and index < len(tokens) and tokens[index].text == ",":
            index += 1  # "in general, guests pay" begins with the guests
        elif not length:
            kept.append(tokens[index])
            index += 1
    return kept


def without_explanations(tokens: Sequence[Token]) -> list[Token]:
    """Return the tokens without what "i.e." only says in other words: "a wax seal, i.e. a stamp"."""
    start = next((index for index, token in enumerate(tokens) if token.lower in _SAME), None)
    if start is None or start + 1 >= len(tokens) or tokens[start + 1].lower not in ("a", "an", "the"):
        return list(tokens)
    end = next((i for i in range(start + 1, len(tokens)) if tokens[i].text in _CLOSING), len(tokens))
    if any(token.lower in ("and", "or") for token in tokens[start:end]):
        return list(tokens)
    opening = start - 1 if start and tokens[start - 1].text == "," else start
    return [*tokens[:opening], *tokens[end + (end < len(tokens) and tokens[end].text == ",") :]]


def _idiom_at(tokens: Sequence[Token], index: int, lexicon: Lexicon) -> int:
    """Return how many tokens the idiom at an index has, 0 for none; "in case of fire" is none."""
    for length in range(_MAX_WORDS, 1, -1):
        words = " ".join(token.lower for token in tokens[index : index + length])
        following = tokens[index + length].lower if index + length < len(tokens) else ""
        if following != "of" and lexicon.grammar.is_in(words, "idioms"):
            return length
    return 0


def tells_the_past(tree: Tree) -> bool:
    """Return whether a sentence tells of the past alone: "the museum was founded by a painter".

    A form of the present or "each" says that it tells what holds now.
    """
    if any(node.tag in _PRESENT or node.lower in ("each", "every") for node in tree):
        return False
    root = next((node for node in tree if node.head is node and (node.is_verb or node.tag == "MD")), None)
    if root is None or root.kids("mark"):
        return False
    helpers = root.kids("aux", "auxpass")
    return helpers[0].tag == "VBD" if helpers else root.tag == "VBD" and bool(root.kids("nsubj", "nsubjpass"))


def states_quality(tree: Tree, lexicon: Lexicon) -> bool:
    """Return whether a sentence only says how the product shall be: "it should be easy to use and run on phones"."""
    clauses = [node for node in tree if node.is_verb and node.dep in ("ROOT", "conj")]
    root = next((node for node in clauses if node.head is node), None)
    if root is None or not any(child.tag == "MD" for child in root.kids("aux")):
        return False
    doers = [doer for clause in clauses for doer in clause.kids("nsubj", "nsubjpass")]
    about_it = all(doer.lower in ("it", "this") or doer.lower in lexicon.grammar.strict_containers for doer in doers)
    return bool(doers) and about_it and all(_is_quality(clause, lexicon) for clause in clauses)


def _is_quality(verb: Node, lexicon: Lexicon) -> bool:
    if verb.lemma == "be":
        return bool(verb.kids("acomp")) and not verb.kids("attr")
    return lexicon.verbs.is_in(verb.lemma, "performing") and not verb.kids("dobj")
