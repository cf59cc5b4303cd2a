"""One small schema that the tests of this room share, and short ways to change it."""

from typing import Any

import pytest

from schemawire.errors import SchemaInvalid
from schemawire.schema import (
    Changes,
    DomainSchema,
    Issue,
    MemoryView,
    apply,
    apply_to_schema,
    check,
    parse_operations,
    parse_schema,
)

Document = dict[str, Any]

BLOG: Document = {
    "formatVersion": "1",
    "name": "blog",
    "entities": [
        {
            "name": "User",
            "fields": [
                {"name": "id", "type": "uuid", "primaryKey": True},
                {"name": "email", "type": "email", "required": True, "unique": True},
            ],
        },
        {
            "name": "Post",
            "fields": [
                {"name": "id", "type": "uuid", "primaryKey": True},
                {"name": "title", "type": "string", "maxLength": 200},
                {"name": "authorId", "type": "uuid", "required": True, "references": {"entity": "User"}},
                {"name": "status", "type": "enum", "enum": "Status", "default": "draft"},
            ],
            "indexes": [{"fields": ["title", "authorId"]}],
            "rules": [
                {"name": "titled", "kind": "check", "expression": "length(title) > 3  and User.email is not null"}
            ],
        },
        {
            "name": "Article",
            "extends": "Post",
            "fields": [{"name": "body", "type": "text"}],
            "indexes": [{"fields": ["title"]}],
        },
    ],
    "enums": [{"name": "Status", "values": ["draft", "published"]}],
    "relationships": [
        {
            "name": "writes",
            "source": "User",
            "target": "Post",
            "sourceCardinality": "1",
            "targetCardinality": "0..*",
            "sourceRole": "author",
            "targetRole": "posts",
        }
    ],
    "rules": [
        {"name": "named", "kind": "check", "entity": "Article", "expression": "title != 'x'"},
        {"name": "polite", "kind": "text", "expression": "Be nice to the User."},
    ],
}


def blog() -> DomainSchema:
    """Return the sample, which breaks no rule and raises no doubt."""
    return parse_schema(BLOG)


def wire(*operations: tuple[str, Document]) -> list[Document]:
    """Return operations in their wire form."""
    return [{"operation": name, "data": data} for name, data in operations]


def after(schema: DomainSchema, *operations: tuple[str, Document]) -> DomainSchema:
    """Return the schema after some operations, having made sure that it is valid."""
    result = apply_to_schema(schema, parse_operations(wire(*operations)))
    assert errors(result) == []
    return result


def changes_of(schema: DomainSchema, *operations: tuple[str, Document]) -> Changes:
    """Return the net changes of some operations."""
    return apply(MemoryView(schema), parse_operations(wire(*operations)))


def refused(schema: DomainSchema, *operations: tuple[str, Document]) -> SchemaInvalid:
    """Return the error that refuses some operations."""
    with pytest.raises(SchemaInvalid) as caught:
        changes_of(schema, *operations)
    return caught.value


def errors(schema: DomainSchema) -> list[Issue]:
    """Return what forbids a schema."""
    return [issue for issue in check(schema) if issue.severity == "error"]


def issues_of(error: SchemaInvalid) -> list[tuple[str, str]]:
    """Return code and pointer of every issue of an error."""
    return [(issue.code, issue.pointer) for issue in error.issues if isinstance(issue, Issue)]
