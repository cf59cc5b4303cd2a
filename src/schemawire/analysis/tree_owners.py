"""Whose the fields are that a sentence says are stored: by "for" or "of", or by what was spoken of before.

Knows trees and references; knows no statement.
"""

from collections.abc import Sequence

from schemawire.analysis.facts import EntityName
from schemawire.analysis.parsing import Node, Tree
from schemawire.analysis.references import References
from schemawire.analysis.tree_clauses import adjuncts, is_relative
from schemawire.analysis.tree_lists import owner_behind

_STORED_FOR = frozenset({"for", "of", "about"})


def topic_of(verb: Node, stored: Sequence[Node], refer: References) -> EntityName | None:
    """Return what a sentence says that something is stored for: "for each room, the number is kept"."""
    fields = bool(stored) and refer.is_field(stored[0])
    words = _STORED_FOR | {"in", "on"} if fields else _STORED_FOR
    above = [verb, verb.head] if verb.dep == "xcomp" else [verb]  # "for each order, the weight has to be recorded"
    about = [noun for act in above for word, _, nouns in adjuncts(act) if word in words for noun in nouns]
    names = (refer.resolve(verb.head if is_relative(noun) else noun) for noun in about)
    return next((name for name in names if name is not None), None)


def owner_of_list(fields: Sequence[Node], tree: Tree, refer: References) -> EntityName | None:
    """Return whose a list of fields is by the "of" behind its last item."""
    behind = owner_behind(fields, tree) if fields else None
    return refer.resolve(behind) if behind is not None else None


def shared_owner(stored: Sequence[Node], tree: Tree, refer: References) -> EntityName | None:
    """Return whose a list of fields is: what stands behind its "of", else what was spoken of before."""
    behind = owner_behind(stored, tree) if stored and stored[0].is_noun else None
    name = refer.resolve(behind) if behind is not None else None
    fields = bool(stored) and all(refer.is_field(noun) for noun in stored)
    return name or (refer.context.subject if fields else None)
