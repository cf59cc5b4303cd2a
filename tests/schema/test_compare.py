"""Comparing two schemas: differences in the domain's words, with places and both sides, and the steps between them."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.schema.samples import BLOG, Document, after, blog

from schemawire.schema import (
    Difference,
    DomainSchema,
    apply_to_schema,
    compare,
    diff_operations,
    parse_schema,
    schema_digest,
)

Change = Callable[[Document], Any]


def changed(change: Change) -> DomainSchema:
    """Return the sample after a change to its document."""
    document = json.loads(json.dumps(BLOG))
    change(document)
    return parse_schema(document)


def differences(change: Change) -> list[tuple[str, str, Any, Any]]:
    """Return code, place and both sides of what differs from the sample."""
    return [(found.code, found.pointer, found.before, found.after) for found in compare(blog(), changed(change))]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda d: d.update(name="press"), ("schema_name_changed", "/name", "blog", "press")),
        (lambda d: d.update(description="x"), ("schema_description_changed", "/description", None, "x")),
        (lambda d: d["entities"].append({"name": "Tag"}), ("entity_added", "/entities/3", None, {"name": "Tag"})),
        (lambda d: d["rules"].pop(), ("rule_removed", "/rules/1", BLOG["rules"][1], None)),
        (
            lambda d: d["entities"][1].update(kind="abstract"),
            ("entity_kind_changed", "/entities/1/kind", "entity", "abstract"),
        ),
        (
            lambda d: d["entities"][2].update(extends="User"),
            ("entity_extends_changed", "/entities/2/extends", "Post", "User"),
        ),
        (
            lambda d: d["entities"][1]["fields"][1].update(type="text"),
            ("field_type_changed", "/entities/1/fields/1/type", "string", "text"),
        ),
        (
            lambda d: d["entities"][1]["fields"][1].update(maxLength=9),
            ("field_max_length_changed", "/entities/1/fields/1/maxLength", 200, 9),
        ),
        (
            lambda d: d["entities"][1]["fields"][1].update({"x-a": 1}),
            ("field_extension_changed", "/entities/1/fields/1/x-a", None, 1),
        ),
        (
            lambda d: d["entities"][1]["fields"][2]["references"].update(onDelete="cascade"),
            (
                "field_references_changed",
                "/entities/1/fields/2/references",
                {"entity": "User"},
                {"entity": "User", "onDelete": "cascade"},
            ),
        ),
        (
            lambda d: d["entities"][1]["indexes"][0].update(unique=True),
            ("index_unique_changed", "/entities/1/indexes/0/unique", False, True),
        ),
        (
            lambda d: d["entities"][1]["rules"][0].update(message="m"),
            ("rule_message_changed", "/entities/1/rules/0/message", None, "m"),
        ),
        (lambda d: d["enums"][0]["values"].append("gone"), ("enum_value_added", "/enums/0/values/2", None, "gone")),
        (
            lambda d: d["enums"][0]["values"].reverse(),
            ("enum_values_reordered", "/enums/0/values", ["draft", "published"], ["published", "draft"]),
        ),
        (
            lambda d: d["relationships"][0].update(targetCardinality="1..*"),
            ("relationship_cardinality_changed", "/relationships/0/targetCardinality", "0..*", "1..*"),
        ),
        (
            lambda d: d["relationships"][0].update(targetRole="texts"),
            ("relationship_role_changed", "/relationships/0/targetRole", "posts", "texts"),
        ),
    ],
)
def test_one_change_is_one_difference(change: Change, expected: tuple[str, str, Any, Any]) -> None:
    """Its code says what changed, its pointer where, and both sides stand beside each other."""
    assert differences(change) == [expected]


def test_order_of_fields_is_a_difference_and_order_of_elements_is_none() -> None:
    """A column has a place; an entity has none."""
    (found,) = compare(blog(), changed(lambda d: d["entities"][0]["fields"].reverse()))
    assert (found.code, found.path) == ("fields_reordered", "User")
    assert compare(blog(), changed(lambda d: d["entities"].reverse())) == []


def test_removed_parts_point_into_the_old_document() -> None:
    """There is no other place where they stand."""

    def change(document: Document) -> None:
        document["entities"].reverse()
        document["entities"][1]["fields"].pop(1)
        document["entities"][1]["indexes"] = document["entities"][0]["indexes"] = []
        document["entities"][1]["rules"] = document["rules"] = []

    removed = {(found.code, found.pointer) for found in compare(blog(), changed(change))}
    assert removed == {
        ("field_removed", "/entities/1/fields/1"),
        ("index_removed", "/entities/1/indexes/0"),
        ("index_removed", "/entities/2/indexes/0"),
        ("rule_removed", "/entities/1/rules/0"),
        ("rule_removed", "/rules/0"),
        ("rule_removed", "/rules/1"),
    }


def test_a_renaming_is_one_difference_however_much_follows_it() -> None:
    """References, ends and expressions that follow a new name are not reported again."""
    new = after(
        blog(),
        ("rename_entity", {"name": "User", "newName": "Person"}),
        ("rename_field", {"entity": "Post", "name": "title", "newName": "headline"}),
        ("rename_rule", {"entity": "Post", "name": "titled", "newName": "headed"}),
    )
    assert [(found.code, found.pointer, found.before, found.after) for found in compare(blog(), new)] == [
        ("entity_renamed", "/entities/0/name", "User", "Person"),
        ("field_renamed", "/entities/1/fields/1/name", "title", "headline"),
        ("rule_renamed", "/entities/1/rules/0/name", "titled", "headed"),
    ]


def test_the_same_id_is_the_same_thing() -> None:
    """A stable id tells a renaming from a removal and an addition, without `renamedFrom`."""
    old, new = ({"name": "a", "entities": [{"name": name, "id": "e1"}]} for name in ("Old", "New"))
    assert [found.code for found in compare(parse_schema(old), parse_schema(new))] == ["entity_renamed"]
    del new["entities"][0]["id"]  # type: ignore[attr-defined]  # the document is plain JSON
    assert [found.code for found in compare(parse_schema(old), parse_schema(new))] == ["entity_removed", "entity_added"]


def test_a_schema_does_not_differ_from_itself() -> None:
    """Nor from one that says its defaults, or where it was read."""

    def change(document: Document) -> None:
        document["entities"][0] |= {"kind": "entity", "evidence": [{"text": "users"}]}

    assert compare(blog(), changed(change)) == []
    assert diff_operations(blog(), changed(change)) == []


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (lambda d: d["entities"][1]["fields"][1].update(maxLength=9), ["update_field"]),
        (lambda d: d["entities"][1]["fields"][1].pop("maxLength"), ["update_field"]),
        (lambda d: d["entities"][1].update(description="x", indexes=[]), ["update_entity"]),
        (lambda d: d["entities"][0]["fields"].append({"name": "age", "type": "integer"}), ["create_field"]),
        (lambda d: d["entities"][1]["rules"].clear(), ["delete_rule"]),
        (lambda d: d["entities"][0]["fields"].reverse(), ["delete_entity", "create_entity"]),
        (lambda d: d["entities"][0].update({"x-a": {"b": None}}), ["delete_entity", "create_entity"]),
        (lambda d: d["relationships"][0].update(kind="composition"), ["update_relationship"]),
        (lambda d: d["rules"][0].update(message="m"), ["update_rule"]),
        (lambda d: d["enums"].append({"name": "E", "values": ["a"]}), ["create_enum"]),
        (lambda d: d.update(description="x"), ["replace_schema"]),
    ],
)
def test_steps_are_as_small_as_the_operations_allow(change: Change, names: list[str]) -> None:
    """What no operation can express is written anew, no more than that."""
    target = changed(change)
    steps = diff_operations(blog(), target)
    assert [step.operation for step in steps] == names
    assert schema_digest(apply_to_schema(blog(), steps)) == schema_digest(target)


def test_an_entity_may_become_an_enum() -> None:
    """Both share one set of names, so the one must go before the other comes."""
    old = parse_schema({"name": "a", "entities": [{"name": "State"}]})
    new = parse_schema({"name": "a", "enums": [{"name": "State", "values": ["on"]}]})
    assert [step.operation for step in diff_operations(old, new)] == ["delete_entity", "create_enum"]
    assert {found.code for found in compare(old, new)} == {"entity_removed", "enum_added"}
    assert all(isinstance(found, Difference) for found in compare(old, new))
