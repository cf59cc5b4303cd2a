"""The older module name: everything that code written for it imports, unchanged."""

from schemawire.handler import DomainSchemaHandler, StreamingConfig, SyncDomainSchemaHandler
from schemawire.resilience import CircuitBreakerConfig, RetryConfig

__all__ = [
    "CircuitBreakerConfig",
    "DomainSchemaHandler",
    "RetryConfig",
    "StreamingConfig",
    "SyncDomainSchemaHandler",
]
