"""What something may be: "a state, which can be red, yellow or green" lists the values of a field.

Knows trees; knows no schema.
"""

from schemawire.analysis.facts import ConstraintFact, Source
from schemawire.analysis.lexicon import Lexicon
from schemawire.analysis.parsing import Node
from schemawire.analysis.references import References
from schemawire.analysis.tree_clauses import modality, subjects

_SURE = 0.8
_MAX_VALUES = 12


def read_states(verb: Node, doers: list[Node], refer: References, lexicon: Lexicon) -> ConstraintFact | None:
    """Return the values that a form of be lists for a state noun, or `None`."""
    listed = [value for first in verb.kids("acomp", "attr", "oprd") for value in _alternatives(first)]
    if len(listed) < 2 or len(doers) != 1 or not doers[0].is_noun:
        return None
    noun = doers[0]
    if not lexicon.grammar.is_in(noun.lower, "state_nouns") or modality(verb) == "must":
        return None
    holders = subjects(noun.head) if noun.dep in ("dobj", "conj") and noun.head.is_verb else []
    owner = refer.owner(noun) or next((name for holder in holders if (name := refer.resolve(holder))), None)
    if owner is None:
        return None
    source = Source(noun.token.start, listed[-1].token.end, "parser:one-of", _SURE)
    values = tuple(dict.fromkeys(value.lower for value in listed[:_MAX_VALUES]))
    return ConstraintFact(owner=owner, field=refer.phrases.read(noun).words, source=source, values=values)


def _alternatives(first: Node) -> list[Node]:
    found: list[Node] = []
    waiting = [first]
    while waiting and len(found) < _MAX_VALUES:
        node = waiting.pop(0)
        found.append(node)
        waiting.extend(node.kids("conj"))
    return found
