"""Properties to fields or relationships, once it is known what the entities are.

Knows facts and the draft; knows no sentence.
"""

from collections.abc import Iterable
from dataclasses import replace

from schemawire.analysis.attributes import limit_by, nature_of
from schemawire.analysis.drafting import FieldDraft, LinkDraft, SchemaDraft
from schemawire.analysis.facts import ConstraintFact, EntityName, Fact, PropertyFact
from schemawire.analysis.naming import entity_words, singular
from schemawire.analysis.notes import split_items
from schemawire.analysis.noun_phrases import Phrase
from schemawire.analysis.quantifiers import MANY, ONE, OPTIONAL, SOME, Quantity
from schemawire.schema.model import FieldType

_MAX_VALUES = 30
_MAX_VALUE_WORDS = 4


def add_properties(facts: Iterable[Fact], draft: SchemaDraft) -> None:
    """Turn each property into a field of its owner or a link to an entity."""
    for fact in facts:
        if isinstance(fact, PropertyFact) and fact.owner in draft.entities and fact.phrase.words:
            fact = _counting(fact, draft)
            target = find_entity(fact, draft)
            if target is not None:
                _add_link(fact, target, draft)
            else:
                _add_field(fact, draft)


def _counting(fact: PropertyFact, draft: SchemaDraft) -> PropertyFact:
    """Return a number of things that are entities as those things: "a cinema has a number of halls"."""
    words = entity_words(fact.phrase.words[2:])
    counted = fact.phrase.words[:2] == ("number", "of") and words in draft.entities
    people = draft.lexicon.nouns.people | draft.lexicon.senses["persons"]
    if not counted or words[-1] in people or not fact.source.rule.startswith("parser:"):
        return fact
    return replace(fact, phrase=replace(fact.phrase, words=words, hint="", quantity=MANY))


def find_entity(fact: PropertyFact, draft: SchemaDraft) -> EntityName | None:
    """Return the entity that a property means: by its whole name, or by its tail ("parent category", "home team")."""
    phrase = fact.phrase
    if fact.type is not None or fact.values or phrase.values or phrase.hint:
        return None
    words = entity_words(phrase.words)
    if words in draft.entities:
        return None if fact.certain and words == fact.owner else words
    known = " ".join(words) in draft.lexicon.nouns.types
    if fact.certain or known:
        return None
    if words[-1].removeprefix("sub").lstrip("-") == fact.owner[-1] and words != fact.owner:
        return fact.owner
    return next((words[k:] for k in range(1, len(words)) if words[k:] in draft.entities), None)


def _add_link(fact: PropertyFact, target: EntityName, draft: SchemaDraft) -> None:
    words = entity_words(fact.phrase.words)
    draft.links.append(
        LinkDraft(
            source=fact.owner,
            target=target,
            verb="have",
            evidence=[fact.source],
            kind=fact.kind,
            source_quantity=None,
            target_quantity=_link_quantity(fact),
            role=words if words != target else (),
        )
    )


def _link_quantity(fact: PropertyFact) -> Quantity:
    phrase = fact.phrase
    optional = fact.optional or "optional" in phrase.marks
    quantity = phrase.quantity or (MANY if phrase.plural else ONE)
    if optional and quantity.low >= 1 and (quantity.low == 1 or quantity.high is None):
        return OPTIONAL if quantity.high == 1 else Quantity(0, quantity.high, quantity.word)
    if fact.required and quantity.low == 0 and quantity.high is None:
        return SOME
    return quantity


def _add_field(fact: PropertyFact, draft: SchemaDraft) -> None:
    phrase = fact.phrase
    words = _field_words(phrase, fact)
    nature = nature_of(words, draft.lexicon)
    if words[-1] == "length" and fact.owner[-1] in draft.lexicon.nouns.timed:
        nature = replace(nature, type="duration")
    tail = [word.lower for word in phrase.tail]
    bracketed = [word.lower for word in phrase.bracket]
    nature = limit_by(nature, tail, draft.lexicon)
    if any(word[0].isdigit() for word in bracketed):
        measured = [*bracketed, "characters"] if fact.type in ("string", "text") else bracketed
        nature = limit_by(nature, measured, draft.lexicon)
    values = fact.values or phrase.values or enum_values(phrase, draft)
    optional = fact.optional or "optional" in phrase.marks or "optional" in bracketed
    required = not optional and (fact.required or "required" in phrase.marks or not nature.optional)
    drafted = FieldDraft(
        words=words, type=fact.type or ("boolean" if phrase.hint == "boolean" else nature.type), source=fact.source,
        required=required, unique=nature.unique or "unique" in phrase.marks or "unique" in bracketed,
        sensitive=nature.sensitive, many=_is_list(phrase, nature.type), values=values,
        limits=_fitting(nature.limits, fact.type, nature.type),
    )  # fmt: skip
    if draft.options.infer is False and not nature.unique and "unique" not in phrase.marks:
        drafted.unique = False
    draft.add_field(fact.owner, drafted)


def _fitting(limits: dict[str, object], stated: FieldType | None, usual: FieldType) -> dict[str, object]:
    return limits if stated is None or stated == usual else {}


def _field_words(phrase: Phrase, fact: PropertyFact) -> tuple[str, ...]:
    words = phrase.words
    if phrase.of is not None and phrase.of.words and entity_words(phrase.of.words) != fact.owner:
        words = (*phrase.of.words, *words)  # "the name of the publisher" of a book is its publisher name
    elif phrase.owner is not None and phrase.owner.words and entity_words(phrase.owner.words) != fact.owner:
        words = (*phrase.owner.words, *words)
    if phrase.plural and phrase.quantity is not None and not phrase.quantity.is_many:
        words = (*words[:-1], singular(words[-1]))
    return words


def _is_list(phrase: Phrase, usual: FieldType) -> bool:
    if not phrase.plural or phrase.hint or usual in ("integer", "json", "text", "decimal", "money"):
        return False
    return phrase.quantity is None or phrase.quantity.is_many


def enum_values(phrase: Phrase, draft: SchemaDraft) -> tuple[str, ...]:
    """Return the values in the brackets behind a field: "status (draft, published or archived)".

    Examples, a type or a limit in brackets are no values, unless the field is a state of some kind.
    """
    bracket = phrase.bracket
    is_state = draft.lexicon.grammar.is_in(phrase.head, "state_nouns")
    if not bracket or any(word.tag == "num" or word.tag in ("be", "have", "modal", "pron") for word in bracket):
        return ()
    opening = bracket[0].lower
    if (
        opening in ("e.g.", "i.e.", "such", "for", "like", "which", "in", "optional", "unique", "required")
        and not is_state
    ):
        return ()
    parts = [part for part in split_items(bracket, draft.lexicon.grammar) if len(part) <= _MAX_VALUE_WORDS]
    values = [" ".join(word.token.text for word in part if word.token.is_word) for part in parts]
    values = list(dict.fromkeys(value.lower() for value in values if value and value not in ("etc", "etc.")))
    return tuple(values[:_MAX_VALUES]) if len(values) > 1 else ()


def apply_constraints(facts: Iterable[Fact], draft: SchemaDraft) -> None:
    """Apply what is said of fields elsewhere: "the title is required", "the status is one of …"."""
    for fact in facts:
        if isinstance(fact, ConstraintFact) and fact.owner in draft.entities:
            _apply_constraint(fact, draft)


def _apply_constraint(fact: ConstraintFact, draft: SchemaDraft) -> None:
    nature = nature_of(fact.field, draft.lexicon)
    fresh = FieldDraft(
        words=fact.field,
        type=nature.type,
        source=fact.source,
        limits=dict(nature.limits),
    )
    if entity_words(fact.field) in draft.entities and not fact.values:
        return
    drafted = draft.add_field(fact.owner, fresh)
    if fact.tail:
        limited = limit_by(replace(nature, type=drafted.type, limits=drafted.limits), fact.tail, draft.lexicon)
        drafted.type, drafted.limits = limited.type, limited.limits
    if fact.values:
        drafted.values = fact.values
    if fact.type is not None:
        drafted.type, drafted.limits = fact.type, {}
    drafted.unique = drafted.unique or "unique" in fact.marks
    if "optional" in fact.marks:
        drafted.required = False
    if "required" in fact.marks:
        drafted.required = True
