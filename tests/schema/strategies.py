"""Hypothesis strategies for valid schemas and for operations on them, good and bad; for every room's tests."""

from typing import Any

from hypothesis import strategies as st

from schemawire.schema import DomainSchema, Operation, check, parse_operation, parse_schema
from schemawire.schema.syntax import (
    Between,
    Binary,
    Constant,
    Expression,
    In,
    IsNull,
    Length,
    Now,
    Path,
    Sequence,
    Unary,
)

Document = dict[str, Any]

ENTITY_NAMES = ("User", "Post", "Tag", "Comment", "Órgão", "Станция")
ENUM_NAMES = ("Status", "Colour", "Größe")
FIELD_NAMES = ("id", "name", "price", "startsAt", "größe", "order", "名前", "in")
RELATIONSHIP_NAMES = ("writes", "likes", "owns", "has")
RULE_NAMES = ("limit", "polite")
CARDINALITIES = ("1", "0..1", "0..*", "1..*", "*", "2..5")

words = st.text(alphabet="aé中'_ 9\"\\/~`", max_size=6)
cardinalities = st.sampled_from(CARDINALITIES)
extension_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([1.0, 0.5, -0.0]) | words,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(words, inner, max_size=2),
    max_leaves=4,
)


def _optional(draw: st.DrawFn, document: Document, key: str, values: st.SearchStrategy[Any]) -> None:
    if draw(st.integers(0, 3)) == 0:
        document[key] = draw(values)


@st.composite
def typed_options(draw: st.DrawFn) -> Document:
    """Return type and options of a field that stands by itself."""
    kind = draw(
        st.sampled_from(["string", "text", "integer", "decimal", "float", "boolean", "date", "uuid", "json", "list"])
    )
    document: Document = {"type": kind}
    match kind:
        case "string" | "text":
            _optional(draw, document, "maxLength", st.integers(3, 50))
            _optional(draw, document, "default", st.sampled_from(["", "a", "é"]))
        case "integer":
            _optional(draw, document, "min", st.integers(-5, 0))
            _optional(draw, document, "max", st.integers(1, 5))
            _optional(draw, document, "default", st.integers(0, 1))
        case "decimal":
            document |= {"precision": draw(st.integers(4, 9)), "scale": draw(st.integers(0, 4))}
        case "float":
            _optional(draw, document, "min", st.sampled_from([0, 0.0, -1.5]))
        case "boolean":
            _optional(draw, document, "default", st.booleans())
        case "list":
            document["items"] = draw(st.sampled_from(["string", "integer"]))
    for flag in ("required", "unique", "immutable"):
        _optional(draw, document, flag, st.booleans())
    _optional(draw, document, "description", words)
    _optional(draw, document, "x-note", extension_values)
    return document


@st.composite
def fields(draw: st.DrawFn, name: str, entities: list[str], enums: list[str]) -> Document:
    """Return a field, perhaps one that refers to an entity's `id` or takes its values from an enum."""
    shape = draw(st.sampled_from(["plain", "plain", "reference", "enum"]))
    if shape == "reference" and entities:
        target = draw(st.sampled_from(entities))
        action = draw(st.sampled_from(["restrict", "cascade"]))
        return {"name": name, "type": "uuid", "references": {"entity": target, "onDelete": action}}
    if shape == "enum" and enums:
        return {"name": name, "type": "enum", "enum": draw(st.sampled_from(enums))}
    return {"name": name, **draw(typed_options())}


@st.composite
def entities(draw: st.DrawFn, name: str, names: list[str], enums: list[str]) -> Document:
    """Return an entity with an `id`, other fields, and indexes and rules over them."""
    chosen = draw(st.lists(st.sampled_from([field for field in FIELD_NAMES if field != "id"]), unique=True, max_size=3))
    own = [{"name": "id", "type": "uuid", "primaryKey": True}, *(draw(fields(field, names, enums)) for field in chosen)]
    document: Document = {"name": name, "fields": own}
    _optional(draw, document, "description", words)
    has_index, has_rule = draw(st.booleans()), draw(st.booleans())
    if chosen and has_index:
        document["indexes"] = [{"fields": [draw(st.sampled_from(chosen)), "id"], "unique": draw(st.booleans())}]
    if chosen and has_rule:
        document["rules"] = [{"name": "own", "kind": "check", "expression": _about(draw, chosen)}]
    return document


def _about(draw: st.DrawFn, names: list[str]) -> str:
    name = draw(st.sampled_from(names))
    return draw(st.sampled_from([f"`{name}` is not null", f"not (`{name}` = 1)  or `{name}` in (1, 2)"]))


@st.composite
def schema_documents(draw: st.DrawFn) -> Document:
    """Return the document of a valid schema."""
    names = draw(st.lists(st.sampled_from(ENTITY_NAMES), unique=True, max_size=4))
    enums = draw(st.lists(st.sampled_from(ENUM_NAMES), unique=True, max_size=2))
    document: Document = {"formatVersion": "1", "name": draw(st.sampled_from(["blog", "größe"]))}
    document["entities"] = [draw(entities(name, names, enums)) for name in names]
    document["enums"] = [
        {"name": name, "values": draw(st.lists(st.sampled_from("abcé"), unique=True, min_size=1))} for name in enums
    ]
    document["relationships"] = [draw(relationships(name, names)) for name in _some(draw, RELATIONSHIP_NAMES) if names]
    document["rules"] = [draw(rules(name, names)) for name in _some(draw, RULE_NAMES)]
    has_heir = draw(st.booleans())
    if names and has_heir:
        own = [{"name": "extra", "type": "text"}]
        document["entities"].append(
            {"name": "Heir", "extends": names[0], "fields": own, "indexes": [{"fields": ["id"]}]}
        )
    return document


def _some(draw: st.DrawFn, names: tuple[str, ...]) -> list[str]:
    return draw(st.lists(st.sampled_from(names), unique=True, max_size=2))


@st.composite
def relationships(draw: st.DrawFn, name: str, names: list[str]) -> Document:
    """Return a relationship, perhaps of an entity with itself."""
    document: Document = {"name": name, "source": draw(st.sampled_from(names)), "target": draw(st.sampled_from(names))}
    _optional(draw, document, "sourceCardinality", st.sampled_from(["1", "0..1"]))
    _optional(draw, document, "targetCardinality", cardinalities)
    _optional(draw, document, "kind", st.sampled_from(["association", "aggregation"]))
    return document


@st.composite
def rules(draw: st.DrawFn, name: str, names: list[str]) -> Document:
    """Return a top-level rule: of an entity, across entities, or in words."""
    shape = draw(st.sampled_from(["text", "entity", "qualified"] if names else ["text"]))
    if shape == "text":
        return {"name": name, "kind": "text", "expression": draw(words)}
    entity = draw(st.sampled_from(names))
    if shape == "entity":
        return {"name": name, "kind": "check", "entity": entity, "expression": "id is not null"}
    return {"name": name, "kind": "check", "expression": f"{entity}.id != '1'"}


def _is_valid(schema: DomainSchema) -> bool:
    return not any(issue.severity == "error" for issue in check(schema))


schemas: st.SearchStrategy[DomainSchema] = schema_documents().map(parse_schema).filter(_is_valid)
"""Valid schemas with names in several scripts, references, heirs, enums, relationships, rules and extensions."""


@st.composite
def operation_documents(draw: st.DrawFn, schema: DomainSchema | None = None) -> Document:
    """Return a well-formed operation that may or may not fit a schema; with one, it names mostly what is there."""
    target = draw(st.sampled_from(["entity", "field", "relationship", "enum", "rule"]))
    verb = draw(st.sampled_from(["create", "update", "rename", "delete"]))
    data: Document = {"name": draw(_name_of(target))}
    if target == "field" or (target == "rule" and draw(st.booleans())):
        data["entity"] = draw(st.sampled_from([*ENTITY_NAMES, "Heir"]))
    there = _there(schema, target) if schema else []
    if there and verb != "create" and draw(st.integers(0, 5)):
        data = draw(st.sampled_from(there))
    elif schema and schema.entities and target == "field":
        data["entity"] = draw(st.sampled_from([entity.name for entity in schema.entities]))
    name = data["name"]
    match verb:
        case "create":
            data |= draw(_creation(target, name, schema))
        case "update":
            data |= draw(_patch(target))
        case "rename":
            data["newName"] = draw(_name_of(target))
        case "delete" if target == "entity":
            data["cascade"] = draw(st.booleans())
    return {"operation": f"{verb}_{target}", "data": data}


def _there(schema: DomainSchema, target: str) -> list[Document]:
    """Return how the things of a schema are named in operations."""
    match target:
        case "field":
            return [{"entity": entity.name, "name": part.name} for entity in schema.entities for part in entity.fields]
        case "rule":
            own = [{"entity": entity.name, "name": rule.name} for entity in schema.entities for rule in entity.rules]
            top = [{"name": rule.name} | ({"entity": rule.entity} if rule.entity else {}) for rule in schema.rules]
            return own + top
        case "entity":
            return [{"name": entity.name} for entity in schema.entities]
        case "enum":
            return [{"name": enum.name} for enum in schema.enums]
        case _:
            return [{"name": relationship.name} for relationship in schema.relationships]


def _name_of(target: str) -> st.SearchStrategy[str]:
    pools = {
        "entity": [*ENTITY_NAMES, "Heir", "Fresh"],
        "field": [*FIELD_NAMES, "extra", "fresh"],
        "relationship": [*RELATIONSHIP_NAMES],
        "enum": [*ENUM_NAMES, "Fresh"],
        "rule": [*RULE_NAMES, "own"],
    }
    return st.sampled_from(pools[target])


def _creation(target: str, name: str, schema: DomainSchema | None) -> st.SearchStrategy[Document]:
    known = [entity.name for entity in schema.entities] if schema else list(ENTITY_NAMES)
    enums = [enum.name for enum in schema.enums] if schema else list(ENUM_NAMES)
    match target:
        case "entity":
            return entities(name, [*known, name], enums)
        case "field":
            return fields(name, known, enums)
        case "relationship":
            return relationships(name, known or ["Fresh"])
        case "enum":
            return st.just({"values": ["a", "b"]})
        case _:
            return rules(name, known).map(lambda rule: {"kind": rule["kind"], "expression": rule["expression"]})


def _patch(target: str) -> st.SearchStrategy[Document]:
    match target:
        case "entity":
            options = [
                {"extends": "Post"},
                {"extends": None},
                {"kind": "valueObject"},
                {"description": "d"},
                {"indexes": []},
            ]
        case "field":
            options = [{"type": "text"}, {"required": True}, {"unique": True}, {"references": None}, {"maxLength": 9}]
        case "relationship":
            options = [{"source": "User"}, {"targetCardinality": "1"}, {"through": "Tag"}, {"targetRole": "name"}]
        case "enum":
            options = [{"values": ["a"]}, {"values": ["z", "a"]}, {"description": None}]
        case _:
            options = [{"expression": "name = 1"}, {"kind": "text"}, {"message": "m"}]
    return st.sampled_from(options)


operations: st.SearchStrategy[Operation] = operation_documents().map(parse_operation)
"""Well-formed operations, many of which do not fit the schema at hand."""


@st.composite
def edits(draw: st.DrawFn, max_size: int = 5) -> tuple[DomainSchema, list[Operation]]:
    """Return a valid schema and operations, most of which fit it."""
    schema = draw(schemas)
    documents = draw(st.lists(operation_documents(schema), max_size=max_size))
    return schema, [parse_operation(document) for document in documents]


_paths = st.lists(st.sampled_from([*FIELD_NAMES, "date", "length", "matches", "old"]), min_size=1, max_size=3)
_leaves: st.SearchStrategy[Expression] = st.one_of(
    st.integers(0, 99).map(Constant),
    st.decimals(0, 99, places=2).map(Constant),
    words.map(Constant),
    st.booleans().map(Constant),
    st.just(Constant("2026-01-31", "date")),
    st.just(Now()),
    _paths.map(lambda parts: Path(tuple(parts))),
)


def _compound(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
    operators = st.sampled_from(["and", "or", "=", "!=", "<", "<=", ">", ">=", "matches", "+", "-", "*", "/", "%"])
    several = st.lists(inner, min_size=2, max_size=3).map(lambda items: Sequence(tuple(items)))
    return st.one_of(
        st.builds(Binary, operators, inner, inner),
        st.builds(Unary, st.sampled_from(["not", "-"]), inner),
        st.builds(In, inner, several, st.booleans()),
        st.builds(Between, inner, inner, inner, st.booleans()),
        st.builds(IsNull, inner, st.booleans()),
        st.builds(Length, inner),
        several,
    )


expressions: st.SearchStrategy[Expression] = st.recursive(_leaves, _compound, max_leaves=12)
"""Syntax trees of the rule language."""

__all__ = [
    "Document",
    "edits",
    "entities",
    "expressions",
    "extension_values",
    "operation_documents",
    "operations",
    "schema_documents",
    "schemas",
]
