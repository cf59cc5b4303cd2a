"""The handler: one object that turns words into schemas and keeps them in a backend."""

from schemawire.handler.handler import DomainSchemaHandler
from schemawire.handler.results import (
    BatchResult,
    DomainResult,
    HealthStatus,
    RefineResult,
    StoredSchema,
    StreamSummary,
)
from schemawire.handler.streaming import StreamingConfig
from schemawire.handler.synchronous import SyncDomainSchemaHandler

__all__ = [
    "BatchResult",
    "DomainResult",
    "DomainSchemaHandler",
    "HealthStatus",
    "RefineResult",
    "StoredSchema",
    "StreamSummary",
    "StreamingConfig",
    "SyncDomainSchemaHandler",
]
