"""The backoff formulas, against published ladders and the properties that make them safe."""

import math
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemawire.errors import ConfigurationInvalid
from schemawire.resilience.backoff import Backoff, BackoffKind

draws = st.floats(min_value=0, max_value=1, exclude_max=True)
kinds = st.sampled_from(BackoffKind)
ALMOST_ONE = math.nextafter(1.0, 0.0)


def ladder(backoff: Backoff, retries: int, draw: float) -> list[float]:
    memory, delays = 0.0, []
    for retry in range(1, retries + 1):
        delay, memory = backoff.delay(retry, draw, memory)
        delays.append(delay)
    return delays


@pytest.mark.parametrize(
    ("base", "cap", "expected"),
    [
        pytest.param(
            0.05, 20, [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 20, 20], id="botocore standard 2.1, transient"
        ),
        pytest.param(1, 20, [1, 2, 4, 8, 16, 20, 20, 20], id="botocore standard, throttled and legacy"),
        pytest.param(0.025, 20, [0.025, 0.05, 0.1], id="botocore standard 2.1, DynamoDB"),
        pytest.param(0.1, 1, [0.1, 0.2, 0.4, 0.8, 1, 1], id="gRPC A6 sample"),
        pytest.param(0.025, 0.25, [0.025, 0.05, 0.1, 0.2, 0.25], id="Envoy default"),
    ],
)
def test_full_jitter_tops_out_on_the_published_ladders(base: float, cap: float, expected: list[float]) -> None:
    """With the largest draw, full jitter gives the ceilings that AWS, gRPC and Envoy publish."""
    backoff = Backoff(base=base, cap=cap)
    assert ladder(backoff, len(expected), ALMOST_ONE) == pytest.approx(expected)
    assert [backoff.longest(retry) for retry in range(1, len(expected) + 1)] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("kind", "retry", "low", "middle", "high"),
    [
        (BackoffKind.CONSTANT, 1, 0.75, 1.0, 1.25),
        (BackoffKind.CONSTANT, 4, 0.75, 1.0, 1.25),
        (BackoffKind.LINEAR, 1, 0.75, 1.0, 1.25),
        (BackoffKind.LINEAR, 3, 2.25, 3.0, 3.75),
    ],
)
def test_constant_and_linear_spread_a_quarter_each_way(
    kind: BackoffKind, retry: int, low: float, middle: float, high: float
) -> None:
    """Polly's jitter for these two kinds is ± 25 % around the plain delay."""
    backoff = Backoff(kind=kind, base=1, cap=100)
    assert [backoff.delay(retry, draw)[0] for draw in (0.0, 0.5, ALMOST_ONE)] == pytest.approx([low, middle, high])


@given(draws=st.lists(draws, min_size=1, max_size=12))
def test_decorrelated_v2_steps_along_its_curve(draws: list[float]) -> None:
    """The delays before the n-th retry add up to the curve at n − 1 + draw, so they never run away or stand still."""
    backoff = Backoff(kind=BackoffKind.DECORRELATED_V2, base=1, cap=86_400)
    memory = total = 0.0
    for retry, draw in enumerate(draws, start=1):
        delay, memory = backoff.delay(retry, draw, memory)
        total += delay
        t = retry - 1 + draw
        assert total == pytest.approx(2**t * math.tanh(math.sqrt(4 * t)) / 1.4)


def test_decorrelated_v2_keeps_its_first_delay_near_the_base() -> None:
    """Half of the first delays of Polly's smooth jitter lie around the base, none above 1.4 times it."""
    backoff = Backoff(kind=BackoffKind.DECORRELATED_V2, base=1, cap=60)
    source = random.Random(7)
    first = [backoff.delay(1, source.random())[0] for _ in range(4_000)]
    assert 0.8 < statistics.median(first) < 1.0
    assert max(first) < 1.4


@given(draw=draws, before=st.floats(min_value=0.1, max_value=30))
def test_decorrelated_stays_between_base_and_three_times_the_delay_before(draw: float, before: float) -> None:
    """AWS: uniform between the base and three times the previous delay, never above the cap."""
    backoff = Backoff(kind=BackoffKind.DECORRELATED, base=0.1, cap=20)
    delay, memory = backoff.delay(2, draw, before)
    assert 0.1 <= delay <= min(20, 3 * before) + 1e-9
    assert memory == delay


@given(kind=kinds, retry=st.integers(1, 5_000), draw=draws, factor=st.floats(0, 10))
def test_no_delay_leaves_zero_to_cap(kind: BackoffKind, retry: int, draw: float, factor: float) -> None:
    """Whatever the retry and the draw: a finite delay, not negative, not above the cap, not above `longest`."""
    backoff = Backoff(kind=kind, base=0.05, cap=5, factor=factor)
    delay, _ = backoff.delay(retry, draw, 0.0)
    assert 0 <= delay <= 5
    if factor >= 1:
        assert delay <= backoff.longest(retry) + 1e-9


@given(kind=kinds, one=draws, other=draws)
def test_two_clients_differ_at_the_twentieth_retry(kind: BackoffKind, one: float, other: float) -> None:
    """The draw happens inside the cap: clients that have long reached it still wait differently."""
    if abs(one - other) < 1e-6:
        return
    backoff = Backoff(kind=kind, base=0.05, cap=5)
    memory = 5.0 if kind is BackoffKind.DECORRELATED else 0.0
    assert backoff.delay(20, one, memory)[0] != backoff.delay(20, other, memory)[0]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"base": -1}, "base=-1 must be a number from 0"),
        ({"base": 6.0}, "base=6.0 is larger than cap=5.0"),
        ({"cap": math.nan}, "cap=nan"),
        ({"factor": 11}, "factor=11 must be a number from 0 to 10"),
        ({"factor": True}, "factor=True"),
        ({"kind": "full_jitter"}, "must be a BackoffKind"),
    ],
)
def test_bad_parameters_are_named(options: dict[str, object], says: str) -> None:
    """A parameter out of range is refused with its name, its value and the range."""
    with pytest.raises(ConfigurationInvalid, match=says):
        Backoff(**options)  # type: ignore[arg-type]  # wrong on purpose
