"""Canonical form and digests: the same for the same meaning, and different for another."""

import json
import random
import unicodedata
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.schema.samples import BLOG, blog
from tests.schema.strategies import schemas

from schemawire.schema import (
    DomainSchema,
    Element,
    Entity,
    Header,
    canonical_bytes,
    digest_of,
    element_digest,
    parse_part,
    parse_schema,
    schema_digest,
)


def shuffled(value: Any, chance: random.Random) -> Any:
    """Return a JSON value with the keys of every object in another order."""
    match value:
        case dict():
            keys = list(value)
            chance.shuffle(keys)
            return {key: shuffled(value[key], chance) for key in keys}
        case list():
            return [shuffled(item, chance) for item in value]
        case _:
            return value


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(schemas, st.randoms(use_true_random=False))
def test_canonical_form_is_stable_under_key_order_and_round_trip(schema: DomainSchema, chance: random.Random) -> None:
    """Neither the order of keys, nor a trip through JSON text, nor the order of elements changes the digest."""
    document = json.loads(json.dumps(shuffled(schema.to_document(), chance)))
    for collection in schema.COLLECTIONS.values():
        chance.shuffle(document[collection])
    again = parse_schema(json.dumps(document).encode())
    assert schema_digest(again) == schema_digest(schema)
    assert {canonical_bytes(element) for element in again.elements()} == {
        canonical_bytes(element) for element in schema.elements()
    }


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(schemas)
def test_canonical_form_is_itself_a_document_of_the_same_element(schema: DomainSchema) -> None:
    """What the canonical form leaves out says nothing: reading it back gives the same canonical form."""
    for element in schema.elements():
        text = canonical_bytes(element)
        assert canonical_bytes(parse_part(type(element), json.loads(text))) == text


def entity(**options: Any) -> Entity:
    """Return an entity with one field that has these options."""
    return parse_part(Entity, {"name": "A", "fields": [{"name": "f", "type": "float", **options}]})


@pytest.mark.parametrize(
    "options",
    [
        {"required": False},
        {"description": None},
        {"evidence": [{"start": 1, "end": 2, "text": "x", "confidence": 0.5}]},
        {"references": None},
    ],
)
def test_defaults_nulls_and_evidence_are_left_out(options: dict[str, Any]) -> None:
    """Saying what holds anyway, or where it was read, does not make another schema."""
    assert canonical_bytes(entity(**options)) == canonical_bytes(entity())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"default": 1}, {"default": True}),
        ({"default": 0}, {}),
        ({"default": False}, {}),
        ({"x-a": None}, {}),
        ({"x-confidence": 1}, {}),
        ({"x-a": {"evidence": 1}}, {"x-a": {}}),
        ({"min": 1}, {"exclusiveMin": True, "min": 1}),
    ],
)
def test_what_is_said_counts(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Values that Python holds equal or empty, and whatever an extension holds, are told apart."""
    assert canonical_bytes(entity(**one)) != canonical_bytes(entity(**other))


def test_numbers_that_json_holds_equal_are_equal() -> None:
    """Some stores write 1.0 as 1, and minus zero as zero."""
    assert canonical_bytes(entity(min=1.0)) == canonical_bytes(entity(min=1))
    assert canonical_bytes(entity(min=-0.0)) == canonical_bytes(entity(min=0))


def test_text_is_compared_in_nfc() -> None:
    """Two spellings of one text, keys of extensions included, are one text."""
    composed, decomposed = (unicodedata.normalize(form, "größe") for form in ("NFC", "NFD"))
    assert composed != decomposed
    one, other = ({"description": text, f"x-{text}": [text]} for text in (composed, decomposed))
    assert canonical_bytes(entity(**one)) == canonical_bytes(entity(**other))


@pytest.mark.parametrize(
    "path", [("entities", 1, "fields"), ("enums", 0, "values"), ("entities", 1, "indexes", 0, "fields")]
)
def test_order_of_fields_values_and_index_columns_counts(path: tuple[str | int, ...]) -> None:
    """Where order means something, another order is another schema."""
    document = json.loads(json.dumps(BLOG))
    inner = document
    for part in path:
        inner = inner[part]
    inner.reverse()
    assert schema_digest(parse_schema(document)) != schema_digest(blog())


def test_digest_of_a_schema_is_that_of_its_ordered_element_digests() -> None:
    """A store that keeps one digest per row, sorted by kind and key, can name the schema without reading it."""
    schema = blog()
    entities = sorted(schema.entities, key=lambda element: element.key)
    rules = sorted(schema.rules, key=lambda element: element.key)
    elements: list[Element] = [*entities, *schema.enums, *schema.relationships, *rules]
    ordered = [element_digest(element) for element in elements]
    assert digest_of(schema.header(), ordered) == schema_digest(schema)
    assert digest_of(Header(name="other"), ordered) != schema_digest(schema)


def test_digest_of_the_sample_never_changes() -> None:
    """Stored versions carry digests, so the canonical form is a format like any other."""
    small = parse_schema({"formatVersion": "1", "name": "a", "entities": [{"name": "B", "fields": []}]})
    assert canonical_bytes(small.entities[0]) == b'{"name":"B"}'
    assert schema_digest(small) == "012a5a4dc87a3b3682faa5c8b08474f616609cf6979b2cff8e68251ca44af298"
