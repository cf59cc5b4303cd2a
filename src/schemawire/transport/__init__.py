"""How bytes travel: the HTTP client, its wires, verdicts and endpoints; knows no schema and no protocol."""

from schemawire.transport.cache import CacheStatistics
from schemawire.transport.cache_config import CacheConfig
from schemawire.transport.client import Client
from schemawire.transport.client_statistics import ClientStatistics
from schemawire.transport.discovery import Discovery, DiscoveryConfig, DiscoveryStatistics, Listing, Place
from schemawire.transport.endpoints import EndpointStatistics
from schemawire.transport.health_checks import HealthCheckConfig
from schemawire.transport.message import Headers, Request, Response
from schemawire.transport.one_store import OneStoreConfig
from schemawire.transport.options import PoolConfig, ProxyConfig, TimeoutConfig, TlsConfig
from schemawire.transport.resume import Resume, ResumeByRange
from schemawire.transport.routes import INHERIT, RouteOptions
from schemawire.transport.slow_down import SlowDownConfig
from schemawire.transport.stream import StreamResponse
from schemawire.transport.tally import CallCounts
from schemawire.transport.wire import Wire, WireResponse, WireStatistics

__all__ = [
    "INHERIT",
    "CacheConfig",
    "CacheStatistics",
    "CallCounts",
    "Client",
    "ClientStatistics",
    "Discovery",
    "DiscoveryConfig",
    "DiscoveryStatistics",
    "EndpointStatistics",
    "Headers",
    "HealthCheckConfig",
    "Listing",
    "OneStoreConfig",
    "Place",
    "PoolConfig",
    "ProxyConfig",
    "Request",
    "Response",
    "Resume",
    "ResumeByRange",
    "RouteOptions",
    "SlowDownConfig",
    "StreamResponse",
    "TimeoutConfig",
    "TlsConfig",
    "Wire",
    "WireResponse",
    "WireStatistics",
]
