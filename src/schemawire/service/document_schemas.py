"""The domain-schema document and the operations on it as JSON Schema, made from the models themselves."""

from typing import Any

from pydantic.json_schema import models_json_schema

from schemawire.schema import DomainSchema
from schemawire.schema.model import MAX_NAME_LENGTH

REFERENCE = "#/components/schemas/{model}"
_NAME = {"type": "string", "pattern": r"^[^\W\d]\w*$", "maxLength": MAX_NAME_LENGTH, "minLength": 1}
_CARDINALITY = {"type": "string", "pattern": r"^(\d{1,9}|\*|\d{1,9}\.\.(\d{1,9}|\*))$"}
_NAMES = frozenset({
    "name", "source", "target", "sourceRole", "targetRole", "through", "extends", "entity", "renamedFrom", "newName",
})  # fmt: skip
_CARDINALITIES = frozenset({"sourceCardinality", "targetCardinality"})
_PARTS = {"entity": "Entity", "field": "Field", "relationship": "Relationship", "enum": "Enum", "rule": "Rule"}
_SCOPED = frozenset({"field"})


def document_schemas() -> dict[str, Any]:
    """Return the schemas by name: the document, each of its parts, and an operation on it."""
    _, made = models_json_schema([(DomainSchema, "validation")], ref_template=REFERENCE)
    schemas: dict[str, Any] = made["$defs"]
    for schema in schemas.values():
        _close(schema)
    schemas["DomainSchema"]["description"] = "A domain-schema document. The rules between its elements are in the docs."
    schemas["Operation"] = _operation()
    return schemas


def _close(schema: dict[str, Any]) -> None:
    """Say that keys which are not listed are refused, unless they are extensions; and what a name looks like."""
    if schema.get("type") != "object":
        return
    schema["additionalProperties"] = False
    schema["patternProperties"] = {"^x-": {}}
    for name, described in schema.get("properties", {}).items():
        if name in _NAMES:
            _narrow(described, _NAME)
        elif name in _CARDINALITIES:
            _narrow(described, _CARDINALITY)


def _narrow(described: dict[str, Any], by: dict[str, Any]) -> None:
    for schema in (described, *described.get("anyOf", ())):
        if schema.get("type") == "string":
            schema.update(by)


def _operation() -> dict[str, Any]:
    forms: list[dict[str, Any]] = []
    for target, part in _PARTS.items():
        scope: dict[str, Any] = {"entity": _NAME} if target in _SCOPED else {}
        loose: dict[str, Any] = {"entity": {**_NAME, "type": ["string", "null"]}} if target == "rule" else {}
        whole = {"$ref": REFERENCE.format(model=part)}
        forms.append(
            _form(f"create_{target}", whole if not scope else _object(scope, ["entity", "name", "type"], open_=True))
        )
        named = {**scope, **loose, "name": _NAME}
        forms.append(_form(f"update_{target}", _object(named, [*scope, "name"], open_=True)))
        forms.append(_form(f"rename_{target}", _object({**named, "newName": _NAME}, [*scope, "name", "newName"])))
        more = {"cascade": {"type": "boolean"}} if target == "entity" else {}
        forms.append(_form(f"delete_{target}", _object({**named, **more}, [*scope, "name"])))
    document = {"$ref": REFERENCE.format(model="DomainSchema")}
    forms += [_form(name, document) for name in ("replace_schema", "merge_schema")]
    return {"description": "One change of a schema.", "oneOf": forms}


def _form(name: str, data: dict[str, Any]) -> dict[str, Any]:
    return _object({"operation": {"const": name}, "data": data}, ["operation", "data"])


def _object(properties: dict[str, Any], required: list[str], *, open_: bool = False) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": open_}
