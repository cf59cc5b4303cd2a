"""Sentences whose verb the parser took for a noun: "donors support the shelter" is read again as "donors will support".

Knows tokens, words and trees; knows no rule. Changing a tag alone would not help: the parser does not read its tags.
"""

from collections.abc import Sequence

from schemawire.analysis.parsing import Tree
from schemawire.analysis.sentences import Token
from schemawire.analysis.tagging import Word

_FORMS = frozenset({"base", "s"})


def repaired(tree: Tree, tokens: Sequence[Token], words: Sequence[Word]) -> list[Token] | None:
    """Return the tokens with an auxiliary before the verb that word order shows, or `None` if nothing is wrong.

    The auxiliary takes no place in the text, so that spans stay exact.
    """
    if any(node.head is node and node.is_verb for node in tree):
        return None
    nouns = {node.token for node in tree if node.is_noun and node.index > 0}
    verb = next((word for word in words if word.tag == "verb" and word.form in _FORMS and word.token in nouns), None)
    if verb is None:
        return None
    index = tokens.index(verb.token)
    start, end = verb.token.start, verb.token.end
    helped = (Token("will", "will", start, start), Token(verb.lemma, verb.lemma, start, end))
    return [*tokens[:index], *helped, *tokens[index + 1 :]]
