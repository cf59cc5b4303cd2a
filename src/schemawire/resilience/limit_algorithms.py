"""How many calls at once a backend can take, learned from round-trip times and losses; plain arithmetic, no waiting.

*Source:* Netflix concurrency-limits 0.5.4 (Gradient2Limit, VegasLimit, AIMDLimit), with one loss signal for all.
"""

import math
from dataclasses import dataclass
from enum import Enum


class LimitAlgorithm(Enum):
    """What the limit is learned from.

    `GRADIENT2`: short against long-term round-trip time. `VEGAS`: an estimate of the backend's queue. `AIMD`: losses
    alone, which also suits backends whose times differ widely from call to call.
    """

    GRADIENT2 = "gradient2"
    VEGAS = "vegas"
    AIMD = "aimd"


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitRange:
    """Where a limit begins and how far it may go; `loss_factor` is what one loss leaves of it."""

    initial: int
    lowest: int
    highest: int
    loss_factor: float

    def hold(self, limit: float) -> float:
        """Return `limit` brought into the range."""
        return max(float(self.lowest), min(float(self.highest), limit))


# Not frozen: one is made for every call, and a frozen class takes four times as long.
@dataclass(slots=True, kw_only=True)
class Sample:
    """One finished call: its round-trip time in seconds, how many were in flight when it began, whether it was lost."""

    rtt: float
    in_flight: int
    lost: bool = False


class Aimd:
    """Grows by one per success while the limit is in use, and shrinks by a factor per loss.

    A call slower than `timeout` seconds counts as lost.
    """

    def __init__(self, span: LimitRange, *, timeout: float = 5.0) -> None:
        self.span = span
        self._timeout = timeout
        self.limit = float(span.initial)

    def learn(self, sample: Sample) -> None:
        """Move the limit after one call."""
        limit = math.floor(self.limit)
        if sample.lost or sample.rtt > self._timeout:
            limit = math.floor(limit * self.span.loss_factor)
        elif sample.in_flight * 2 >= limit:
            limit += 1
        self.limit = self.span.hold(limit)


class Gradient2:
    """Compares each round-trip time with its long-term average: no slower means room to grow, slower means a queue.

    `tolerance` is how much slower than average is still fine, `queue` how many calls may queue at the backend,
    `smoothing` how much one sample moves the limit, `window` the number of samples in the long-term average.
    """

    def __init__(
        self,
        span: LimitRange,
        *,
        tolerance: float = 1.5,
        queue: int = 4,
        smoothing: float = 0.2,
        window: int = 600,
    ) -> None:
        self.span = span
        self._tolerance = tolerance
        self._queue = queue
        self._smoothing = smoothing
        self._long = _LongAverage(window)
        self.limit = float(span.initial)

    def learn(self, sample: Sample) -> None:
        """Move the limit after one call."""
        if sample.lost:
            self.limit = self.span.hold(self.limit * self.span.loss_factor)
            return
        short = max(sample.rtt, 1e-9)
        long = self._long.add(short)
        if long / short > 2.0:
            # After an overload the average is far too high and would hide the next one: let it come down faster.
            self._long.value *= 0.95
        if sample.in_flight < self.limit / 2:
            return
        gradient = max(0.5, min(1.0, self._tolerance * long / short))
        target = self.limit * gradient + self._queue
        self.limit = self.span.hold(self.limit * (1.0 - self._smoothing) + target * self._smoothing)


class _LongAverage:
    """A plain average of the first ten samples, and an exponential one over `window` samples from then on."""

    _FIRST = 10

    def __init__(self, window: int) -> None:
        self._factor = 2.0 / (window + 1)
        self._count = 0
        self._sum = 0.0
        self.value = 0.0

    def add(self, sample: float) -> float:
        if self._count < self._FIRST:
            self._count += 1
            self._sum += sample
            self.value = self._sum / self._count
        else:
            self.value += (sample - self.value) * self._factor
        return self.value


class Vegas:
    """Estimates the backend's queue from the fastest round trip seen, and keeps it between two small bounds.

    The fastest time is learned anew about every `probe_factor` × limit samples, as backends change.
    """

    def __init__(self, span: LimitRange, *, alpha: int = 3, beta: int = 6, probe_factor: int = 30) -> None:
        self.span = span
        self._alpha = alpha
        self._beta = beta
        self._probe_factor = probe_factor
        self._fastest = math.inf
        self._samples = 0
        self.limit = float(span.initial)

    def learn(self, sample: Sample) -> None:
        """Move the limit after one call."""
        self._samples += 1
        rtt = max(sample.rtt, 1e-9)
        if self._samples >= self._probe_factor * self.limit:
            self._samples = 0
            self._fastest = rtt
        elif rtt < self._fastest and not sample.lost:
            self._fastest = rtt
        else:
            self.limit = self.span.hold(self._moved(rtt, sample))

    def _moved(self, rtt: float, sample: Sample) -> float:
        limit, step = self.limit, _log10(self.limit)
        if sample.lost:
            return min(limit - step, limit * self.span.loss_factor)
        if sample.in_flight * 2 < limit:
            return limit
        queue = math.ceil(limit * (1.0 - self._fastest / rtt))
        if queue <= step:
            return limit + self._beta * step
        if queue < self._alpha * step:
            return limit + step
        if queue > self._beta * step:
            return limit - step
        return limit


def _log10(limit: float) -> int:
    return max(1, int(math.log10(max(1.0, limit))))


Algorithm = Aimd | Gradient2 | Vegas


def algorithm(kind: LimitAlgorithm, span: LimitRange) -> Algorithm:
    """Return a fresh algorithm of the given kind that starts at `span.initial`."""
    makers: dict[LimitAlgorithm, type[Algorithm]] = {
        LimitAlgorithm.GRADIENT2: Gradient2,
        LimitAlgorithm.VEGAS: Vegas,
        LimitAlgorithm.AIMD: Aimd,
    }
    return makers[kind](span)
