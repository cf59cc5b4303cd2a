"""Which element of an old schema is which of a new one, though it may have another name.

Knows nothing of what else differs.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from schemawire.errors import SchemaInvalid
from schemawire.schema.apply import apply_to_schema
from schemawire.schema.model import DomainSchema, Entity, Enum, Field, Relationship, Rule
from schemawire.schema.operations import Rename, Target

Named = Entity | Enum | Relationship | Rule | Field


@dataclass(frozen=True, slots=True)
class Alignment:
    """An old schema with the names of the new one."""

    aligned: DomainSchema
    """The old schema after the renamings, each element in its old place."""
    renames: tuple[Rename, ...]


def align(old: DomainSchema, new: DomainSchema) -> Alignment:
    """Return the old schema under the new names.

    What has the same name is the same thing. Of the rest, a pair is one thing if both have the same id, or if the new
    one says in `renamedFrom` what the old one is called.
    """
    old, elements = _renamed(old, _element_renames(old, new))
    old, parts = _renamed(old, [*_field_renames(old, new), *_rule_renames(old, new)])
    return Alignment(old, (*elements, *parts))


def _renamed(old: DomainSchema, renames: list[Rename]) -> tuple[DomainSchema, list[Rename]]:
    try:
        return apply_to_schema(old, renames), renames
    except SchemaInvalid:
        return _renamed_one_by_one(old, renames)


def _renamed_one_by_one(old: DomainSchema, renames: list[Rename]) -> tuple[DomainSchema, list[Rename]]:
    done: list[Rename] = []
    for rename in renames:
        try:
            old = apply_to_schema(old, [rename])
        except SchemaInvalid:  # a taken name, or a schema that breaks the rules: then they are two things
            continue
        done.append(rename)
    return old, done


def _element_renames(old: DomainSchema, new: DomainSchema) -> list[Rename]:
    pairs: dict[Target, list[tuple[str, str]]] = {
        "entity": renamed_pairs(old.entities, new.entities),
        "enum": renamed_pairs(old.enums, new.enums),
        "relationship": renamed_pairs(old.relationships, new.relationships),
    }
    return [
        Rename(target=target, name=name, new_name=new_name)
        for target, names in pairs.items()
        for name, new_name in names
    ]


def _field_renames(old: DomainSchema, new: DomainSchema) -> list[Rename]:
    before: Mapping[str, Entity] = {entity.name: entity for entity in old.entities}
    found: list[Rename] = []
    for entity in new.entities:
        former = before.get(entity.name)
        for name, new_name in renamed_pairs(former.fields, entity.fields) if former else ():
            found.append(Rename(target="field", entity=entity.name, name=name, new_name=new_name))
    return found


def _rule_renames(old: DomainSchema, new: DomainSchema) -> list[Rename]:
    before, after = _rules_by_entity(old), _rules_by_entity(new)
    return [
        Rename(target="rule", entity=entity, name=name, new_name=new_name)
        for entity, rules in after.items()
        for name, new_name in renamed_pairs(before.get(entity, ()), rules)
    ]


def _rules_by_entity(schema: DomainSchema) -> dict[str | None, list[Rule]]:
    found: dict[str | None, list[Rule]] = {}
    for rule in schema.rules:
        found.setdefault(rule.entity, []).append(rule)
    for entity in schema.entities:
        found.setdefault(entity.name, []).extend(entity.rules)
    return found


def renamed_pairs(old: Iterable[Named], new: Iterable[Named]) -> list[tuple[str, str]]:
    """Return old and new name of everything that was renamed, in the new order."""
    before = {part.name: part for part in old}
    after = {part.name: part for part in new}
    free = {name: part for name, part in before.items() if name not in after}
    ids = {part.id: name for name, part in free.items() if part.id}
    found: list[tuple[str, str]] = []
    for name, part in after.items():
        if name in before:
            continue
        former = ids.get(part.id) if part.id in ids else part.renamed_from
        if former in free and former is not None:
            del free[former]
            found.append((former, name))
    return found
