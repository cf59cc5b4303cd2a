"""Whether a field with `references` agrees with the relationship that it carries.

A flag that is off says nothing, so only what is stated can contradict. Knows nothing of dangling names.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from schemawire.schema.issues import Issue, Severity, pointer_to
from schemawire.schema.model import Entity, Field, Relationship, cardinality_bounds
from schemawire.schema.view import SchemaView


@dataclass(frozen=True, slots=True)
class _Reading:
    """A relationship as read from the entity with the reference: `near` are its rows, `far` what they refer to."""

    name: str
    role: str | None
    near: tuple[int, int | None]
    far: tuple[int, int | None]

    @property
    def can_be_carried(self) -> bool:
        """Whether one column of the near side can hold it: each row has at most one partner."""
        return self.far[1] == 1


def agreement_issues(view: SchemaView, entity: Entity) -> Iterator[Issue]:
    """Yield where an entity's references contradict the relationships, or carry none."""
    if not any(field.references for field in entity.fields):
        return
    keys = sorted(key for kind, key in view.referrers(entity.name) if kind == "relationship")
    relationships = [found for key in keys if isinstance(found := view.get("relationship", key), Relationship)]
    for position, field in enumerate(entity.fields):
        if field.references and field.type != "list":  # a list of references is no column that could carry one
            readings = list(_readings(entity.name, field.references.entity, relationships))
            place = pointer_to("fields", position)
            yield from (issue.under(place) for issue in _field_issues(entity, field, readings))


def _readings(near: str, far: str, relationships: list[Relationship]) -> Iterator[_Reading]:
    for relation in relationships:
        source = cardinality_bounds(relation.source_cardinality)
        target = cardinality_bounds(relation.target_cardinality)
        if (relation.source, relation.target) == (far, near):
            yield _Reading(relation.name, relation.source_role, near=target, far=source)
        if (relation.source, relation.target) == (near, far):
            yield _Reading(relation.name, relation.target_role, near=source, far=target)
        if relation.through == near and far in (relation.source, relation.target):
            yield _Reading(relation.name, None, near=(0, None), far=(1, 1))


def _field_issues(entity: Entity, field: Field, readings: list[_Reading]) -> Iterator[Issue]:
    who = f"field '{entity.name}.{field.name}'"
    named = [reading for reading in readings if reading.role and _same_word(field.name, reading.role)]
    carried = [reading for reading in named or readings if reading.can_be_carried]
    if len(carried) == 1 and (named or _only_reference(entity, field)):
        yield from _contradictions(field, carried[0], who)
    elif named and not carried:
        message = f"{who} holds one partner, but relationship {named[0].name!r} allows several at that end"
        yield _issue(
            "reference_contradicts", "", message, "Move the reference to the other entity, or correct the ends."
        )
    elif not carried:
        message = f"{who} carries no relationship"
        fix = "Add the relationship, which says how many there may be on both sides."
        yield _issue("reference_without_relationship", "/references", message, fix, "warning")


def _only_reference(entity: Entity, field: Field) -> bool:
    far = field.references.entity if field.references else None
    return sum(1 for other in entity.fields if other.references and other.references.entity == far) == 1


def _contradictions(field: Field, reading: _Reading, who: str) -> Iterator[Issue]:
    least, relation = reading.far[0], f"relationship {reading.name!r}"
    key = field.primary_key
    if field.required and least == 0 and not key:
        message = f"{who} is required, but {relation} allows none"
        yield _issue("reference_contradicts", "/required", message, "Make the field optional, or the far end 1.")
    if not (field.required or key) and least > 0:
        message = f"{who} may be missing, but {relation} asks for {least}"
        yield _issue("reference_optional", "/required", message, "Make the field required.", "warning")
    if field.unique and reading.near[1] != 1:
        message = f"{who} is unique, but {relation} allows several at that end"
        yield _issue("reference_contradicts", "/unique", message, "Drop `unique`, or make that end 0..1.")


def _same_word(field: str, role: str) -> bool:
    """Tell whether a field is named after a role, as `author`, `authorId` and `author_id` are after `author`."""
    plain = field.casefold().replace("_", "")
    word = role.casefold().replace("_", "")
    return plain in (word, word + "id")


def _issue(code: str, pointer: str, message: str, fix: str, severity: Severity = "error") -> Issue:
    return Issue(code=code, pointer=pointer, message=message, fix=fix, severity=severity)
