"""Outlier ejection: when, for how long, and never too many."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemawire.errors import ConfigurationInvalid
from schemawire.resilience.endpoint_state import EndpointState
from schemawire.resilience.outlier import OutlierConfig, OutlierDetector


def states(count: int) -> list[EndpointState]:
    return [EndpointState(index, weight=1.0, group=0, decay=10.0) for index in range(count)]


def fail_times(detector: OutlierDetector, endpoints: list[EndpointState], count: int, now: float) -> list[float]:
    return [detector.record(endpoints[0], endpoints, failed=True, now=now) for _ in range(count)]


def test_five_failures_in_a_row_eject_and_a_success_starts_over() -> None:
    """Four failures, a success and four failures do nothing; the fifth in a row ejects for 30 s."""
    detector, endpoints = OutlierDetector(), states(2)
    assert fail_times(detector, endpoints, 4, 0.0) == [0.0] * 4
    detector.record(endpoints[0], endpoints, failed=False, now=0.0)
    assert fail_times(detector, endpoints, 5, 1.0) == [0.0] * 4 + [30.0]
    assert not endpoints[0].is_usable(30.9)
    assert endpoints[0].is_usable(31.0)


def test_ejections_grow_to_the_longest_and_are_forgiven_in_rotation() -> None:
    """The n-th ejection lasts n × 30 s, 300 s at most; each 10 s in rotation takes one off."""
    detector, endpoints = OutlierDetector(), states(2)
    now, lengths = 0.0, []
    for _ in range(12):
        lengths.append(fail_times(detector, endpoints, 5, now)[-1])
        now = endpoints[0].ejected_until + 1.0
    assert lengths == [30.0 * n for n in range(1, 11)] + [300.0, 300.0]
    now += 60.0
    assert fail_times(detector, endpoints, 5, now)[-1] == 30.0 * (12 - 6 + 1)


@pytest.mark.parametrize(("count", "most"), [(1, 0), (2, 1), (3, 1), (9, 1), (10, 1), (19, 1), (20, 2), (100, 10)])
def test_at_most_a_tenth_is_ejected_but_always_one_of_two(count: int, most: int) -> None:
    """The cap is a tenth rounded down, at least one where there are two, none where there is one."""
    detector, endpoints = OutlierDetector(), states(count)
    assert detector.most_ejected(count) == most
    for state in endpoints:
        for _ in range(5):
            detector.record(state, endpoints, failed=True, now=1.0)
    assert sum(not state.is_usable(1.0) for state in endpoints) == most


@given(
    events=st.lists(st.tuples(st.integers(0, 11), st.booleans(), st.integers(0, 20)), max_size=300),
    count=st.integers(1, 12),
)
def test_the_cap_holds_whatever_happens(events: list[tuple[int, bool, int]], count: int) -> None:
    """For any order of outcomes and times, never more endpoints are ejected than the cap allows."""
    detector, endpoints, now = OutlierDetector(OutlierConfig(consecutive_failures=2)), states(count), 0.0
    for index, failed, gap in events:
        now += gap
        detector.record(endpoints[index % count], endpoints, failed=failed, now=now)
        assert sum(now < state.ejected_until for state in endpoints) <= detector.most_ejected(count)


def test_a_late_failure_of_an_ejected_endpoint_does_not_prolong() -> None:
    """Calls that were under way when it was ejected change nothing any more."""
    detector, endpoints = OutlierDetector(), states(2)
    fail_times(detector, endpoints, 5, 0.0)
    fail_times(detector, endpoints, 20, 1.0)
    assert endpoints[0].ejected_until == 30.0


@pytest.mark.parametrize(
    ("at", "share"), [(29.9, 0.1), (30.0, 0.1), (33.0, 0.1), (36.0, 0.2), (45.0, 0.5), (60.0, 1.0)]
)
def test_it_comes_back_slowly(at: float, share: float) -> None:
    """From its return at 30 s the share of load grows from a tenth to all within 30 s."""
    detector, endpoints = OutlierDetector(), states(2)
    fail_times(detector, endpoints, 5, 0.0)
    assert endpoints[0].strength(at) == pytest.approx(share)


def test_a_pause_is_as_long_as_asked_within_bounds() -> None:
    """A pause is capped, and a shorter one does not cut a longer one short."""
    detector, endpoints = OutlierDetector(), states(1)
    assert detector.pause(endpoints[0], 1e9, 0.0) == 300.0
    detector.pause(endpoints[0], 1.0, 0.0)
    assert endpoints[0].paused_until == 300.0


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"consecutive_failures": 0}, "consecutive_failures"),
        ({"ejection": 0}, "ejection"),
        ({"ejection": 400}, "ejection"),
        ({"highest_share": 1.1}, "highest_share"),
        ({"slow_start_floor": 0}, "slow_start_floor"),
    ],
)
def test_values_out_of_range_are_refused(wrong: dict[str, float], field: str) -> None:
    """The error names the field and the range."""
    with pytest.raises(ConfigurationInvalid, match=field):
        OutlierConfig(**wrong)  # type: ignore[arg-type]  # wrong on purpose


def sweep(options: OutlierConfig, outcomes: list[tuple[int, int]], now: float = 10.0) -> list[int]:
    """Return who is ejected at `now` after (calls, failures) of each endpoint in the interval before."""
    detector, endpoints = OutlierDetector(options), states(len(outcomes))
    detector.sweep(endpoints, 0.0)
    for state, (calls, failures) in zip(endpoints, outcomes, strict=True):
        for number in range(calls):
            detector.record(state, endpoints, failed=number < failures, now=1.0)
    assert detector.sweep(endpoints, now - 0.1) == ()
    return [endpoints.index(state) for state, _ in detector.sweep(endpoints, now)]


RATE = OutlierConfig(consecutive_failures=10_000, success_rate_factor=1.9, highest_share=1.0)
SHARE = OutlierConfig(consecutive_failures=10_000, failure_share=0.85, highest_share=1.0)


@pytest.mark.parametrize(
    ("outcomes", "ejected"),
    [
        pytest.param([(200, 0)] * 4 + [(400, 200)], [4], id="Envoy basicFlowSuccessRate: mean 90 %, threshold 52 %"),
        pytest.param([(100, 0)] * 9 + [(100, 50)], [9], id="mean 0.95, deviation 0.15: 0.5 is below 0.665"),
        pytest.param([(100, 0)] * 4 + [(100, 1)], [4], id="a lone one of five is two deviations below"),
        pytest.param([(100, 0)] * 3 + [(100, 50)] * 2, [], id="two of five are only 1.2 deviations below"),
        pytest.param([(100, 30)] * 8, [], id="nobody stands out where all are alike"),
        pytest.param([(100, 0)] * 3 + [(100, 100)], [], id="four endpoints are too few"),
        pytest.param([(100, 0)] * 4 + [(99, 99)], [], id="with 99 calls the fifth does not count"),
        pytest.param([(100, 0)] * 5 + [(99, 99)], [], id="one with 99 calls is not judged"),
    ],
)
def test_a_success_rate_far_below_the_mean_ejects(outcomes: list[tuple[int, int]], ejected: list[int]) -> None:
    """Below the mean − 1.9 standard deviations, among five endpoints of a hundred calls each or more."""
    assert sweep(RATE, outcomes) == ejected


@pytest.mark.parametrize(
    ("outcomes", "ejected"),
    [
        pytest.param([(100, 0)] * 4 + [(100, 85)], [4], id="85 of 100"),
        pytest.param([(100, 0)] * 4 + [(100, 84)], [], id="84 of 100"),
        pytest.param([(50, 50)] * 5, [0, 1, 2, 3, 4], id="all of them"),
        pytest.param([(50, 0)] * 4 + [(49, 49)], [], id="49 calls are too few"),
        pytest.param([(50, 50)] * 4, [], id="four endpoints are too few"),
    ],
)
def test_a_share_of_failures_ejects_whatever_the_others_do(outcomes: list[tuple[int, int]], ejected: list[int]) -> None:
    """At 85 % failures, among five endpoints of fifty calls each or more."""
    assert sweep(SHARE, outcomes) == ejected


def test_rates_keep_to_the_cap_and_take_the_worst() -> None:
    """Of two endpoints beyond the limit only the worse goes, as a tenth of five is one at most."""
    assert sweep(
        OutlierConfig(consecutive_failures=10_000, failure_share=0.5), [(50, 0)] * 3 + [(50, 40), (50, 45)]
    ) == [4]


def test_rates_are_off_by_default_and_start_afresh_each_interval() -> None:
    """Nothing is counted unless asked for, and what was counted is forgotten at the interval's end."""
    assert sweep(OutlierConfig(consecutive_failures=10_000), [(200, 0)] * 4 + [(200, 200)]) == []
    detector, endpoints = OutlierDetector(SHARE), states(5)
    for now in (0.0, 10.0, 20.0):
        assert detector.sweep(endpoints, now) == []
        for state in endpoints:
            for _ in range(30):
                detector.record(state, endpoints, failed=True, now=now + 1.0)
