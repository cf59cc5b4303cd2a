"""The description of the interface: what FastAPI gathers from the routes, with our media types and body models."""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from schemawire.protocol.problems import PROBLEM_TYPE
from schemawire.service.routes.declaring import BODY_MODELS

_REFERENCE = "#/components/schemas/{model}"


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document."""
    document = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
    _add_bodies(document)
    for operation in _operations(document):
        _retype(operation)
    _add_key(document)
    return document


def _operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in document["paths"].values():
        yield from path.values()


def _add_bodies(document: dict[str, Any]) -> None:
    _, schemas = models_json_schema([(model, "validation") for model in BODY_MODELS], ref_template=_REFERENCE)
    document.setdefault("components", {}).setdefault("schemas", {}).update(schemas["$defs"])


def _retype(operation: dict[str, Any]) -> None:
    media_type = operation.pop("x-media-type", "application/json")
    for status, response in operation["responses"].items():
        content = response.get("content", {})
        if "application/json" in content:
            schema = content.pop("application/json")
            content[PROBLEM_TYPE if int(status) >= 400 else media_type] = schema


def _add_key(document: dict[str, Any]) -> None:
    document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    for path, operations in document["paths"].items():
        for operation in operations.values():
            operation["security"] = [] if path.startswith("/health") else [{"key": []}]
