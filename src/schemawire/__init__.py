"""The front door: handler, client, schema types, options and errors.

Everything is imported when it is first used, so `import schemawire` is cheap and needs no extra.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from schemawire._version import __version__ as __version__

if TYPE_CHECKING:
    from schemawire._embedded import embedded
    from schemawire.analysis import AnalysisOptions, Draft, OfflineAnalyser
    from schemawire.errors import (
        CircuitOpen,
        ConfigurationInvalid,
        Conflict,
        DeadlineExceeded,
        Failed,
        Invalid,
        NotFound,
        Refused,
        Rejected,
        SchemaInvalid,
        SchemawireError,
        StreamBroken,
        VersionConflict,
    )
    from schemawire.handler import (
        BatchResult,
        DomainResult,
        DomainSchemaHandler,
        HealthStatus,
        StreamingConfig,
        StreamSummary,
        SyncDomainSchemaHandler,
    )
    from schemawire.resilience import CircuitBreakerConfig, RetryConfig
    from schemawire.schema import DomainSchema, Entity, Enum, Field, Relationship, Rule, check, parse_schema
    from schemawire.transport import Client, PoolConfig, TimeoutConfig

_ROOM_OF = {
    "AnalysisOptions": "analysis",
    "BatchResult": "handler",
    "CircuitBreakerConfig": "resilience",
    "CircuitOpen": "errors",
    "Client": "transport",
    "ConfigurationInvalid": "errors",
    "Conflict": "errors",
    "DeadlineExceeded": "errors",
    "DomainResult": "handler",
    "DomainSchema": "schema",
    "DomainSchemaHandler": "handler",
    "Draft": "analysis",
    "Entity": "schema",
    "Enum": "schema",
    "Failed": "errors",
    "Field": "schema",
    "HealthStatus": "handler",
    "Invalid": "errors",
    "NotFound": "errors",
    "OfflineAnalyser": "analysis",
    "PoolConfig": "transport",
    "Refused": "errors",
    "Rejected": "errors",
    "Relationship": "schema",
    "RetryConfig": "resilience",
    "Rule": "schema",
    "SchemaInvalid": "errors",
    "SchemawireError": "errors",
    "StreamBroken": "errors",
    "StreamSummary": "handler",
    "StreamingConfig": "handler",
    "SyncDomainSchemaHandler": "handler",
    "TimeoutConfig": "transport",
    "VersionConflict": "errors",
    "check": "schema",
    "embedded": "_embedded",
    "parse_schema": "schema",
}

__all__ = [
    "AnalysisOptions",
    "BatchResult",
    "CircuitBreakerConfig",
    "CircuitOpen",
    "Client",
    "ConfigurationInvalid",
    "Conflict",
    "DeadlineExceeded",
    "DomainResult",
    "DomainSchema",
    "DomainSchemaHandler",
    "Draft",
    "Entity",
    "Enum",
    "Failed",
    "Field",
    "HealthStatus",
    "Invalid",
    "NotFound",
    "OfflineAnalyser",
    "PoolConfig",
    "Refused",
    "Rejected",
    "Relationship",
    "RetryConfig",
    "Rule",
    "SchemaInvalid",
    "SchemawireError",
    "StreamBroken",
    "StreamSummary",
    "StreamingConfig",
    "SyncDomainSchemaHandler",
    "TimeoutConfig",
    "VersionConflict",
    "check",
    "embedded",
    "parse_schema",
]


def __getattr__(name: str) -> object:
    room = _ROOM_OF.get(name)
    if room is None:
        raise AttributeError(f"module 'schemawire' has no attribute {name!r}")
    value = getattr(import_module(f"schemawire.{room}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
