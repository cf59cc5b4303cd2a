"""Query parameters: described, read and checked in one place; knows nothing of what they select."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from schemawire.protocol import headers as names
from schemawire.service.refusals import RequestRefused


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One query parameter or header."""

    name: str
    description: str
    place: str = "query"
    low: int | None = None
    high: int | None = None
    """With bounds it is a whole number, else text."""
    values: tuple[str, ...] = ()
    """The only texts that are taken."""
    longest: int | None = None
    """Characters of a text at most."""
    example: str | int | None = None
    is_required: bool = False

    def describe(self) -> dict[str, Any]:
        """Return the form that OpenAPI gives it."""
        schema: dict[str, Any] = {"type": "string"}
        if self.low is not None:
            schema = {"type": "integer", "minimum": self.low}
            schema |= {} if self.high is None else {"maximum": self.high}
        if self.values:
            schema["enum"] = list(self.values)
        if self.longest is not None:
            schema["maxLength"] = self.longest
        described = {"name": self.name, "in": self.place, "required": self.is_required}
        described |= {"description": self.description, "schema": schema}
        return described if self.example is None else {**described, "example": self.example}


MAX_VERSION = 2**53 - 1
LIMIT = Parameter(name="limit", description="How many at most.", low=1, high=1000)
AFTER = Parameter(name="after", description="Where the page continues: `next` of the page before.")
IF_MATCH = Parameter(
    name="If-Match", place="header", description="Write only if the newest version has this entity tag (`*`: any)."
)
IF_NONE_MATCH = Parameter(
    name="If-None-Match", place="header", description="Read: 304 if it is unchanged. Write: `*` creates only."
)
KEY = Parameter(
    name=names.IDEMPOTENCY_KEY, place="header", description="Makes the write safe to repeat: it is done once."
)
DEADLINE = Parameter(
    name=names.REQUEST_DEADLINE,
    place="header",
    description="Milliseconds that the caller waits; then nothing is done.",
    low=1,
    example=30_000,
)
FLAG = ("true", "false")
DRY_RUN = Parameter(name="dryRun", description="`true`: say what would happen, and store nothing.", values=FLAG)
OVERRIDE = Parameter(
    name="overrideCompatibility",
    description="`true`: store it whatever the compatibility mode says; needs the scope admin.",
    values=FLAG,
)
MESSAGE = Parameter(name="message", description="Why; kept with the version.", longest=2_000)
SESSION_ID = Parameter(name="sessionId", description="The session that it belongs to.", longest=200)
WRITE_HEADERS = (KEY, IF_MATCH, IF_NONE_MATCH, DEADLINE)
ON_PROJECT_WRITE = (*WRITE_HEADERS, DRY_RUN, OVERRIDE, MESSAGE, SESSION_ID)
"""What every write of one project takes."""


def refuse_unknown(request: Request, known: Sequence[Parameter]) -> None:
    """Refuse query parameters that mean nothing here, and repeated ones.

    Raises:
        RequestRefused: there is one.
    """
    allowed = [parameter.name for parameter in known if parameter.place == "query"]
    seen: set[str] = set()
    for name, text in request.query_params.multi_items():
        if "\0" in text:
            raise RequestRefused("invalid_request", f"The query parameter {name[:60]!r} holds a NUL character.")
        if name not in allowed or name in seen:
            problem = "is given twice" if name in seen else "means nothing here"
            known_names = ", ".join(allowed) or "none"
            raise RequestRefused(
                "invalid_request", f"The query parameter {name[:60]!r} {problem}.", fix=f"Known ones: {known_names}."
            )
        seen.add(name)


def read_number(request: Request, parameter: Parameter) -> int | None:
    """Return a whole number of the query, or `None` where it is missing.

    Raises:
        RequestRefused: it is no such number, or out of range.
    """
    text = request.query_params.get(parameter.name)
    return None if text is None else to_number(text, parameter)


def to_number(text: str, parameter: Parameter) -> int:
    """Return the whole number that a text stands for.

    Raises:
        RequestRefused: it is no such number, or out of range.
    """
    low, high = parameter.low or 0, parameter.high or MAX_VERSION
    if text.isascii() and text.isdigit() and len(text) <= 16 and low <= int(text) <= high:
        return int(text)
    raise RequestRefused(
        "invalid_request",
        f"{parameter.name}: {text[:40]!r} is not a whole number from {low} to {high}.",
        fix=f"Send a number from {low} to {high}.",
    )


def read_flag(request: Request, parameter: Parameter) -> bool:
    """Return whether a flag of the query is set.

    Raises:
        RequestRefused: it is neither `true` nor `false`.
    """
    return read_choice(request, parameter) == "true"


def read_choice(request: Request, parameter: Parameter) -> str | None:
    """Return one of a parameter's values, or `None` where it is missing.

    Raises:
        RequestRefused: it is none of them.
    """
    text = request.query_params.get(parameter.name)
    if text is None or text in parameter.values:
        return text
    known = ", ".join(parameter.values)
    raise RequestRefused("invalid_request", f"{parameter.name}: {text[:40]!r} is none of {known}.")


def read_text(request: Request, parameter: Parameter) -> str | None:
    """Return a text of the query that can be stored, or `None` where it is missing or empty.

    Raises:
        RequestRefused: it is too long, or holds what no database keeps.
    """
    text = request.query_params.get(parameter.name)
    if not text:
        return None
    if len(text) > (parameter.longest or len(text)) or "\0" in text:
        fix = f"Use {parameter.longest} characters at most, and no NUL."
        raise RequestRefused("invalid_request", f"{parameter.name}: {text[:40]!r}… cannot be kept.", fix=fix)
    return text
