"""What is wrong with a document, and where: issues and the JSON pointers that locate them.

Knows nothing of which rule found an issue.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Literal

from schemawire.errors import SchemaInvalid

Severity = Literal["error", "warning"]

MAX_ISSUES = 100
"""How many issues one error carries; a hostile document could otherwise turn into a larger error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """One thing that is wrong (or, as a warning, doubtful) at one place of a document."""

    code: str
    """A stable word such as `duplicate_name`."""
    pointer: str
    """An RFC 6901 JSON pointer; empty means the whole document."""
    message: str
    fix: str = ""
    severity: Severity = "error"

    def under(self, pointer: str) -> "Issue":
        """Return the same issue with its pointer moved below another one."""
        return replace(self, pointer=pointer + self.pointer)

    def to_document(self) -> dict[str, str]:
        """Return the JSON form."""
        return {
            "code": self.code,
            "pointer": self.pointer,
            "message": self.message,
            "fix": self.fix,
            "severity": self.severity,
        }


def pointer_to(*parts: str | int) -> str:
    """Return the JSON pointer made of these parts.

    >>> pointer_to("fields", 3, "x-a/b")
    '/fields/3/x-a~1b'

    *Source:* RFC 6901, section 3 (the order of the two escapes matters).
    """
    if len(parts) == 1 and isinstance(parts[0], int):  # a place in a long list
        return f"/{parts[0]}"
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def errors_only(issues: Iterable[Issue]) -> list[Issue]:
    """Return the issues that forbid, without the warnings."""
    return [issue for issue in issues if issue.severity == "error"]


def refuse(issues: Iterable[Issue], *, operation: int | None = None) -> None:
    """Raise `SchemaInvalid` if there is an issue that is more than a warning.

    Args:
        issues: what was found, warnings included.
        operation: the index of the operation that failed, where there is one.
    """
    found = errors_only(issues)
    if found:
        raise invalid(found, operation=operation)


def invalid(issues: list[Issue], *, operation: int | None = None) -> SchemaInvalid:
    """Return the error that carries these issues; its message is that of the first one."""
    first = issues[0]
    where = f" (at {first.pointer[:200]})" if first.pointer else ""
    more = f", and {len(issues) - 1} more" if len(issues) > 1 else ""
    return SchemaInvalid(
        f"{first.message}{where}{more}", issues=issues[:MAX_ISSUES], fix=first.fix or None, operation=operation
    )


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that a mistyped one most likely means, or `None`."""
    choices = {choice.casefold(): choice for choice in known}
    match = get_close_matches(word[:128].casefold(), choices, n=1, cutoff=0.6)
    return choices[match[0]] if match else None


def did_you_mean(word: str, known: Iterable[str], otherwise: str) -> str:
    """Return a fix that names the nearest known word, or else the given one."""
    guess = nearest(word, known)
    return f"Did you mean {guess!r}?" if guess else otherwise
