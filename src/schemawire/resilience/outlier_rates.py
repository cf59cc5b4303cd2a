"""Which endpoints do worse than the others over an interval: two statistics, plain functions of what was counted."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

K = TypeVar("K")


@dataclass(slots=True)
class Tally:
    """The outcomes of one endpoint during one interval."""

    calls: int = 0
    failures: int = 0

    @property
    def success_rate(self) -> float:
        """The share of good outcomes, 0 to 1; of no outcomes at all, 1."""
        return 1.0 - self.failures / self.calls if self.calls else 1.0


def success_rate_outliers(
    tallies: Mapping[K, Tally], *, factor: float, minimum_endpoints: int, minimum_calls: int
) -> list[K]:
    """Return the endpoints whose success rate lies below the mean − `factor` × the standard deviation.

    Args:
        tallies: what each endpoint in rotation did during the interval.
        factor: how many standard deviations below the mean is too few.
        minimum_endpoints: with fewer that have calls enough, nobody stands out.
        minimum_calls: with fewer calls an endpoint is neither judged nor part of the mean.

    *Source:* Envoy `DetectorImpl::successRateEjectionThreshold`: the mean over endpoints, not calls, and the deviation
    of the whole population.
    """
    rates = _rates(tallies, minimum_endpoints, minimum_calls)
    if not rates:
        return []
    mean = math.fsum(rates.values()) / len(rates)
    deviation = math.sqrt(math.fsum((rate - mean) ** 2 for rate in rates.values()) / len(rates))
    return [endpoint for endpoint, rate in rates.items() if rate < mean - factor * deviation]


def failure_share_outliers(
    tallies: Mapping[K, Tally], *, share: float, minimum_endpoints: int, minimum_calls: int
) -> list[K]:
    """Return the endpoints of whose calls at least `share` failed, whatever the others do.

    *Source:* Envoy `DetectorImpl::processSuccessRateEjections`, its failure percentage.
    """
    rates = _rates(tallies, minimum_endpoints, minimum_calls)
    return [endpoint for endpoint in rates if tallies[endpoint].failures >= share * tallies[endpoint].calls]


def _rates(tallies: Mapping[K, Tally], minimum_endpoints: int, minimum_calls: int) -> dict[K, float]:
    rates = {endpoint: tally.success_rate for endpoint, tally in tallies.items() if tally.calls >= minimum_calls}
    return rates if len(rates) >= minimum_endpoints else {}
