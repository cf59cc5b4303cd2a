"""Names that refer: fields to fields and enums, indexes to fields, relationships to their ends, rules to their entity.

Knows nothing of whether a reference fits the relationship that it carries.
"""

from collections.abc import Iterator

from schemawire.schema.issues import Issue, did_you_mean, pointer_to
from schemawire.schema.model import Element, Entity, Enum, Field, Reference, Relationship, Rule, cardinality_bounds
from schemawire.schema.rules.scope import fields_of, visible_fields
from schemawire.schema.view import SchemaView


def reference_issues(view: SchemaView, element: Element) -> Iterator[Issue]:
    """Yield an issue for every name in an element that refers to nothing, or to the wrong thing."""
    match element:
        case Entity():
            for position, field in enumerate(element.fields):
                place = pointer_to("fields", position)
                yield from (issue.under(place) for issue in _field_issues(view, element, field))
            yield from _index_issues(view, element)
            yield from _own_rule_issues(element)
        case Relationship():
            yield from _relationship_issues(view, element)
        case Rule() if element.entity:
            yield from _entity_issue(view, element.entity, "/entity", f"rule {element.name!r}")
        case Rule() | Enum():
            return


def _entity_issue(view: SchemaView, name: str, pointer: str, who: str) -> Iterator[Issue]:
    if view.get("entity", name) is None:
        what = "the enum" if view.get("enum", name) else "the unknown entity"
        message = f"{who} refers to {what} {name!r}"
        yield Issue(
            code="unknown_entity", pointer=pointer, message=message, fix="Create the entity, or correct the name."
        )


def _field_issues(view: SchemaView, entity: Entity, field: Field) -> Iterator[Issue]:
    who = f"field '{entity.name}.{field.name}'"
    if field.references:
        yield from _entity_issue(view, field.references.entity, "/references/entity", who)
        yield from _target_issues(view, field, field.references, who)
    if field.enum and not isinstance(view.get("enum", field.enum), Enum):
        message = f"{who} takes its values from the unknown enum {field.enum!r}"
        yield Issue(code="unknown_enum", pointer="/enum", message=message, fix="Create the enum, or correct the name.")


def _target_issues(view: SchemaView, field: Field, reference: Reference, who: str) -> Iterator[Issue]:
    fields = fields_of(view, reference.entity)
    if fields is None:
        return
    target = fields.get(reference.field)
    if target is None:
        yield Issue(
            code="unknown_field",
            pointer="/references/field",
            message=f"{who} refers to the unknown field '{reference.entity}.{reference.field}'",
            fix=did_you_mean(reference.field, fields, "Create the field, or name another one."),
        )
    else:
        yield from _fit_issues(field, target, f"{who} refers to '{reference.entity}.{reference.field}'")
    if "setNull" in (reference.on_delete, reference.on_update) and (field.required or field.primary_key):
        yield Issue(
            code="set_null_on_required",
            pointer="/references",
            message=f"{who} is required and cannot be set to null when what it refers to goes or changes",
            fix="Make the field optional, or choose restrict or cascade.",
        )
    if "setDefault" in (reference.on_delete, reference.on_update) and field.default is None:
        yield _doubt("set_default_without_default", f"{who} has no default to be set to", "Give it a default.")


def _fit_issues(field: Field, target: Field, who: str) -> Iterator[Issue]:
    if not (target.primary_key or target.unique):
        yield _doubt("reference_not_unique", f"{who}, which need not be unique", "Refer to a key or a unique field.")
    if field.type != target.type and {field.type, target.type} != {"integer", "bigint"}:
        message = f"{who}, which is of type {target.type} and not {field.type}"
        yield _doubt("reference_type_differs", message, f"Use the type {target.type}.")


def _index_issues(view: SchemaView, entity: Entity) -> Iterator[Issue]:
    fields = visible_fields(view, entity) if entity.indexes else {}
    for position, index in enumerate(entity.indexes):
        seen: set[str] = set()
        for column, name in enumerate(index.fields):
            pointer = pointer_to("indexes", position, "fields", column)
            if name not in fields:
                message = f"an index of {entity.name!r} names the unknown field {name!r}"
                fix = did_you_mean(name, fields, "Create the field, or name another one.")
                yield Issue(code="unknown_field", pointer=pointer, message=message, fix=fix)
            if name in seen:
                message = f"an index of {entity.name!r} names the field {name!r} twice"
                yield Issue(code="duplicate_name", pointer=pointer, message=message, fix="Name it once.")
            seen.add(name)


def _own_rule_issues(entity: Entity) -> Iterator[Issue]:
    for position, rule in enumerate(entity.rules):
        if rule.entity not in (None, entity.name):
            yield Issue(
                code="rule_elsewhere",
                pointer=pointer_to("rules", position, "entity"),
                message=f"rule {rule.name!r} stands in {entity.name!r} and says that it belongs to {rule.entity!r}",
                fix="Move the rule, or leave `entity` out.",
            )


def _relationship_issues(view: SchemaView, relationship: Relationship) -> Iterator[Issue]:
    who = f"relationship {relationship.name!r}"
    yield from _entity_issue(view, relationship.source, "/source", who)
    yield from _entity_issue(view, relationship.target, "/target", who)
    if relationship.through:
        yield from _entity_issue(view, relationship.through, "/through", who)
        yield from _through_issues(view, relationship, relationship.through, who)
    if relationship.kind == "composition" and cardinality_bounds(relationship.source_cardinality)[1] != 1:
        message = f"{who} is a composition, whose parts belong to one whole at most"
        yield _doubt("composition_shared", message, "Use 1 or 0..1 as sourceCardinality, or kind aggregation.")


def _through_issues(view: SchemaView, relationship: Relationship, through: str, who: str) -> Iterator[Issue]:
    carrier = view.get("entity", through)
    if isinstance(carrier, Entity) and carrier.kind not in ("association", "entity"):
        yield Issue(
            code="through_unfit",
            pointer="/through",
            message=f"{who} goes through {through!r}, which is of kind {carrier.kind}",
            fix="Give that entity the kind association.",
        )
    ends = (relationship.source_cardinality, relationship.target_cardinality)
    if any(cardinality_bounds(end)[1] == 1 for end in ends):
        yield _doubt("through_without_many", f"{who} goes through {through!r} but is not many-to-many", "Leave it out.")


def _doubt(code: str, message: str, fix: str) -> Issue:
    return Issue(code=code, pointer="", message=message, fix=fix, severity="warning")
