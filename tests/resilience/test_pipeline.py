"""Pipelines: order, checks when built, description, configuration, live changes, and nothing left behind."""

import asyncio
import dataclasses
import inspect
import tomllib
from collections.abc import Callable
from typing import Any

import pytest

from schemawire.errors import AttemptTimeout, CircuitOpen, ConfigurationInvalid, DeadlineExceeded, ServerFailed
from schemawire.resilience.alone import Standalone
from schemawire.resilience.backoff import BackoffKind
from schemawire.resilience.breaker import CircuitBreaker
from schemawire.resilience.breaker_state import BreakerStateName, CircuitBreakerConfig, WindowKind
from schemawire.resilience.budget import RetryBudget
from schemawire.resilience.bulkhead import Bulkhead, BulkheadConfig
from schemawire.resilience.call import Context, Handler, Policy, Scope
from schemawire.resilience.hedge import Hedge, HedgeConfig
from schemawire.resilience.pipeline import PLACES, Layers, Pipeline
from schemawire.resilience.pipeline_config import PipelineConfig
from schemawire.resilience.registry import PipelineRegistry
from schemawire.resilience.retry import Retry
from schemawire.resilience.retry_decision import RetryConfig
from schemawire.resilience.timeout import Deadline, DeadlineConfig, TimeLimiter, TimeLimiterConfig
from schemawire.testing import ScriptedDependency, answer, cancel_at_every_await, hang, virtual_time

Work = ScriptedDependency[Any]


class Mark(Standalone):
    """Notes when a call passes it."""

    def __init__(self, name: str, notes: list[str]) -> None:
        self.name = name
        self._notes = notes

    def bind(self, inner: Handler[Any]) -> Handler[Any]:
        async def marked(context: Context) -> Any:
            self._notes.append(self.name)
            return await inner(context)

        return marked

    def describe(self) -> str:
        return f"mark {self.name}"

    def statistics(self) -> int:
        return len(self._notes)


def default_layers() -> Layers:
    return Layers(
        deadline=Deadline(), retry=Retry(), breaker=CircuitBreaker(), bulkhead=Bulkhead(), timeout=TimeLimiter()
    )


async def test_places_have_the_order_of_the_design() -> None:
    """However `Layers` is written, a call passes the places outside in."""
    notes: list[str] = []
    marks: dict[str, Any] = {place: Mark(place, notes) for place in reversed(PLACES)}
    assert await Pipeline(Layers(**marks))(Work("done")) == "done"
    assert notes == [
        "deadline", "cache", "fallback", "flight", "admission", "rate", "hedge", "retry", "pick", "breaker", "limit",
        "bulkhead", "timeout",
    ]  # fmt: skip


async def test_a_sequence_runs_as_it_is_written() -> None:
    """Order written is order run."""
    notes: list[str] = []
    pipeline = Pipeline([Mark(name, notes) for name in ("b", "c", "a")])
    await pipeline(Work("done"))
    assert notes == ["b", "c", "a"]
    assert pipeline.describe().splitlines()[1:] == ["  b  mark b", "  c  mark c", "  a  mark a"]


async def test_an_empty_pipeline_is_the_call_itself() -> None:
    """No layers, no change."""
    assert await Pipeline([])(Work("done")) == "done"
    assert await Pipeline(Layers())(Work("done")) == "done"


async def test_it_describes_every_place_and_shows_every_state() -> None:
    """Empty places are shown too; statistics come by place."""
    pipeline = Pipeline(default_layers(), name="orders")
    await pipeline(Work("done"))
    lines = pipeline.describe().splitlines()
    assert lines[0] == "pipeline 'orders', outside in:"
    assert len(lines) == 1 + len(PLACES)
    assert "  cache      –" in lines
    assert "  timeout    timeout: attempt=30" in lines
    statistics = pipeline.statistics()
    assert list(statistics.layers) == ["deadline", "retry", "breaker", "bulkhead", "timeout"]
    assert statistics.layers["retry"].calls == 1  # type: ignore[attr-defined]  # a RetryStatistics


def breaker(**options: Any) -> CircuitBreaker:
    return CircuitBreaker(CircuitBreakerConfig(**options))


def of_total(seconds: float) -> Deadline:
    return Deadline(DeadlineConfig(total=seconds))


def of_attempt(seconds: float) -> TimeLimiter:
    return TimeLimiter(TimeLimiterConfig(attempt=seconds))


@pytest.mark.parametrize(
    ("layers", "says"),
    [
        (
            lambda: [of_total(5), of_attempt(10)],
            "one attempt may take 10 s, but the whole call only 5 s",
        ),
        (
            lambda: [of_total(3), Retry(RetryConfig(max_retries=3))],
            "the pauses between attempts may add up to 7 s, but the whole call ends after 3 s",
        ),
        (
            lambda: [breaker(failure_threshold=None, window_span=10.0), of_attempt(6)],
            "the breaker looks back 10 s, less than two attempts of 6 s",
        ),
        (
            lambda: [breaker(slow_call_duration=6.0), of_attempt(6)],
            "a call is slow after 6 s, but an attempt ends after 6 s",
        ),
        (
            lambda: [breaker(probe_lease=5.0), of_attempt(6)],
            "a probe's lease of 5 s ends before its attempt of 6 s",
        ),
        (lambda: [Hedge(HedgeConfig(delay=6.0)), of_attempt(6)], "a hedge starts after 6 s"),
        (lambda: [Hedge(), Retry()], "'hedge' and 'retry' have separate budgets"),
        (lambda: [Retry(), of_total(60)], "the deadline stands inside the retries"),
        (lambda: [of_attempt(6), Retry()], "the attempt timeout stands outside the retries"),
        (lambda: [breaker(), Retry()], "the breaker stands outside the retries"),
    ],
)
def test_contradictions_are_refused_when_it_is_built(layers: Callable[[], list[Policy]], says: str) -> None:
    """Options that make one another meaningless are named, both of them."""
    with pytest.raises(ConfigurationInvalid, match=says):
        Pipeline(layers())


def test_all_contradictions_are_listed_at_once() -> None:
    """The message does not make its reader come back for each."""
    with pytest.raises(ConfigurationInvalid, match=r"pauses .* only 1 s|only 1 s.*pauses"):
        Pipeline([of_total(1), Retry(), of_attempt(10)])


@pytest.mark.parametrize(
    "layers",
    [
        default_layers,
        lambda: [of_total(5), of_attempt(5)],
        lambda: [breaker(failure_threshold=5, window_span=10.0), of_attempt(30)],
        lambda: [breaker(failure_threshold=None, window=WindowKind.COUNT), of_attempt(30)],
        lambda: [Hedge(budget=(shared := RetryBudget())), Retry(budget=shared)],
        lambda: [Bulkhead(), CircuitBreaker(), of_attempt(6)],
    ],
)
def test_sensible_combinations_are_accepted(layers: Callable[[], Any]) -> None:
    """The defaults agree with each other, and other orders of independent layers are the user's own choice."""
    Pipeline(layers())


def test_a_policy_stands_in_a_pipeline_only_once() -> None:
    """The same name twice is refused, and so is the same object in two places."""
    one = Bulkhead()
    with pytest.raises(ConfigurationInvalid, match="two policies of the pipeline are named 'bulkhead'"):
        Pipeline([Bulkhead(), Bulkhead()])
    with pytest.raises(ConfigurationInvalid, match="one policy stands in it twice"):
        Pipeline(Layers(limit=one, bulkhead=one))


@virtual_time
async def test_options_change_together_or_not_at_all() -> None:
    """A change that contradicts what stays is refused and changes nothing; a coherent pair goes through."""
    pipeline = Pipeline(Layers(deadline=of_total(20), timeout=of_attempt(10)))
    with pytest.raises(ConfigurationInvalid, match="one attempt may take 30 s"):
        pipeline.replace_options(timeout=TimeLimiterConfig(attempt=30.0))
    with pytest.raises(ConfigurationInvalid, match="'retry' cannot take"):
        pipeline.replace_options(timeout=TimeLimiterConfig(attempt=1.0), retry=RetryConfig())
    with pytest.raises(ConfigurationInvalid, match="'timeout' cannot take"):
        pipeline.replace_options(timeout=DeadlineConfig())
    with pytest.raises(AttemptTimeout):
        await pipeline(Work(hang()))
    assert asyncio.get_running_loop().time() == 10
    pipeline.replace_options(timeout=TimeLimiterConfig(attempt=30.0), deadline=DeadlineConfig(total=40.0))
    with pytest.raises(AttemptTimeout):
        await pipeline(Work(hang()))
    assert asyncio.get_running_loop().time() == 40


@virtual_time
async def test_layers_work_together() -> None:
    """Attempts that hang time out, are retried, open the breaker, and the next call fails at once."""
    pipeline = Pipeline(
        Layers(
            deadline=of_total(60),
            retry=Retry(RetryConfig(max_retries=4)),
            breaker=(guard := breaker(failure_threshold=5)),
            bulkhead=Bulkhead(BulkheadConfig(max_concurrent=1)),
            timeout=of_attempt(2),
        )
    )
    work = Work(then=hang())
    with pytest.raises(AttemptTimeout) as caught:
        await pipeline(work)
    assert len(caught.value.attempts) == 4
    assert guard.state is BreakerStateName.OPEN
    with pytest.raises(CircuitOpen):
        await pipeline(work)
    assert work.statistics().calls == 5


@virtual_time
async def test_the_deadline_covers_attempts_and_pauses_alike() -> None:
    """A call that is failed again and again ends by its deadline, with what was tried."""
    pipeline = Pipeline(Layers(deadline=of_total(10), retry=Retry(RetryConfig(max_retries=3)), timeout=of_attempt(4)))
    with pytest.raises(DeadlineExceeded) as caught:
        await pipeline(Work(then=hang()))
    assert asyncio.get_running_loop().time() == 10
    assert [type(error) for error in caught.value.attempts] == [AttemptTimeout, AttemptTimeout]


def test_cancellation_at_every_await_of_a_full_pipeline_leaves_every_gauge_at_zero() -> None:
    """Failing, slow, queued and streamed calls: wherever the caller leaves, no permit, place or probe stays taken."""

    def prepare() -> Pipeline:
        return Pipeline(
            Layers(
                deadline=of_total(60),
                retry=Retry(draw=lambda: 0.5),
                breaker=breaker(failure_threshold=3, recovery_timeout=5.0),
                bulkhead=Bulkhead(BulkheadConfig(max_concurrent=1)),
                timeout=of_attempt(2),
            )
        )

    async def call(context: Context) -> Any:
        return await context.call()

    async def scenario(pipeline: Pipeline) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(pipeline(Work(ServerFailed(), hang(), answer("third", after=0.5))))
            group.create_task(pipeline(Work(answer("queued", after=0.5))))
        scope = Scope()
        try:
            await pipeline.bind(call)(Context(call=Work("headers"), scope=scope))
            await asyncio.sleep(1)
        finally:
            scope.close()

    async def check(pipeline: Pipeline) -> None:
        states: Any = pipeline.statistics().layers
        assert (states["bulkhead"].in_flight, states["bulkhead"].waiting) == (0, 0)
        assert states["breaker"].probes_in_flight == 0
        await asyncio.sleep(10)
        assert await pipeline(Work("afterwards")) == "afterwards"

    report = cancel_at_every_await(prepare, scenario, check=check)
    assert report.cancelled == report.rounds == 16


async def test_a_policy_decorates_a_function_and_keeps_its_face() -> None:
    """Name, docstring and signature stay; arguments reach the function at every attempt."""

    @Retry().wrap
    async def fetch(order: int, *, detail: bool = False) -> tuple[int, bool]:
        """Fetch an order."""
        seen.append(order)
        if len(seen) < 2:
            raise ServerFailed()
        return order, detail

    seen: list[int] = []
    assert await fetch(7, detail=True) == (7, True)
    assert seen == [7, 7]
    assert (fetch.__name__, fetch.__doc__) == ("fetch", "Fetch an order.")
    assert inspect.iscoroutinefunction(fetch)
    assert str(inspect.signature(fetch)) == "(order: int, *, detail: bool = False) -> tuple[int, bool]"


async def test_a_policy_without_a_layer_says_so() -> None:
    """Deriving from `Standalone` means writing `bind`."""
    with pytest.raises(NotImplementedError, match="Standalone must say"):
        await Standalone()(Work("unused"))


TOML = """
[pipelines.orders]
breaker = { failure_threshold = 9, window = "count" }
bulkhead = false
hedge = true

[pipelines.orders.retry]
max_retries = 5
backoff = "decorrelated_v2"

[pipelines.stock.deadline]
total = 5.0

[pipelines.stock.timeout]
attempt = 2.0

[pipelines.stock.retry]
max_retries = 1
"""


def test_pipelines_come_from_toml() -> None:
    """A table per layer; on and off; layers that are not mentioned have their defaults."""
    registry = PipelineRegistry.from_mapping(tomllib.loads(TOML)["pipelines"])
    assert [pipeline.name for pipeline in registry] == ["orders", "stock"]
    orders = registry["orders"].layers
    assert list(orders) == ["deadline", "hedge", "retry", "breaker", "timeout"]
    retry, guard, hedge = orders["retry"], orders["breaker"], orders["hedge"]
    assert isinstance(retry, Retry)
    assert isinstance(guard, CircuitBreaker)
    assert isinstance(hedge, Hedge)
    assert retry.options == RetryConfig(max_retries=5, backoff=BackoffKind.DECORRELATED_V2)
    assert guard.options == CircuitBreakerConfig(failure_threshold=9, window=WindowKind.COUNT)
    assert hedge.budget is retry.budget
    assert "total=5" in registry["stock"].describe()


def test_pipelines_come_from_the_environment() -> None:
    """Flat names with a prefix; texts become numbers, enums and `None`."""
    config = PipelineConfig.from_environment(
        {
            "ORDERS_RETRY_MAX_RETRIES": "5",
            "ORDERS_RETRY_BACKOFF_FACTOR": "1.5",
            "ORDERS_BREAKER_FAILURE_THRESHOLD": "none",
            "ORDERS_BREAKER_WINDOW": "count",
            "ORDERS_BULKHEAD": "off",
            "ORDERS_RATE": "on",
            "HOME": "/nowhere",
        },
        prefix="ORDERS_",
    )
    assert config.retry == RetryConfig(max_retries=5, backoff_factor=1.5)
    assert config.breaker == CircuitBreakerConfig(failure_threshold=None, window=WindowKind.COUNT)
    assert config.bulkhead is None
    assert config.rate is not None
    assert config.timeout == TimeLimiterConfig()


@pytest.mark.parametrize(
    ("tables", "says", "fix"),
    [
        ({"retyr": {}}, "pipeline has no 'retyr'", "did you mean 'retry'"),
        ({"retry": {"max_retires": 1}}, "pipeline.retry has no 'max_retires'", "did you mean 'max_retries'"),
        ({"retry": {"max_retries": "many"}}, "pipeline.retry.max_retries='many' is not a whole number", "Give a whole"),
        ({"retry": {"max_retries": 1, "MAX_RETRIES": 2}}, "pipeline.retry.max_retries is given twice", "Keep one"),
        ({"retry": {"transient": {}}}, "pipeline.retry has no 'transient'", "transient_base"),
        ({"retry": {"backoff": "random"}}, "is not one of 'constant', 'linear'", "Give one of"),
        ({"breaker": {"failure_rate": "half"}}, "is not a number or none", "Give a number or none"),
        ({"breaker": 3}, "pipeline.breaker=3 is neither a table nor a switch", "Give a table"),
        ({"budget": False}, "pipeline.budget=False is neither", "the budget has no off"),
        ({"timeout": {"attempt": -1}}, "TimeLimiterConfig.attempt=-1 must be", "Set `attempt`"),
    ],
)
def test_bad_configuration_is_named(tables: dict[str, Any], says: str, fix: str) -> None:
    """The error says where it stands, what is wrong and what would be right."""
    with pytest.raises(ConfigurationInvalid, match=says) as caught:
        PipelineConfig.from_mapping(tables)
    assert fix in caught.value.fix


def test_a_misspelt_variable_is_not_ignored() -> None:
    """A name that carries the prefix but means nothing is an error, not a silent default."""
    with pytest.raises(ConfigurationInvalid, match="ORDERS_RETIRES_MAX"):
        PipelineConfig.from_environment({"ORDERS_RETIRES_MAX": "5"}, prefix="ORDERS_")


def test_a_configuration_is_built_with_its_own_layers_each_time() -> None:
    """Two pipelines of one configuration share no state; its fields are the places that need only options."""
    config = dataclasses.replace(PipelineConfig(), timeout=None)
    one, other = config.build(name="one"), config.build(name="other")
    assert list(one.layers) == ["deadline", "retry", "breaker", "bulkhead"]
    assert not set(map(id, one.layers.values())) & set(map(id, other.layers.values()))
    assert {field.name for field in dataclasses.fields(PipelineConfig)} - {"budget"} < set(PLACES)


def test_the_registry_knows_pipelines_by_name() -> None:
    """A second one of the same name is refused, a missing one is named with those that are there."""
    registry = PipelineRegistry(Pipeline([], name="orders"))
    with pytest.raises(ConfigurationInvalid, match="'orders' already"):
        registry.add(Pipeline([], name="orders"))
    with pytest.raises(KeyError, match="no pipeline named 'stock'; known: orders"):
        registry["stock"]
    registry.add(Pipeline([], name="stock"))
    assert list(registry.statistics()) == ["orders", "stock"]
    registry.remove("orders")
    assert ("orders" in registry, len(registry)) == (False, 1)
