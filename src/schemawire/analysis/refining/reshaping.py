"""Changes of what there is: renaming, removing, splitting, merging and moving fields, and the ends of relationships.

Knows the schema; knows no pattern. What is ambiguous or missing raises `Unclear` with the question.
"""

import re

from schemawire.analysis.attributes import nature_of
from schemawire.analysis.lexicon import load_lexicon
from schemawire.analysis.naming import camel_case, field_name, pascal_case, plural, singular, split_words
from schemawire.analysis.refining.additions import (
    carriers_after,
    carrying_fields,
    changed_link,
    habits_of,
)
from schemawire.analysis.refining.lists_of_values import enum_of, value_removed
from schemawire.analysis.refining.names import Names, Target, bare, folded, new_entity_name
from schemawire.analysis.refining.proposals import Choice, NotUnderstood, Step, Unclear
from schemawire.analysis.refining.scene import Said, Scene, listed
from schemawire.schema.edits import changed
from schemawire.schema.model import DomainSchema, Field, Relationship
from schemawire.schema.operations import Create, Delete, Operation, Rename, Update

_ENDS = {"many": "0..*", "one": "1"}


def rename(scene: Scene, said: Said) -> Step:
    """Give something another name; a reference keeps its ending, and the role of its relationship follows."""
    target = scene.one(said["thing"])
    wanted = bare(said["name"])
    operations: list[Operation] = []
    match target.kind:
        case "entity" | "enum":
            new = pascal_case(new_entity_name(wanted))
        case "field":
            field = scene.names.field(target)
            is_reference = field is not None and field.references is not None and target.name.lower().endswith("id")
            words = split_words(wanted)
            new = field_name([*words, "id"] if is_reference and words[-1:] != ["id"] else words, scene.case)
            operations = _roles_follow(scene.schema, target, wanted) if is_reference else []
        case _:
            new = camel_case(split_words(wanted))
    if not new:
        raise Unclear(f"What shall {target.path} be called?", (), f"rename {target.path} to {{}}")
    step = Rename(target=target.kind, name=target.name, entity=target.entity, new_name=new)
    return Step(operations=(step, *operations), explanation=f"Rename {target.path} to {new}.")


def _roles_follow(schema: DomainSchema, target: Target, wanted: str) -> list[Operation]:
    former = folded(target.name.removesuffix("_id").removesuffix("Id"))
    found: list[Operation] = []
    for link in schema.relationships:
        roles = {"sourceRole": link.source_role, "targetRole": link.target_role}
        for name, role in roles.items():
            if role and folded(role) == former and target.entity in (link.source, link.target):
                patch = {name: camel_case(split_words(wanted))}
                found.append(Update(target="relationship", name=link.name, patch=patch))
    return found


def remove(scene: Scene, said: Said) -> Step:
    """Take things away, an entity with everything that refers to it."""
    value = re.fullmatch(r"(.+?)\s+(?:from|of)\s+(.+)", said["thing"])
    if value is not None and not scene.names.find(said["thing"]):
        enum = enum_of(scene.schema, value[2])
        if enum is not None:
            return value_removed(enum, value[1])
    operations: list[Operation] = []
    explained = []
    phrases = [said["thing"]] if scene.names.find(said["thing"]) else listed(said["thing"])
    owner = re.search(r"\s+(?:of|in|from|on)\s+(.+)$", phrases[-1])
    for phrase in phrases:
        whole = f"{phrase}{owner[0]}" if owner and owner[0] not in phrase else phrase
        target = scene.one(whole)
        explained.append(f"Remove {target.path}{_follows(scene.schema, target)}.")
        operations += _removal(scene.schema, target)
    return Step(operations=tuple(operations), explanation=" ".join(explained))


def _removal(schema: DomainSchema, target: Target) -> list[Operation]:
    if target.kind == "entity":
        return [Delete(target="entity", name=target.name, cascade=True)]
    if target.kind == "relationship":
        link = next(link for link in schema.relationships if link.name == target.name)
        return _unlinked(schema, link)
    removal: list[Operation] = [Delete(target=target.kind, name=target.name, entity=target.entity)]
    field = Names(schema).field(target) if target.kind == "field" else None
    if field is not None and field.references is not None:
        carried = [link for link in schema.relationships if any(f is field for _, f in carrying_fields(schema, link))]
        removal += [Delete(target="relationship", name=link.name) for link in carried]
    if field is not None and field.enum and _users(schema, field.enum) == 1:
        removal.append(Delete(target="enum", name=field.enum))
    return removal


def _users(schema: DomainSchema, enum: str) -> int:
    return sum(field.enum == enum for entity in schema.entities for field in entity.fields)


def _unlinked(schema: DomainSchema, link: Relationship) -> list[Operation]:
    fields = carrying_fields(schema, link)
    gone: list[Operation] = [Delete(target="field", name=field.name, entity=entity.name) for entity, field in fields]
    return [Delete(target="relationship", name=link.name), *gone]


def _follows(schema: DomainSchema, target: Target) -> str:
    """Return in words what goes together with an entity."""
    if target.kind != "entity":
        return ""
    links = [link.name for link in schema.relationships if target.name in (link.source, link.target)]
    fields = [
        f"{entity.name}.{field.name}"
        for entity in schema.entities
        for field in entity.fields
        if field.references is not None and field.references.entity == target.name and entity.name != target.name
    ]
    also = [*(f"the relationship {name}" for name in links), *fields]
    return f", and with it {', '.join(also)}" if also else ""


def unlink(scene: Scene, said: Said) -> Step:
    """Remove what relates two entities."""
    ends = {scene.one(said["source"], "entity").name, scene.one(said["target"], "entity").name}
    found = [link for link in scene.schema.relationships if {link.source, link.target} == ends]
    if not found:
        raise Unclear(f"{' and '.join(sorted(ends))} are not related. What shall be removed?", (), "remove {}")
    if len(found) > 1:
        choices = tuple(Choice(label=link.name, sentence=f"remove {link.name}") for link in found)
        raise Unclear(f"Which relationship between {' and '.join(sorted(ends))}?", choices)
    return Step(
        operations=tuple(_unlinked(scene.schema, found[0])), explanation=f"Remove the relationship {found[0].name}."
    )


def ends(scene: Scene, said: Said) -> Step:
    """Set both cardinalities of the relationship between two entities."""
    source, target = scene.one(said["source"], "entity").name, scene.one(said["target"], "entity").name
    low, high = re.split(r"[- ]to[- ]", said["ends"])
    found = [link for link in scene.schema.relationships if {link.source, link.target} == {source, target}]
    if not found:
        many = {"many": "many", "one": "one"}
        sentence = f"A {singular(source.lower())} has {many[high]} {plural(target.lower())}."
        raise Unclear(f"{source} and {target} are not related. Relate them?", (Choice(label="yes", sentence=sentence),))
    link = found[0]
    wanted = (_ENDS[low], _ENDS[high]) if link.source == source else (_ENDS[high], _ENDS[low])
    patch = {"sourceCardinality": wanted[0], "targetCardinality": wanted[1]}
    fields = carriers_after(scene.schema, changed_link(link, patch), habits_of(scene.schema))
    update = Update(target="relationship", name=link.name, patch=patch)
    return Step(operations=(update, *fields), explanation=f"Make {link.name} {said['ends']} from {source} to {target}.")


def split(scene: Scene, said: Said) -> Step:
    """Replace a field by several."""
    target = scene.one(said["thing"], "field")
    parts = listed(said.get("parts") or "")
    if len(parts) < 2:
        raise Unclear(f"Into which fields shall {target.path} be split?", (), f"split {target.path} into {{}}")
    old = scene.names.field(target)
    lexicon = load_lexicon()
    operations: list[Operation] = []
    for part in parts:
        words = split_words(bare(part))
        nature = nature_of(words, lexicon)
        field = Field.model_validate(
            {"name": field_name(words, scene.case), "type": nature.type, "required": bool(old and old.required),
             **nature.limits},
        )  # fmt: skip
        operations.append(Create(target="field", entity=target.entity, part=field))
    operations.insert(0, Delete(target="field", name=target.name, entity=target.entity))
    return Step(operations=tuple(operations), explanation=f"Split {target.path} into {', '.join(parts)}.")


def combine(scene: Scene, said: Said) -> Step:
    """Replace several fields of one entity by one."""
    parts = listed(said["parts"])
    found = [[target for target in scene.names.find(part) if target.kind == "field"] for part in parts]
    shared = set.intersection(*({target.entity for target in targets} for targets in found)) if found else set()
    if len(shared) == 1:
        found = [[target for target in targets if target.entity in shared] for targets in found]
    targets = [one[0] if len(one) == 1 else scene.one(part, "field") for part, one in zip(parts, found, strict=True)]
    owners = {target.entity for target in targets}
    if len(targets) < 2 or len(owners) != 1:
        raise NotUnderstood("fields of one entity can be merged")
    words = split_words(bare(said["name"]))
    nature = nature_of(words, load_lexicon())
    kinds = {field.type for target in targets if (field := scene.names.field(target)) is not None}
    kind = nature.type if nature.known or len(kinds) != 1 else kinds.pop()
    part = Field.model_validate({"name": field_name(words, scene.case), "type": kind, "required": True})
    gone = [Delete(target="field", name=target.name, entity=target.entity) for target in targets]
    made = Create(target="field", entity=targets[0].entity, part=part)
    names = ", ".join(target.path for target in targets)
    return Step(operations=(*gone, made), explanation=f"Merge {names} into {part.name}.")


def move(scene: Scene, said: Said) -> Step:
    """Give a field to another entity."""
    phrase = f"{said['thing']} of {said['owner']}" if said.get("owner") else said["thing"]
    target, owner = scene.one(phrase, "field"), scene.one(said["target"], "entity")
    field = scene.names.field(target)
    assert field is not None  # noqa: S101  # `one` has found it
    return Step(
        operations=(
            Delete(target="field", name=target.name, entity=target.entity),
            Create(target="field", entity=owner.name, part=changed(field, evidence=())),
        ),
        explanation=f"Move {target.path} to {owner.name}.",
    )
