"""What may be shown of a call: names, codes and numbers, never a body, a query, a credential or an error's text.

Redaction is by construction: sinks build their output from these functions and from the fields that they name one by
one, so that there is nothing to be filtered out afterwards.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from urllib.parse import urlsplit

from schemawire.errors import SchemawireError

LONGEST = 200
"""Characters of a shown text; what is longer is cut and marked."""

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Controls, line ends, text-direction marks and lone surrogates: what could forge a line or fail to encode."""

_LABELS: ContextVar[dict[str, str] | None] = ContextVar("schemawire_labels", default=None)


def shown(text: str, longest: int = LONGEST) -> str:
    """Return `text` on one line, escaped where it could forge output, at most `longest` characters long."""
    if len(text) > longest:
        text = text[: longest - 1] + "…"
    if text.isascii() and text.isprintable():
        return text
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def shown_route(route: str) -> str:
    """Return a path or its pattern without query and fragment, where secrets travel."""
    return shown(route.partition("?")[0].partition("#")[0])


def shown_endpoint(url: str) -> str:
    """Return an endpoint's scheme, host and port without user, password, path and query."""
    if "@" not in url and "?" not in url and "#" not in url:
        return shown(url)
    try:
        parts = urlsplit(url)
    except ValueError:
        return "unreadable"
    return shown(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}")


def shown_error(error: BaseException | None) -> str | None:
    """Return the stable code of one of our errors, or the class of a foreign one; never its message."""
    if error is None:
        return None
    return error.code if isinstance(error, SchemawireError) else type(error).__name__


@contextmanager
def call_labels(*, project: str = "", session: str = "", request: str = "") -> Iterator[None]:
    """Say what the calls inside are about; logs and spans show it. Inner labels add to outer ones.

    Args:
        project: the project's id; empty: as outside.
        session: the session's id.
        request: the id of the request that caused the calls.
    """
    given = {"projectId": project, "sessionId": session, "requestId": request}
    named = {name: shown(text) for name, text in given.items() if text}
    token = _LABELS.set({**current_labels(), **named})
    try:
        yield
    finally:
        _LABELS.reset(token)


def current_labels() -> dict[str, str]:
    """Return the labels in force, by their names in logs."""
    return _LABELS.get() or {}
