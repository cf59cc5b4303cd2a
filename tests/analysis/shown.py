"""A schema as short lines, so that a prompt and what it must become can be read side by side."""

from schemawire.schema.model import DomainSchema, Field


def show_field(field: Field) -> str:
    """Return a field as `name: type`, with `?` optional, `!` unique, its target, enum, limits."""
    kind = f"list[{field.items}]" if field.type == "list" else field.type
    text = f"{field.name}: {field.enum or kind}{'' if field.required else '?'}{'!' if field.unique else ''}"
    if field.references is not None:
        text += f" -> {field.references.entity}"
    if field.min is not None or field.max is not None:
        text += f" {'' if field.min is None else field.min}..{'' if field.max is None else field.max}"
    return text + (f" <={field.max_length}" if field.max_length is not None else "")


def show_schema(schema: DomainSchema) -> dict[str, object]:
    """Return entities with their fields, enums with their values, and relationships, without keys and timestamps."""
    return {
        "entities": {
            f"{entity.name} < {entity.extends}" if entity.extends else entity.name: [
                show_field(field) for field in entity.fields if not field.primary_key
            ]
            for entity in schema.entities
        },
        "enums": {enum.name: list(enum.values) for enum in schema.enums},
        "relationships": [
            f"{r.source} {r.source_cardinality} {r.name} {r.target_cardinality} {r.target}"
            + ("" if r.kind == "association" else f" ({r.kind})")
            + (f" through {r.through}" if r.through else "")
            for r in schema.relationships
        ],
    }
