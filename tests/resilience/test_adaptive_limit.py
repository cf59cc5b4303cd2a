"""The adaptive limit: who is let in, who waits, who is shed, and what teaches it."""

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemawire.errors import AttemptTimeout, ConfigurationInvalid, LoadShed
from schemawire.resilience.adaptive_limit import AdaptiveLimit, AdaptiveLimitConfig
from schemawire.resilience.call import Context, Handler, Judgement, R, RetryClass
from schemawire.resilience.limit_algorithms import LimitAlgorithm
from schemawire.testing.cancellation import cancel_at_every_await
from schemawire.testing.scripted import ScriptedDependency, answer, fail
from schemawire.testing.virtual_time import settle, virtual_time


def fixed(places: int, **options: object) -> AdaptiveLimitConfig:
    """A limit that cannot move, to look at admission alone."""
    return AdaptiveLimitConfig(initial=places, lowest=places, highest=places, **options)  # type: ignore[arg-type]  # fields by name


async def run(handler: Handler[R], context: Context) -> R:
    return await handler(context)


def start(handler: Handler[R], *, priority: int = 0, partition: str = "") -> "asyncio.Task[R]":
    return asyncio.create_task(run(handler, Context(priority=priority, partition=partition)))


@virtual_time
async def test_no_more_calls_run_than_the_limit() -> None:
    """The call beyond the limit is shed at once when nobody may wait."""
    dependency = ScriptedDependency[int](then=answer(1, after=1.0))
    limit = AdaptiveLimit(fixed(2))
    handler = limit.bind(dependency)
    running = [start(handler), start(handler)]
    await settle()
    with pytest.raises(LoadShed, match="all 2 places are taken"):
        await handler(Context())
    assert limit.statistics().in_flight == 2
    await asyncio.gather(*running)
    assert limit.statistics().in_flight == 0
    assert limit.statistics().shed == 1


@virtual_time
async def test_the_most_important_waiter_goes_first() -> None:
    """Waiters are let in by priority, and in order of arrival within one."""
    order: list[int] = []

    async def work(context: Context) -> None:
        order.append(context.priority)
        await asyncio.sleep(1.0)

    limit = AdaptiveLimit(fixed(1, max_waiting=10, max_wait=100.0, priority_reserve=0.0))
    handler = limit.bind(work)
    tasks = [start(handler, priority=priority) for priority in (0, 3, 1, 2, 1)]
    await asyncio.gather(*tasks)
    assert order == [0, 1, 1, 2, 3]


@virtual_time
async def test_less_important_calls_leave_a_reserve() -> None:
    """With a reserve of a tenth per step, priority 3 may use 7 of 10 places, priority 0 all."""
    dependency = ScriptedDependency[int](then=answer(1, after=1.0))
    handler = AdaptiveLimit(fixed(10)).bind(dependency)
    tasks = [start(handler, priority=3) for _ in range(10)]
    await settle()
    assert dependency.statistics().in_flight == 7
    tasks += [start(handler, priority=0) for _ in range(4)]
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert dependency.statistics().most_in_flight == 10
    assert sum(isinstance(result, LoadShed) for result in results) == 4


@virtual_time
async def test_a_partition_keeps_its_share() -> None:
    """While others fill the limit, a partition still gets its guaranteed share, and no more."""
    dependency = ScriptedDependency[int](then=answer(1, after=1.0))
    limit = AdaptiveLimit(fixed(10, partitions={"live": 0.2}))
    handler = limit.bind(dependency)
    tasks = [start(handler, partition="batch") for _ in range(12)]
    tasks += [start(handler, partition="live") for _ in range(4)]
    await settle()
    assert dict(limit.statistics().partitions) == {"batch": 10, "live": 2}
    await asyncio.gather(*tasks, return_exceptions=True)
    assert dict(limit.statistics().partitions) == {}


@virtual_time
async def test_a_waiter_with_a_share_is_not_blocked_by_the_head() -> None:
    """When a place of a partition's share becomes free, its waiter passes a head that has no share."""
    ended: list[str] = []

    async def work(context: Context) -> None:
        await asyncio.sleep(1.0 if context.partition == "live" else 10.0)
        ended.append(context.partition)

    limit = AdaptiveLimit(fixed(2, partitions={"live": 0.5}, max_waiting=5, max_wait=100.0))
    handler = limit.bind(work)
    tasks = [start(handler, partition=name) for name in ("batch", "batch", "live", "batch", "live")]
    await asyncio.gather(*tasks)
    assert ended == ["live", "live", "batch", "batch", "batch"]


@virtual_time
async def test_waiting_is_limited() -> None:
    """Who finds no place within `max_wait` is shed and no longer waits."""
    dependency = ScriptedDependency[int](then=answer(1, after=5.0))
    limit = AdaptiveLimit(fixed(1, max_waiting=1, max_wait=2.0))
    handler = limit.bind(dependency)
    running = start(handler)
    await settle()
    with pytest.raises(LoadShed, match="within 2 s"):
        await handler(Context())
    assert asyncio.get_running_loop().time() == 2.0
    assert limit.statistics().waiting == 0
    await running


@virtual_time
async def test_only_losses_and_successes_teach() -> None:
    """Throttling and timeouts shrink the limit, fast errors and cancelled calls leave it alone."""
    throttled = ScriptedDependency[int](then=fail(ConnectionError("busy")))
    judged = AdaptiveLimit(
        AdaptiveLimitConfig(algorithm=LimitAlgorithm.AIMD),
        judge=lambda context, result, error: Judgement(failed=True, retry=RetryClass.THROTTLED),
    )
    with pytest.raises(ConnectionError):
        await judged(throttled)
    assert judged.statistics().limit == 18

    plain = AdaptiveLimit(AdaptiveLimitConfig(algorithm=LimitAlgorithm.AIMD))
    for error, limit in ((KeyError("fast"), 20), (AttemptTimeout(), 18), (TimeoutError(), 16)):
        with pytest.raises(type(error)):
            await plain(ScriptedDependency[int](error))
        assert plain.statistics().limit == limit
    running = asyncio.create_task(plain(ScriptedDependency[int](answer(1, after=99.0))))
    await settle()
    running.cancel()
    await asyncio.wait({running})
    assert plain.statistics().limit == 16
    assert plain.statistics().lost == 2


@virtual_time
async def test_room_that_was_just_learned_is_used_at_once() -> None:
    """When a success raises the limit, a waiter gets the new place in the same tick."""
    dependency = ScriptedDependency[int](answer(1, after=1.0), then=answer(1, after=50.0))
    options = AdaptiveLimitConfig(algorithm=LimitAlgorithm.AIMD, initial=1, max_waiting=5, max_wait=100.0)
    limit = AdaptiveLimit(options)
    tasks = [start(limit.bind(dependency)) for _ in range(3)]
    await asyncio.sleep(2.0)
    assert limit.statistics().limit == 2
    assert dependency.statistics().in_flight == 2
    await asyncio.gather(*tasks)


@virtual_time
async def test_new_options_keep_the_learned_limit_in_range() -> None:
    """A lower maximum holds at once; a waiter gets in when the new range has room."""
    limit = AdaptiveLimit(fixed(1, max_waiting=1, max_wait=9.0))
    handler = limit.bind(ScriptedDependency[int](then=answer(1, after=5.0)))
    tasks = [start(handler), start(handler)]
    await settle()
    assert limit.statistics().waiting == 1
    limit.replace_options(fixed(2))
    assert limit.statistics().in_flight == 2
    await asyncio.gather(*tasks)


def test_cancelled_calls_give_their_places_back() -> None:
    """At every point of a contended run, cancelled or not, no place and no waiter is left behind."""

    async def scenario(limit: AdaptiveLimit) -> None:
        handler = limit.bind(ScriptedDependency[int](then=answer(1, after=0.5)))
        async with asyncio.TaskGroup() as group:
            for index in range(4):
                group.create_task(run(handler, Context(priority=index % 2, partition="ab"[index % 2])))

    def check(limit: AdaptiveLimit) -> None:
        statistics = limit.statistics()
        assert (statistics.in_flight, statistics.waiting, dict(statistics.partitions)) == (0, 0, {})
        assert not limit._queue or all(waiter.ready.done() for waiter in limit._queue)

    report = cancel_at_every_await(
        lambda: AdaptiveLimit(fixed(1, max_waiting=9, max_wait=9.0, partitions={"b": 0.5})), scenario, check=check
    )
    assert report.cancelled > 10


@given(seed=st.integers(0, 10_000), places=st.integers(1, 4))
@settings(deadline=None, max_examples=40)
def test_admission_equals_a_brute_force_queue(seed: int, places: int) -> None:
    """With random arrivals, durations and priorities, calls start exactly when a sorted list of waiters says."""
    source = random.Random(seed)
    cases, clock = [], 0.0
    for index in range(30):
        clock += source.randint(0, 20) / 10 + 0.001
        cases.append((clock, source.randint(1, 60) / 10 + index * 1e-5, source.randint(0, 3)))
    starts: dict[int, float] = {}

    @virtual_time
    async def play() -> None:
        limit = AdaptiveLimit(fixed(places, max_waiting=99, max_wait=80_000.0, priority_reserve=0.0))
        handler = limit.bind(work)
        async with asyncio.TaskGroup() as group:
            for index, (at, _, priority) in enumerate(cases):
                group.create_task(arrive(handler, index, at, priority))

    async def work(context: Context) -> None:
        starts[context.call] = round(asyncio.get_running_loop().time(), 6)
        await asyncio.sleep(cases[context.call][1])

    async def arrive(handler: Handler[None], index: int, at: float, priority: int) -> None:
        await asyncio.sleep(at)
        await handler(Context(call=index, priority=priority))

    play()
    assert starts == brute_force_starts(cases, places)


def brute_force_starts(cases: list[tuple[float, float, int]], places: int) -> dict[int, float]:
    starts: dict[int, float] = {}
    ends: list[float] = []
    waiting: list[tuple[int, int]] = []
    arrivals = [(at, index) for index, (at, _, _) in enumerate(cases)]
    clock = 0.0
    while arrivals or waiting:
        clock = min([at for at, _ in arrivals[:1]] + [end for end in ends if end > clock])
        while arrivals and arrivals[0][0] <= clock:
            _, index = arrivals.pop(0)
            waiting.append((cases[index][2], index))
        ends = [end for end in ends if end > clock]
        waiting.sort()
        while waiting and len(ends) < places:
            _, index = waiting.pop(0)
            starts[index] = round(clock, 6)
            ends.append(clock + cases[index][1])
    return starts


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"initial": 0}, "initial"),
        ({"initial": 300}, "initial"),
        ({"lowest": 30}, "lowest"),
        ({"loss_factor": 1.0}, "loss_factor"),
        ({"priority_reserve": 0.6}, "priority_reserve"),
        ({"partitions": {"a": 0.7, "b": 0.7}}, "partitions"),
        ({"partitions": ["a"]}, "partitions"),
        ({"algorithm": "gradient2"}, "algorithm"),
    ],
)
def test_values_out_of_range_are_refused(wrong: dict[str, object], field: str) -> None:
    """The error names the field and the range."""
    with pytest.raises(ConfigurationInvalid, match=field):
        AdaptiveLimitConfig(**wrong)  # type: ignore[arg-type]  # wrong on purpose
