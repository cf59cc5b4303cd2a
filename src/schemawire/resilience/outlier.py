"""Takes endpoints that fail again and again out of the rotation for a while, never too many at once; decides only."""

import math
from collections.abc import Collection
from dataclasses import dataclass

from schemawire.resilience.endpoint_state import EndpointState
from schemawire.resilience.ranges import require_count, require_number, require_order

_FORGIVE = 10.0
"""Seconds in rotation that take one earlier ejection off the count. *Source:* Envoy, its sweep interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutlierConfig:
    """When an endpoint is ejected, and how it comes back.

    Args:
        consecutive_failures: failures in a row that eject it, from 1 up.
        ejection: how long the first ejection lasts, seconds; the n-th lasts n times as long.
        longest_ejection: no ejection lasts longer, seconds.
        highest_share: the largest share of endpoints ejected at once, 0 to 1; of two or more, one always may be.
        slow_start: seconds during which an endpoint that comes back or is new gets less than its share, from 0 up.
        slow_start_floor: its share of load at the beginning of that, above 0 to 1.
        longest_pause: a pause that an endpoint asks for lasts no longer, seconds from 0 up.

    Raises:
        ConfigurationInvalid: a value is out of range.

    *Source:* Envoy outlier detection (5, 30 s × n ≤ 300 s, 10 %) and slow start mode (floor 10 %).
    """

    consecutive_failures: int = 5
    ejection: float = 30.0
    longest_ejection: float = 300.0
    highest_share: float = 0.1
    slow_start: float = 30.0
    slow_start_floor: float = 0.1
    longest_pause: float = 300.0

    def __post_init__(self) -> None:
        require_count(self, "consecutive_failures", low=1)
        require_number(self, "ejection", low=0.0, above=True, high=86_400.0)
        require_number(self, "longest_ejection", low=0.0, above=True, high=86_400.0)
        require_order(self, "ejection", "longest_ejection")
        require_number(self, "highest_share", low=0.0, high=1.0)
        require_number(self, "slow_start", low=0.0, high=86_400.0)
        require_number(self, "slow_start_floor", low=0.0, above=True, high=1.0)
        require_number(self, "longest_pause", low=0.0, high=86_400.0)


class OutlierDetector:
    """Counts failures in a row per endpoint, and ejects; every method is a plain function of `now`.

    Invariant: at no time are more endpoints ejected than `most_ejected` allows.
    """

    def __init__(self, options: OutlierConfig | None = None) -> None:
        self.options = options or OutlierConfig()

    def record(self, state: EndpointState, endpoints: Collection[EndpointState], *, failed: bool, now: float) -> float:
        """Take note of one outcome that counts.

        Args:
            state: the endpoint it came from.
            endpoints: all endpoints, `state` among them.
            failed: whether the endpoint failed.
            now: the event loop's time, seconds.

        Returns:
            How long the endpoint is ejected because of it, seconds; 0 where it is not.
        """
        if not failed:
            state.consecutive_failures = 0
            return 0.0
        state.consecutive_failures += 1
        enough = state.consecutive_failures >= self.options.consecutive_failures
        if not enough or now < state.ejected_until or not self._may_eject(endpoints, now):
            return 0.0
        return self._eject(state, now)

    def pause(self, state: EndpointState, seconds: float, now: float) -> float:
        """Leave an endpoint in peace as it asked; return for how long, seconds."""
        length = min(max(0.0, seconds), self.options.longest_pause)
        state.paused_until = max(state.paused_until, now + length)
        return length

    def most_ejected(self, count: int) -> int:
        """Return how many of `count` endpoints may be ejected at once."""
        return max(1 if count >= 2 else 0, math.floor(count * self.options.highest_share + 1e-9))

    def _may_eject(self, endpoints: Collection[EndpointState], now: float) -> bool:
        ejected = sum(now < other.ejected_until for other in endpoints)
        return ejected < self.most_ejected(len(endpoints))

    def _eject(self, state: EndpointState, now: float) -> float:
        options = self.options
        if state.ejections:
            in_rotation = now - state.ejected_until
            state.ejections = max(0, state.ejections - int(in_rotation / _FORGIVE))
        state.ejections += 1
        length = min(options.ejection * state.ejections, options.longest_ejection)
        state.ejected_until = now + length
        state.consecutive_failures = 0
        state.begin_slow_start(state.ejected_until, options.slow_start, options.slow_start_floor)
        return length
