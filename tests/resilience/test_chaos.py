"""Chaos: each kind at its rate, repeatable by seed, and nothing while switched off."""

import asyncio

import pytest

from schemawire.errors import ConfigurationInvalid, ConnectionLost
from schemawire.resilience.call import Context
from schemawire.resilience.chaos import Chaos, ChaosConfig, ChaosStatistics
from schemawire.testing.scripted import ScriptedDependency
from schemawire.testing.virtual_time import run_virtual, virtual_time


async def outcomes(chaos: Chaos, count: int) -> list[str]:
    """Make `count` calls and note how each ended."""
    dependency, seen = ScriptedDependency[str](then="real"), []
    for _ in range(count):
        try:
            seen.append(await chaos(dependency))
        except ConnectionLost:
            seen.append("fault")
    return seen


@virtual_time
async def test_each_kind_comes_at_its_rate() -> None:
    """Over many calls every kind is injected about as often as its rate says, and a fault precludes the rest."""
    behaved: list[Context] = []
    chaos = Chaos(
        ChaosConfig(fault_rate=0.2, outcome_rate=0.5, latency_rate=0.3, behaviour_rate=0.1, latency=2.0),
        outcome=lambda context: "made up",
        behaviour=behaved.append,
        seed=1,
    )
    seen = await outcomes(chaos, 5_000)
    statistics = chaos.statistics()
    assert statistics.faults == seen.count("fault") == pytest.approx(1_000, rel=0.1)
    assert statistics.outcomes == seen.count("made up") == pytest.approx(2_000, rel=0.1)
    assert statistics.latencies == pytest.approx(1_500, rel=0.1)
    assert statistics.behaviours == len(behaved) == pytest.approx(500, rel=0.15)
    assert asyncio.get_running_loop().time() == pytest.approx(2.0 * statistics.latencies)


def test_a_seed_makes_a_run_repeatable() -> None:
    """The same seed hits the same calls; another one hits others."""

    def run(seed: int) -> list[str]:
        return run_virtual(outcomes(Chaos(ChaosConfig(fault_rate=0.5), seed=seed), 64))

    assert run(5) == run(5) != run(6)


@virtual_time
async def test_the_switch_and_the_selection_hold() -> None:
    """Switched off, or for a call that is not selected, nothing is injected."""
    off = Chaos(ChaosConfig(enabled=False, fault_rate=1.0))
    assert await outcomes(off, 3) == ["real"] * 3
    off.replace_options(ChaosConfig(fault_rate=1.0))
    assert await outcomes(off, 1) == ["fault"]

    chosen = Chaos(ChaosConfig(fault_rate=1.0), selects=lambda context: context.key == "victim")
    handler = chosen.bind(ScriptedDependency[str](then="real"))
    assert await handler(Context(key="other")) == "real"
    with pytest.raises(ConnectionLost):
        await handler(Context(key="victim"))


@virtual_time
async def test_jitter_stays_within_its_bounds() -> None:
    """A delay of 2 ± 1 s is never below 1 nor above 3 s."""
    chaos = Chaos(ChaosConfig(latency_rate=1.0, latency=2.0, latency_jitter=1.0), seed=2)
    loop = asyncio.get_running_loop()
    for _ in range(50):
        began = loop.time()
        await outcomes(chaos, 1)
        assert 1.0 <= loop.time() - began <= 3.0


@virtual_time
async def test_an_async_behaviour_is_awaited() -> None:
    """A behaviour that needs time gets it."""

    async def behaviour(context: Context) -> None:
        await asyncio.sleep(5.0)

    chaos = Chaos(ChaosConfig(behaviour_rate=1.0), behaviour=behaviour)
    await outcomes(chaos, 2)
    assert asyncio.get_running_loop().time() == 10.0
    assert chaos.statistics() == ChaosStatistics(calls=2, faults=0, latencies=0, outcomes=0, behaviours=2)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [({"fault_rate": 1.5}, "fault_rate"), ({"latency_jitter": 2.0}, "latency_jitter"), ({"enabled": 1}, "enabled")],
)
def test_values_out_of_range_are_refused(wrong: dict[str, float], field: str) -> None:
    """The error names the field and the range."""
    with pytest.raises(ConfigurationInvalid, match=field):
        ChaosConfig(**wrong)  # type: ignore[arg-type]  # wrong on purpose
