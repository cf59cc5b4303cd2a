"""Objectives: the budget is what the workbook says, over any traffic, and a clock that jumps harms nothing."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemawire.errors import ConfigurationInvalid
from schemawire.telemetry.objectives import WINDOWS, Alert, BurnMeter, Objective

NOON = 1_800_000_000.0
NINES = Objective(name="availability", target=0.999)


def steady(meter: BurnMeter, *, hours: float, share: float, until: float = NOON) -> None:
    """Count a thousand events every ten seconds, a share of them bad."""
    for turn in reversed(range(int(hours * 360))):
        meter.add(until - turn * 10, 1000, round(1000 * share))


def test_a_steady_failure_burns_at_its_share_of_the_budget() -> None:
    """Two in a hundred bad, where one in a thousand may be, burn twenty times the budget and call somebody."""
    meter = BurnMeter(NINES)
    steady(meter, hours=2, share=0.02)
    state = meter.state(NOON)
    assert state.windows["5m"].burn == pytest.approx(20)
    assert state.windows["1h"].burn == pytest.approx(20)
    assert state.windows["5m"].total == 1000 * 31  # the slot that has just begun, and thirty before it
    assert state.alert is Alert.PAGE
    assert state.budget_left == pytest.approx(-19)


@pytest.mark.parametrize(
    ("hours", "share", "expected"),
    [(2, 0.0, Alert.NONE), (2, 0.0005, Alert.NONE), (7, 0.008, Alert.TICKET), (80, 0.0015, Alert.TICKET),
     (2, 0.015, Alert.PAGE)],
)  # fmt: skip
def test_alerts_follow_the_table(hours: float, share: float, expected: Alert) -> None:
    """What burns faster than the table allows in both windows asks for a ticket or a page, and nothing else does."""
    meter = BurnMeter(NINES)
    for turn in reversed(range(int(hours * 360))):
        meter.add(NOON - turn * 10, 10_000, round(10_000 * share))
    assert meter.state(NOON).alert is expected


def test_an_alert_ends_soon_after_its_cause() -> None:
    """Six minutes after the last failure the short window is clean, whatever the long one says."""
    meter = BurnMeter(NINES)
    steady(meter, hours=1, share=0.5)
    assert meter.state(NOON).alert is Alert.PAGE
    for turn in range(36):
        meter.add(NOON + 10 + turn * 10, 1000, 0)
    assert meter.state(NOON + 370).alert is not Alert.PAGE


def test_nothing_happened_means_nothing_burnt() -> None:
    """Without events no budget is touched."""
    state = BurnMeter(NINES).state(NOON)
    assert (state.budget_left, state.alert, {window.burn for window in state.windows.values()}) == (1, Alert.NONE, {0})


@given(st.lists(st.tuples(st.floats(-4e9, 4e9), st.integers(-5, 50), st.integers(0, 60)), max_size=400))
def test_any_clock_and_any_count_keep_the_bounds(events: list[tuple[float, int, int]]) -> None:
    """However times jump, memory stays bounded, no window counts more bad than all, and no burn is out of range."""
    meter = BurnMeter(NINES)
    for at, total, bad in events:
        meter.add(at, total, bad)
    assert len(meter._fine) <= 2162
    assert len(meter._coarse) <= 722
    for at, _, _ in events:
        for window in meter.state(at).windows.values():
            assert 0 <= window.bad <= window.total
            assert 0 <= window.burn <= 1000.0001
            assert math.isfinite(window.burn)


def test_a_year_of_traffic_keeps_to_its_slots() -> None:
    """Only what a window can still see is remembered."""
    meter = BurnMeter(NINES)
    for hour in range(365 * 24):
        meter.add(NOON + hour * 3600, 10, 1)
    assert len(meter._coarse) <= 722
    assert meter.state(NOON + 365 * 86_400).windows["30d"].total > 7000
    assert set(WINDOWS) == set(meter.state(NOON).windows)


@pytest.mark.parametrize("target", [0.0, 1.0, 1.5, math.nan])
def test_a_target_is_a_share(target: float) -> None:
    """All or nothing leaves no budget to speak of."""
    with pytest.raises(ConfigurationInvalid, match="target"):
        Objective(name="x", target=target)
