"""The directives of `Cache-Control` and their values, read once; decides nothing by itself."""

import re
from collections.abc import Iterable
from functools import lru_cache

from schemawire.transport.message import Headers

LONGEST = 2_147_483_648
"""Seconds that stand for "longer than anyone waits" (RFC 9111 §1.2.2)."""

_MEMBER = re.compile(r'((?:[^,"]|"(?:[^"\\]|\\.)*"?)*)(?:,|$)')
_SECONDS = re.compile(r"[0-9]+")


class Directives:
    """What a `Cache-Control` value says: each directive by its name in lower case, with its arguments in order.

    A directive may be repeated; whoever asks decides what that means. Unknown ones are kept, and nobody asks for them.
    """

    __slots__ = ("_arguments",)

    def __init__(self, arguments: dict[str, tuple[str | None, ...]]) -> None:
        self._arguments = arguments

    def __contains__(self, name: str) -> bool:
        return name in self._arguments

    def seconds(self, name: str) -> int | None:
        """Return the argument of `name` in seconds: `None` if absent, 0 if it is no number or contradicts itself.

        *Source:* RFC 9111 §4.2.1: responses with invalid or conflicting freshness information count as stale.
        """
        found = self._arguments.get(name)
        if found is None:
            return None
        values = {_unquoted(argument) for argument in found}
        value = values.pop() if len(values) == 1 else None
        if value is None or not _SECONDS.fullmatch(value) or not value.isascii():
            return 0
        return LONGEST if len(value) > 12 else min(int(value), LONGEST)

    def is_bare(self, name: str) -> bool:
        """Return whether `name` is there without an argument, and so applies to the whole response."""
        return any(not _unquoted(argument) for argument in self._arguments.get(name, ()))

    def fields(self, name: str) -> frozenset[str]:
        """Return the header names, in lower case, that the argument of `name` lists."""
        listed = (_unquoted(argument) or "" for argument in self._arguments.get(name, ()))
        return frozenset(field.strip().lower() for text in listed for field in text.split(",") if field.strip())


def _unquoted(argument: str | None) -> str | None:
    if argument is not None and len(argument) >= 2 and argument[0] == argument[-1] == '"':
        return re.sub(r"\\(.)", r"\1", argument[1:-1])
    return argument


@lru_cache(maxsize=1024)
def _parsed(text: str) -> Directives:
    arguments: dict[str, tuple[str | None, ...]] = {}
    for member in members(text):
        name, equals, argument = member.partition("=")
        # `no-store =x` is malformed, and reading it as `no-store` is the careful way; a malformed number becomes 0.
        name = name.strip().lower()
        arguments[name] = (*arguments.get(name, ()), argument if equals else None)
    return Directives(arguments)


NO_DIRECTIVES = Directives({})


def directives_of(headers: Headers) -> Directives:
    """Return the directives of the `Cache-Control` fields of a request or a response, as one list."""
    lines = headers.get_all("cache-control")
    return _parsed(lines[0] if len(lines) == 1 else ", ".join(lines)) if lines else NO_DIRECTIVES


def members(text: str) -> Iterable[str]:
    """Yield the non-empty members of a comma-separated list, leaving commas inside quotes alone."""
    position = 0
    while position < len(text):
        found = _MEMBER.match(text, position)
        if found is None or found.end() == position:
            return
        position = found.end()
        if found.group(1).strip():
            yield found.group(1).strip()
