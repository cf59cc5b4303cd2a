"""What is visible from an entity: its ancestors, and its fields with the inherited ones.

Knows nothing of what is done with them.
"""

from schemawire.schema.model import Entity, Field
from schemawire.schema.view import SchemaView

MAX_ANCESTORS = 32
"""How deep inheritance may go."""


def ancestors(view: SchemaView, entity: Entity) -> list[Entity]:
    """Return the entities that an entity extends, nearest first; ends before a repeat and at `MAX_ANCESTORS` + 1."""
    found: list[Entity] = []
    seen = {entity.name}
    parent = entity.extends
    while parent and parent not in seen and len(found) <= MAX_ANCESTORS:
        seen.add(parent)
        above = view.get("entity", parent)
        if not isinstance(above, Entity):
            break
        found.append(above)
        parent = above.extends
    return found


def visible_fields(view: SchemaView, entity: Entity) -> dict[str, Field]:
    """Return an entity's fields by name, the inherited ones included; the nearest of a name wins."""
    fields: dict[str, Field] = {}
    for owner in (entity, *ancestors(view, entity)):
        for field in owner.fields:
            fields.setdefault(field.name, field)
    return fields


def fields_of(view: SchemaView, name: str) -> dict[str, Field] | None:
    """Return the visible fields of the entity of that name, or `None` if there is no such entity."""
    entity = view.get("entity", name)
    return visible_fields(view, entity) if isinstance(entity, Entity) else None
