"""Takes endpoints that fail again and again out of the rotation for a while, never too many at once; decides only."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from schemawire.resilience.endpoint_state import EndpointState
from schemawire.resilience.outlier_rates import Tally, failure_share_outliers, success_rate_outliers
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
        success_rate_factor: an endpoint whose success rate lies more than this many standard deviations below the mean
            of all is ejected, above 0 to 10 (Envoy: 1.9); `None`: off.
        success_rate_endpoints: how many endpoints must have calls enough for that, from 2 up.
        success_rate_calls: how many calls an endpoint must have had in the interval for that, from 1 up.
        failure_share: an endpoint of whose calls this share failed is ejected, above 0 to 1 (Envoy: 0.85); `None`: off.
        failure_share_endpoints: how many endpoints must have calls enough for that, from 1 up.
        failure_share_calls: how many calls an endpoint must have had in the interval for that, from 1 up.
        interval: how often success rate and failure share are looked at, each time over the calls since the last,
            seconds, 1 to 3600.

    Raises:
        ConfigurationInvalid: a value is out of range.

    *Source:* Envoy outlier detection (5, 30 s × n ≤ 300 s, 10 %; rates: 10 s, ≥ 5 hosts, ≥ 100 and ≥ 50 requests) and
    slow start mode (floor 10 %).
    """

    consecutive_failures: int = 5
    ejection: float = 30.0
    longest_ejection: float = 300.0
    highest_share: float = 0.1
    slow_start: float = 30.0
    slow_start_floor: float = 0.1
    longest_pause: float = 300.0
    success_rate_factor: float | None = None
    success_rate_endpoints: int = 5
    success_rate_calls: int = 100
    failure_share: float | None = None
    failure_share_endpoints: int = 5
    failure_share_calls: int = 50
    interval: float = 10.0

    def __post_init__(self) -> None:
        require_count(self, "consecutive_failures", low=1)
        require_number(self, "ejection", low=0.0, above=True, high=86_400.0)
        require_number(self, "longest_ejection", low=0.0, above=True, high=86_400.0)
        require_order(self, "ejection", "longest_ejection")
        require_number(self, "highest_share", low=0.0, high=1.0)
        require_number(self, "slow_start", low=0.0, high=86_400.0)
        require_number(self, "slow_start_floor", low=0.0, above=True, high=1.0)
        require_number(self, "longest_pause", low=0.0, high=86_400.0)
        require_number(self, "success_rate_factor", low=0.0, above=True, high=10.0, optional=True)
        require_count(self, "success_rate_endpoints", low=2)
        require_count(self, "success_rate_calls", low=1)
        require_number(self, "failure_share", low=0.0, above=True, high=1.0, optional=True)
        require_count(self, "failure_share_endpoints", low=1)
        require_count(self, "failure_share_calls", low=1)
        require_number(self, "interval", low=1.0, high=3600.0)

    def looks_at_rates(self) -> bool:
        """Return whether anything but failures in a row ejects."""
        return self.success_rate_factor is not None or self.failure_share is not None


class OutlierDetector:
    """Counts failures in a row per endpoint, and ejects; every method is a plain function of `now`.

    Invariants: at no time are more endpoints ejected than `most_ejected` allows; `_tallies` holds the outcomes since
    `_interval_end` − `interval`, and stays empty while no rate is looked at.
    """

    def __init__(self, options: OutlierConfig | None = None) -> None:
        self.options = options or OutlierConfig()
        self.looks_at_rates = self.options.looks_at_rates()
        self._tallies: dict[EndpointState, Tally] = {}
        self._interval_end = -math.inf

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
        if self.looks_at_rates:
            tally = self._tallies.setdefault(state, Tally())
            tally.calls += 1
            tally.failures += failed
        if not failed:
            state.consecutive_failures = 0
            return 0.0
        state.consecutive_failures += 1
        enough = state.consecutive_failures >= self.options.consecutive_failures
        if not enough or now < state.ejected_until or not self._may_eject(endpoints, now):
            return 0.0
        return self._eject(state, now)

    def sweep(self, endpoints: Collection[EndpointState], now: float) -> Sequence[tuple[EndpointState, float]]:
        """Eject who did worse than the others in the interval that is over by `now`, if one is.

        Returns:
            Who is ejected, and for how long, seconds; the worst first, as the cap may not allow for all.
        """
        if not self.looks_at_rates or self._interval_end - self.options.interval <= now < self._interval_end:
            return ()
        # One that its breaker keeps out is not ejected besides.
        present = (state for state in endpoints if now >= state.ejected_until and not state.refuses(now))
        judged = [state for state in present if state in self._tallies]
        tallies = {state: self._tallies[state] for state in judged}
        self._tallies = {}
        self._interval_end = now + self.options.interval
        outliers = sorted(self._find_outliers(tallies), key=lambda state: tallies[state].success_rate)
        return [(state, self._eject(state, now)) for state in outliers if self._may_eject(endpoints, now)]

    def _find_outliers(self, tallies: Mapping[EndpointState, Tally]) -> list[EndpointState]:
        options, found = self.options, list[EndpointState]()
        if options.success_rate_factor is not None:
            found.extend(
                success_rate_outliers(
                    tallies,
                    factor=options.success_rate_factor,
                    minimum_endpoints=options.success_rate_endpoints,
                    minimum_calls=options.success_rate_calls,
                )
            )
        if options.failure_share is not None:
            found.extend(
                failure_share_outliers(
                    tallies,
                    share=options.failure_share,
                    minimum_endpoints=options.failure_share_endpoints,
                    minimum_calls=options.failure_share_calls,
                )
            )
        return list(dict.fromkeys(found))

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
