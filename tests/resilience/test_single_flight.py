"""Single flight: who shares, who leaves, when the flight ends, and which errors are not shared."""

import asyncio

import pytest

from schemawire.errors import DeadlineExceeded, Failed
from schemawire.resilience.call import Context, Scope
from schemawire.resilience.single_flight import SingleFlight, SingleFlightConfig
from schemawire.testing.cancellation import cancel_at_every_await
from schemawire.testing.scripted import ScriptedDependency, answer, fail, hang
from schemawire.testing.virtual_time import settle, virtual_time


@virtual_time
async def test_equal_calls_share_one_flight() -> None:
    """Twenty calls with one key make one call; another key makes its own."""
    dependency = ScriptedDependency[str](then=answer("shared", after=1.0))
    flight = SingleFlight()
    handler = flight.bind(dependency)
    results = await asyncio.gather(*(handler(Context(key="a")) for _ in range(20)), handler(Context(key="b")))
    assert results == ["shared"] * 21
    assert dependency.statistics().calls == 2
    statistics = flight.statistics()
    assert (statistics.flights, statistics.joined, statistics.flying, statistics.waiting) == (2, 19, 0, 0)


@virtual_time
async def test_a_call_after_the_landing_flies_anew() -> None:
    """Nothing is cached: the next call starts a flight of its own."""
    dependency = ScriptedDependency[int](1, 2)
    flight = SingleFlight()
    assert await flight.run("key", dependency) == 1
    assert await flight.run("key", dependency) == 2


@virtual_time
async def test_calls_without_a_key_or_with_an_open_body_are_not_shared() -> None:
    """Neither can be given to two callers."""
    dependency = ScriptedDependency[int](then=answer(1, after=1.0))
    handler = SingleFlight().bind(dependency)
    await asyncio.gather(
        handler(Context()), handler(Context()), handler(Context(key="k", scope=Scope())), handler(Context(key="k"))
    )
    assert dependency.statistics().calls == 4


@virtual_time
async def test_two_bindings_do_not_share() -> None:
    """The same key around two different callables means two different things."""
    flight = SingleFlight()
    first, second = (ScriptedDependency[str](answer(text, after=1.0)) for text in ("one", "two"))
    results = await asyncio.gather(flight.bind(first)(Context(key="k")), flight.bind(second)(Context(key="k")))
    assert list(results) == ["one", "two"]


@virtual_time
async def test_the_first_caller_may_leave_without_harm() -> None:
    """The leader is a task of its own: cancelling the caller that started it does not disturb the others."""
    dependency = ScriptedDependency[str](answer("landed", after=2.0))
    flight = SingleFlight()
    first = asyncio.create_task(flight.run("key", dependency))
    await settle()
    second = asyncio.create_task(flight.run("key", dependency))
    await asyncio.sleep(1.0)
    first.cancel()
    assert await second == "landed"
    assert first.cancelled()
    assert dependency.statistics().cancelled == 0


@virtual_time
async def test_the_flight_ends_when_its_last_waiter_leaves() -> None:
    """When everyone has left, the shared call is cancelled, and has ended before the last one is gone."""
    dependency = ScriptedDependency[str](hang(), "anew")
    flight = SingleFlight()
    callers = [asyncio.create_task(flight.run("key", dependency)) for _ in range(3)]
    await settle()
    for caller in callers:
        caller.cancel()
    await asyncio.wait(callers)
    assert dependency.statistics().cancelled == 1
    assert flight.statistics().abandoned == 1
    assert await flight.run("key", dependency) == "anew"


@virtual_time
async def test_errors_are_shared() -> None:
    """All waiters of a failed flight see its error."""
    dependency = ScriptedDependency[str](fail(ConnectionError("down"), after=1.0))
    flight = SingleFlight()
    results = await asyncio.gather(*(flight.run("key", dependency) for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [ConnectionError] * 3
    assert dependency.statistics().calls == 1


@virtual_time
async def test_a_deadline_error_is_not_shared_with_who_has_more_time() -> None:
    """The one with an earlier deadline fails with it; the one with a later one flies again."""
    dependency = ScriptedDependency[str](fail(DeadlineExceeded(), after=1.0), answer("in time", after=1.0))
    handler = SingleFlight().bind(dependency)
    short, long = await asyncio.gather(
        handler(Context(key="k", deadline=1.0)), handler(Context(key="k", deadline=5.0)), return_exceptions=True
    )
    assert isinstance(short, DeadlineExceeded)
    assert long == "in time"


@virtual_time
async def test_a_flight_cancelled_from_within_fails_its_waiters() -> None:
    """A caller that was not cancelled itself never sees a cancellation."""
    dependency = ScriptedDependency[str](asyncio.CancelledError())
    with pytest.raises(Failed, match="cancelled from within"):
        await SingleFlight().run("key", dependency)


@virtual_time
async def test_a_full_flight_lets_a_further_caller_fly_alone() -> None:
    """Beyond the maximum of waiters a caller is neither refused nor lost."""
    dependency = ScriptedDependency[int](then=answer(1, after=1.0))
    flight = SingleFlight(SingleFlightConfig(max_waiters=2))
    await asyncio.gather(*(flight.run("key", dependency) for _ in range(3)))
    assert dependency.statistics().calls == 2


@virtual_time
async def test_an_empty_key_is_a_mistake() -> None:
    """Sharing under no key would share everything."""
    with pytest.raises(ValueError, match="must not be empty"):
        await SingleFlight().run("", ScriptedDependency[int](1))


def test_cancelled_callers_leave_nothing_behind() -> None:
    """At every point, no flight and no waiter is left once the callers are gone."""

    class Subject:
        def __init__(self) -> None:
            self.flight = SingleFlight()
            self.dependency = ScriptedDependency[int](then=answer(1, after=1.0))

    async def scenario(subject: Subject) -> None:
        async with asyncio.TaskGroup() as group:
            for key in "aab":
                group.create_task(subject.flight.run(key, subject.dependency))

    def check(subject: Subject) -> None:
        statistics = subject.flight.statistics()
        assert (statistics.flying, statistics.waiting) == (0, 0)
        assert subject.dependency.statistics().in_flight == 0
        assert not subject.flight._flights

    assert cancel_at_every_await(Subject, scenario, check=check).cancelled >= 10
