"""Reading operations and schemas: what is malformed is refused with its place and a way out."""

import json
import time
import unicodedata
from typing import Any

import pytest
from tests.schema.samples import BLOG, issues_of

from schemawire.errors import SchemaInvalid
from schemawire.schema import (
    OPERATIONS,
    DomainSchema,
    Issue,
    issues_from_validation,
    parse_operation,
    parse_operations,
    parse_schema,
)

Document = dict[str, Any]


def refusal(document: object) -> SchemaInvalid:
    """Return the error that refuses one operation in a list."""
    with pytest.raises(SchemaInvalid) as caught:
        parse_operations([{"operation": "delete_rule", "data": {"name": "fine"}}, document])
    return caught.value


def schema_refusal(document: object) -> SchemaInvalid:
    """Return the error that refuses a schema."""
    with pytest.raises(SchemaInvalid) as caught:
        parse_schema(document)
    return caught.value


@pytest.mark.parametrize("document", [
    {"operation": "create_field", "data": {"entity": "A", "name": "f", "type": "string"}},
    {"operation": "create_rule", "data": {"name": "r", "kind": "text", "entity": "A"}},
    {"operation": "update_field", "data": {"entity": "A", "name": "f", "references": None, "x-a": {"b": None}}},
    {"operation": "rename_rule", "data": {"entity": "A", "name": "r", "newName": "s"}},
    {"operation": "delete_entity", "data": {"name": "A", "cascade": True}},
    {"operation": "replace_schema", "data": BLOG},
    {"operation": "merge_schema", "data": BLOG},
])  # fmt: skip
def test_operation_comes_back_as_it_was_sent(document: Document) -> None:
    """Wire form, typed value and back is the identity."""
    assert parse_operation(document).to_document() == document
    assert document["operation"] in OPERATIONS


@pytest.mark.parametrize(
    ("document", "code", "place"),
    [
        ("create_entity", "wrong_type", ""),
        (None, "missing", ""),
        ({}, "missing", "/operation"),
        ({"operation": 5, "data": {}}, "wrong_type", "/operation"),
        ({"operation": "creat_entity", "data": {}}, "unknown_operation", "/operation"),
        ({"operation": "create_entity"}, "missing", "/data"),
        ({"operation": "create_entity", "data": []}, "wrong_type", "/data"),
        ({"operation": "create_entity", "data": {}, "when": 1}, "unknown_key", "/when"),
        ({"operation": "create_entity", "data": {}}, "missing", "/data/name"),
        ({"operation": "create_entity", "data": {"name": 5}}, "wrong_type", "/data/name"),
        ({"operation": "create_entity", "data": {"name": "A", "feilds": []}}, "unknown_key", "/data/feilds"),
        (
            {"operation": "create_entity", "data": {"name": "A", "renamed_from": "B"}},
            "unknown_key",
            "/data/renamed_from",
        ),
        ({"operation": "create_entity", "data": {"name": "A", "kind": "thing"}}, "unknown_choice", "/data/kind"),
        ({"operation": "create_entity", "data": {"name": "A", "fields": {"a": 1}}}, "wrong_type", "/data/fields"),
        (
            {"operation": "create_entity", "data": {"name": "A", "fields": [{"name": "f", "type": "strng"}]}},
            "unknown_choice",
            "/data/fields/0/type",
        ),
        (
            {
                "operation": "create_entity",
                "data": {"name": "A", "fields": [{"name": "f", "type": "json", "default": {"a": 1}}]},
            },
            "missing",
            "/data/fields/0/default/function",
        ),
        ({"operation": "create_field", "data": {"name": "f", "type": "string"}}, "missing", "/data/entity"),
        (
            {"operation": "create_field", "data": {"entity": "A", "name": "f", "type": "string", "required": "yes"}},
            "wrong_type",
            "/data/required",
        ),
        (
            {"operation": "create_field", "data": {"entity": "A", "name": "f", "type": "string", "maxLength": -1}},
            "invalid_value",
            "/data/maxLength",
        ),
        (
            {"operation": "create_field", "data": {"entity": "A", "name": "f", "type": "integer", "min": []}},
            "wrong_type",
            "/data/min",
        ),
        ({"operation": "create_enum", "data": {"name": "E", "values": []}}, "invalid_value", "/data/values"),
        (
            {
                "operation": "create_relationship",
                "data": {"name": "r", "source": "A", "target": "B", "sourceCardinality": "5..2"},
            },
            "invalid_value",
            "/data/sourceCardinality",
        ),
        ({"operation": "update_entity", "data": {"name": "A", "fields": []}}, "not_patchable", "/data/fields"),
        ({"operation": "update_entity", "data": {"name": "A", "rules": None}}, "not_patchable", "/data/rules"),
        (
            {"operation": "update_field", "data": {"entity": "A", "name": "f", "requird": True}},
            "unknown_key",
            "/data/requird",
        ),
        ({"operation": "rename_entity", "data": {"name": "A"}}, "missing", "/data/newName"),
        ({"operation": "rename_entity", "data": {"name": "A", "newName": "1"}}, "invalid_name", "/data/newName"),
        ({"operation": "rename_entity", "data": {"name": "A", "new_name": "B"}}, "unknown_key", "/data/new_name"),
        ({"operation": "delete_entity", "data": {"name": "A", "cascade": 1}}, "wrong_type", "/data/cascade"),
        (
            {"operation": "delete_field", "data": {"entity": "A", "name": "f", "cascade": True}},
            "unknown_key",
            "/data/cascade",
        ),
        (
            {"operation": "replace_schema", "data": {"name": "a", "formatVersion": "2"}},
            "unknown_choice",
            "/data/formatVersion",
        ),
    ],
)
def test_malformed_operation_is_refused_with_its_place(document: object, code: str, place: str) -> None:
    """The error carries the operation's index, and an issue with code, pointer and fix."""
    error = refusal(document)
    assert (code, f"/operations/1{place}") in issues_of(error)
    assert error.operation == 1
    assert all(isinstance(issue, Issue) and issue.fix for issue in error.issues)


@pytest.mark.parametrize(
    ("document", "guess"),
    [
        ({"operation": "creat_entity", "data": {}}, "'create_entity'"),
        ({"operation": "create_field", "data": {"entity": "A", "name": "f", "type": "strng"}}, "'string'"),
        (
            {"operation": "create_field", "data": {"entity": "A", "name": "f", "type": "text", "max_length": 3}},
            "'maxLength'",
        ),
    ],
)
def test_a_mistyped_word_is_guessed(document: Document, guess: str) -> None:
    """The fix names the nearest word that is known."""
    (issue,) = refusal(document).issues
    assert isinstance(issue, Issue)
    assert f"Did you mean {guess}?" in issue.fix


@pytest.mark.parametrize(
    "name",
    [
        "", "1a", "a b", "a-b", "a.b", "a'; drop table users; --", "a" * 129, "a" * 1_000_000,
        "a\u200bb", "a\u0000", "\ud800",
        unicodedata.normalize("NFD", "größe"), "\u202eabc", "ａ\u0301", "😀",
    ],
)  # fmt: skip
def test_a_name_is_a_short_identifier_in_nfc(name: str) -> None:
    """Invisible, reversed, decomposed, enormous and hostile names are all refused, with a short message."""
    error = refusal({"operation": "create_entity", "data": {"name": name}})
    assert issues_of(error)[0][1] == "/operations/1/data/name"
    assert len(str(error)) < 400


@pytest.mark.parametrize("name", ["größe", "名前", "Órgão", "_a1", "Станция"])
def test_names_in_every_script_are_welcome(name: str) -> None:
    """A letter is a letter."""
    assert parse_schema({"name": "a", "entities": [{"name": name}]}).entities[0].name == name


def test_all_faulty_operations_are_reported_at_once() -> None:
    """Nobody has to send a list five times to find five mistakes."""
    documents = [{"operation": "create_entity", "data": {"name": str(number)}} for number in range(5)]
    with pytest.raises(SchemaInvalid) as caught:
        parse_operations(documents)
    assert [pointer for _, pointer in issues_of(caught.value)] == [f"/operations/{n}/data/name" for n in range(5)]
    assert caught.value.operation == 0


def test_an_error_about_a_huge_input_is_small() -> None:
    """A hundred thousand mistakes do not make a hundred thousand issues."""
    error = schema_refusal({"name": "a", "entities": [{"name": "1"}] * 20_000})
    assert len(error.issues) == 100


@pytest.mark.parametrize("opening", ['{"x-a":', "["])
def test_deep_nesting_is_refused_without_exhausting_the_stack(opening: str) -> None:
    """A hundred thousand brackets are one clear refusal, as text and as a decoded value."""
    assert issues_of(schema_refusal((opening * 100_000).encode()))[0][0] == "invalid_json"
    deep: Any = 1
    for _ in range(5_000):
        deep = {"x-a": deep}
    assert issues_of(schema_refusal({"name": "a", "x-a": deep}))[0][0] == "invalid_value"
    assert (
        issues_of(refusal({"operation": "update_entity", "data": {"name": "A", "x-a": deep}}))[0][0] == "invalid_value"
    )


@pytest.mark.parametrize(
    "text",
    [
        b"", b"{", b"\xff\xfe", b'{"name": "a", "name": "b"}', b'{"name": NaN}', b'{"x-a": 1e999, "name": "a"}', b"nul",
        b'{"name": "a", "x-a": ' + b"9" * 5000 + b"}", b'{"name": "a", "x-a": 9223372036854775808}',
        b'{"name": "a", "x-a": "\\ud800"}', b'{"name": "a", "x-a": "\\u0000"}',
    ],
)  # fmt: skip
def test_text_that_no_store_can_hold_is_refused(text: bytes) -> None:
    """Truncated, wrongly encoded, ambiguous and unstorable JSON each get a refusal, never a guess."""
    assert issues_of(schema_refusal(text))[0][0] in ("invalid_json", "invalid_value")


@pytest.mark.parametrize("document", [None, 5, "5", [], True, {"name": "a", "entities": None}, {"entities": []}])
def test_a_schema_is_an_object_with_a_name(document: object) -> None:
    """Anything else is of the wrong type, or lacks something."""
    assert issues_of(schema_refusal(document))


def test_a_submitted_document_comes_back_as_it_was() -> None:
    """Defaults that were written stay written, and those that were not are not added."""
    document = json.loads(json.dumps(BLOG))
    document["entities"][0] |= {"description": None, "kind": "entity", "x-table": {"name": ["users", None, 1.5]}}
    assert parse_schema(document).to_document() == document


def test_validation_errors_of_others_are_translated() -> None:
    """Any room that validates a document of its own gets the same issues."""
    with pytest.raises(ValueError, match="validation error") as caught:
        DomainSchema.model_validate({"name": "a", "entities": [{"name": "1"}]})
    (issue,) = issues_from_validation(caught.value, "/data")  # type: ignore[arg-type]  # pydantic's error is a ValueError
    assert (issue.code, issue.pointer) == ("invalid_name", "/data/entities/0/name")


def test_reading_many_operations_is_quick() -> None:
    """A list of a thousand costs milliseconds each at most; a quadratic reader would not pass."""
    documents = [{"operation": "create_entity", "data": {"name": f"E{i}"}} for i in range(1000)]
    start = time.perf_counter()
    assert len(parse_operations(documents)) == 1000
    assert time.perf_counter() - start < 5
