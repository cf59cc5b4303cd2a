"""The limit algorithms, against Netflix's published numbers and against their own promises."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemawire.resilience.limit_algorithms import (
    Aimd,
    Algorithm,
    Gradient2,
    LimitAlgorithm,
    LimitRange,
    Sample,
    Vegas,
    algorithm,
)


def span(initial: int, highest: int = 200, lowest: int = 1) -> LimitRange:
    return LimitRange(initial=initial, lowest=lowest, highest=highest, loss_factor=0.9)


@pytest.mark.parametrize(
    ("initial", "highest", "sample", "expected"),
    [
        (20, 200, Sample(rtt=0.001, in_flight=10), 21),
        (30, 200, Sample(rtt=0.0, in_flight=0, lost=True), 27),
        (21, 21, Sample(rtt=0.01, in_flight=10 + 1), 21),
        (10, 200, Sample(rtt=0.001, in_flight=0, lost=True), 9),
        (20, 200, Sample(rtt=0.001, in_flight=9), 20),
        (20, 200, Sample(rtt=5.1, in_flight=20), 18),
    ],
    ids=["grows", "drop", "at most", "drop small", "unused", "slow"],
)
def test_aimd_follows_netflixs_numbers(initial: int, highest: int, sample: Sample, expected: int) -> None:
    """Each published case of the AIMD limit gives the published limit."""
    limit = Aimd(span(initial, highest))
    limit.learn(sample)
    assert limit.limit == expected


@pytest.mark.parametrize(
    ("initial", "highest", "samples", "expected"),
    [
        (10, 20, [(0.010, 10), (0.010, 11)], [10, 16]),
        (10, 20, [(0.010, 10), (0.050, 11)], [10, 9]),
        (10, 20, [(0.010, 10), (0.014, 14)], [10, 10]),
        (10_000, 20_000, [(10.0, 5000), (10.0, 6000)], [10_000, 10_024]),
    ],
    ids=["grows by beta", "queue above beta", "within bounds", "large"],
)
def test_vegas_follows_netflixs_numbers(
    initial: int, highest: int, samples: list[tuple[float, int]], expected: list[int]
) -> None:
    """Each published case of the Vegas limit gives the published sequence of limits."""
    limit = Vegas(span(initial, highest))
    seen = []
    for rtt, in_flight in samples:
        limit.learn(Sample(rtt=rtt, in_flight=in_flight))
        seen.append(int(limit.limit))
    assert seen == expected


GRADIENT2 = [
    # (rtt, in flight, limit afterwards), worked by hand from the published formula: start 20, queue 4, smoothing 0.2
    (0.100, 20, 20.8),  # gradient 1:               20 × 0.8 + 24 × 0.2
    (0.100, 10, 20.8),  # less than half is used:   unchanged
    (0.100, 11, 21.6),  # gradient 1:               20.8 × 0.8 + 24.8 × 0.2
    (0.300, 21, 22.4),  # average 0.15, 1.5 × 0.15 / 0.3 = 0.75: 21.6 × 0.8 + (16.2 + 4) × 0.2 = 21.32
]


def test_gradient2_follows_the_published_formula_step_by_step() -> None:
    """Hand-worked steps: growth at gradient 1, no growth when unused, shrinking when slow, at most by half."""
    limit = Gradient2(span(20))
    for rtt, in_flight, expected in GRADIENT2[:3]:
        limit.learn(Sample(rtt=rtt, in_flight=in_flight))
        assert limit.limit == pytest.approx(expected)
    limit.learn(Sample(rtt=0.300, in_flight=21))  # average (0.1 × 3 + 0.3) / 4 = 0.15; gradient 0.75
    assert limit.limit == pytest.approx(21.6 * 0.8 + (21.6 * 0.75 + 4) * 0.2)
    before = limit.limit
    limit.learn(Sample(rtt=30.0, in_flight=21))  # average 6.12; 1.5 × 6.12 / 30 = 0.306, held at one half
    assert limit.limit == pytest.approx(before * 0.8 + (before * 0.5 + 4) * 0.2)


def test_gradient2s_long_average_forgets_an_overload() -> None:
    """After times far above normal, normal times bring the average down by 5 % per sample beside its own decay."""
    limit = Gradient2(span(20))
    for _ in range(10):
        limit.learn(Sample(rtt=10.0, in_flight=0))
    limit.learn(Sample(rtt=1.0, in_flight=0))
    assert limit._long.value == pytest.approx((10.0 - 9.0 * 2 / 601) * 0.95)


@given(
    kind=st.sampled_from(LimitAlgorithm),
    samples=st.lists(
        st.builds(Sample, rtt=st.floats(0, 100, allow_nan=False), in_flight=st.integers(0, 300), lost=st.booleans()),
        max_size=200,
    ),
)
def test_the_limit_stays_in_its_range_and_never_grows_unused(kind: LimitAlgorithm, samples: list[Sample]) -> None:
    """Whatever happens, the limit stays in its range, grows only while at least half used, and shrinks on a loss."""
    bounds = span(20, highest=60, lowest=2)
    limit: Algorithm = algorithm(kind, bounds)
    for sample in samples:
        before = limit.limit
        limit.learn(sample)
        assert 2 <= limit.limit <= 60
        if sample.in_flight < int(before) / 2 or sample.lost:
            assert limit.limit <= before


@pytest.mark.parametrize("kind", list(LimitAlgorithm))
def test_the_limit_finds_the_backends_capacity(kind: LimitAlgorithm) -> None:
    """Against a backend that serves 30 at once and drops beyond 60, the limit settles between the two, from below."""
    limit = algorithm(kind, span(5))
    for _ in range(3_000):
        in_flight = int(limit.limit)
        rtt = 0.1 * max(1.0, in_flight / 30)
        limit.learn(Sample(rtt=rtt, in_flight=in_flight, lost=in_flight > 60))
    assert 20 <= limit.limit <= 62
