"""The forms that answers must have, as JSON schemas that every provider's strict mode accepts: closed, no recursion."""

from typing import Any, get_args

from schemawire.schema.model import FieldType, ItemType, RelationshipKind
from schemawire.schema.operations import OPERATIONS

_TEXT = {"type": "string"}
_FLAG = {"type": "boolean"}


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _one_of(values: tuple[str, ...]) -> dict[str, Any]:
    return {"type": "string", "enum": list(values)}


_FIELD = _object(
    name=_TEXT,
    type=_one_of(tuple(dict.fromkeys((*get_args(ItemType), *(t for t in get_args(FieldType) if t != "list"))))),
    required=_FLAG,
    unique=_FLAG,
    many=_FLAG,
    values=_or_null(_list(_TEXT)),
    min=_or_null({"type": "number"}),
    max=_or_null({"type": "number"}),
    maxLength=_or_null({"type": "integer"}),
    evidence=_TEXT,
)
_ENTITY = _object(
    name=_TEXT,
    kind=_one_of(("entity", "valueObject", "association", "abstract")),
    extends=_or_null(_TEXT),
    evidence=_TEXT,
    fields=_list(_FIELD),
)
_RELATIONSHIP = _object(
    name=_TEXT,
    source=_TEXT,
    target=_TEXT,
    kind=_one_of(get_args(RelationshipKind)),
    sourceCardinality=_TEXT,
    targetCardinality=_TEXT,
    evidence=_TEXT,
)
_RULE = _object(name=_TEXT, kind=_one_of(("text", "authorization")), message=_TEXT, evidence=_TEXT)

SCHEMA_FORM: dict[str, Any] = _object(
    name=_TEXT, entities=_list(_ENTITY), relationships=_list(_RELATIONSHIP), rules=_list(_RULE)
)
OPERATIONS_FORM: dict[str, Any] = _object(
    operations=_list(_object(operation=_one_of(tuple(OPERATIONS)), data=_TEXT)), explanation=_TEXT
)
