"""The rules between elements: each with a document that breaks it, the place that is named, and one that does not."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.schema.samples import BLOG, blog, errors

from schemawire.errors import SchemaInvalid
from schemawire.schema import Issue, check, parse_schema

Document = dict[str, Any]
Change = Callable[[Document], Any]


def broken(change: Change) -> list[Issue]:
    """Return the issues of the sample after a change to its document."""
    document = json.loads(json.dumps(BLOG))
    change(document)
    return check(parse_schema(document))


def post_with(**field: Any) -> list[Issue]:
    """Return the issues of the sample with one more field in `Post`."""
    return broken(lambda document: document["entities"][1]["fields"].append({"name": "f", **field}))


def found(issues: list[Issue], severity: str = "error") -> set[tuple[str, str]]:
    """Return code and pointer of the issues of one severity."""
    return {(issue.code, issue.pointer) for issue in issues if issue.severity == severity}


def entity(name: str, **options: Any) -> Document:
    """Return the document of an entity."""
    return {"name": name, **options}


def test_the_sample_breaks_no_rule_and_raises_no_doubt() -> None:
    """The other tests change one thing each."""
    assert check(blog()) == []


@pytest.mark.parametrize(
    ("change", "code", "pointer"),
    [
        (lambda d: d["entities"].append(entity("User")), "duplicate_name", "/entities/3/name"),
        (lambda d: d["entities"].append(entity("Status")), "duplicate_name", "/entities/3/name"),
        (lambda d: d["enums"].append(d["enums"][0]), "duplicate_name", "/enums/1/name"),
        (lambda d: d["enums"][0]["values"].append("draft"), "duplicate_name", "/enums/0/values/2"),
        (lambda d: d["relationships"].append(d["relationships"][0]), "duplicate_name", "/relationships/1/name"),
        (lambda d: d["rules"].append(d["rules"][0]), "duplicate_name", "/rules/2/name"),
        (
            lambda d: d["entities"][1]["rules"].append(d["entities"][1]["rules"][0]),
            "duplicate_name",
            "/entities/1/rules/1/name",
        ),
        (
            lambda d: d["rules"].append({"name": "titled", "kind": "text", "entity": "Post"}),
            "duplicate_name",
            "/rules/2/name",
        ),
        (
            lambda d: d["entities"][0]["fields"].append(d["entities"][0]["fields"][0]),
            "duplicate_name",
            "/entities/0/fields/2/name",
        ),
        (
            lambda d: d["entities"][2]["fields"].append({"name": "title", "type": "text"}),
            "duplicate_name",
            "/entities/2/fields/1/name",
        ),
        (
            lambda d: d["entities"][1]["indexes"][0]["fields"].append("title"),
            "duplicate_name",
            "/entities/1/indexes/0/fields/2",
        ),
        (
            lambda d: d["entities"][1]["indexes"][0]["fields"].append("nope"),
            "unknown_field",
            "/entities/1/indexes/0/fields/2",
        ),
        (lambda d: d["entities"][2].update(extends="Nope"), "unknown_entity", "/entities/2/extends"),
        (lambda d: d["entities"][2].update(extends="Status"), "unknown_entity", "/entities/2/extends"),
        (lambda d: d["entities"][2].update(extends="Article"), "cyclic_extends", "/entities/2/extends"),
        (lambda d: d["entities"][1].update(extends="Article"), "cyclic_extends", "/entities/1/extends"),
        (lambda d: d["entities"][2].update(kind="valueObject"), "extends_unfit", "/entities/2/extends"),
        (
            lambda d: d["entities"][1]["fields"][2]["references"].update(entity="Nope"),
            "unknown_entity",
            "/entities/1/fields/2/references/entity",
        ),
        (
            lambda d: d["entities"][1]["fields"][2]["references"].update(field="nope"),
            "unknown_field",
            "/entities/1/fields/2/references/field",
        ),
        (
            lambda d: d["entities"][1]["fields"][2]["references"].update(onDelete="setNull"),
            "set_null_on_required",
            "/entities/1/fields/2/references",
        ),
        (lambda d: d["entities"][1]["fields"][3].update(enum="Nope"), "unknown_enum", "/entities/1/fields/3/enum"),
        (lambda d: d["entities"][1]["fields"][3].update(default="nope"), "value_unfit", "/entities/1/fields/3/default"),
        (lambda d: d["relationships"][0].update(source="Nope"), "unknown_entity", "/relationships/0/source"),
        (lambda d: d["relationships"][0].update(target="Status"), "unknown_entity", "/relationships/0/target"),
        (lambda d: d["relationships"][0].update(through="Nope"), "unknown_entity", "/relationships/0/through"),
        (lambda d: d["rules"][0].update(entity="Nope"), "unknown_entity", "/rules/0/entity"),
        (lambda d: d["entities"][1]["rules"][0].update(entity="User"), "rule_elsewhere", "/entities/1/rules/0/entity"),
        (lambda d: d["rules"][0].update(expression="nope = 1"), "unknown_field", "/rules/0/expression"),
        (lambda d: d["rules"][0].update(expression="Nope.id = 1"), "unknown_entity", "/rules/0/expression"),
        (lambda d: d["rules"][0].update(expression="User.nope = 1"), "unknown_field", "/rules/0/expression"),
        (lambda d: d["rules"][0].update(expression="title.length = 1"), "unknown_field", "/rules/0/expression"),
        (lambda d: d["rules"][0].update(expression="title ="), "expression_invalid", "/rules/0/expression"),
        (lambda d: d["rules"][1].update(kind="check", expression="title = 1"), "unknown_field", "/rules/1/expression"),
        (
            lambda d: d["relationships"][0].update(sourceCardinality="0..1"),
            "reference_contradicts",
            "/entities/1/fields/2/required",
        ),
        (
            lambda d: d["relationships"][0].update(sourceCardinality="0..*"),
            "reference_contradicts",
            "/entities/1/fields/2",
        ),
        (
            lambda d: d["entities"][1]["fields"][2].update(unique=True),
            "reference_contradicts",
            "/entities/1/fields/2/unique",
        ),
    ],
)
def test_a_broken_rule_is_named_with_its_place(change: Change, code: str, pointer: str) -> None:
    """The code is stable, the pointer leads into the document, and every issue says what to do."""
    issues = broken(change)
    assert (code, pointer) in found(issues)
    assert all(issue.message and issue.fix for issue in issues)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda d: d["entities"].append(entity("USER")), "confusable_name"),
        (
            lambda d: d["entities"].append(
                entity("V", kind="valueObject", fields=[{"name": "id", "type": "uuid", "primaryKey": True}])
            ),
            "key_on_value_object",
        ),
        (
            lambda d: d["entities"][2]["fields"].append({"name": "key", "type": "uuid", "primaryKey": True}),
            "key_redefined",
        ),
        (lambda d: d["relationships"].clear(), "reference_without_relationship"),
        (lambda d: d["entities"][1]["fields"][2].pop("required"), "reference_optional"),
        (lambda d: d["entities"][1]["fields"][2].update(type="string"), "reference_type_differs"),
        (lambda d: d["entities"][0]["fields"][0].pop("primaryKey"), "reference_not_unique"),
        (lambda d: d["rules"][0].pop("expression"), "expression_missing"),
        (lambda d: d["relationships"][0].update(kind="composition", sourceCardinality="1..2"), "composition_shared"),
        (lambda d: d["relationships"][0].update(through="Article"), "through_without_many"),
    ],
)
def test_a_doubt_is_a_warning(change: Change, code: str) -> None:
    """What can be meant is allowed, and said."""
    assert code in {code for code, _ in found(broken(change), "warning")}


@pytest.mark.parametrize(
    ("field", "code", "place"),
    [
        ({"type": "integer", "maxLength": 3}, "option_unfit", "maxLength"),
        ({"type": "date", "minLength": 3}, "option_unfit", "minLength"),
        ({"type": "string", "maxLength": 0}, "limit_unfit", "maxLength"),
        ({"type": "string", "minLength": 4, "maxLength": 3}, "limits_crossed", "minLength"),
        ({"type": "integer", "precision": 3}, "option_unfit", "precision"),
        ({"type": "decimal", "precision": 2, "scale": 3}, "limits_crossed", "scale"),
        ({"type": "string", "min": 3}, "option_unfit", "min"),
        ({"type": "integer", "min": 1.5}, "value_unfit", "min"),
        ({"type": "decimal", "max": 1.5}, "value_unfit", "max"),
        ({"type": "date", "min": "yesterday"}, "value_unfit", "min"),
        ({"type": "integer", "min": 3, "max": 2}, "limits_crossed", "min"),
        ({"type": "decimal", "min": "10.5", "max": "9.5"}, "limits_crossed", "min"),
        ({"type": "integer", "min": 3, "max": 3, "exclusiveMax": True}, "limits_crossed", "min"),
        ({"type": "integer", "exclusiveMin": True}, "exclusive_without_bound", "exclusiveMin"),
        ({"type": "integer", "pattern": "a"}, "option_unfit", "pattern"),
        ({"type": "string", "pattern": "("}, "pattern_invalid", "pattern"),
        ({"type": "string", "pattern": "a" * 501}, "pattern_invalid", "pattern"),
        ({"type": "string", "pattern": "[[:alpha:]]"}, "pattern_invalid", "pattern"),
        ({"type": "list"}, "items_missing", "items"),
        ({"type": "string", "items": "string"}, "option_unfit", "items"),
        ({"type": "enum"}, "enum_missing", "enum"),
        ({"type": "string", "enum": "Status"}, "option_unfit", "enum"),
        ({"type": "list", "items": "string", "primaryKey": True}, "key_unfit", "primaryKey"),
        ({"type": "string", "generated": "identity"}, "option_unfit", "generated"),
        ({"type": "string", "default": 1}, "value_unfit", "default"),
        ({"type": "integer", "default": True}, "value_unfit", "default"),
        ({"type": "boolean", "default": 1}, "value_unfit", "default"),
        ({"type": "uuid", "default": "x"}, "value_unfit", "default"),
        ({"type": "string", "default": {"function": "now"}}, "option_unfit", "default"),
        ({"type": "string", "maxLength": 2, "default": "abc"}, "value_unfit", "default"),
        ({"type": "string", "pattern": "^a+$", "default": "b"}, "value_unfit", "default"),
        ({"type": "integer", "max": 2, "default": 3}, "value_unfit", "default"),
        ({"type": "string", "default": ["a"]}, "value_unfit", "default"),
        ({"type": "list", "items": "integer", "default": [1, "2"]}, "value_unfit", "default/1"),
        ({"type": "list", "items": "enum", "enum": "Status", "default": ["nope"]}, "value_unfit", "default/0"),
    ],
)
def test_options_must_fit_the_type(field: Document, code: str, place: str) -> None:
    """An option that a type has no use for, or that leaves no value, is a mistake."""
    assert found(post_with(**field)) == {(code, f"/entities/1/fields/4/{place}")}


@pytest.mark.parametrize(
    "field",
    [
        {"type": "list", "items": "string", "minLength": 1, "maxLength": 3, "default": ["a"]},
        {"type": "list", "items": "enum", "enum": "Status", "default": ["draft"]},
        {"type": "decimal", "precision": 9, "scale": 2, "min": "0", "max": "9.99", "default": "1.50"},
        {"type": "money", "default": 0},
        {"type": "datetime", "default": {"function": "now"}, "min": "2026-01-01T00:00:00Z"},
        {"type": "duration", "min": "PT1M", "max": "P1Y2M"},
        {"type": "json", "default": [1, "a"]},
        {"type": "string", "pattern": r"^[\[\]\w-]+$", "default": "[a]"},
        {"type": "bigint", "generated": "identity"},
        {"type": "float", "min": 0, "max": 0.5, "exclusiveMax": True},
        {"type": "time", "min": "08:00", "max": "20:00"},
    ],
)
def test_fitting_options_are_accepted(field: Document) -> None:
    """Each type has its own options."""
    assert errors(parse_schema({"name": "a", "entities": [entity("A", fields=[{"name": "f", **field}])],
                                "enums": BLOG["enums"]})) == []  # fmt: skip


def test_an_explosive_pattern_is_a_warning_and_never_run() -> None:
    """Trying the default against it would take longer than anybody waits."""
    issues = post_with(type="string", pattern=r"^(a+)+$", default="a" * 60 + "b")
    assert found(issues) == set()
    assert ("pattern_slow", "/entities/1/fields/4/pattern") in found(issues, "warning")
    assert found(post_with(type="string", pattern=r"^(a|a)*$", default="a" * 60 + "b")) == set()


def test_a_long_cycle_and_a_deep_hierarchy_are_found() -> None:
    """Walking up ends, whatever the hierarchy looks like."""
    ring = [entity(f"E{i}", extends=f"E{(i + 1) % 20}") for i in range(20)]
    assert found(check(parse_schema({"name": "a", "entities": ring}))) == {
        ("cyclic_extends", f"/entities/{i}/extends") for i in range(20)
    }
    tower = [entity("E0"), *(entity(f"E{i}", extends=f"E{i - 1}") for i in range(1, 40))]
    deep = found(check(parse_schema({"name": "a", "entities": tower})))
    assert deep == {("inheritance_too_deep", f"/entities/{i}/extends") for i in range(33, 40)}


def test_reaching_a_cycle_from_outside_does_not_loop() -> None:
    """An heir of a cycle is not itself in it, and still has no root."""
    ring = [entity("A", extends="B"), entity("B", extends="A"), entity("C", extends="A")]
    assert ("cyclic_extends", "/entities/2/extends") in found(check(parse_schema({"name": "a", "entities": ring})))


def test_too_many_fields_are_refused() -> None:
    """A thousand fields are enough for one entity."""
    fields = [{"name": f"f{i}", "type": "text"} for i in range(1001)]
    schema = parse_schema({"name": "a", "entities": [entity("A", fields=fields)]})
    assert found(check(schema)) == {("too_many", "/entities/0/fields")}


def test_self_relation_with_both_roles_agrees() -> None:
    """`bossId` is named after the role at the far end, so it carries that reading of the relationship."""
    staff = entity("Staff", fields=[
        {"name": "id", "type": "uuid", "primaryKey": True},
        {"name": "bossId", "type": "uuid", "references": {"entity": "Staff", "onDelete": "setNull"}},
    ])  # fmt: skip
    leads = {"name": "leads", "source": "Staff", "target": "Staff", "sourceRole": "boss", "targetRole": "reports",
             "sourceCardinality": "0..1"}  # fmt: skip
    assert check(parse_schema({"name": "a", "entities": [staff], "relationships": [leads]})) == []


def test_association_entity_carries_both_halves() -> None:
    """The two references of a `through` entity carry the many-to-many relationship."""
    key = {"name": "id", "type": "uuid", "primaryKey": True}
    entities = [
        entity("Student", fields=[key]),
        entity("Course", fields=[key]),
        entity("Enrolment", kind="association", fields=[
            {"name": "student", "type": "uuid", "primaryKey": True, "references": {"entity": "Student"}},
            {"name": "course", "type": "uuid", "primaryKey": True, "references": {"entity": "Course"}},
        ]),
    ]  # fmt: skip
    relationship = {"name": "takes", "source": "Student", "target": "Course", "sourceCardinality": "*",
                    "targetCardinality": "*", "through": "Enrolment"}  # fmt: skip
    document = {"name": "a", "entities": entities, "relationships": [relationship]}
    assert check(parse_schema(document)) == []
    entities[2]["kind"] = "valueObject"
    assert ("through_unfit", "/relationships/0/through") in found(check(parse_schema(document)))


def test_paths_may_reach_into_json_fields() -> None:
    """A json field has parts that the schema does not know; a field's name wins over an entity's."""

    def change(document: Document) -> None:
        document["entities"][1]["fields"].append({"name": "User2", "type": "json"})
        document["entities"][1]["rules"][0]["expression"] = "User2.a.b = 1"

    assert found(broken(change)) == set()


def test_unique_rule_names_its_fields_in_parentheses() -> None:
    """Several fields that are unique together are a list of paths."""
    rule = {"name": "once", "kind": "unique", "entity": "Post", "expression": "(title, authorId)"}
    assert found(broken(lambda document: document["rules"].append(rule))) == set()


@pytest.mark.parametrize("confidence", [True, "0.5", 1.5, -0.1])
def test_a_confidence_is_a_number_from_0_to_1(confidence: object) -> None:
    """A truth value or a text is not taken for a number."""
    document: Document = {"name": "s", "entities": [{"name": "A", "evidence": [{"confidence": confidence}]}]}
    with pytest.raises(SchemaInvalid):
        parse_schema(document)
    document["entities"] = [{"name": "A", "evidence": [{"confidence": 1}]}]
    assert parse_schema(document).entities[0].evidence[0].confidence == 1.0
