"""What something is: kinds and parents, the values of a field, and what is optional, required or unique.

Knows clauses with a form of be; knows no schema.
"""

from collections.abc import Iterator

from schemawire.analysis.attributes import type_word
from schemawire.analysis.clauses import Clause
from schemawire.analysis.context import Context
from schemawire.analysis.facts import ConstraintFact, EntityFact, EntityName, Fact, KindFact, RelationFact, Source
from schemawire.analysis.naming import entity_words
from schemawire.analysis.noun_phrases import Phrase
from schemawire.analysis.quantifiers import MANY, ONE, Quantity

_LIMITING = frozenset({"between", "from", "at", "up", "no", "less", "more", "greater", "over", "under", "limited"})
_SURE, _FAIR = 0.9, 0.7


def read_copula(clause: Clause, context: Context) -> Iterator[Fact]:
    """Yield what a clause with a form of be says of its subject."""
    marks = _marks(clause)
    if marks:
        yield from _read_marks(clause, marks, context)
        return
    if is_limit(clause):
        yield from _read_limit(clause, context)
        return
    values = _values(clause)
    for subject in clause.subjects:
        if values and _is_field(subject, context):
            yield from _read_values(subject, values, clause, context)
    if not clause.objects or any(_is_field(subject, context) for subject in clause.subjects):
        yield from _read_field_type(clause, context)
        return
    yield from _read_kinds(clause, context)


def _marks(clause: Clause) -> frozenset[str]:
    words = {word.lower for word in clause.predicate}
    return frozenset(words & {"optional", "required", "mandatory", "unique"})


def _read_marks(clause: Clause, marks: frozenset[str], context: Context) -> Iterator[Fact]:
    plain = frozenset("required" if mark == "mandatory" else mark for mark in marks)
    for subject in clause.subjects:
        owner = context.owner_of(subject) or context.subject
        if owner is not None and subject.words:
            source = Source(clause.start, clause.end, "field-is", _SURE)
            yield ConstraintFact(owner=owner, field=subject.words, source=source, marks=plain)


def is_limit(clause: Clause) -> bool:
    """Return whether a clause says between which numbers something is."""
    words = [word.lower for word in clause.rest]
    return words[:1] != [] and words[0] in _LIMITING and any(word.tag == "num" for word in clause.rest)


def _read_limit(clause: Clause, context: Context) -> Iterator[Fact]:
    """Read "the price must be between 0 and 100"."""
    for subject in clause.subjects:
        owner = context.owner_of(subject) or context.subject
        if owner is not None and subject.words:
            source = Source(clause.start, clause.rest[-1].token.end, "field-limit", _SURE)
            tail = tuple(word.lower for word in clause.rest)
            yield ConstraintFact(owner=owner, field=subject.words, source=source, tail=tail)


def _values(clause: Clause) -> tuple[Phrase, ...]:
    behind = clause.behind("of")
    if behind and len(behind) > 1:  # "is one of draft, published or archived"
        return behind
    return clause.objects if len(clause.objects) > 1 else ()


def _is_field(phrase: Phrase, context: Context) -> bool:
    """A subject with an owner, or a noun that the lexicon knows as a field, is no thing of its own."""
    if phrase.owner is not None or phrase.of is not None:
        return True
    name = entity_words(phrase.words)
    known = " ".join(phrase.words) in context.lexicon.nouns.types
    return known and name not in context.known and context.subject is not None


def _read_values(subject: Phrase, values: tuple[Phrase, ...], clause: Clause, context: Context) -> Iterator[Fact]:
    owner = context.owner_of(subject) or context.subject
    if owner is None:
        return
    texts = tuple(" ".join(value.words) for value in values if value.words)
    source = Source(clause.start, clause.end, "one-of", _SURE)
    yield ConstraintFact(owner=owner, field=subject.words, source=source, values=texts)


def _read_field_type(clause: Clause, context: Context) -> Iterator[Fact]:
    for subject, value in zip(clause.subjects, clause.objects, strict=False):
        kind = type_word(value.head)
        owner = context.owner_of(subject) or context.subject
        if kind is not None and owner is not None and len(clause.objects) == 1:
            source = Source(clause.start, clause.end, "field-type", _SURE)
            yield ConstraintFact(owner=owner, field=subject.words, source=source, type=kind)


def _read_kinds(clause: Clause, context: Context) -> Iterator[Fact]:
    target = clause.objects[0]
    if _is(target, "part_nouns", context) and target.of is not None:
        yield from _read_part(clause, target.of, context)
        return
    if _is(target, "kind_nouns", context) and target.of is not None:
        yield from _kinds(clause.subjects, context.resolve(target.of), clause, context, _SURE)
        return
    subjects = clause.subjects
    if len(clause.objects) > 1 and len(subjects) == 1:  # "a vehicle is either a car or a truck"
        parent = context.resolve(subjects[0])
        yield from _kinds(clause.objects, parent, clause, context, _FAIR)
    elif clause.modality == "optional":
        return  # "a nurse may also be a donor" tells of two roles of one person, not of a kind
    elif len(clause.objects) == 1 and _names_a_kind(target, subjects) and not clause.behind("of", "in", "to", "for"):
        yield from _kinds(subjects, context.resolve(target), clause, context, _FAIR)


def _names_a_kind(target: Phrase, subjects: tuple[Phrase, ...]) -> bool:
    """Return whether it is "a vehicle" or "vehicles": an indefinite article or a plural names a kind."""
    return target.determiner in ("a", "an") or (
        target.plural and not target.determiner and all(s.plural for s in subjects)
    )


def _kinds(
    children: tuple[Phrase, ...], parent: EntityName | None, clause: Clause, context: Context, confidence: float
) -> Iterator[Fact]:
    if parent is None:
        return
    for child in children:
        name = context.resolve(child)
        above = parent
        if child.determiner == "some":
            name, above = parent, name  # "some guides are translators": those are a kind of guides
        if name is not None and above is not None and name != above:
            source = Source(min(clause.start, child.start), max(clause.end, child.end), "kind-of", confidence)
            yield EntityFact(words=name, source=source, strength="declared")
            yield KindFact(child=name, parent=above, source=source)


def _read_part(clause: Clause, whole: Phrase, context: Context) -> Iterator[Fact]:
    owner = context.resolve(whole)
    for subject in clause.subjects:
        part = context.resolve(subject)
        if owner is not None and part is not None and owner != part:
            each: Quantity = MANY if whole.is_many else ONE
            source = Source(clause.start, clause.end, "part-of", _SURE)
            yield RelationFact(
                source_words=owner, target_words=part, verb="have", source=source, kind="aggregation",
                source_quantity=each, target_quantity=MANY,
            )  # fmt: skip


def _is(phrase: Phrase, group: str, context: Context) -> bool:
    return context.lexicon.grammar.is_in(phrase.head, group)


def named_relationship(clause: Clause) -> tuple[Phrase, Phrase] | None:
    """Return the two ends of "a many-to-many relationship between students and courses", or `None`."""
    for phrase in clause.objects:
        ends = clause.behind("between", "with", "to")
        if phrase.head.lower() in ("relationship", "relation", "association") and ends:
            pair = (*clause.subjects, *ends)[-2:]
            return (pair[0], pair[1]) if len(pair) == 2 else None
    return None


def read_named_relationship(clause: Clause, ends: tuple[Phrase, Phrase], context: Context) -> Iterator[Fact]:
    """Yield the relation that a sentence names by its cardinalities."""
    first, second = context.resolve(ends[0]), context.resolve(ends[1])
    if first is None or second is None:
        return
    words = clause.objects[0].words[0].lower().split("-")
    many = (words[0] == "many", words[-1] == "many") if len(words) == 3 else (True, True)
    source = Source(clause.start, max(clause.end, ends[1].end), "named-relationship", _SURE)
    for name in (first, second):
        yield EntityFact(words=name, source=source, strength="declared")
    yield RelationFact(
        source_words=first, target_words=second, verb="have", source=source,
        source_quantity=MANY if many[0] else ONE, target_quantity=MANY if many[1] else ONE,
    )  # fmt: skip
