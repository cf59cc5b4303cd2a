"""How bytes travel: the HTTP client, its wires, verdicts and endpoints; knows no schema and no protocol."""

from schemawire.transport.client import Client, ClientStatistics
from schemawire.transport.endpoints import EndpointStatistics
from schemawire.transport.message import Headers, Request, Response
from schemawire.transport.options import PoolConfig, TimeoutConfig, TlsConfig
from schemawire.transport.stream import StreamResponse
from schemawire.transport.tally import CallCounts
from schemawire.transport.wire import Wire, WireResponse, WireStatistics

__all__ = [
    "CallCounts",
    "Client",
    "ClientStatistics",
    "EndpointStatistics",
    "Headers",
    "PoolConfig",
    "Request",
    "Response",
    "StreamResponse",
    "TimeoutConfig",
    "TlsConfig",
    "Wire",
    "WireResponse",
    "WireStatistics",
]
