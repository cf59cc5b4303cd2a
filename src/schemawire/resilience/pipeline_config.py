"""A whole pipeline as one value, from code, TOML or the environment; knows how to build it, not what it does."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, get_args, get_type_hints

from schemawire.errors import ConfigurationInvalid
from schemawire.events import Listener
from schemawire.resilience.adaptive_limit import AdaptiveLimit, AdaptiveLimitConfig
from schemawire.resilience.breaker import CircuitBreaker
from schemawire.resilience.breaker_state import CircuitBreakerConfig
from schemawire.resilience.budget import RetryBudget, RetryBudgetConfig
from schemawire.resilience.bulkhead import Bulkhead, BulkheadConfig
from schemawire.resilience.call import Context, Judge, Policy, judge_exceptions
from schemawire.resilience.hedge import Hedge, HedgeConfig
from schemawire.resilience.mapping import convert, options_from, unknown_name
from schemawire.resilience.pipeline import Layers, Pipeline
from schemawire.resilience.rate_limit import RateLimit, RateLimitConfig
from schemawire.resilience.retry import Discard, Retry
from schemawire.resilience.retry_decision import RetryConfig
from schemawire.resilience.single_flight import SingleFlight, SingleFlightConfig
from schemawire.resilience.throttle import Throttle, ThrottleConfig
from schemawire.resilience.timeout import Deadline, DeadlineConfig, TimeLimiter, TimeLimiterConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineConfig:
    """The options of every layer that needs nothing but options; `None` leaves a place empty.

    The fields stand in the order in which a call passes the layers, outside in; `budget` is shared by `hedge` and
    `retry`.
    """

    deadline: DeadlineConfig | None = field(default_factory=DeadlineConfig)
    flight: SingleFlightConfig | None = None
    admission: ThrottleConfig | None = None
    rate: RateLimitConfig | None = None
    hedge: HedgeConfig | None = None
    retry: RetryConfig | None = field(default_factory=RetryConfig)
    budget: RetryBudgetConfig = field(default_factory=RetryBudgetConfig)
    breaker: CircuitBreakerConfig | None = field(default_factory=CircuitBreakerConfig)
    limit: AdaptiveLimitConfig | None = None
    bulkhead: BulkheadConfig | None = field(default_factory=BulkheadConfig)
    timeout: TimeLimiterConfig | None = field(default_factory=TimeLimiterConfig)

    @classmethod
    def from_mapping(cls, tables: Mapping[str, object], *, where: str = "pipeline") -> "PipelineConfig":
        """Return the pipeline that a mapping of tables describes, such as one read from TOML.

        A layer's table holds its options; `true` (or `"on"`) puts the layer there with its defaults, `false` (or
        `"off"`) leaves it out; a layer that is not mentioned is as in `PipelineConfig()`.

        Args:
            tables: layer → table, such as `{"retry": {"max_retries": 5}, "breaker": false}`.
            where: what messages call the mapping.

        Raises:
            ConfigurationInvalid: an unknown layer or option, or a value that does not fit; names where it stands.
        """
        kinds = _kinds()
        read: dict[str, Any] = {}
        for given, table in tables.items():
            layer = str(given).lower()
            if layer not in kinds:
                raise unknown_name(str(given), list(kinds), where=where)
            read[layer] = _layer(kinds[layer], table, where=f"{where}.{layer}")
        return cls(**read)

    @classmethod
    def from_environment(cls, variables: Mapping[str, str], *, prefix: str) -> "PipelineConfig":
        """Return the pipeline that flat variables describe: `{prefix}RETRY_MAX_RETRIES=5`, `{prefix}BREAKER=off`.

        Args:
            variables: such as `os.environ`; those without the prefix are ignored.
            prefix: what the names begin with, such as `ORDERS_`.

        Raises:
            ConfigurationInvalid: a name with the prefix means nothing, or its value does not fit.
        """
        kinds = _kinds()
        tables: dict[str, Any] = {}
        for name in sorted(variables):
            if not name.startswith(prefix):
                continue
            layer, _, option = name.removeprefix(prefix).lower().partition("_")
            if layer not in kinds:
                raise unknown_name(name, [f"{prefix}{kind.upper()}_…" for kind in kinds], where="the environment")
            if not option:
                tables[layer] = variables[name]
            elif isinstance(tables.setdefault(layer, {}), dict):
                tables[layer][option] = variables[name]
        return cls.from_mapping(tables, where=prefix.rstrip("_").lower() or "environment")

    def build(
        self,
        *,
        name: str = "pipeline",
        judge: Judge = judge_exceptions,
        listener: Listener | None = None,
        until_deadline: Callable[[Context], bool] | None = None,
        discard: Discard | None = None,
    ) -> Pipeline:
        """Return a new pipeline with these options.

        Args:
            name: what events and `describe()` call it; the policies are called after it too.
            judge: says what an outcome means, to every layer.
            listener: hears what every layer does.
            until_deadline: see `Retry`.
            discard: see `Retry`.

        Raises:
            ConfigurationInvalid: the options contradict each other.
        """
        budget = RetryBudget(self.budget, name=f"{name}.budget")
        judging = {"judge": judge, "listener": listener}
        spending = {**judging, "budget": budget, "discard": discard}
        layers: dict[str, Policy | None] = {
            "deadline": _made(Deadline, self.deadline, f"{name}.deadline"),
            "flight": _made(SingleFlight, self.flight, f"{name}.flight"),
            "admission": _made(Throttle, self.admission, f"{name}.admission", **judging),
            "rate": _made(RateLimit, self.rate, f"{name}.rate", listener=listener),
            "hedge": _made(Hedge, self.hedge, f"{name}.hedge", **spending),
            "retry": _made(Retry, self.retry, f"{name}.retry", **spending, until_deadline=until_deadline),
            "breaker": _made(CircuitBreaker, self.breaker, f"{name}.breaker", **judging),
            "limit": _made(AdaptiveLimit, self.limit, f"{name}.limit", **judging),
            "bulkhead": _made(Bulkhead, self.bulkhead, f"{name}.bulkhead", listener=listener),
            "timeout": _made(TimeLimiter, self.timeout, f"{name}.timeout"),
        }
        return Pipeline(Layers(**layers), name=name)


def _made(policy: Callable[..., Policy], options: object, name: str, **rest: object) -> Policy | None:
    return None if options is None else policy(options, name=name, **rest)


def _kinds() -> dict[str, type[Any]]:
    """Return the class of each layer's options."""
    hints = get_type_hints(PipelineConfig)
    return {layer.name: (*get_args(hints[layer.name]), hints[layer.name])[0] for layer in fields(PipelineConfig)}


def _layer(kind: type[Any], table: object, *, where: str) -> object:
    if isinstance(table, Mapping):
        return options_from(kind, table, where=where)
    switch = convert(table, bool, where=where)
    if switch is True:
        return options_from(kind, {}, where=where)
    if switch is False and kind is not RetryBudgetConfig:
        return None
    raise ConfigurationInvalid(
        f"{where}={table!r} is neither a table nor a switch that this layer has",
        fix="Give a table of its options, or on, or off; the budget has no off, but `retry` and `hedge` have.",
    )
