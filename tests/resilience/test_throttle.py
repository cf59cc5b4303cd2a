"""The adaptive throttle: its equation, its order of priorities, and how fast it lets go."""

import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemawire.errors import ConfigurationInvalid, LoadShed
from schemawire.resilience.call import Context
from schemawire.resilience.throttle import Throttle, ThrottleConfig, shed_probabilities, shed_probability
from schemawire.testing.cancellation import cancel_at_every_await
from schemawire.testing.scripted import ScriptedDependency, answer, fail
from schemawire.testing.virtual_time import run_virtual, virtual_time


@pytest.mark.parametrize(
    ("requests", "accepted", "expected"),
    [
        (0, 0, 0.0),
        (100, 100, 0.0),
        (100, 90, 0.0),
        (100, 81, 10 / 108),
        (100, 45, 50 / 108),
        (100, 0, 0.9),
        (10, 0, 10 / 18),
        (1, 0, 1 / 9),
    ],
)
def test_the_share_follows_the_equation(requests: float, accepted: float, expected: float) -> None:
    """The published equation with ratio 0.9 and pad 8, at most 0.9."""
    assert shed_probability(requests, accepted, ThrottleConfig()) == pytest.approx(expected)


@given(
    requests=st.lists(st.integers(0, 1000), min_size=4, max_size=4),
    probability=st.floats(0, 0.9),
)
def test_the_least_important_are_shed_first_and_the_sum_is_kept(requests: list[float], probability: float) -> None:
    """Level shares rise with unimportance, and together they shed the overall share unless the maximum cuts it."""
    shares = shed_probabilities([float(count) for count in requests], probability, 0.9)
    assert shares == sorted(shares)
    shed = sum(share * count for share, count in zip(shares, requests, strict=True))
    assert shed == pytest.approx(probability * sum(requests))
    for level in range(1, 4):
        if shares[level - 1] > 1e-9 and requests[level]:
            assert shares[level] == pytest.approx(0.9)


@virtual_time
async def test_it_sheds_while_the_backend_fails_and_lets_go_afterwards() -> None:
    """A dead backend soon gets a tenth of the calls; five seconds after its return little is shed any more."""
    throttle = Throttle(draw=random.Random(7).random)
    down = ScriptedDependency[int](then=fail(ConnectionError("down")))
    refused = await attempt(throttle, down, 2_000)
    assert throttle.statistics().probability == pytest.approx(0.9, abs=0.02)
    assert down.statistics().calls < 500
    assert refused + down.statistics().calls == 2_000

    up = ScriptedDependency[int](then=1)
    await attempt(throttle, up, 500)
    assert throttle.statistics().probability < 0.2
    await attempt(throttle, up, 1_000)
    assert throttle.statistics().probability == 0.0
    assert await attempt(throttle, up, 100) == 0


async def attempt(throttle: Throttle, dependency: ScriptedDependency[int], count: int) -> int:
    """Make `count` calls, 100 per second; return how many were shed."""
    shed = 0
    for _ in range(count):
        await asyncio.sleep(0.01)
        try:
            await throttle(dependency)
        except LoadShed:
            shed += 1
        except ConnectionError:
            pass
    return shed


@virtual_time
async def test_important_calls_pass_while_unimportant_ones_are_shed() -> None:
    """With half the backend's capacity gone, priority 2 pays for it and priority 0 hardly notices."""
    source = random.Random(3)
    throttle = Throttle(draw=source.random)
    failing = (1, 0)
    turn = iter(range(100_000))

    async def half(context: Context) -> None:
        if failing[next(turn) % 2]:
            raise ConnectionError("every second call")

    handler = throttle.bind(half)
    shed = {0: 0, 2: 0}
    for index in range(4_000):
        await asyncio.sleep(0.01)
        priority = 2 * (index % 2)
        try:
            await handler(Context(priority=priority))
        except LoadShed:
            shed[priority] += 1
        except ConnectionError:
            pass
    assert shed[2] > 800
    assert shed[0] < shed[2] / 4


def test_a_cancelled_call_is_not_counted() -> None:
    """A cancellation is neither a request nor an acceptance."""

    async def check(throttle: Throttle) -> None:
        assert throttle.statistics().requests == 0.0
        await throttle(ScriptedDependency[int](1))
        assert (throttle.statistics().requests, throttle.statistics().accepted) == (1.0, 1.0)

    async def scenario(throttle: Throttle) -> None:
        await throttle(ScriptedDependency[int](answer(1, after=1.0)))

    async def scenario_check(throttle: Throttle) -> None:
        if throttle.statistics().requests == 0.0:
            await check(throttle)

    report = cancel_at_every_await(Throttle, scenario, check=scenario_check)
    assert report.cancelled == report.rounds == 2


def test_new_options_hold_at_once() -> None:
    """Raising the pad stops the shedding at once, without forgetting the window."""

    async def main() -> None:
        throttle = Throttle()
        await attempt(throttle, ScriptedDependency[int](then=fail(ConnectionError())), 50)
        now = asyncio.get_running_loop().time()
        before = throttle.probability(now)
        throttle.replace_options(ThrottleConfig(pad=1_000))
        assert 0.0 < throttle.probability(now) < 0.1 < before

    run_virtual(main())


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"accept_ratio": 0.0}, "accept_ratio"),
        ({"accept_ratio": 1.1}, "accept_ratio"),
        ({"pad": -1}, "pad"),
        ({"highest": 2}, "highest"),
        ({"window": 0.1}, "window"),
    ],
)
def test_values_out_of_range_are_refused(wrong: dict[str, float], field: str) -> None:
    """The error names the field and the range."""
    with pytest.raises(ConfigurationInvalid, match=field):
        ThrottleConfig(**wrong)  # type: ignore[arg-type]  # wrong on purpose
