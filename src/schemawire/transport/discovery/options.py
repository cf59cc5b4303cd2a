"""How a client follows its discovery, checked where it is made; knows no source."""

import os
import zlib
from dataclasses import dataclass, field

from schemawire.resilience.ranges import require_count, require_number, require_order


def _own_number() -> int:
    return zlib.crc32(f"{os.uname().nodename}/{os.getpid()}".encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveryConfig:
    """How the listings of a discovery become the endpoints of a client.

    Args:
        first_wait: how long a call waits for the first listing, seconds above 0; its deadline holds besides.
        retry_pause: the pause after a source has failed, seconds above 0; it doubles while the source keeps failing.
        longest_pause: that pause at most, seconds.
        zone: places of this zone are preferred over others of the same priority; empty: none is.
        subset: of each priority this many places are used at most, from 1.
        client: what the choice of the subset is drawn from, from 0; the default differs between processes.

    Raises:
        ConfigurationInvalid: a value is out of range.
    """

    first_wait: float = 10.0
    retry_pause: float = 0.5
    longest_pause: float = 30.0
    zone: str = ""
    subset: int = 100
    client: int = field(default_factory=_own_number)

    def __post_init__(self) -> None:
        require_number(self, "first_wait", low=0.0, above=True, high=86_400.0)
        require_number(self, "retry_pause", low=0.0, above=True, high=86_400.0)
        require_number(self, "longest_pause", low=0.0, above=True, high=86_400.0)
        require_order(self, "retry_pause", "longest_pause")
        require_count(self, "subset", low=1, high=100_000)
        require_count(self, "client", low=0, high=1 << 63)
