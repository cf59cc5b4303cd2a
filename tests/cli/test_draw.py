"""Schemas as trees and figures."""

import io

from rich.console import Console

from schemawire.cli.draw import figures_of, schema_tree
from schemawire.schema import DomainSchema

BLOG = DomainSchema.model_validate(
    {
        "name": "blog",
        "entities": [
            {"name": "User", "fields": [{"name": "id", "type": "uuid", "primaryKey": True}]},
            {
                "name": "Post",
                "fields": [
                    {"name": "title", "type": "string", "required": True, "maxLength": 200},
                    {"name": "status", "type": "enum", "enum": "Status"},
                    {"name": "userId", "type": "uuid", "references": {"entity": "User"}},
                ],
                "rules": [{"name": "titled", "kind": "text", "message": "Has a title."}],
            },
        ],
        "enums": [{"name": "Status", "values": ["draft", "[red]live[/red]"]}],
        "relationships": [
            {
                "name": "writes",
                "source": "User",
                "target": "Post",
                "sourceCardinality": "1",
                "targetCardinality": "0..*",
            }
        ],
    }
)


def drawn(schema: DomainSchema) -> str:
    """Return the tree as plain text."""
    console = Console(file=io.StringIO(), width=120, markup=False)
    console.print(schema_tree(schema, caption="v3"))
    text = console.file
    assert isinstance(text, io.StringIO)
    return text.getvalue()


def test_a_tree_shows_every_element() -> None:
    """Entities with typed fields, enums, relationships with both cardinalities, rules."""
    text = drawn(BLOG)
    for part in (
        "blog  v3",
        "id  uuid  key",
        "title  string  required · at most 200 characters",
        "status  Status",
        "userId  uuid  → User.id",
        "User 1 ── writes ─▶ 0..* Post",
        "titled  text  Has a title.",
    ):
        assert part in text


def test_a_relationship_names_the_entity_that_carries_it() -> None:
    """A many-to-many relationship with fields of its own says where they are."""
    ends = {"source": "User", "target": "Post", "sourceCardinality": "0..*", "targetCardinality": "0..*"}
    relationship = {"name": "likes", "through": "Like", **ends}
    schema = DomainSchema.model_validate({"name": "blog", "relationships": [relationship]})
    assert "User 0..* ── likes ─▶ 0..* Post  through Like" in drawn(schema)


def test_names_are_data_and_not_markup() -> None:
    """What looks like markup is printed as it is."""
    assert "draft | [red]live[/red]" in drawn(BLOG)


def test_figures_count_and_speak_in_the_right_number() -> None:
    """One is singular; what is absent is not mentioned."""
    figures = figures_of(BLOG)
    assert (figures.entities, figures.fields, figures.relationships, figures.rules) == (2, 4, 1, 1)
    assert str(figures) == "2 entities, 4 fields, 1 enum, 1 relationship, 1 rule"
    assert str(figures_of(DomainSchema.model_validate({"name": "empty"}))) == ""
