"""Whether what an owner has is a thing of its own or a field, by the way it is said.

Knows facts and the lexicon; knows no draft.
"""

from schemawire.analysis.attributes import is_known_field
from schemawire.analysis.facts import EntityName, PropertyFact
from schemawire.analysis.lexicon import Lexicon
from schemawire.analysis.naming import entity_words
from schemawire.analysis.noun_phrases import Phrase


def is_field_noun(name: EntityName, lexicon: Lexicon) -> bool:
    """Return whether the lexicon lists a name as a field."""
    return " ".join(name) in lexicon.nouns.types


def is_thing(fact: PropertyFact, lexicon: Lexicon) -> bool:
    """Return whether what an owner has is a thing of its own by the way it is said, not a field.

    "many comments" are things; "a title" and "phone numbers" are fields.
    """
    phrase = fact.phrase
    if fact.certain or fact.type is not None or fact.values or phrase.hint or (phrase.bracket and not phrase.plural):
        return False
    if fact.kind == "composition" and phrase.plural:
        return True  # "a course consists of sections"
    if is_known_field(phrase, lexicon):
        return phrase.plural and phrase.quantity is not None and phrase.is_many and _usually_hangs(phrase, lexicon)
    if fact.relational or phrase.is_many:
        return True
    return phrase.quantity is not None and phrase.quantity.word not in ("a", "an", "number")


def _usually_hangs(phrase: Phrase, lexicon: Lexicon) -> bool:
    """Return whether many of a kind are usually things: "many comments" are, "many phone numbers" are not."""
    key = "_".join(entity_words(phrase.words))
    return key in lexicon.domains.dependants or key in lexicon.domains.many_to_many
