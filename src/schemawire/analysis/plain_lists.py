"""Closed lists without enums: a plain string and a check that names the values, where a target has no enums.

Knows schemas; knows no text.
"""

from typing import Any

from schemawire.schema.model import DomainSchema, Enum


def without_enums(schema: DomainSchema) -> DomainSchema:
    """Return a schema whose enum fields are strings, each with a check of its values; lists of values stay strings."""
    if not schema.enums:
        return schema
    enums = {enum.name: enum for enum in schema.enums}
    document = schema.to_document()
    for entity in document["entities"]:
        for field in entity["fields"]:
            enum = enums.get(field.get("enum") or "")
            if enum is not None:
                _flatten(entity, field, enum)
    return DomainSchema.model_validate({**document, "enums": []})


def _flatten(entity: dict[str, Any], field: dict[str, Any], enum: Enum) -> None:
    del field["enum"]
    if field["type"] == "list":
        field["items"] = "string"
        return
    field["type"], field["maxLength"] = "string", max(map(len, enum.values))
    values = ", ".join(f"'{value.replace(chr(39), chr(39) * 2)}'" for value in enum.values)
    rule = {"name": f"{field['name']}_values", "kind": "check", "expression": f"{field['name']} in ({values})"}
    entity.setdefault("rules", []).append(rule)
