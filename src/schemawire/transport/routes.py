"""Which options a call has by its route: patterns of paths and what differs there; knows no policy's job."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from schemawire.errors import ConfigurationInvalid
from schemawire.resilience.hedge import HedgeConfig
from schemawire.resilience.ranges import require_number
from schemawire.resilience.rate_limit import RateLimitConfig
from schemawire.resilience.retry_decision import RetryConfig

_NAME = re.compile(r"\{([^{}/]*)\}")
_METHOD_AND_PATH = re.compile(r"(?:([A-Z][A-Z-]*) )?(/[^?#\s]*)")


class Inherit(Enum):
    """Stands for "as the client has it", where `None` already means off."""

    INHERIT = "inherit"

    def __repr__(self) -> str:
        return "INHERIT"


INHERIT = Inherit.INHERIT


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteOptions:
    """What differs for the calls of one route; what is not given is as the client has it.

    Args:
        total: seconds for the whole call, above 0, unless the call gives its own deadline.
        retry: how often the call is tried again; `None`: once only.
        hedge: when a further attempt starts beside the first; `None`: never.
        rate: a rate limit of the route's own; `None`: none.

    Raises:
        ConfigurationInvalid: a value is out of range.
    """

    total: float | None = None
    retry: RetryConfig | Inherit | None = INHERIT
    hedge: HedgeConfig | Inherit | None = INHERIT
    rate: RateLimitConfig | Inherit | None = INHERIT

    def __post_init__(self) -> None:
        require_number(self, "total", low=0.0, above=True, optional=True)


class RouteTable:
    """Finds the route of a call.

    A pattern is a path with names in braces, each of which stands for one segment, and may begin with a method:
    `/items/{id}`, `GET /items/{id}`. The most exact pattern wins: one with a method before one without, and one with
    fewer names before one with more.

    Args:
        patterns: the patterns.

    Raises:
        ConfigurationInvalid: a pattern is malformed, or two match exactly the same.
    """

    def __init__(self, patterns: Mapping[str, object]) -> None:
        self._patterns = frozenset(patterns)
        parsed: dict[tuple[str, str], str] = {}
        for pattern in patterns:
            method, path = _parsed(pattern)
            shape = (method, _NAME.sub("{}", path))
            if shape in parsed:
                raise ConfigurationInvalid(
                    f"routes {parsed[shape]!r} and {pattern!r} match the same calls", fix="Keep one of them."
                )
            parsed[shape] = pattern
        ordered = sorted(parsed, key=lambda shape: (not shape[0], shape[1].count("{}"), shape))
        self._rules = [(method, _expression(path), parsed[method, path]) for method, path in ordered]

    def find(self, method: str, path: str, named: str = "") -> str:
        """Return the pattern of a call, or an empty text where none matches.

        Args:
            method: its method.
            path: its path.
            named: the pattern that the caller has named, which goes first if it is in the table.
        """
        if named and named in self._patterns:
            return named
        for wanted, expression, pattern in self._rules:
            if wanted in ("", method) and expression.fullmatch(path):
                return pattern
        return ""


def _parsed(pattern: str) -> tuple[str, str]:
    found = _METHOD_AND_PATH.fullmatch(pattern)
    if found is None or "{" in _NAME.sub("", found[2]) or "}" in _NAME.sub("", found[2]):
        raise ConfigurationInvalid(
            f"route {pattern!r} is no pattern", fix="Write it like /items/{id} or GET /items/{id}, without a query."
        )
    return found[1] or "", found[2]


def _expression(path: str) -> re.Pattern[str]:
    return re.compile("[^/]+".join(re.escape(part) for part in path.split("{}")))
