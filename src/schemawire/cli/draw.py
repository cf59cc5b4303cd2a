"""Domain schemas as trees and figures for people; knows no command."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.text import Text
from rich.tree import Tree

from schemawire.cli.visible import visible

if TYPE_CHECKING:  # the help page draws nothing and should not wait for pydantic
    from schemawire.schema import DomainSchema, Entity, Enum, Field, Relationship, Rule

_KIND_STYLES = {"entity": "bold cyan", "valueObject": "bold blue", "association": "bold magenta", "abstract": "italic"}
_ARROWS = {"association": "──", "aggregation": "◇─", "composition": "◆─"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """How much a schema holds."""

    entities: int
    fields: int
    enums: int
    relationships: int
    rules: int

    def __str__(self) -> str:
        counts = (
            (self.entities, "entity", "entities"),
            (self.fields, "field", "fields"),
            (self.enums, "enum", "enums"),
            (self.relationships, "relationship", "relationships"),
            (self.rules, "rule", "rules"),
        )
        return ", ".join(f"{count} {one if count == 1 else many}" for count, one, many in counts if count)


def figures_of(schema: "DomainSchema") -> Figures:
    """Count what `schema` holds; rules inside entities count as rules."""
    return Figures(
        entities=len(schema.entities),
        fields=sum(len(entity.fields) for entity in schema.entities),
        enums=len(schema.enums),
        relationships=len(schema.relationships),
        rules=len(schema.rules) + sum(len(entity.rules) for entity in schema.entities),
    )


def schema_tree(schema: "DomainSchema", *, caption: str = "") -> Tree:
    """Draw `schema` as a tree: entities with their fields, then enums, relationships and rules."""
    head = Text.assemble((visible(schema.name), "bold"), (f"  {visible(caption)}" if caption else "", "dim"))
    tree = Tree(head, guide_style="dim")
    for entity in schema.entities:
        _grow(tree.add(_entity_line(entity)), (_field_line(field) for field in entity.fields))
    _grow(tree, (_enum_line(enum) for enum in schema.enums))
    _grow(tree, (_relationship_line(relationship) for relationship in schema.relationships))
    _grow(tree, (_rule_line(rule) for rule in (*schema.rules, *_entity_rules(schema.entities))))
    return tree


def _grow(branch: Tree, lines: Iterable[Text]) -> None:
    for line in lines:
        branch.add(line)


def _entity_rules(entities: "Iterable[Entity]") -> "Iterable[Rule]":
    return (rule for entity in entities for rule in entity.rules)


def _entity_line(entity: "Entity") -> Text:
    line = Text(visible(entity.name), style=_KIND_STYLES[entity.kind])
    if entity.kind != "entity":
        line.append(f"  {entity.kind}", style="dim")
    if entity.extends is not None:
        line.append(f"  extends {visible(entity.extends)}", style="dim")
    return line


def _field_line(field: "Field") -> Text:
    line = Text(visible(field.name)).append(f"  {_type_of(field)}", style="green")
    marks = [*_marks(field)]
    return line.append(f"  {' · '.join(marks)}", style="dim") if marks else line


def _type_of(field: "Field") -> str:
    if field.type == "enum":
        return visible(field.enum or "enum")
    if field.type == "list":
        return f"list of {field.items or field.enum or 'anything'}"
    return field.type


def _marks(field: "Field") -> Iterable[str]:
    if field.primary_key:
        yield "key"
    elif field.required:
        yield "required"
    if field.unique and not field.primary_key:
        yield "unique"
    if field.max_length is not None:
        yield f"at most {field.max_length} characters"
    if field.unit is not None:
        yield visible(field.unit)
    if field.references is not None:
        yield f"→ {visible(field.references.entity)}.{visible(field.references.field)}"


def _enum_line(enum: "Enum") -> Text:
    line = Text(visible(enum.name), style="bold yellow")
    return line.append(f"  {' | '.join(visible(value) for value in enum.values)}", style="dim")


def _relationship_line(relationship: "Relationship") -> Text:
    arrow = _ARROWS[relationship.kind]
    through = f"  through {visible(relationship.through)}" if relationship.through else ""
    return Text.assemble(
        (visible(relationship.source), "cyan"),
        f" {relationship.source_cardinality} {arrow} ",
        (visible(relationship.name), "italic"),
        f" ─▶ {relationship.target_cardinality} ",
        (visible(relationship.target), "cyan"),
        (through, "dim"),
    )


def _rule_line(rule: "Rule") -> Text:
    says = rule.expression or rule.message or rule.description or ""
    return Text.assemble((visible(rule.key), "bold red"), (f"  {rule.kind}  ", "dim"), visible(says))
