"""What a client says of itself: one frozen record of all it is made of; computes nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from schemawire.resilience.budget import RetryBudgetStatistics
from schemawire.resilience.retry import RetryStatistics
from schemawire.transport.cache import CacheStatistics
from schemawire.transport.discovery.watcher import DiscoveryStatistics
from schemawire.transport.endpoints import EndpointStatistics
from schemawire.transport.tally import CallCounts
from schemawire.transport.wire import WireStatistics


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientStatistics:
    """The state of a client: what became of its calls, and how its endpoints, budget and wire stand."""

    calls: CallCounts
    endpoints: tuple[EndpointStatistics, ...]
    retry: RetryStatistics | None
    budget: RetryBudgetStatistics | None
    wire: WireStatistics
    is_panicking: bool = False
    """Whether so few endpoints are in rotation that all are used."""
    layers: Mapping[str, object] = field(default_factory=dict)
    """The state of each policy around the choice of an endpoint, by name; a route's own by its pattern and the name."""
    discovery: DiscoveryStatistics | None = None
    """`None` where the endpoints were given once and for all."""
    cache: CacheStatistics | None = None
