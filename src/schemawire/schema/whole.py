"""Replaces a whole schema in an overlay, or merges one into it.

Knows nothing of the list that an operation stands in.
"""

from collections.abc import Iterator

from schemawire.schema.issues import Issue, pointer_to, refuse
from schemawire.schema.model import ELEMENT_KINDS, DomainSchema, Element, Entity, Part, Rule, kind_of
from schemawire.schema.operations import MergeSchema, ReplaceSchema
from schemawire.schema.view import Key, Overlay


def replace(overlay: Overlay, operation: ReplaceSchema, pointer: str) -> list[Key]:
    """Make the overlay show exactly the given schema; identical elements are not touched."""
    schema = operation.schema
    refuse(issue.under(pointer + pointer_to("data")) for issue in duplicate_keys(schema))
    wanted = {(kind_of(element), element.key): element for element in schema.elements()}
    gone: list[Key] = [(kind, key) for kind in ELEMENT_KINDS for key in overlay.keys(kind) if (kind, key) not in wanted]
    written = [key for key, element in wanted.items() if overlay.get(*key) != element]
    for key in gone:
        overlay.remove(*key)
    for key in written:
        overlay.put(wanted[key])
    overlay.set_header(schema.header())
    return gone + written


def merge(overlay: Overlay, operation: MergeSchema, pointer: str) -> list[Key]:
    """Add what is missing; elements that are there may only gain fields, indexes and rules.

    Raises:
        SchemaInvalid: something is there with other content; one issue per conflict, naming both sides.
    """
    schema, place = operation.schema, pointer + pointer_to("data")
    refuse(issue.under(place) for issue in duplicate_keys(schema))
    issues: list[Issue] = []
    merged: list[Element] = []
    for kind, collection in schema.COLLECTIONS.items():
        for position, element in enumerate(getattr(schema, collection)):
            there = overlay.get(kind, element.key)
            result, conflicts = (element, []) if there is None else _merged(there, element)
            issues.extend(issue.under(place + pointer_to(collection, position)) for issue in conflicts)
            merged.extend([result] if result != there else [])
    refuse(issues)
    for element in merged:
        overlay.put(element)
    return [(kind_of(element), element.key) for element in merged]


def duplicate_keys(schema: DomainSchema) -> Iterator[Issue]:
    """Yield an issue for every element whose key another one of its kind has already."""
    for kind, collection in schema.COLLECTIONS.items():
        seen: set[str] = set()
        for position, element in enumerate(getattr(schema, collection)):
            if element.key in seen:
                yield Issue(
                    code="duplicate_name",
                    pointer=pointer_to(collection, position, "name"),
                    message=f"{kind} {element.key!r} exists twice",
                    fix="Rename or remove one of them.",
                )
            seen.add(element.key)


def _merged(there: Element, new: Element) -> tuple[Element, list[Issue]]:
    if not isinstance(there, Entity) or not isinstance(new, Entity):
        return there, list(_conflicts(there, new, ""))
    issues = list(_conflicts(there, new, "", besides=("fields", "indexes", "rules")))
    known_fields = {field.name: field for field in there.fields}
    known_rules: dict[str, Rule] = {rule.name: rule for rule in there.rules}
    for position, field in enumerate(new.fields):
        if field.name in known_fields:
            issues.extend(_conflicts(known_fields[field.name], field, pointer_to("fields", position)))
    for position, rule in enumerate(new.rules):
        if rule.name in known_rules:
            issues.extend(_conflicts(known_rules[rule.name], rule, pointer_to("rules", position)))
    added = {
        "fields": tuple(field for field in new.fields if field.name not in known_fields),
        "indexes": tuple(index for index in new.indexes if index not in there.indexes),
        "rules": tuple(rule for rule in new.rules if rule.name not in known_rules),
    }
    values = {name: getattr(there, name) + parts for name, parts in added.items() if parts}
    return (there.model_copy(update=values) if values else there), issues


def _conflicts(there: Part, new: Part, place: str, besides: tuple[str, ...] = ()) -> Iterator[Issue]:
    """Yield an issue for everything that both sides say differently; what the new side leaves unsaid is no conflict."""
    ours, theirs = there.to_document(), new.to_document()
    for key, value in theirs.items():
        if key in besides or key == "evidence" or value == ours.get(key) or value is None:
            continue
        name = getattr(new, "name", "?")
        yield Issue(
            code="merge_conflict",
            pointer=place + pointer_to(key),
            message=f"{name!r} has {key} {str(ours.get(key))[:80]!r} here and {str(value)[:80]!r} in what is merged",
            fix="Change one side, or update the stored one explicitly.",
        )
