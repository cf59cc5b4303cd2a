"""What a merge does with the header."""

from schemawire.schema import DomainSchema, apply_to_schema, parse_operations, schema_digest

SHOP = DomainSchema.model_validate({"name": "shop", "description": "Sells.", "entities": [{"name": "Product"}]})
ZOO = DomainSchema.model_validate({"name": "zoo", "entities": [{"name": "Animal"}]})


def merged(into: DomainSchema, schema: DomainSchema) -> DomainSchema:
    """Return `into` after `schema` was merged into it."""
    return apply_to_schema(into, parse_operations([{"operation": "merge_schema", "data": schema.to_document()}]))


def test_a_merge_into_nothing_is_the_schema_itself() -> None:
    """A schema without elements takes the header of what is merged, so a new project has the digest that was sent."""
    assert schema_digest(merged(DomainSchema.model_validate({"name": "untitled"}), SHOP)) == schema_digest(SHOP)


def test_a_merge_into_something_keeps_its_header() -> None:
    """Further descriptions add to a schema and do not rename it."""
    both = merged(SHOP, ZOO)
    assert (both.name, both.description) == ("shop", "Sells.")
    assert [entity.name for entity in both.entities] == ["Product", "Animal"]
