"""The description of the interface: what FastAPI gathers from the routes, with bodies, headers, errors and examples."""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from schemawire.protocol import headers as names
from schemawire.protocol.paths import API_ROOT
from schemawire.protocol.problems import PROBLEM_TYPE, STATUS_OF_CODE
from schemawire.service.answers import LINKS, answer_schemas, data_schema
from schemawire.service.document_schemas import REFERENCE, document_schemas
from schemawire.service.examples import BODY_EXAMPLES, PATH_EXAMPLES, reply_example
from schemawire.service.refusals import RequestRefused
from schemawire.service.routes.declaring import BODY_MODELS

_ABOUT = """Typed, versioned domain schemas. Every error is a problem document (RFC 9457) with a stable `code`
and a `fix`. Writes take an `Idempotency-Key`, which makes them safe to repeat, and `If-Match` with the entity tag of a
read."""
_TAGS = (
    ("Projects", "Whole schemas: create, read, change, delete, export."),
    ("History", "Versions, what changed between them, and going back."),
    ("Compatibility", "What the next version may break."),
    ("Batches", "Many operations in one request."),
    ("Streams", "Schemas element by element, and changes while they happen."),
    ("Operations", "Work that is done later."),
    ("Words", "Plain words to schemas."),
    ("Administration", "Keys and the audit log."),
    ("Health", "For load balancers and monitors."),
)
_TAG_OF_END = {
    "versions": "History", "diff": "History", "restore": "History", "undo": "History", "settings": "Compatibility",
    "compatibility": "Compatibility", "batch": "Batches", "stream": "Streams", "events": "Streams",
    "async": "Operations", "analyze": "Words", "refine": "Words",
}  # fmt: skip
SSE = "text/event-stream"
_PROBLEM = {"$ref": REFERENCE.format(model="Problem")}
_REPLY = {"$ref": REFERENCE.format(model="Reply")}
_PARAMETERS: dict[str, dict[str, Any]] = {
    "RequestId": {
        "name": names.REQUEST_ID, "description": "The id of the request; made if missing or not fit.",
        "schema": {"type": "string"}, "example": "checkout-7",
    },
    "Priority": {
        "name": names.PRIORITY, "description": "How urgent it is; at most as urgent as the route.",
        "schema": {"type": "string", "enum": ["interactive", "batch", "background"]}, "example": "interactive",
    },
    "Deadline": {
        "name": names.REQUEST_DEADLINE, "description": "Milliseconds that the caller waits; then nothing is done.",
        "schema": {"type": "integer", "minimum": 1}, "example": 30_000,
    },
}  # fmt: skip
_HEADERS: dict[str, dict[str, Any]] = {
    names.REQUEST_ID: {"description": "The id of the request.", "schema": {"type": "string"}},
    names.STORE_ID: {"description": "The store that answered.", "schema": {"type": "string"}},
    "ETag": {"description": 'Strong: `"v<version>-<digest>"`.', "schema": {"type": "string"}},
    "Retry-After": {"description": "Seconds after which to come back.", "schema": {"type": "integer", "minimum": 1}},
    "RateLimit": {"description": "What the key may still send, where a rate holds.", "schema": {"type": "string"}},
    "RateLimit-Policy": {"description": "The rate, where one holds.", "schema": {"type": "string"}},
}


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document."""
    document = get_openapi(
        title=app.title, version=app.version, summary=app.summary, description=_ABOUT, routes=app.routes
    )
    document["tags"] = [{"name": name, "description": text} for name, text in _TAGS]
    _add_components(document)
    for path, operation in _operations(document):
        operation["tags"] = [_tag_of(path)]
        _retype(operation)
        _add_parameters(operation, path)
        _add_examples(operation)
        _add_headers(operation)
        _add_links(operation)
        operation["security"] = [] if _is_open(path) else [{"key": []}]
    return document


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for operation in methods.values():
            yield path, operation


def _is_open(path: str) -> bool:
    return path.startswith(("/health", "/docs"))


def _tag_of(path: str) -> str:
    if path.startswith(("/api/keys", "/api/audit")):
        return "Administration"
    if path.startswith(f"{API_ROOT}/operations"):
        return "Operations"
    if not path.startswith(API_ROOT) or path.startswith(f"{API_ROOT}/metrics"):
        return "Health"
    ends = [part for part in path.removeprefix(API_ROOT).split("/") if part in _TAG_OF_END]
    return _TAG_OF_END[ends[0]] if ends else "Projects"


def _add_components(document: dict[str, Any]) -> None:
    components = document.setdefault("components", {})
    _, bodies = models_json_schema([(model, "validation") for model in BODY_MODELS], ref_template=REFERENCE)
    schemas = components.setdefault("schemas", {})
    schemas.update(bodies["$defs"])
    schemas.update(answer_schemas())
    schemas.update(document_schemas())
    _name_documents(schemas)
    components["parameters"] = {
        name: {"in": "header", "required": False, **described} for name, described in _PARAMETERS.items()
    }
    components["headers"] = _HEADERS
    components["examples"] = {code: {"value": _problem(code)} for code in STATUS_OF_CODE}
    components["securitySchemes"] = {
        "key": {"type": "http", "scheme": "bearer", "description": "An API key; scopes read, write and admin."}
    }


def _name_documents(schemas: dict[str, Any]) -> None:
    """Say which of the free objects in bodies are documents and operations."""
    for model in BODY_MODELS:
        properties = schemas[model.__name__].get("properties", {})
        for name in ("domainSchema", "schema"):
            if properties.get(name, {}).get("type") == "object":
                properties[name] = {"$ref": REFERENCE.format(model="DomainSchema")}
        operations = properties.get("operations", {})
        for form in (operations, *operations.get("anyOf", ())):
            if form.get("type") == "array":
                form["items"] = {"$ref": REFERENCE.format(model="Operation")}


def _retype(operation: dict[str, Any]) -> None:
    media_type = operation.pop("x-media-type", "application/json")
    known = data_schema(operation["operationId"])
    for response in operation["responses"].values():
        content = response.get("content", {})
        if "application/json" not in content:
            continue
        described = content.pop("application/json")
        if described["schema"] == _PROBLEM:
            content[PROBLEM_TYPE] = described
        elif media_type == SSE:
            content[media_type] = {"schema": _event(described["schema"])}
        else:
            content[media_type] = described
            if known is not None and described["schema"] == _REPLY:
                described["schema"] = {"allOf": [_REPLY, {"type": "object", "properties": {"data": known}}]}


def _event(payload: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of one server-sent event, whose data is JSON."""
    data = {"type": "string", "contentMediaType": "application/json", "contentSchema": payload}
    texts = {name: {"type": "string"} for name in ("event", "id")}
    return {"type": "object", "properties": {"data": data, "retry": {"type": "integer"}, **texts}}


def _add_parameters(operation: dict[str, Any], path: str) -> None:
    described = operation.setdefault("parameters", [])
    for parameter in described:
        if parameter["in"] == "path":
            parameter["example"] = PATH_EXAMPLES.get(parameter["name"], "example")
    has = {parameter["name"].lower() for parameter in described}
    if not _is_open(path):
        described += [
            {"$ref": f"#/components/parameters/{name}"}
            for name, parameter in _PARAMETERS.items()
            if parameter["name"].lower() not in has
        ]
    if "if-none-match" in has and "200" in operation["responses"] and "requestBody" not in operation:
        operation["responses"]["304"] = {"description": "The caller's copy is still good."}


def _add_examples(operation: dict[str, Any]) -> None:
    handler = operation["operationId"]
    for content in operation.get("requestBody", {}).get("content", {}).values():
        if handler in BODY_EXAMPLES:
            content["example"] = BODY_EXAMPLES[handler]
    for status, response in operation["responses"].items():
        for media_type, content in response.get("content", {}).items():
            if media_type == PROBLEM_TYPE:
                codes = response["description"].split(", ")
                content["examples"] = {
                    code: {"$ref": f"#/components/examples/{code}"} for code in codes if code in STATUS_OF_CODE
                }
            elif (
                media_type == "application/json"
                and int(status) < 300
                and (example := reply_example(handler)) is not None
            ):
                content["example"] = example


def _problem(code: str) -> dict[str, Any]:
    problem = RequestRefused(code, "What is wrong, in words.").to_problem()
    made: dict[str, Any] = problem.model_copy(update={"request_id": "checkout-7"}).model_dump(
        mode="json", by_alias=True, exclude_none=True
    )
    return made


def _add_links(operation: dict[str, Any]) -> None:
    links = LINKS.get(operation["operationId"])
    for status, response in operation["responses"].items():
        if links is not None and int(status) < 300:
            response["links"] = links


def _add_headers(operation: dict[str, Any]) -> None:
    for status, response in operation["responses"].items():
        wanted = [names.REQUEST_ID, names.STORE_ID]
        if status in ("429", "503"):
            wanted.append("Retry-After")
        if operation["operationId"] in ("read", "read_version", "put", "patch", "create", "restore", "batch"):
            wanted += ["ETag"] if int(status) < 400 else []
        if operation.get("security") != []:
            wanted += ["RateLimit", "RateLimit-Policy"]
        response["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in wanted}
