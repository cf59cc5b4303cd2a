"""Documents to values: parses schemas and elements, and turns every complaint of pydantic into an issue with a pointer.

Knows nothing of rules between elements.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, TypeVar, cast

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from schemawire.schema.issues import MAX_ISSUES, Issue, did_you_mean, invalid, nearest, pointer_to, refuse
from schemawire.schema.model import DomainSchema, Part
from schemawire.schema.plain import decode_json, json_issues

AnyPart = TypeVar("AnyPart", bound=Part)


def parse_schema(document: object) -> DomainSchema:
    """Read a whole schema, each part by itself; `check` judges it as a whole.

    Args:
        document: the JSON document, as bytes or text or already decoded.

    Raises:
        SchemaInvalid: it is not JSON, or some part does not have the promised form.
    """
    if isinstance(document, bytes | str):
        document = decode_json(document)
    return parse_part(DomainSchema, document)


def parse_part(model: type[AnyPart], document: object, pointer: str = "") -> AnyPart:
    """Read one part of a document, such as an entity.

    Args:
        model: what it must be.
        document: the decoded JSON.
        pointer: where the part stands in the document that the caller sent.

    Raises:
        SchemaInvalid: it does not have the promised form.
    """
    refuse(islice(json_issues(document, pointer), MAX_ISSUES))
    return read_part(model, document, pointer)


def read_part(model: type[AnyPart], document: object, pointer: str) -> AnyPart:
    """Do as `parse_part` does, with a document in which `json_issues` has found nothing.

    Raises:
        SchemaInvalid: it does not have the promised form.
    """
    if type(document) is not dict and not isinstance(document, Mapping):
        issue = Issue(
            code="wrong_type", pointer=pointer, message=f"an object is needed, not {_json_type(document)}",
            fix="Send a JSON object.",
        )  # fmt: skip
        raise invalid([issue])
    try:
        return cast(AnyPart, model.__pydantic_validator__.validate_python(document, by_alias=True, by_name=False))
    except ValidationError as error:
        raise invalid(issues_from_validation(error, pointer, document)) from error


def issues_from_validation(error: ValidationError, pointer: str = "", document: object = None) -> list[Issue]:
    """Return what pydantic found as issues, one per place.

    Args:
        error: what validation raised.
        pointer: where the validated document stands in the caller's.
        document: the validated document; with it, places inside alternatives are located exactly.
    """
    found: dict[str, Issue] = {}
    for detail in error.errors(include_url=False):
        issue = _issue(detail, pointer, document)
        first = found.setdefault(issue.pointer, issue)
        if first is not issue and first.code == issue.code == "wrong_type":  # each alternative has complained
            found[issue.pointer] = replace(first, message="a value of another type is needed here")
        if len(found) >= MAX_ISSUES:
            break
    return list(found.values())


def _issue(detail: ErrorDetails, pointer: str, document: object) -> Issue:
    context: dict[str, Any] = detail.get("ctx", {})
    place = pointer + pointer_to(*_place(detail["loc"], document, missing=detail["type"] == "missing"))
    match detail["type"]:
        case "unknown_key":
            key = str(context["key"])
            fix = did_you_mean(key, context["known"], "Remove it, or start it with 'x-'.")
            return Issue(code="unknown_key", pointer=place + pointer_to(key), message=detail["msg"], fix=fix)
        case "missing":
            key = str(detail["loc"][-1])
            return Issue(code="missing", pointer=place, message=f"{key!r} is missing", fix=f"Give {key!r}.")
        case "literal_error":
            return _choice_issue(detail, place)
        case "invalid_name":
            return Issue(code="invalid_name", pointer=place, message=detail["msg"], fix=str(context["fix"]))
    message = detail["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    return Issue(code=_code(detail["type"]), pointer=place, message=message, fix="Correct the value.")


def _choice_issue(detail: ErrorDetails, place: str) -> Issue:
    allowed = re.findall(r"'([^']*)'", str(detail.get("ctx", {}).get("expected", "")))
    value = detail["input"]
    guess = nearest(value, allowed) if isinstance(value, str) else None
    fix = f"Did you mean {guess!r}? " if guess else ""
    return Issue(
        code="unknown_choice",
        pointer=place,
        message=f"{str(value)[:40]!r} is not one of {', '.join(allowed)}",
        fix=f"{fix}Use one of {', '.join(allowed)}.",
    )


def _code(kind: str) -> str:
    if kind.endswith(("_type", "_parsing")):
        return "wrong_type"
    return "too_long" if kind in ("string_too_long", "too_long") else "invalid_value"


def _place(loc: Sequence[str | int], document: object, *, missing: bool) -> Iterator[str | int]:
    """Yield the parts of a location that are in the document, leaving out pydantic's names of alternatives."""
    if document is None:
        yield from loc
        return
    here = document
    for position, part in enumerate(loc):
        if _leads_on(here, part):
            here = here[part]  # type: ignore[index]  # _leads_on has seen that it can be indexed
            yield part
        elif missing and position == len(loc) - 1:
            yield part


def _leads_on(here: object, part: str | int) -> bool:
    if isinstance(here, Mapping):
        return part in here
    return isinstance(here, list | tuple) and isinstance(part, int) and part < len(here)


def _json_type(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case str():
            return "text"
        case int() | float():
            return "a number"
        case list() | tuple():
            return "a list"
        case _:
            return type(value).__name__
