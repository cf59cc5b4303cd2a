"""One health record per endpoint: breaker, ejection and health checks cannot disagree; endpoints come and go."""

import asyncio
import gc
from collections import Counter
from dataclasses import dataclass

import pytest

from schemawire.errors import CircuitOpen, ConfigurationInvalid, ConnectFailed
from schemawire.resilience.balance import Balance, BalanceConfig
from schemawire.resilience.breaker import CircuitBreaker
from schemawire.resilience.breaker_state import CircuitBreakerConfig
from schemawire.resilience.call import Context, Handler
from schemawire.resilience.outlier import OutlierConfig
from schemawire.resilience.strategies import BalanceStrategy
from schemawire.testing.virtual_time import virtual_time

TURNS = BalanceConfig(strategy=BalanceStrategy.ROUND_ROBIN)


@dataclass(eq=False)
class Place:
    """An endpoint with its own breaker."""

    name: str
    breaker: CircuitBreaker
    weight: float = 1.0
    group: int = 0


def place(name: str, **options: float) -> Place:
    return Place(name, CircuitBreaker(CircuitBreakerConfig(**options), name=name))  # type: ignore[arg-type]  # numbers


def balanced(places: list[Place], down: set[str], options: BalanceConfig = TURNS) -> tuple[Balance, Handler[str]]:
    """Return a balancer over places with breakers, on which those whose names are in `down` fail."""

    async def send(context: Context) -> str:
        if context.endpoint.name in down:
            raise ConnectFailed
        return str(context.endpoint.name)

    async def through(context: Context) -> str:
        handler: Handler[str] = context.endpoint.breaker.bind(send)
        return await handler(context)

    balance = Balance(
        places,
        options,
        weight=lambda each: each.weight,
        group=lambda each: each.group,
        is_available=lambda each, now: not each.breaker.would_refuse(now),
    )
    return balance, balance.bind(through)


async def uses(handler: Handler[str], times: int) -> Counter[str]:
    found: Counter[str] = Counter()
    for _ in range(times):
        try:
            found[await handler(Context())] += 1
        except (ConnectFailed, CircuitOpen):
            found["failed"] += 1
    return found


@virtual_time
async def test_open_breaker_takes_the_place_of_an_ejection() -> None:
    """Whoever takes an endpoint out decides alone when it is tried again."""
    places, down = [place("a", recovery_timeout=3.0), place("b"), place("c")], {"a"}
    balance, handler = balanced(places, down)
    assert (await uses(handler, 60))["failed"] == 5
    state = balance.state_of(places[0])
    now = asyncio.get_running_loop().time()
    assert (state.ejections, state.is_in_rotation(now), state.is_usable(now)) == (0, True, False)
    down.clear()
    await asyncio.sleep(3.0)
    assert (await uses(handler, 30))["a"] > 0


@virtual_time
async def test_breaker_that_opens_later_takes_over_an_ejection() -> None:
    """Late failures after an ejection open the breaker: from then on its time counts, not the longer ejection."""
    places, down = [place("a", failure_threshold=3, recovery_timeout=3.0), place("b"), place("c")], {"a"}
    options = BalanceConfig(strategy=BalanceStrategy.ROUND_ROBIN, outliers=OutlierConfig(consecutive_failures=2))
    balance, _ = balanced(places, down, options)
    arrived = asyncio.Event()

    async def send(context: Context) -> str:
        await arrived.wait()
        if context.endpoint is places[0]:
            raise ConnectFailed
        return "well"

    async def through(context: Context) -> str:
        handler: Handler[str] = context.endpoint.breaker.bind(send)
        return await handler(context)

    calls = [asyncio.ensure_future(balance.bind(through)(Context())) for _ in range(9)]
    await asyncio.sleep(1.0)
    arrived.set()
    await asyncio.gather(*calls, return_exceptions=True)
    now = asyncio.get_running_loop().time()
    state = balance.state_of(places[0])
    assert (state.ejections, state.is_in_rotation(now)) == (1, True)
    assert places[0].breaker.would_refuse(now)
    assert not places[0].breaker.would_refuse(now + 3.0)


@virtual_time
async def test_endpoint_starts_slowly_once_its_breaker_has_closed() -> None:
    """The probe that closes it begins the slow start, as the end of an ejection would."""
    places, down = [place("a", recovery_timeout=3.0), place("b")], {"a"}
    balance, handler = balanced(places, down)
    await uses(handler, 30)
    state = balance.state_of(places[0])
    down.clear()
    await asyncio.sleep(3.0)
    while (await uses(handler, 1))["a"] == 0:
        pass
    now = asyncio.get_running_loop().time()
    assert state.strength(now) == pytest.approx(0.1)
    assert state.strength(now + 30.0) == 1.0


@virtual_time
async def test_ill_endpoint_is_out_of_rotation() -> None:
    """Health checks act at once, count toward panic, and unknown endpoints change nothing."""
    places = [place(name) for name in "abc"]
    balance, handler = balanced(places, set())
    balance.set_health(places[0], is_healthy=False)
    balance.set_health(place("stranger"), is_healthy=False)
    assert (await uses(handler, 30))["a"] == 0
    assert not balance.statistics().panicking
    balance.set_health(places[1], is_healthy=False)
    assert (await uses(handler, 30)) == {"a": 10, "b": 10, "c": 10}
    assert balance.statistics().panicking
    balance.set_health(places[0], is_healthy=True)
    balance.set_health(places[1], is_healthy=True)
    assert (await uses(handler, 30))["a"] == 10


@virtual_time
async def test_open_breakers_count_in_priority_groups() -> None:
    """A group whose breakers are open hands its load on, without a single refused try."""
    places = [place("a", failure_threshold=1), place("b", failure_threshold=1), place("spare")]
    places[2].group = 1
    _, handler = balanced(places, {"a", "b"})
    await uses(handler, 20)
    assert await uses(handler, 20) == {"spare": 20}
    assert places[0].breaker.statistics().refused + places[1].breaker.statistics().refused < 5


@virtual_time
async def test_update_takes_over_weights_and_groups() -> None:
    """An endpoint that stays keeps its history and gets its new share; a bad weight changes nothing."""
    places = [place("a"), place("b")]
    balance, handler = balanced(places, set(), BalanceConfig(strategy=BalanceStrategy.WEIGHTED))
    await uses(handler, 10)
    places[0].weight = 4.0
    balance.update(places)
    assert await uses(handler, 50) == {"a": 40, "b": 10}
    places[1].weight = 0.0
    with pytest.raises(ConfigurationInvalid):
        balance.update(places)
    assert await uses(handler, 50) == {"a": 40, "b": 10}


@virtual_time
async def test_removed_endpoint_is_remembered_while_it_has_calls() -> None:
    """One that returns finds its calls in flight; one that was idle is forgotten."""
    places = [place("a"), place("b")]
    balance, _ = balanced(places, set())
    leave = asyncio.Event()

    async def wait(context: Context) -> None:
        await leave.wait()

    call = asyncio.ensure_future(balance.bind(wait)(Context()))
    await asyncio.sleep(0)
    busy = next(each for each in places if balance.state_of(each).in_flight)
    state = balance.state_of(busy)
    balance.update([])
    balance.update(places)
    assert balance.state_of(busy) is state
    leave.set()
    await call
    assert state.in_flight == 0
    del state, call
    balance.update([])
    gc.collect()
    balance.update(places)
    assert balance.state_of(busy).calls == 0
