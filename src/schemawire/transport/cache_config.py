"""The options of the cache, checked where they are made; knows no rule of HTTP."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from schemawire.errors import ConfigurationInvalid
from schemawire.resilience.ranges import require_count, require_kind, require_number, require_order
from schemawire.transport.message import is_token


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheConfig:
    """What is kept, for whom, and how much of it.

    Args:
        shared: whether one stored response may answer callers with different credentials. A private cache keeps a
            separate response for each set of credentials; a shared one keeps only what RFC 9111 lets it keep.
        path: an SQLite file that outlives the process, in place of memory.
        front: seconds for which what was read from the file is answered from memory, from 0 (never); what another
            process changes is noticed so much later. Changes through this client are noticed at once.
        max_bytes: everything that is stored, from 0; 0 stores nothing and only lets equal calls share one request.
        max_entry_bytes: the largest response that is stored, from 0 to `max_bytes`.
        heuristic_fraction: the part of its age that a response without an expiry counts as fresh for, 0 to 1.
        heuristic_max: the most seconds of that, from 0.
        stale_if_error: seconds past its expiry for which a response that does not say otherwise may stand in while the
            service gives no response at all, from 0.
        max_refreshes: responses that may be refreshed behind the caller's back at once, from 0.
        name: what `Cache-Status` calls this cache; a token.
        clock: seconds since 1970; HTTP's dates need a wall clock, and tests one that they can move.

    Raises:
        ConfigurationInvalid: a value is out of range.
    """

    shared: bool = False
    path: str | Path | None = None
    front: float = 1.0
    max_bytes: int = 64 << 20
    max_entry_bytes: int = 4 << 20
    heuristic_fraction: float = 0.1
    heuristic_max: float = 86_400.0
    stale_if_error: float = 60.0
    max_refreshes: int = 16
    name: str = "schemawire"
    clock: Callable[[], float] = field(default=time.time, repr=False, compare=False)

    def __post_init__(self) -> None:
        require_kind(self, "shared", bool)
        require_number(self, "front", low=0.0, high=3600.0)
        require_count(self, "max_bytes", low=0, high=1 << 50)
        require_count(self, "max_entry_bytes", low=0, high=1 << 40)
        if self.max_bytes > 0:
            require_order(self, "max_entry_bytes", "max_bytes")
        require_number(self, "heuristic_fraction", low=0.0, high=1.0)
        require_number(self, "heuristic_max", low=0.0)
        require_number(self, "stale_if_error", low=0.0)
        require_count(self, "max_refreshes", low=0, high=10_000)
        if not isinstance(self.name, str) or not is_token(self.name) or not (self.name[0].isalpha()):
            raise ConfigurationInvalid(
                f"CacheConfig.name={self.name!r} must be a word of letters, digits and -", fix="Set it to such a word."
            )
