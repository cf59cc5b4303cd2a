"""The rate limiter: pace, burst, warm-up, fairness, refusals and what a cancellation gives back."""

import asyncio
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemawire.errors import ConfigurationInvalid, RateLimited
from schemawire.resilience.gcra import Gcra, Pace
from schemawire.resilience.rate_limit import RateLimit, RateLimitConfig
from schemawire.testing.cancellation import cancel_at_every_await
from schemawire.testing.scripted import ScriptedDependency, answer
from schemawire.testing.virtual_time import virtual_time


def now() -> float:
    return asyncio.get_running_loop().time()


def guava_waits(gcra: Gcra, start: float, count: int) -> tuple[list[float], float]:
    """Take `count` permits as soon as each is due; return the waits and the time of the last."""
    waits, clock = [], start
    for _ in range(count):
        due = gcra.due(clock)
        waits.append(round(due - clock, 2))
        clock = due
        gcra.take(clock)
    return waits, clock


COLD = [0.0, 1.38, 1.12, 0.88, 0.62, 0.5, 0.5, 0.5]
WARM = [0.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5]


def test_warm_up_follows_guavas_published_numbers() -> None:
    """At 2/s with 4 s warm-up the waits are those of Guava's own test: cold, cold again after 4 s, warm after 2 s."""
    gcra = Gcra(Pace(rate=2.0, burst=1, warm_up=4.0, cold_factor=3.0))
    waits, clock = guava_waits(gcra, 0.0, 8)
    assert waits == COLD
    waits, clock = guava_waits(gcra, clock + 0.5 + 4.0, 8)
    assert waits == COLD
    waits, _ = guava_waits(gcra, clock + 0.5 + 2.0, 8)
    assert waits == WARM


@given(
    rate=st.integers(1, 50),
    burst=st.integers(1, 8),
    gaps=st.lists(st.integers(0, 400), min_size=1, max_size=80),
)
def test_decisions_equal_an_exact_token_bucket(rate: int, burst: int, gaps: list[int]) -> None:
    """For any arrivals, GCRA admits exactly what a token bucket in exact fractions admits."""
    gcra = Gcra(Pace(rate=float(rate), burst=burst, warm_up=0.0, cold_factor=3.0))
    tokens, clock = Fraction(burst), Fraction(0)
    for gap in gaps:
        step = Fraction(gap, 1000)
        clock += step
        tokens = min(Fraction(burst), tokens + step * rate)
        admitted = gcra.due(float(clock)) <= float(clock)
        assert admitted == (tokens >= 1)
        if admitted:
            gcra.take(float(clock))
            tokens -= 1


@given(
    burst=st.integers(1, 4),
    callers=st.lists(st.tuples(st.integers(0, 30), st.one_of(st.none(), st.integers(1, 40))), min_size=1, max_size=25),
)
@settings(deadline=None, max_examples=60)
def test_waiters_are_served_as_a_plain_queue_would(burst: int, callers: list[tuple[int, int | None]]) -> None:
    """With arrivals and cancellations at any time, permits come in order and exactly when a brute-force queue says.

    Times are in 1/100 s and the rate is 10/s, offset so that no arrival, cancellation and permit fall together.
    """
    granted: list[tuple[float, int]] = []

    @virtual_time
    async def play() -> None:
        limit = RateLimit(RateLimitConfig(rate=10.0, burst=burst, max_wait=1e6))

        async def caller(index: int, start: float, patience: float | None) -> None:
            await asyncio.sleep(start)
            try:
                async with asyncio.timeout(patience):
                    await limit.acquire()
            except TimeoutError:
                return
            granted.append((round(now(), 6), index))

        async with asyncio.TaskGroup() as group:
            for index, (start, patience) in enumerate(timed(callers)):
                group.create_task(caller(index, start, patience))
        assert limit.statistics().waiting == 0
        assert limit.statistics().passed == len(granted)

    play()
    assert granted == brute_force_grants(burst, timed(callers))


def timed(callers: list[tuple[int, int | None]]) -> list[tuple[float, float | None]]:
    """Give every event of a case its own instant."""
    clock, cases = 0.0, []
    for index, (gap, patience) in enumerate(callers):
        clock = round(clock + gap / 100 + 0.0001, 6)
        wait = None if patience is None else patience / 100 + 0.00003 + index * 1e-6
        cases.append((clock, wait))
    return cases


def brute_force_grants(burst: int, cases: list[tuple[float, float | None]]) -> list[tuple[float, int]]:
    """Walk through the arrivals with a token bucket of exact steps and a list as the queue."""
    grants: list[tuple[float, int]] = []
    taken: list[float] = []

    def earliest(clock: float) -> float:
        due = float("-inf")
        for at in taken:
            due = max(due, at) + 0.1
        return max(clock, due - (burst - 1) * 0.1)

    for index, (start, patience) in enumerate(cases):
        # Everyone ahead is either granted already or gone by then, so the first free instant is this caller's.
        at = earliest(start)
        if patience is None or at < start + patience:
            taken.append(at)
            grants.append((round(at, 6), index))
    return grants


@virtual_time
async def test_a_thousand_waiters_use_one_timer_and_come_in_order() -> None:
    """There is no stampede: waiters are woken one by one, evenly spaced, in the order in which they came."""
    limit = RateLimit(RateLimitConfig(rate=1000.0, max_wait=10.0))
    order: list[tuple[int, float]] = []

    async def caller(index: int) -> None:
        await limit.acquire()
        order.append((index, now()))

    async with asyncio.TaskGroup() as group:
        for index in range(1000):
            group.create_task(caller(index))
        await asyncio.sleep(0)
        scheduled = [handle for handle in asyncio.get_running_loop()._scheduled if not handle.cancelled()]  # type: ignore[attr-defined]  # counting timers is the point
        assert len(scheduled) == 1
    assert [index for index, _ in order] == list(range(1000))
    assert all(later - earlier == pytest.approx(0.001) for (_, earlier), (_, later) in pairwise(order))


@virtual_time
async def test_a_wait_above_the_limit_is_refused_with_its_length() -> None:
    """Who would wait longer than `max_wait` is refused at once and told how long it would have been."""
    limit = RateLimit(RateLimitConfig(rate=1.0, max_wait=1.5))
    await limit.acquire()
    waiting = asyncio.create_task(limit.acquire())
    await asyncio.sleep(0)
    with pytest.raises(RateLimited, match="above max_wait") as refusal:
        await limit.acquire()
    assert refusal.value.retry_after == pytest.approx(2.0)
    assert now() == 0.0
    await waiting
    assert now() == pytest.approx(1.0)
    assert limit.statistics().refused == 1


@virtual_time
async def test_a_permit_after_the_deadline_is_refused_now() -> None:
    """Waiting for a permit that comes too late would be in vain, so the refusal comes at once."""
    limit = RateLimit(RateLimitConfig(rate=1.0))
    await limit.acquire(deadline=0.0)
    with pytest.raises(RateLimited, match="passes the deadline"):
        await limit.acquire(deadline=0.9)
    assert now() == 0.0


@virtual_time
async def test_the_queue_is_bounded() -> None:
    """More than `max_waiting` waiters are refused."""
    limit = RateLimit(RateLimitConfig(rate=1.0, max_waiting=1, max_wait=100.0))
    await limit.acquire()
    waiting = asyncio.create_task(limit.acquire())
    await asyncio.sleep(0)
    with pytest.raises(RateLimited, match="1 calls already wait"):
        await limit.acquire()
    await waiting


@virtual_time
async def test_new_options_hold_at_once_for_who_waits() -> None:
    """A waiter at a slow rate is served at the new, faster rate; what was already owed stays owed."""
    limit = RateLimit(RateLimitConfig(rate=0.1, max_wait=100.0))
    await limit.acquire()
    waiting = asyncio.create_task(limit.acquire())
    await asyncio.sleep(5.0)
    limit.replace_options(RateLimitConfig(rate=10.0))
    await waiting
    assert now() == pytest.approx(5.05)


@virtual_time
async def test_it_stands_alone_as_call_decorator_and_block() -> None:
    """Each of the three faces takes one permit."""
    limit = RateLimit(RateLimitConfig(rate=1.0, burst=3))
    dependency = ScriptedDependency[str](then="done")

    @limit.wrap
    async def wrapped() -> str:
        return await dependency()

    assert await limit(dependency) == "done"
    assert await wrapped() == "done"
    async with limit:
        await dependency()
    assert limit.statistics().passed == 3
    assert limit.statistics().available == pytest.approx(0.0)
    assert "rate=1 burst=3" in limit.describe()


def test_a_cancelled_waiter_leaves_nothing_behind() -> None:
    """At whatever point the caller is cancelled, nobody waits afterwards and its unused permit goes to the next."""
    dependency = ScriptedDependency[str](then=answer("done", after=0.1))

    async def scenario(limit: RateLimit) -> None:
        for _ in range(3):
            await limit(dependency)

    async def check(limit: RateLimit) -> None:
        statistics = limit.statistics()
        assert statistics.waiting == 0
        used = statistics.passed
        began = now()
        await limit.acquire()
        assert now() - began <= 1.0
        assert now() >= used - 1e-9, "permits came faster than the rate"

    report = cancel_at_every_await(lambda: RateLimit(RateLimitConfig(rate=1.0, max_wait=10.0)), scenario, check=check)
    assert report.suspensions >= 5


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"rate": 0}, "rate"),
        ({"rate": float("nan")}, "rate"),
        ({"burst": 0}, "burst"),
        ({"burst": 2, "warm_up": 1.0}, "burst"),
        ({"max_wait": -1}, "max_wait"),
        ({"cold_factor": 0.5}, "cold_factor"),
        ({"max_waiting": 1.5}, "max_waiting"),
    ],
)
def test_values_out_of_range_are_refused(wrong: dict[str, float], field: str) -> None:
    """The error names the field, its value and the range."""
    with pytest.raises(ConfigurationInvalid, match=field):
        RateLimitConfig(**wrong)  # type: ignore[arg-type]  # wrong on purpose
