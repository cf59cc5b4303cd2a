"""Why something is there and what something holds, in words; changes nothing.

Knows the evidence of schemas; knows no pattern.
"""

from collections.abc import Iterator, Mapping

from schemawire.analysis.explaining import explain_part
from schemawire.analysis.refining.names import Target, bare, folded
from schemawire.analysis.refining.scene import Scene
from schemawire.schema.model import Entity

_ALL = frozenset({"entity", "schema", "everything", "all", "table", "there", ""})
"""What is left of "all entities", "the schema" and the like."""


def why(scene: Scene, said: Mapping[str, str]) -> str:
    """Return where something comes from."""
    phrase = f"{said['thing']} of {said['owner']}" if said.get("owner") else said["thing"]
    target = scene.one(phrase)
    return explain_part(scene.schema, target.path)


def show(scene: Scene, said: Mapping[str, str]) -> str:
    """Return what something holds."""
    if folded(bare(said["thing"])) in _ALL:
        return "\n".join(_entity_lines(scene, entity)[0] for entity in scene.schema.entities) or "There is nothing yet."
    target = scene.one(said["thing"])
    return "\n".join(_lines(scene, target))


def _lines(scene: Scene, target: Target) -> Iterator[str]:
    entity = scene.names.schema_entity(target.name) if target.kind == "entity" else None
    if entity is not None:
        yield from _entity_lines(scene, entity)
        return
    field = scene.names.field(target) if target.kind == "field" else None
    if field is not None:
        marks = [mark for mark, is_set in (("required", field.required), ("unique", field.unique)) if is_set]
        yield f"{target.path}: {field.enum or field.type}{', ' + ', '.join(marks) if marks else ''}"
        return
    for element in scene.schema.elements():
        if element.name == target.name:
            yield f"{target.name}: {', '.join(getattr(element, 'values', ())) or target.kind}"


def _entity_lines(scene: Scene, entity: Entity) -> list[str]:
    above = f" (a kind of {entity.extends})" if entity.extends else ""
    names = [f"{field.name} ({field.enum or field.type})" for field in entity.fields]
    return [
        f"{entity.name}{above}: {', '.join(names) or 'no fields'}",
        *(
            f"{link.source} {link.source_cardinality} {link.name} {link.target_cardinality} {link.target}"
            for link in scene.schema.relationships
            if entity.name in (link.source, link.target)
        ),
    ]
