"""The ordered pipeline of policies around a call, sealed and checked when it is built; knows no policy's own job."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any, TypeVar

from schemawire.errors import ConfigurationInvalid
from schemawire.resilience.alone import Standalone
from schemawire.resilience.call import Handler, Policy
from schemawire.resilience.coherence import require_coherent

R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layers:
    """One named place for every layer, in the order in which a call passes them from the outside in."""

    deadline: Policy | None = None
    """The total deadline: everything else must see the time that is left."""
    cache: Policy | None = None
    """A fresh hit must cost no permit."""
    fallback: Policy | None = None
    """Sees the final outcome only; not run on cancellation."""
    flight: Policy | None = None
    """Single flight: before any limiter, so that joined calls pay once."""
    admission: Policy | None = None
    """The throttle: shed before queueing."""
    rate: Policy | None = None
    """The client's rate limit, charged per call."""
    hedge: Policy | None = None
    """Each hedge owns its own inner layers."""
    retry: Policy | None = None
    """Retry with its budget."""
    pick: Policy | None = None
    """The choice of an endpoint: a further attempt must be able to go elsewhere."""
    breaker: Policy | None = None
    """Inside retry, so that each attempt is judged."""
    limit: Policy | None = None
    """The adaptive concurrency limit."""
    bulkhead: Policy | None = None
    """The last gate before the wire, and the only queue."""
    timeout: Policy | None = None
    """The time limit of one attempt: it must not count the time spent in the queue."""


PLACES: tuple[str, ...] = tuple(field.name for field in fields(Layers))
"""The names of the places, outside in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineStatistics:
    """The statistics of each layer by its name, outside in."""

    name: str
    layers: Mapping[str, object]


class Pipeline(Standalone):
    """Policies around a call, in a fixed order.

    Args:
        layers: `Layers(…)` puts each policy in its proper place; a sequence runs in the order in which it is written.
        name: what events and `describe()` call it.

    Raises:
        ConfigurationInvalid: the policies contradict each other; the message lists every contradiction.
    """

    def __init__(self, layers: Layers | Sequence[Policy], *, name: str = "pipeline") -> None:
        self.name = name
        self._layers: Mapping[str, Policy] = MappingProxyType(_named(layers))
        self._placed = isinstance(layers, Layers)
        self._require_coherent({})

    @property
    def layers(self) -> Mapping[str, Policy]:
        """The policies by place (or by name, where they were given in a free order), outside in."""
        return self._layers

    def bind(self, inner: Handler[R]) -> Handler[R]:
        """Return `inner` surrounded by every policy, the first outermost."""
        for policy in reversed(list(self._layers.values())):
            inner = policy.bind(inner)
        return inner

    def replace_options(self, **options: object) -> None:
        """Put other options of some layers in force, all of them or, if they contradict anything, none.

        Args:
            options: the new options by the name of the layer: `replace_options(retry=RetryConfig(max_retries=5))`.

        Raises:
            ConfigurationInvalid: a layer is not there, takes other options, or would contradict another one.
        """
        for name, wanted in options.items():
            present = _options_of(self._layers.get(name))
            if present is None or type(wanted) is not type(present):
                raise ConfigurationInvalid(
                    f"pipeline {self.name!r}: {name!r} cannot take {wanted!r}",
                    fix=f"Layers and their options: {self._option_types()}.",
                )
        self._require_coherent(options)
        for name, wanted in options.items():
            policy: Any = self._layers[name]
            policy.replace_options(wanted)

    def _option_types(self) -> str:
        named = ((name, _options_of(policy)) for name, policy in self._layers.items())
        return ", ".join(f"{name}={type(options).__name__}" for name, options in named if options is not None)

    def _require_coherent(self, changes: Mapping[str, object]) -> None:
        options = [changes.get(name, _options_of(policy)) for name, policy in self._layers.items()]
        require_coherent(self.name, list(self._layers.values()), options)

    def describe(self) -> str:
        """Return the pipeline as text, one line per place, outside in, empty places included."""
        names = PLACES if self._placed else tuple(self._layers)
        width = max((len(name) for name in names), default=0)
        lines = [f"{name:<{width}}  {self._line(name)}" for name in names]
        return "\n".join([f"pipeline {self.name!r}, outside in:", *(f"  {line}" for line in lines)])

    def _line(self, name: str) -> str:
        policy = self._layers.get(name)
        return "–" if policy is None else policy.describe()

    def statistics(self) -> PipelineStatistics:
        """Return the state of every layer."""
        states = {name: policy.statistics() for name, policy in self._layers.items()}
        return PipelineStatistics(name=self.name, layers=MappingProxyType(states))


def _named(layers: Layers | Sequence[Policy]) -> dict[str, Policy]:
    if isinstance(layers, Layers):
        placed = ((place, getattr(layers, place)) for place in PLACES)
        return {place: policy for place, policy in placed if policy is not None}
    named: dict[str, Policy] = {}
    for policy in layers:
        if policy.name in named:
            raise ConfigurationInvalid(
                f"two policies of the pipeline are named {policy.name!r}",
                fix="Give each policy its own `name=`; a policy may stand in a pipeline only once.",
            )
        named[policy.name] = policy
    return named


def _options_of(policy: Policy | None) -> object:
    return getattr(policy, "options", None)
