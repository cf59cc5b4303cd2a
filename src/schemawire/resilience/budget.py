"""The retry budget: how many further attempts all calls together may add; knows neither who asks nor why.

One budget is shared by retries, hedges and failovers, so that their sum stays bounded while a backend fails.
"""

from dataclasses import dataclass

from schemawire.resilience.call import Context
from schemawire.resilience.ranges import require_number, show
from schemawire.resilience.window import SlidingSum

_SLICES = 10
"""Slices of the window. *Source:* Finagle `WindowedAdder` as `TokenBucket.newLeakyBucket` uses it."""

_ROUNDING = 1e-9
"""Ten deposits of a tenth must pay for one retry, whatever binary fractions make of a tenth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryBudgetConfig:
    """How much load further attempts may add.

    Args:
        ratio: further attempts per call, 0 to 10.
        floor_per_second: further attempts per second that are allowed however few calls there are, 0 to 100 000.
        ttl: how long a call's deposit lasts, seconds, 1 to 60.
        hedge_ratio: the hedges among them per call, 0 to 1; the whole budget bounds them too.
        hedge_floor_per_second: the hedges per second that are allowed however few calls there are.
        throttled_cost: what a retry costs when the other side asked for fewer calls, 1 to 10 ordinary retries.

    Raises:
        ConfigurationInvalid: a value is out of range.

    *Source:* Finagle `RetryBudget` (20 %, 10/s, 10 s); Dean and Barroso, "The Tail at Scale" (hedges ≤ 5 %); AWS SDKs
    (throttled retries have their own price).
    """

    ratio: float = 0.2
    floor_per_second: float = 10.0
    ttl: float = 10.0
    hedge_ratio: float = 0.05
    hedge_floor_per_second: float = 1.0
    throttled_cost: float = 2.0

    def __post_init__(self) -> None:
        require_number(self, "ratio", low=0, high=10)
        require_number(self, "floor_per_second", low=0, high=100_000)
        require_number(self, "ttl", low=1, high=60)
        require_number(self, "hedge_ratio", low=0, high=1)
        require_number(self, "hedge_floor_per_second", low=0, high=100_000)
        require_number(self, "throttled_cost", low=1, high=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryBudgetStatistics:
    """The state of a budget: what is left as of its last use, and what was asked of it since it was made."""

    balance: float
    """Ordinary retries that it would still allow."""
    hedge_balance: float
    deposits: int
    granted: int
    hedges_granted: int
    refused: int


class RetryBudget:
    """A leaky token bucket: each call deposits a fraction of a retry, each further attempt withdraws a whole one.

    It is charged when an attempt is *decided*, before any waiting, so attempts that sit in their backoff are counted
    too; and nothing is ever refunded, so a success cannot buy the next retry. What is deposited or withdrawn is
    forgotten after `ttl`. No method waits.

    Invariants: within the window of `ttl`, withdrawals ≤ ratio × deposits + floor × ttl at the time of each; the same
    holds for hedges with their share.
    """

    def __init__(self, options: RetryBudgetConfig | None = None, *, name: str = "budget") -> None:
        self.name = name
        self._options = options or RetryBudgetConfig()
        self._make_windows()
        self._last = 0.0
        self._deposits = self._granted = self._hedges = self._refused = 0

    @property
    def options(self) -> RetryBudgetConfig:
        """The options in force."""
        return self._options

    def replace_options(self, options: RetryBudgetConfig) -> None:
        """Put other options in force at once; the window starts afresh if its length changes."""
        before, self._options = self._options, options
        if before.ttl != options.ttl:
            self._make_windows()

    def deposit(self, now: float) -> None:
        """Take note of one call."""
        self._deposits += 1
        self._last = now
        self._requests.add(now, 1.0)

    def enter(self, context: Context, now: float) -> None:
        """Take note of the call of `context`, unless an outer layer already has."""
        if not context.deposited:
            context.deposited = True
            self.deposit(now)

    def withdraw(self, now: float, *, throttled: bool = False) -> bool:
        """Pay for one further attempt (a retry or a failover) and return whether the budget allowed it.

        Args:
            now: the event loop's time, seconds.
            throttled: whether the other side asked for fewer calls, which makes the attempt dearer.
        """
        cost = self._options.throttled_cost if throttled else 1.0
        self._last = now
        if self.balance(now) + _ROUNDING < cost:
            self._refused += 1
            return False
        self._spent.add(now, cost)
        self._granted += 1
        return True

    def withdraw_hedge(self, now: float) -> bool:
        """Pay for one hedge and return whether its share and the whole budget both allowed it."""
        self._last = now
        if self.hedge_balance(now) + _ROUNDING < 1.0:
            self._refused += 1
            return False
        self._spent.add(now, 1.0)
        self._spent_on_hedges.add(now, 1.0)
        self._hedges += 1
        return True

    def balance(self, now: float) -> float:
        """Return how many ordinary retries the budget would allow at `now`."""
        options = self._options
        earned = options.ratio * self._requests.total(now) + options.floor_per_second * options.ttl
        left = earned - self._spent.total(now)
        return left if left > 0.0 else 0.0

    def hedge_balance(self, now: float) -> float:
        """Return how many hedges the budget would allow at `now`."""
        options = self._options
        earned = options.hedge_ratio * self._requests.total(now) + options.hedge_floor_per_second * options.ttl
        return max(0.0, min(self.balance(now), earned - self._spent_on_hedges.total(now)))

    def describe(self) -> str:
        """Return one line that names the budget and its effective options."""
        return f"{self.name}: {show(self._options)}"

    def statistics(self, now: float | None = None) -> RetryBudgetStatistics:
        """Return the state at `now`, or as of the last use."""
        at = self._last if now is None else now
        return RetryBudgetStatistics(
            balance=self.balance(at),
            hedge_balance=self.hedge_balance(at),
            deposits=self._deposits,
            granted=self._granted,
            hedges_granted=self._hedges,
            refused=self._refused,
        )

    def _make_windows(self) -> None:
        self._requests = SlidingSum(span=self._options.ttl, slices=_SLICES)
        self._spent = SlidingSum(span=self._options.ttl, slices=_SLICES)
        self._spent_on_hedges = SlidingSum(span=self._options.ttl, slices=_SLICES)
