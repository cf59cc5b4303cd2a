"""The scripted dependency does what its script says and counts what was done to it."""

import asyncio

import pytest

from schemawire.testing.scripted import ScriptedDependency, ScriptExhausted, answer, fail, hang
from schemawire.testing.virtual_time import virtual_time


@virtual_time
async def test_steps_are_played_in_order() -> None:
    """Values, errors and delays come in the order of the script, then `then` for ever."""
    dependency = ScriptedDependency("a", KeyError("b"), answer("c", after=2.0), then="z")
    assert await dependency() == "a"
    with pytest.raises(KeyError):
        await dependency()
    assert await dependency("x", y=1) == "c"
    assert [await dependency() for _ in range(3)] == ["z", "z", "z"]
    assert [call.at for call in dependency.calls[:4]] == [0.0, 0.0, 0.0, 2.0]
    assert dependency.calls[2].args == ("x",)
    assert dependency.calls[2].kwargs == {"y": 1}


@virtual_time
async def test_a_call_beyond_the_script_is_an_error() -> None:
    """Without `then`, one call too many says how long the script is."""
    dependency = ScriptedDependency[str]("only")
    await dependency()
    with pytest.raises(ScriptExhausted, match="Call 2 has no step"):
        await dependency()
    assert dependency.statistics().calls == 1


@virtual_time
async def test_a_hang_ends_only_by_cancellation() -> None:
    """A hanging call is in flight until it is cancelled, and then counts as cancelled."""
    dependency = ScriptedDependency[None](hang())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(5.0):
            await dependency()
    statistics = dependency.statistics()
    assert (statistics.in_flight, statistics.cancelled, statistics.failed) == (0, 1, 0)


@virtual_time
async def test_concurrency_is_counted() -> None:
    """The highest number of calls in flight is kept."""
    dependency = ScriptedDependency[int](then=answer(1, after=1.0))
    dependency.extend([fail(ValueError("first"), after=3.0)])
    results = await asyncio.gather(*(dependency() for _ in range(4)), return_exceptions=True)
    assert isinstance(results[0], ValueError)
    assert results[1:] == [1, 1, 1]
    assert dependency.statistics().most_in_flight == 4
    assert dependency.statistics().in_flight == 0
