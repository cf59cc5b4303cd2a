"""Balancing: every strategy's promise, failover within a call, panic, pauses, groups and live updates."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemawire.errors import CircuitOpen, ConfigurationInvalid, NoEndpoint
from schemawire.resilience.balance import Balance, BalanceConfig
from schemawire.resilience.call import SUCCESS, Context, Judgement, RetryClass, Scope, judge_exceptions
from schemawire.resilience.endpoint_state import EndpointState, PeakEwma
from schemawire.resilience.outlier import OutlierConfig
from schemawire.resilience.priority_groups import group_shares
from schemawire.resilience.strategies import BalanceStrategy, PowerOfTwo
from schemawire.testing.cancellation import cancel_at_every_await
from schemawire.testing.virtual_time import settle, virtual_time

PEAK_EWMA = [
    # (at, round-trip time seen, cost afterwards), decay 10 s
    (0.0, 1.0, 1.0),  # the first time is taken as it is
    (1.0, 3.0, 3.0),  # a longer one replaces the average at once
    (11.0, 0.0, 3.0 * 0.36787944),  # after the decay time a shorter one leaves 1/e of it
    (21.0, 1.0, 3.0 * 0.13533528 + 0.63212056),
]


def test_peak_ewma_follows_finagles_rule() -> None:
    """A longer time is taken over at once, a shorter one blended in by elapsed time; unproven endpoints cost most."""
    ewma = PeakEwma(10.0)
    assert ewma.load(0, 0.0) == 0.0
    assert ewma.load(1, 0.0) > 60_000
    for at, rtt, cost in PEAK_EWMA:
        ewma.observe(rtt, at)
        assert ewma.cost == pytest.approx(cost)
    assert ewma.load(4, 31.0) == pytest.approx(PEAK_EWMA[-1][2] * 0.36787944 * 5)


def finagle_run(latencies: list[int], requests: int) -> list[tuple[int, float]]:
    """Play Finagle's P2CPeakEwmaTest: one request per tick, decay 150 ticks; return load and mean load per node."""
    states = [EndpointState(index, weight=1.0, group=0, decay=150.0) for index in range(len(latencies))]
    sums, loads = [0] * len(states), [0] * len(states)
    strategy, ends = PowerOfTwo(random.Random(12345).random), dict[int, list[EndpointState]]()
    for tick in range(requests):
        state = strategy.choose(states, "", float(tick))
        node = int(str(state.endpoint))
        loads[node] += 1
        sums[node] += loads[node]
        state.in_flight += 1
        ends.setdefault(tick + latencies[node], []).append(state)
        for done in ends.pop(tick, ()):
            done.in_flight -= 1
            done.ewma.observe(float(latencies[int(str(done.endpoint))]), float(tick))
    return [(load, total / load) for load, total in zip(loads, sums, strict=True)]


FINAGLE_NODES, FINAGLE_REQUESTS, FINAGLE_TOLERANCE = 100, 100_000, 0.0005 * 100_000


def test_p2c_balances_identical_nodes_as_finagles_test_asks() -> None:
    """100 nodes of equal latency, 100 000 requests: mean loads differ from the first's by less than 50."""
    means = [mean for _, mean in finagle_run([5] * FINAGLE_NODES, FINAGLE_REQUESTS)]
    assert max(abs(mean - means[0]) for mean in means) < FINAGLE_TOLERANCE


def test_p2c_probes_an_unproven_node_once_as_finagles_test_asks() -> None:
    """A node that never answers is tried exactly once; the others stay even."""
    runs = finagle_run([1] * FINAGLE_NODES + [FINAGLE_REQUESTS * 2], FINAGLE_REQUESTS)
    assert runs[-1][0] == 1
    means = [mean for _, mean in runs[:-1]]
    assert max(abs(mean - means[0]) for mean in means) < FINAGLE_TOLERANCE


def test_p2c_gives_a_node_of_twice_the_latency_half_as_finagles_test_asks() -> None:
    """The slow node's mean load is half of the others', or less, within Finagle's tolerance."""
    runs = finagle_run([5] * FINAGLE_NODES + [10], FINAGLE_REQUESTS)
    assert runs[0][1] - 2 * runs[-1][1] < FINAGLE_TOLERANCE
    assert runs[-1][0] > 100


@pytest.mark.parametrize(
    ("health", "shares"),
    [
        ([1.0, 1.0], [1.0, 0.0]),
        ([0.72, 1.0], [1.0, 0.0]),
        ([0.71, 1.0], [0.994, 0.006]),
        ([0.50, 0.60], [0.70, 0.30]),
        ([0.25, 1.0], [0.35, 0.65]),
        ([0.25, 0.25], [0.5, 0.5]),
        ([0.0, 1.0], [0.0, 1.0]),
        ([0.0, 0.0], [1.0, 0.0]),
        ([0.2, 0.2, 1.0], [0.28, 0.28, 0.44]),
    ],
)
def test_priority_groups_share_as_envoys_table_says(health: list[float], shares: list[float]) -> None:
    """Each row of Envoy's table of priority levels gives its shares of load."""
    assert group_shares(health, 1.4) == pytest.approx(shares)


@given(health=st.lists(st.floats(0, 1), min_size=1, max_size=6), overprovision=st.floats(1, 3))
def test_group_shares_always_add_up(health: list[float], overprovision: float) -> None:
    """Whatever is down, the shares are a distribution."""
    shares = group_shares(health, overprovision)
    assert sum(shares) == pytest.approx(1.0)
    assert all(share >= 0.0 for share in shares)


def balance(
    endpoints: str, kind: BalanceStrategy = BalanceStrategy.ROUND_ROBIN, *, seed: int = 1, **options: object
) -> Balance:
    config = BalanceConfig(strategy=kind, **options)  # type: ignore[arg-type]  # fields by name
    return Balance(
        endpoints,
        config,
        weight=lambda name: float(" abc".find(name)) if name in "abc" else 1.0,
        draw=random.Random(seed).random,
    )


async def served(context: Context) -> str:
    return str(context.endpoint)


async def tally(policy: Balance, count: int, key: Callable[[int], str] = lambda index: "") -> Counter[str]:
    handler = policy.bind(served)
    return Counter([await handler(Context(key=key(index))) for index in range(count)])


@virtual_time
async def test_round_robin_takes_turns_and_weights_are_kept() -> None:
    """Round robin is even; weighted gives shares 1 : 2 : 3, spread out; least in flight fills the idle one."""
    assert await tally(balance("xyz"), 9) == {"x": 3, "y": 3, "z": 3}
    weighted = balance("abc", BalanceStrategy.WEIGHTED).bind(served)
    order = [await weighted(Context()) for _ in range(6)]
    assert Counter(order) == {"a": 1, "b": 2, "c": 3}
    assert order == ["c", "b", "a", "c", "b", "c"]


@virtual_time
async def test_least_in_flight_takes_the_idle_endpoint() -> None:
    """While x is busy, the next call goes to y."""
    release = asyncio.Event()

    async def busy(context: Context) -> str:
        await release.wait()
        return str(context.endpoint)

    policy = balance("xy", BalanceStrategy.LEAST_IN_FLIGHT)
    handler = policy.bind(busy)
    tasks = []
    for _ in range(4):
        tasks.append(asyncio.ensure_future(handler(Context())))
        await settle()
    assert [state.in_flight for state in policy.statistics().endpoints] == [2, 2]
    release.set()
    await asyncio.gather(*tasks)
    assert [state.in_flight for state in policy.statistics().endpoints] == [0, 0]


@virtual_time
async def test_hashing_moves_only_the_keys_of_an_endpoint_that_leaves() -> None:
    """When one of ten endpoints leaves, every other endpoint's keys stay where they were."""
    policy = balance("0123456789", BalanceStrategy.HASH)
    handler = policy.bind(served)
    keys = [f"key-{index}" for index in range(500)]
    before = {key: await handler(Context(key=key)) for key in keys}
    assert min(Counter(before.values()).values()) > 20
    policy.update("012345678")
    after = {key: await handler(Context(key=key)) for key in keys}
    assert all(after[key] == before[key] for key in keys if before[key] != "9")
    assert "9" not in after.values()


@virtual_time
async def test_p2c_sends_less_to_a_slow_endpoint() -> None:
    """An endpoint ten times as slow gets clearly less than its even share."""
    policy = balance("xyz", BalanceStrategy.P2C)
    served_by: Counter[str] = Counter()

    async def work(context: Context) -> None:
        await asyncio.sleep(1.0 if context.endpoint == "x" else 0.1)
        served_by[str(context.endpoint)] += 1

    handler = policy.bind(work)
    async with asyncio.TaskGroup() as group:
        for _ in range(600):
            group.create_task(_run(handler(Context())))
            await asyncio.sleep(0.02)
    assert served_by["x"] < 60


async def _run(awaitable: object) -> None:
    await awaitable  # type: ignore[misc]  # any awaitable


@virtual_time
async def test_a_failed_endpoint_is_avoided_by_the_next_attempt() -> None:
    """The endpoint that failed this call is excluded, as long as another is left."""
    seen: list[str] = []

    async def fails(context: Context) -> None:
        seen.append(str(context.endpoint))
        raise ConnectionError

    handler = balance("xyz", BalanceStrategy.P2C).bind(fails)
    context = Context()
    for _ in range(3):
        with pytest.raises(ConnectionError):
            await handler(context)
    assert sorted(seen) == ["x", "y", "z"]
    with pytest.raises(ConnectionError):
        await handler(context)


@virtual_time
async def test_an_open_circuit_is_another_choice_and_not_a_failure() -> None:
    """A refused endpoint is passed over at once; when all refuse, the shortest wait is reported."""
    waits: dict[str, float | None] = {"x": 9.0, "y": 3.0}

    async def inner(context: Context) -> str:
        if context.endpoint in waits:
            raise CircuitOpen(retry_after=waits[str(context.endpoint)])
        return str(context.endpoint)

    policy = balance("xyz")
    handler = policy.bind(inner)
    assert [await handler(Context()) for _ in range(5)] == ["z"] * 5
    assert [state.failures for state in policy.statistics().endpoints] == [0, 0, 0]
    waits["z"] = None
    with pytest.raises(CircuitOpen) as refusal:
        await handler(Context())
    assert refusal.value.retry_after == 3.0


@virtual_time
async def test_unavailable_endpoints_are_not_chosen() -> None:
    """What `is_available` rejects is used only when nothing else is left."""
    closed = {"x", "y"}
    policy = Balance("xyz", is_available=lambda endpoint, now: endpoint not in closed)
    assert await tally(policy, 5) == {"z": 5}
    closed.add("z")
    assert sum((await tally(policy, 5)).values()) == 5


@virtual_time
async def test_failing_endpoints_are_ejected_return_and_start_slowly() -> None:
    """Five failures eject for 30 s; afterwards the share grows from a tenth to all within 30 s."""
    broken = {"x"}

    async def inner(context: Context) -> str:
        if context.endpoint in broken:
            raise ConnectionError
        return str(context.endpoint)

    loop = asyncio.get_running_loop()
    policy = balance("xy")
    handler = policy.bind(inner)
    for _ in range(10):
        await asyncio.wait({asyncio.ensure_future(handler(Context()))})
    assert policy.statistics(loop.time()).endpoints[0].ejected_for == pytest.approx(30.0)
    assert await tally(policy, 20) == {"y": 20}
    broken.clear()
    await asyncio.sleep(31.0)
    early = (await tally(policy, 1_000))["x"]
    assert 30 < early < 200
    await asyncio.sleep(30.0)
    assert (await tally(policy, 1_000))["x"] == 500


@virtual_time
async def test_panic_uses_everyone_when_too_few_are_left() -> None:
    """With two of three ejected, less than half is left, and all are used again."""
    policy = balance("xyz", outliers=OutlierConfig(highest_share=1.0))
    states = list(policy._states.values())
    for state in states[:2]:
        state.ejected_until = 100.0
    policy._usable_until = 0.0
    assert await tally(policy, 9) == {"x": 3, "y": 3, "z": 3}
    assert policy.statistics().panicking
    states[0].ejected_until = 0.0
    policy._usable_until = 0.0
    assert await tally(policy, 4) == {"x": 2, "z": 2}


def throttling(context: Context, result: object, error: BaseException | None) -> Judgement:
    if result == 429:
        return Judgement(failed=True, retry=RetryClass.THROTTLED, retry_after=20.0)
    return SUCCESS if error is None else judge_exceptions(context, result, error)


@virtual_time
async def test_a_throttled_endpoint_is_left_alone_as_it_asked() -> None:
    """A hint pauses the endpoint without counting against it; a sole endpoint is used all the same."""
    answers = {"x": 429, "y": 200}

    async def inner(context: Context) -> int:
        return answers[str(context.endpoint)]

    policy = Balance("xy", BalanceConfig(strategy=BalanceStrategy.ROUND_ROBIN), judge=throttling)
    handler = policy.bind(inner)
    assert [await handler(Context()) for _ in range(4)] == [429, 200, 200, 200]
    assert policy.statistics(asyncio.get_running_loop().time()).endpoints[0].paused_for == pytest.approx(20.0)
    assert policy.statistics().endpoints[0].failures == 0
    await asyncio.sleep(21.0)
    assert 429 in [await handler(Context()) for _ in range(2)]
    policy.update("x")
    assert await handler(Context()) == 429


@virtual_time
async def test_groups_take_over_when_the_preferred_one_is_down() -> None:
    """The second group gets nothing while the first is healthy, and everything while it is ejected."""
    policy = Balance("aabbcd", group=lambda name: int(name in "cd"), draw=random.Random(1).random)
    assert set(await tally(policy, 50)) == {"a", "b"}
    for name in "ab":
        policy._states[name].ejected_until = 100.0
    assert set(await tally(policy, 50)) == {"c", "d"}


@virtual_time
async def test_updates_keep_what_is_known_and_start_newcomers_slowly() -> None:
    """An endpoint that stays keeps its counts; one that joins at a given time starts with a tenth of its share."""
    policy = balance("x")
    await tally(policy, 5)
    policy.update("xy", now=asyncio.get_running_loop().time())
    counts = await tally(policy, 1_000)
    assert policy.statistics().endpoints[0].calls > 5
    assert counts["y"] < 200
    policy.update("")
    with pytest.raises(NoEndpoint):
        await tally(policy, 1)


@virtual_time
async def test_an_open_body_keeps_its_place_in_flight() -> None:
    """While the body is read the endpoint counts as busy; a body that breaks counts as a failure."""
    policy = balance("x")
    context = Context(scope=Scope())
    await policy.bind(served)(context)
    assert policy.statistics().endpoints[0].in_flight == 1
    assert context.scope is not None
    context.scope.close(ConnectionError())
    statistics = policy.statistics().endpoints[0]
    assert (statistics.in_flight, statistics.failures) == (0, 1)


def test_a_cancelled_call_is_not_recorded() -> None:
    """At every point, nothing stays in flight and nothing is counted against an endpoint."""

    async def scenario(policy: Balance) -> None:
        async def slow(context: Context) -> None:
            await asyncio.sleep(1.0)

        await policy.bind(slow)(Context())

    def check(policy: Balance) -> None:
        assert all(state.in_flight == 0 and state.failures == 0 for state in policy.statistics().endpoints)

    assert cancel_at_every_await(lambda: Balance("xy"), scenario, check=check).cancelled == 2


@virtual_time
async def test_options_are_replaced_live() -> None:
    """Another strategy holds from the next call."""
    policy = balance("xy", BalanceStrategy.P2C)
    policy.replace_options(BalanceConfig(strategy=BalanceStrategy.ROUND_ROBIN, decay=5.0, outliers=None))
    assert await tally(policy, 4) == {"x": 2, "y": 2}
    assert "round_robin" in policy.describe()


def test_a_weight_of_zero_is_refused_and_changes_nothing() -> None:
    """A bad weight names its endpoint, and the endpoints stay as they were."""
    weights = {"x": 1.0, "y": 0.0}
    policy = Balance("x", weight=lambda endpoint: weights[endpoint])
    with pytest.raises(ConfigurationInvalid, match="'y' is 0"):
        policy.update("xy")
    assert [state.endpoint for state in policy.statistics().endpoints] == ["x"]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"strategy": "p2c"}, "strategy"),
        ({"decay": 0}, "decay"),
        ({"panic_threshold": 2}, "panic_threshold"),
        ({"overprovision": 0.5}, "overprovision"),
        ({"outliers": 5}, "outliers"),
    ],
)
def test_values_out_of_range_are_refused(wrong: dict[str, object], field: str) -> None:
    """The error names the field and the range."""
    with pytest.raises(ConfigurationInvalid, match=field):
        BalanceConfig(**wrong)  # type: ignore[arg-type]  # wrong on purpose
