"""Compatibility: whom each difference breaks and why, what each mode allows, and that the modes hang together."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.schema.samples import BLOG, Document, blog
from tests.schema.strategies import schema_documents, typed_options

from schemawire.schema import (
    MODES,
    DomainSchema,
    Entity,
    Enum,
    Field,
    Index,
    Mode,
    Relationship,
    Rule,
    apply_to_schema,
    followed,
    judge,
    parse_operations,
    parse_schema,
    renames_between,
    violations,
)
from schemawire.schema.compatibility_rules import EFFECT_RULES
from schemawire.schema.model import Part

Change = Callable[[Document], Any]

NOBODY: set[str] = set()
READERS = {"readers"}
WRITERS = {"writers"}
NARROWER = {"writers", "storedData"}
EVERYBODY = {"readers", "writers", "storedData"}


def title(document: Document) -> Document:
    """The field `Post.title`: a string of 200 characters at most."""
    found: Document = document["entities"][1]["fields"][1]
    return found


def post(document: Document) -> Document:
    """The entity `Post`, which `Article` extends."""
    found: Document = document["entities"][1]
    return found


def new_field(**options: Any) -> Change:
    """Add a field to `User`."""
    return lambda document: document["entities"][0]["fields"].append({"name": "fresh", "type": "string", **options})


def with_field(**options: Any) -> DomainSchema:
    """A schema of one entity with one field besides its id."""
    enums = [{"name": "Colour", "values": ["red", "green"]}, {"name": "Wide", "values": ["red", "green", "blue"]}]
    field = {"name": "value", **({} if "type" in options else {"type": "integer"}), **options}
    return parse_schema({"name": "s", "entities": [{"name": "Thing", "fields": [field]}], "enums": enums})


def changed(change: Change) -> DomainSchema:
    """The sample after a change to its document."""
    document = json.loads(json.dumps(BLOG))
    change(document)
    return parse_schema(document)


def broken(old: DomainSchema, new: DomainSchema) -> set[str]:
    """Everybody whom a step breaks."""
    return {party for change in judge(old, new) for party in change.breaks}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda d: d.update(name="press", description="x"), NOBODY),
        (lambda d: d["entities"].append({"name": "Tag", "fields": [{"name": "a", "type": "text"}]}), NOBODY),
        (lambda d: (d["entities"].pop(), d["rules"].pop(0)), EVERYBODY),
        (new_field(), NOBODY),
        (new_field(required=True), NARROWER),
        (new_field(required=True, default="x"), NOBODY),
        (new_field(type="uuid", required=True, generated="uuid"), {"storedData"}),
        (lambda d: title(d).update(required=True), NARROWER),
        (lambda d: title(d).update(required=True, default="x"), NOBODY),
        (lambda d: title(d).update(maxLength=100), NARROWER),
        (lambda d: title(d).update(maxLength=201), READERS),
        (lambda d: title(d).pop("maxLength"), READERS),
        (lambda d: title(d).update(pattern="^a"), NARROWER),
        (lambda d: title(d).update(type="text"), READERS),
        (lambda d: title(d).update(description="d", deprecated=True, sensitive=True), NOBODY),
        (lambda d: title(d).update(unique=True), NARROWER),
        (lambda d: title(d).update(immutable=True), WRITERS),
        (lambda d: post(d)["fields"][3].pop("default"), NOBODY),
        (lambda d: post(d)["indexes"].append({"fields": ["status"], "unique": True}), NARROWER),
        (lambda d: post(d)["indexes"].clear(), NOBODY),
        (lambda d: post(d)["rules"].clear(), READERS),
        (lambda d: post(d)["rules"][0].update(message="m"), NOBODY),
        (lambda d: post(d)["rules"][0].update(expression="length(title) > 4"), EVERYBODY),
        (lambda d: d["rules"].append({"name": "t", "kind": "text", "expression": "Words."}), NOBODY),
        (lambda d: d["rules"][1].update(expression="Other words."), NOBODY),
        (lambda d: d["enums"][0]["values"].append("old"), READERS),
        (lambda d: d["enums"][0]["values"].pop(), NARROWER),
        (lambda d: d["enums"][0]["values"].reverse(), NOBODY),
        (lambda d: d["relationships"][0].update(targetCardinality="0..5"), NARROWER),
        (lambda d: d["relationships"][0].update(sourceCardinality="0..1"), READERS),
        (lambda d: d["relationships"][0].update(targetRole="entries"), {"readers", "writers"}),
        (lambda d: d["relationships"].clear(), EVERYBODY),
        (lambda d: post(d).update(kind="abstract"), NARROWER),
        (lambda d: d["entities"][2].pop("extends"), EVERYBODY),
    ],
)
def test_a_change_breaks_those_whom_it_concerns_and_nobody_else(change: Change, expected: set[str]) -> None:
    """The table of docs/compatibility.md, change by change."""
    assert broken(blog(), changed(change)) == expected


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ({"type": "integer"}, {"type": "bigint"}, READERS),
        ({"type": "bigint"}, {"type": "integer"}, NARROWER),
        ({"type": "integer"}, {"type": "string"}, EVERYBODY),
        ({"type": "email"}, {"type": "string"}, READERS),
        ({"type": "date"}, {"type": "datetime"}, EVERYBODY),
        ({"min": 1}, {"min": 0}, READERS),
        ({"min": 1}, {"min": 2}, NARROWER),
        ({"min": 1}, {"min": 1, "exclusiveMin": True}, NARROWER),
        ({"max": 5}, {"max": 5, "exclusiveMax": True}, NARROWER),
        ({"max": 5, "exclusiveMax": True}, {"max": 6}, READERS),
        ({"max": 5}, {}, READERS),
        ({"type": "decimal", "min": "1.50"}, {"type": "decimal", "min": "1.5"}, NOBODY),
        ({"type": "decimal", "precision": 5, "scale": 2}, {"type": "decimal", "precision": 6, "scale": 2}, READERS),
        ({"type": "decimal", "precision": 5, "scale": 2}, {"type": "decimal", "precision": 5, "scale": 3}, EVERYBODY),
        ({"type": "enum", "enum": "Colour"}, {"type": "enum", "enum": "Wide"}, READERS),
        ({"type": "enum", "enum": "Wide"}, {"type": "enum", "enum": "Colour"}, NARROWER),
        ({"type": "enum", "enum": "Colour"}, {"type": "string"}, READERS),
        ({"type": "list", "items": "string"}, {"type": "list", "items": "text"}, READERS),
        ({"unit": "kg"}, {"unit": "lb"}, EVERYBODY),
        ({}, {"unit": "kg"}, NOBODY),
        ({"required": True, "default": 1}, {"required": True}, WRITERS),
        ({"required": True}, {}, READERS),
        ({"required": True, "default": 1}, {}, NOBODY),
        ({"pattern": "a", "type": "string"}, {"pattern": "b", "type": "string"}, EVERYBODY),
    ],
)
def test_options_of_a_field_are_judged_on_the_values_that_they_allow(
    old: Document, new: Document, expected: set[str]
) -> None:
    """Fewer values break what was written, more values break who reads; bounds are judged with their openness."""
    assert broken(with_field(**old), with_field(**new)) == expected


def test_a_renaming_is_understood_and_concerns_readers_alone() -> None:
    """What says `renamedFrom` takes what was written under the former name; only old readers look for that name."""
    renames = parse_operations(
        [
            {"operation": "rename_entity", "data": {"name": "Post", "newName": "Entry"}},
            {"operation": "rename_field", "data": {"entity": "Entry", "name": "title", "newName": "heading"}},
        ]
    )
    new = apply_to_schema(blog(), renames)
    assert broken(blog(), new) == READERS
    assert violations("BACKWARD", blog(), new) == []
    assert [change.difference.code for change in violations("FORWARD", blog(), new)] == [
        "entity_renamed",
        "field_renamed",
    ]


def test_a_thing_renamed_twice_is_followed_through_the_versions_between() -> None:
    """`renamedFrom` names the last name alone; earlier ones are found by walking through the versions."""
    steps = [blog()]
    for old, new in (("title", "heading"), ("heading", "headline")):
        data = {"entity": "Post", "name": old, "newName": new}
        steps.append(apply_to_schema(steps[-1], parse_operations([{"operation": "rename_field", "data": data}])))
    first, second, third = steps
    assert {change.difference.code for change in judge(first, third)} >= {"field_added", "field_removed"}
    names = [renames_between(first, second), renames_between(second, third)]
    assert judge(followed(first, names), third) == []


def test_a_field_that_moves_to_a_parent_is_neither_gone_nor_new() -> None:
    """What counts is which fields the records of an entity have, not where they are written down."""
    flat = parse_schema(
        {
            "name": "s",
            "entities": [
                {"name": "Item", "kind": "abstract"},
                {"name": "Book", "extends": "Item", "fields": [{"name": "price", "type": "integer", "required": True}]},
            ],
        }
    )
    raised = parse_schema(
        {
            "name": "s",
            "entities": [
                {
                    "name": "Item",
                    "kind": "abstract",
                    "fields": [{"name": "price", "type": "integer", "required": True}],
                },
                {"name": "Book", "extends": "Item"},
            ],
        }
    )
    assert broken(flat, raised) == NOBODY
    assert broken(raised, flat) == NOBODY


def test_a_new_mandatory_relationship_concerns_entities_that_were_there() -> None:
    """Records that are stored have no partner yet; those of a new entity do not exist yet."""
    base = {"name": "s", "entities": [{"name": "A"}]}
    added = {"name": "r", "source": "B", "target": "A", "sourceCardinality": "1"}
    both = parse_schema({**base, "entities": [{"name": "A"}, {"name": "B"}], "relationships": [added]})
    assert broken(parse_schema(base), both) == NARROWER
    turned = {**added, "source": "A", "target": "B"}
    fine = parse_schema({**base, "entities": [{"name": "A"}, {"name": "B"}], "relationships": [turned]})
    assert broken(parse_schema(base), fine) == NOBODY


def test_a_self_relation_and_a_circle_are_judged() -> None:
    """Neither ends in endless recursion."""
    document = {
        "name": "s",
        "entities": [
            {"name": "Node", "fields": [{"name": "next", "type": "uuid", "references": {"entity": "Node"}},
                                        {"name": "id", "type": "uuid", "primaryKey": True}]},
        ],
        "relationships": [{"name": "follows", "source": "Node", "target": "Node", "sourceCardinality": "0..1"}],
    }  # fmt: skip
    schema = DomainSchema.model_validate(document)
    assert broken(schema, schema) == NOBODY
    assert broken(DomainSchema.model_validate({"name": "s"}), schema) == NOBODY


def test_the_reason_says_in_words_what_changed_and_for_whom() -> None:
    """Type, place, both sides, and a sentence for each party."""
    (found,) = judge(with_field(max=5), with_field(max=4))
    assert (found.difference.code, found.difference.pointer) == ("field_max_changed", "/entities/0/fields/0/max")
    assert (found.difference.before, found.difference.after) == (5, 4)
    assert found.breaks["storedData"].endswith("max of field Thing.value is 4, was 5.")
    assert found.reason("FORWARD") == ""
    assert found.reason("BACKWARD").count(".") >= 2


def test_every_kind_of_difference_has_its_rule() -> None:
    """A code that comparison can give and no rule knows would break everybody by accident."""
    parts: dict[str, type[Part]] = {
        "field": Field,
        "entity": Entity,
        "enum": Enum,
        "relationship": Relationship,
        "rule": Rule,
        "index": Index,
    }
    apart = {"name", "renamed_from", "evidence", "fields", "indexes", "rules", "values"}
    merged = {"source", "target", "source_role", "target_role", "source_cardinality", "target_cardinality"}
    codes = {
        f"{thing}_{option}_changed"
        for thing, model in parts.items()
        for option in model.model_fields
        if option not in apart | merged
    }
    things = (*parts, "enum_value")
    codes |= {f"{thing}_{verb}" for thing in things for verb in ("added", "removed")}
    codes |= {f"{thing}_renamed" for thing in ("entity", "field", "enum", "relationship", "rule")}
    codes |= {"fields_reordered", "rules_reordered", "indexes_reordered", "enum_values_reordered"}
    codes |= {"relationship_end_changed", "relationship_role_changed", "relationship_cardinality_changed"}
    assert codes - EFFECT_RULES.keys() == set()


@given(schema_documents())
def test_a_schema_is_compatible_with_itself(document: Document) -> None:
    """In every mode."""
    schema = parse_schema(document)
    assert judge(schema, schema) == []


@given(schema_documents(), schema_documents())
def test_full_is_backward_and_forward(old: Document, new: Document) -> None:
    """A step is FULL exactly if it is BACKWARD and FORWARD, and NONE allows every step."""
    first, second = parse_schema(old), parse_schema(new)
    modes: tuple[Mode, ...] = ("NONE", "BACKWARD", "FORWARD", "FULL")
    none, backward, forward, full = (not violations(mode, first, second) for mode in modes)
    assert none
    assert full == (backward and forward)
    for change in judge(first, second):
        assert all(change.reason(mode) for mode in MODES if change.violates(mode))


@given(typed_options(), typed_options())
def test_readers_break_where_turned_round_stored_data_would(old: Document, new: Document) -> None:
    """What a new field allows beyond the old one is what, the other way round, the stored values would miss."""
    for document in (old, new):
        document.pop("immutable", None)
    first, second = with_field(**old), with_field(**new)
    assert ("readers" in broken(first, second)) == ("storedData" in broken(second, first))


@given(st.data())
def test_a_field_that_allows_all_of_the_old_values_keeps_stored_data(data: st.DataObject) -> None:
    """Against a plain model: a set of whole numbers within bounds."""
    bounds = st.tuples(st.integers(-3, 0), st.integers(1, 4), st.booleans(), st.booleans())
    ranges = [data.draw(bounds) for _ in range(2)]
    first, second = (
        with_field(min=low, max=high, exclusiveMin=above, exclusiveMax=below) for low, high, above, below in ranges
    )
    allowed = [
        {n / 2 for n in range(2 * low, 2 * high + 1) if (n > 2 * low or not above) and (n < 2 * high or not below)}
        for low, high, above, below in ranges
    ]
    assert ("storedData" in broken(first, second)) == (not allowed[0] <= allowed[1])
    assert ("readers" in broken(first, second)) == (not allowed[1] <= allowed[0])
