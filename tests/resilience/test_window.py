"""The sliding windows, against resilience4j's published sequences and a brute-force model."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemawire.resilience.window import CountWindow, SlidingSum, TimeWindow, Window

OK, ERROR, SLOW, SLOW_ERROR = (False, False), (True, False), (False, True), (True, True)


def record(window: Window, now: float, outcome: tuple[bool, bool]) -> tuple[int, int, int]:
    window.record(now, failed=outcome[0], slow=outcome[1])
    return window.calls, window.failures, window.slow


@pytest.mark.parametrize(
    ("size", "steps"),
    [
        pytest.param(
            4,
            [(ERROR, (1, 1, 0)), (OK, (2, 1, 0)), (OK, (3, 1, 0)), (OK, (4, 1, 0)), (OK, (4, 0, 0))],
            id="testSlidingWindowMetrics",
        ),
        pytest.param(
            2,
            [
                (SLOW_ERROR, (1, 1, 1)),
                (SLOW, (2, 1, 2)),
                (OK, (2, 0, 1)),
                (OK, (2, 0, 0)),
                (OK, (2, 0, 0)),
            ],
            id="testSlidingWindowMetricsWithSlowCalls",
        ),
        pytest.param(
            5,
            [(SLOW, (1, 0, 1)), (SLOW_ERROR, (2, 1, 2)), (OK, (3, 1, 2)), (OK, (4, 1, 2)), (OK, (5, 1, 2))],
            id="testSlowCallsPercentage",
        ),
    ],
)
def test_count_window_follows_resilience4j(
    size: int, steps: list[tuple[tuple[bool, bool], tuple[int, int, int]]]
) -> None:
    """(calls, failures, slow) after each step of `FixedSizeSlidingWindowMetricsTest`."""
    window = CountWindow(size=size)
    assert [record(window, 0.0, outcome) for outcome, _ in steps] == [expected for _, expected in steps]


def test_time_window_follows_resilience4j() -> None:
    """(calls, failures, slow) after each step of `testSlidingTimeWindowMetrics`: five buckets of a second."""
    window = TimeWindow(span=5, buckets=5)
    steps = [
        (0.0, ERROR, (1, 1, 0)),
        (0.1, OK, (2, 1, 0)),
        (0.2, OK, (3, 1, 0)),
        (1.2, OK, (4, 1, 0)),
        (2.2, OK, (5, 1, 0)),
        (3.2, ERROR, (6, 2, 0)),
        (4.2, OK, (7, 2, 0)),
        (5.2, OK, (5, 1, 0)),
        (6.2, OK, (5, 1, 0)),
        (11.2, OK, (1, 0, 0)),
    ]
    assert [record(window, now, outcome) for now, outcome, _ in steps] == [expected for *_, expected in steps]


def test_time_window_empties_as_resilience4j_does() -> None:
    """The sequence of `shouldClearSlidingTimeWindowMetrics`: all there after 4.8 s, gone after 5.8 s."""
    window = TimeWindow(span=5, buckets=5)
    assert [record(window, now, outcome) for now, outcome in ((0.0, ERROR), (0.1, OK), (0.8, OK))][-1] == (3, 1, 0)
    window.roll(4.8)
    assert (window.calls, window.failures) == (3, 1)
    window.roll(5.8)
    assert (window.calls, window.failures) == (0, 0)
    assert record(window, 5.9, OK) == (1, 0, 0)


outcomes = st.tuples(st.booleans(), st.booleans())
timed = st.lists(st.tuples(st.floats(0, 4, allow_subnormal=False), outcomes), max_size=40)


@given(steps=timed, buckets=st.integers(1, 12))
def test_time_window_equals_a_list_of_all_calls(steps: list[tuple[float, tuple[bool, bool]]], buckets: int) -> None:
    """Its counts are those of the calls whose bucket is among the last `buckets`, computed from the whole history."""
    window, width, now = TimeWindow(span=6, buckets=buckets), 6 / buckets, 0.0
    history: list[tuple[int, tuple[bool, bool]]] = []
    for wait, outcome in steps:
        now += wait
        slot = int(now // width)
        history.append((slot, outcome))
        held = [kept for at, kept in history if at > slot - buckets]
        expected = (len(held), sum(failed for failed, _ in held), sum(slow for _, slow in held))
        assert record(window, now, outcome) == expected


@given(steps=st.lists(outcomes, max_size=60), size=st.integers(1, 10))
def test_count_window_equals_the_end_of_a_list(steps: list[tuple[bool, bool]], size: int) -> None:
    """Its counts are those of the last `size` calls."""
    window = CountWindow(size=size)
    for index, outcome in enumerate(steps, start=1):
        held = steps[max(0, index - size) : index]
        expected = (len(held), sum(failed for failed, _ in held), sum(slow for _, slow in held))
        assert record(window, 0.0, outcome) == expected
    window.clear()
    assert (window.calls, window.failures, window.slow) == (0, 0, 0)


@given(steps=st.lists(st.tuples(st.floats(0, 4, allow_subnormal=False), st.integers(-5, 5)), max_size=60))
def test_sliding_sum_equals_the_sum_of_a_list(steps: list[tuple[float, int]]) -> None:
    """Its total is the sum over the entries of the last ten slices."""
    window, now = SlidingSum(span=10, slices=10), 0.0
    history: list[tuple[int, int]] = []
    for wait, amount in steps:
        now += wait
        history.append((int(now), amount))
        window.add(now, amount)
        assert window.total(now) == sum(kept for slot, kept in history if slot > int(now) - 10)


@pytest.mark.parametrize("back", [0.5, 3.0])
def test_a_time_just_before_the_present_counts_as_present(back: float) -> None:
    """A clock reading taken a moment earlier neither empties the window nor gets lost."""
    window = TimeWindow(span=10, buckets=10)
    record(window, 100.0, ERROR)
    assert record(window, 100.0 - back, ERROR) == (2, 2, 0)


def test_another_loops_clock_empties_the_window() -> None:
    """A time before the whole window comes from another event loop, whose past is unknown."""
    window, total = TimeWindow(span=10, buckets=10), SlidingSum(span=10, slices=10)
    record(window, 1_000.0, ERROR)
    total.add(1_000.0, 3)
    assert record(window, 5.0, OK) == (1, 0, 0)
    assert total.total(5.0) == 0
