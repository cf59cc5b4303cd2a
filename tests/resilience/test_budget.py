"""The retry budget, against Finagle's and botocore's published sequences and a brute-force model."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemawire.errors import ConfigurationInvalid
from schemawire.resilience.budget import RetryBudget, RetryBudgetConfig
from schemawire.resilience.call import Context


def budget(
    *, ratio: float = 0.2, floor: float = 0.0, ttl: float = 10.0, hedge_ratio: float = 0.0, hedge_floor: float = 0.0
) -> RetryBudget:
    return RetryBudget(
        RetryBudgetConfig(
            ratio=ratio,
            floor_per_second=floor,
            ttl=ttl,
            hedge_ratio=hedge_ratio,
            hedge_floor_per_second=hedge_floor,
        )
    )


@pytest.mark.parametrize(
    ("ttl", "floor", "ratio"),
    [
        (60, 0, 0.1),
        (60, 0, 0.5),
        (60, 0, 0.25),
        (60, 0, 0.75),
        (60, 0, 0.99),
        (60, 0, 0.999),
        (60, 0, 0.9999),
        (60, 0, 0.01),
        (60, 0, 0.001),
        (60, 0, 0.0001),
        (1, 10, 0.0),
        (2, 5, 0.0),
        (1, 10, 0.1),
        (2, 5, 0.5),
    ],
)
def test_retries_follow_finagle(ttl: float, floor: float, ratio: float) -> None:
    """The table of `RetryBudgetTest`: 10 000 calls at one moment allow ratio × 10 000 + floor × ttl retries, ± 1."""
    subject = budget(ttl=ttl, floor=floor, ratio=ratio)
    assert subject.balance(0.0) == floor * ttl
    retried = 0
    for _ in range(10_000):
        subject.deposit(0.0)
        retried += subject.withdraw(0.0)
    assert retried == pytest.approx(10_000 * ratio + floor * ttl, abs=1)


def test_a_ratio_above_one_earns_several_retries_per_call() -> None:
    """Finagle: at 200 %, 10 000 calls allow 20 000 retries."""
    subject = budget(ratio=2.0)
    assert not subject.withdraw(0.0)
    for _ in range(10_000):
        subject.deposit(0.0)
    assert subject.balance(0.0) == pytest.approx(20_000)


def test_what_cannot_be_paid_leaves_the_balance_as_it_was() -> None:
    """Botocore's `test_cant_go_below_zero`: 49 of 50 spent, then a dearer request is refused and 1 is left."""
    options = RetryBudgetConfig(ratio=0, floor_per_second=5, throttled_cost=10)
    subject = RetryBudget(options)
    assert all(subject.withdraw(0.0) for _ in range(49))
    assert not subject.withdraw(0.0, throttled=True)
    assert subject.balance(0.0) == 1
    assert subject.statistics().refused == 1


def test_ten_deposits_of_a_tenth_pay_for_one_retry() -> None:
    """Binary fractions do not eat the last retry."""
    subject = budget(ratio=0.1)
    for _ in range(10):
        subject.deposit(0.0)
    assert subject.withdraw(0.0)
    assert not subject.withdraw(0.0)


def test_deposits_and_withdrawals_are_forgotten_after_the_ttl() -> None:
    """Neither the calls nor the retries of more than ten seconds ago matter."""
    subject = budget(ratio=1.0, floor=0.1)
    subject.deposit(0.0)
    assert subject.withdraw(0.0)
    assert subject.withdraw(0.0)
    assert subject.balance(9.9) == 0
    assert subject.balance(10.0) == 1


def test_hedges_have_a_share_of_their_own_inside_the_whole() -> None:
    """A hedge needs both its share and the whole budget; retries can use up what hedges may not."""
    subject = budget(ratio=0.2, hedge_ratio=0.05)
    for _ in range(100):
        subject.deposit(0.0)
    assert sum(subject.withdraw_hedge(0.0) for _ in range(100)) == 5
    assert sum(subject.withdraw(0.0) for _ in range(100)) == 15
    statistics = subject.statistics()
    assert (statistics.granted, statistics.hedges_granted, statistics.deposits) == (15, 5, 100)


def test_an_empty_budget_refuses_hedges_too() -> None:
    """Retries that spent everything leave nothing to hedge with."""
    subject = budget(ratio=0.2, hedge_ratio=0.05)
    for _ in range(100):
        subject.deposit(0.0)
    assert all(subject.withdraw(0.0) for _ in range(20))
    assert not subject.withdraw_hedge(0.0)


def test_a_call_deposits_once_however_many_layers_share_the_budget() -> None:
    """The outermost layer deposits; inner layers and hedges of the same call find it done."""
    subject, context = budget(), Context()
    subject.enter(context, 0.0)
    subject.enter(context, 0.0)
    subject.enter(context.fork(), 0.0)
    assert subject.statistics().deposits == 1


@given(
    steps=st.lists(
        st.tuples(st.floats(0, 3, allow_subnormal=False), st.sampled_from(["call", "retry", "throttled", "hedge"])),
        max_size=120,
    )
)
def test_budget_equals_a_list_of_everything_that_happened(steps: list[tuple[float, str]]) -> None:
    """Each decision is the one a model makes that keeps the whole history and sums it afresh."""
    subject = budget(ratio=0.5, floor=0.2, hedge_ratio=0.25, hedge_floor=0.1)
    calls: list[int] = []
    spent: list[tuple[int, float, bool]] = []
    now = 0.0
    for wait, step in steps:
        now += wait
        first = int(now) - 9
        earned = sum(at >= first for at in calls)
        left = 0.5 * earned + 2 - sum(cost for at, cost, _ in spent if at >= first)
        left_for_hedges = 0.25 * earned + 1 - sum(cost for at, cost, hedge in spent if hedge and at >= first)
        cost = 2.0 if step == "throttled" else 1.0
        match step:
            case "call":
                subject.deposit(now)
                calls.append(int(now))
                continue
            case "hedge":
                allowed, expected = subject.withdraw_hedge(now), min(left, left_for_hedges) >= 1
            case _:
                allowed, expected = subject.withdraw(now, throttled=step == "throttled"), left >= cost
        assert allowed == expected
        if allowed:
            spent.append((int(now), cost, step == "hedge"))


def test_options_change_at_once() -> None:
    """A wider ratio counts for the deposits that are already there."""
    subject = budget(ratio=0.1)
    for _ in range(10):
        subject.deposit(0.0)
    subject.replace_options(RetryBudgetConfig(ratio=1.0, floor_per_second=0))
    assert subject.balance(0.0) == pytest.approx(10)
    assert "ratio=1" in subject.describe()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"ttl": 0}, "ttl=0 must be a number from 1 to 60"),
        ({"ttl": 61}, "ttl=61"),
        ({"floor_per_second": -1}, "floor_per_second=-1"),
        ({"ratio": -1.0}, "ratio=-1.0"),
        ({"hedge_ratio": 1.5}, "hedge_ratio=1.5"),
        ({"throttled_cost": 0.5}, "throttled_cost=0.5"),
    ],
)
def test_bad_options_are_named(options: dict[str, float], says: str) -> None:
    """Finagle's bounds and ours: a value out of range is refused with its name and range."""
    with pytest.raises(ConfigurationInvalid, match=says):
        RetryBudgetConfig(**options)
